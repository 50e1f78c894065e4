//! Every kind of message and event that can be sent by name, with the fields that WeChat sends.
//!
//! A line holds a path and a realistic value; `#` before the path says that it is a number. What all
//! messages have (who, when, which) is added by `compose`.

mod lists;

use lists::{CARD, DEVICE, EXPIRES, FAILED, GIFT, MASS_SENT, PICTURES, PRODUCT, REVOKED, SCANCODE};

/// One message or event.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What it is called here: the `MsgType`, or `event.` and the `Event`.
    pub name: &'static str,
    /// When WeChat sends it.
    pub says: &'static str,
    /// `path=value`.
    pub(super) fields: &'static [&'static str],
}

const fn kind(name: &'static str, says: &'static str, fields: &'static [&'static str]) -> Kind {
    Kind { name, says, fields }
}

/// A kind by its name: exact, or else whatever the case.
pub(super) fn find(name: &str) -> Option<&'static Kind> {
    let exact = KINDS.iter().find(|kind| kind.name == name);
    exact.or_else(|| KINDS.iter().find(|kind| kind.name.eq_ignore_ascii_case(name)))
}

/// All of them.
pub const KINDS: &[Kind] = &[
    kind("text", "a text", &["Content=你好 😀"]),
    kind(
        "image",
        "a picture",
        &["PicUrl=http://mmbiz.qpic.cn/mmbiz_jpg/simulated/0", "MediaId=simulated-image"],
    ),
    kind(
        "voice",
        "a voice message",
        &["MediaId=simulated-voice", "Format=amr", "MediaId16K=simulated-voice-16k"],
    ),
    kind("video", "a video", &["MediaId=simulated-video", "ThumbMediaId=simulated-thumb"]),
    kind(
        "shortvideo",
        "a video taken in the chat",
        &["MediaId=simulated-video", "ThumbMediaId=simulated-thumb"],
    ),
    kind(
        "location",
        "a place",
        &[
            "#Location_X=23.134521",
            "#Location_Y=113.358803",
            "#Scale=20",
            "Label=广州市海珠区客村艺苑路 12 号",
        ],
    ),
    kind(
        "link",
        "a link",
        &["Title=公众平台官网链接", "Description=公众平台官网", "Url=https://mp.weixin.qq.com/"],
    ),
    kind(
        "file",
        "a file",
        &[
            "Title=报告.pdf",
            "Description=",
            "FileKey=simulated-file",
            "FileMd5=0cc175b9c0f1b6a831c399e269772661",
            "#FileTotalLen=4096",
        ],
    ),
    kind(
        "miniprogrampage",
        "a mini program's card",
        &[
            "Title=首页",
            "AppId=wxfedcba9876543210",
            "PagePath=pages/index/index",
            "ThumbUrl=http://mmbiz.qpic.cn/simulated/0",
            "ThumbMediaId=simulated-thumb",
        ],
    ),
    kind("device_text", "a device's message (obsolete)", DEVICE),
    kind("device_event", "a device's event (obsolete)", DEVICE),
    kind("device_status", "a device's status (obsolete)", DEVICE),
    kind(
        "hardware",
        "sport data (obsolete)",
        &["HardWare.MessageView=myrank", "HardWare.MessageAction=ranklist"],
    ),
    kind("event.subscribe", "follows; by QR code with EventKey=qrscene_… and Ticket=…", &["EventKey="]),
    kind("event.unsubscribe", "follows no longer", &["EventKey="]),
    kind(
        "event.SCAN",
        "a follower scanned a parametric code",
        &["EventKey=123123", "Ticket=simulated-ticket"],
    ),
    kind(
        "event.LOCATION",
        "reported location",
        &["#Latitude=23.137466", "#Longitude=113.352425", "#Precision=119.385040"],
    ),
    kind("event.CLICK", "tapped a button", &["EventKey=V1001_TODAY_MUSIC"]),
    kind("event.VIEW", "tapped a link of the menu", &["EventKey=https://example.com/", "#MenuId=420000000"]),
    kind(
        "event.view_miniprogram",
        "opened a mini program from the menu",
        &["EventKey=pages/index/index", "#MenuId=420000000"],
    ),
    kind("event.scancode_push", "scanned by the menu", SCANCODE),
    kind("event.scancode_waitmsg", "scanned by the menu, and waits for an answer", SCANCODE),
    kind("event.pic_sysphoto", "took a picture by the menu", PICTURES),
    kind("event.pic_photo_or_album", "took or chose a picture by the menu", PICTURES),
    kind("event.pic_weixin", "chose pictures by the menu", PICTURES),
    kind(
        "event.location_select",
        "chose a place by the menu",
        &[
            "EventKey=rselfmenu_2_0",
            "SendLocationInfo.Location_X=23",
            "SendLocationInfo.Location_Y=113",
            "SendLocationInfo.Scale=15",
            "SendLocationInfo.Label=广州市海珠区客村艺苑路 106 号",
            "SendLocationInfo.Poiname=",
        ],
    ),
    kind(
        "event.TEMPLATESENDJOBFINISH",
        "a template message was delivered, or not",
        &["#MsgID=200163836", "Status=success"],
    ),
    kind("event.MASSSENDJOBFINISH", "a mass message was sent", MASS_SENT),
    kind(
        "event.PUBLISHJOBFINISH",
        "a draft was published",
        &[
            "PublishEventInfo.publish_id=2247503051",
            "#PublishEventInfo.publish_status=0",
            "PublishEventInfo.article_id=simulated-article",
            "#PublishEventInfo.article_detail.count=1",
            "#PublishEventInfo.article_detail.item.idx=1",
            "PublishEventInfo.article_detail.item.article_url=https://mp.weixin.qq.com/s/1",
        ],
    ),
    kind(
        "event.subscribe_msg_popup_event",
        "chose in the dialogue of subscription messages",
        &[
            "SubscribeMsgPopupEvent.List[0].TemplateId=VRR0UEO9VJOLs0MHlU0OilqX6MVFDwH3_3gz3Oc0NIc",
            "SubscribeMsgPopupEvent.List[0].SubscribeStatusString=accept",
            "#SubscribeMsgPopupEvent.List[0].PopupScene=2",
            "SubscribeMsgPopupEvent.List[1].TemplateId=9nLIlbOQZC5Y89AZteFEux3WCXRRRG5Wfzkpssu4bLI",
            "SubscribeMsgPopupEvent.List[1].SubscribeStatusString=reject",
            "#SubscribeMsgPopupEvent.List[1].PopupScene=2",
        ],
    ),
    kind(
        "event.subscribe_msg_change_event",
        "changed subscriptions in the settings",
        &[
            "SubscribeMsgChangeEvent.List.TemplateId=VRR0UEO9VJOLs0MHlU0OilqX6MVFDwH3_3gz3Oc0NIc",
            "SubscribeMsgChangeEvent.List.SubscribeStatusString=reject",
        ],
    ),
    kind(
        "event.subscribe_msg_sent_event",
        "a subscription message was delivered, or not",
        &[
            "SubscribeMsgSentEvent.List.TemplateId=VRR0UEO9VJOLs0MHlU0OilqX6MVFDwH3_3gz3Oc0NIc",
            "SubscribeMsgSentEvent.List.MsgID=1700827132819554304",
            "#SubscribeMsgSentEvent.List.ErrorCode=0",
            "SubscribeMsgSentEvent.List.ErrorStatus=success",
        ],
    ),
    kind("event.kf_create_session", "an agent takes the conversation", &["KfAccount=test1@test"]),
    kind(
        "event.kf_close_session",
        "the conversation with an agent ends",
        &["KfAccount=test1@test", "CloseType=KF"],
    ),
    kind(
        "event.kf_switch_session",
        "the conversation goes to another agent",
        &["FromKfAccount=test1@test", "ToKfAccount=test2@test"],
    ),
    kind("event.qualification_verify_success", "the company was verified", EXPIRES),
    kind("event.qualification_verify_fail", "the company was not verified", FAILED),
    kind("event.naming_verify_success", "the name was verified", EXPIRES),
    kind("event.naming_verify_fail", "the name was not verified", FAILED),
    kind("event.annual_renew", "the yearly verification is due", EXPIRES),
    kind("event.verify_expired", "the verification has expired", EXPIRES),
    kind("event.user_info_modified", "changed personal data: update what is stored", REVOKED),
    kind("event.user_authorization_revoke", "revoked consent: delete what is stored", REVOKED),
    kind(
        "event.user_authorization_cancellation",
        "closed the WeChat account: delete what is stored",
        REVOKED,
    ),
    kind(
        "event.card_pass_check",
        "a card was approved",
        &["CardId=pFS7Fjg8kV1IdDz01r4SQwMkuCKc", "RefuseReason="],
    ),
    kind(
        "event.card_not_pass_check",
        "a card was not approved",
        &["CardId=pFS7Fjg8kV1IdDz01r4SQwMkuCKc", "RefuseReason=非法代制"],
    ),
    kind(
        "event.user_get_card",
        "took a card",
        &[
            "CardId=pFS7Fjg8kV1IdDz01r4SQwMkuCKc",
            "#IsGiveByFriend=0",
            "UserCardCode=12312312",
            "FriendUserName=",
            "#OuterId=0",
            "OldUserCardCode=",
            "OuterStr=12b",
            "#IsRestoreMemberCard=0",
            "#IsRecommendByFriend=0",
            "UnionId=",
        ],
    ),
    kind(
        "event.user_gifting_card",
        "gave a card away",
        &[
            "CardId=pFS7Fjg8kV1IdDz01r4SQwMkuCKc",
            "UserCardCode=12312312",
            "#IsReturnBack=0",
            "FriendUserName=oSimulatedFriend000000000000",
            "#IsChatRoom=0",
        ],
    ),
    kind("event.user_del_card", "deleted a card", CARD),
    kind("event.user_enter_session_from_card", "came from a card", CARD),
    kind("event.submit_membercard_user_info", "filled in a member card", CARD),
    kind(
        "event.user_consume_card",
        "used a card",
        &[
            "CardId=pFS7Fjg8kV1IdDz01r4SQwMkuCKc",
            "UserCardCode=12312312",
            "ConsumeSource=FROM_API",
            "LocationName=",
            "StaffOpenId=oSimulatedStaff0000000000000",
            "VerifyCode=",
            "RemarkAmount=",
            "OuterStr=",
        ],
    ),
    kind(
        "event.user_pay_from_pay_cell",
        "paid with a card",
        &[
            "CardId=pFS7Fjg8kV1IdDz01r4SQwMkuCKc",
            "UserCardCode=12312312",
            "TransId=10022403432015000000000",
            "#LocationId=291710000",
            "#Fee=10000",
            "#OriginalFee=10000",
        ],
    ),
    kind(
        "event.user_view_card",
        "looked at a member card",
        &["CardId=pFS7Fjg8kV1IdDz01r4SQwMkuCKc", "UserCardCode=12312312", "OuterStr="],
    ),
    kind(
        "event.update_member_card",
        "a member card's points changed",
        &[
            "CardId=pFS7Fjg8kV1IdDz01r4SQwMkuCKc",
            "UserCardCode=12312312",
            "#ModifyBonus=3",
            "#ModifyBalance=0",
        ],
    ),
    kind(
        "event.card_sku_remind",
        "few cards are left",
        &["CardId=pFS7Fjg8kV1IdDz01r4SQwMkuCKc", "Detail=the card's stock is less than 100"],
    ),
    kind(
        "event.card_pay_order",
        "card coins were spent",
        &[
            "OrderId=404091456",
            "Status=ORDER_STATUS_FINANCE_SUCC",
            "#CreateOrderTime=1472648400",
            "#PayFinishTime=0",
            "Desc=",
            "#FreeCoinCount=200",
            "#PayCoinCount=0",
            "#RefundFreeCoinCount=0",
            "#RefundPayCoinCount=0",
            "OrderType=ORDER_TYPE_SYS_ADD",
            "Memo=开通账户奖励",
            "ReceiptInfo=",
        ],
    ),
    kind("event.giftcard_pay_done", "bought a gift card", GIFT),
    kind("event.giftcard_send_to_friend", "gave a gift card away", GIFT),
    kind("event.giftcard_user_accept", "accepted a gift card", GIFT),
    kind(
        "event.user_authorize_invoice",
        "authorised an invoice",
        &["SuccOrderId=1202933957956", "FailOrderId=", "AuthorizeAppId=wx0123456789abcdef", "Source=web"],
    ),
    kind(
        "event.update_invoice_status",
        "an invoice changed",
        &["Status=INVOICE_REIMBURSE_INIT", "CardId=pFS7Fjg8kV1IdDz01r4SQwMkuCKc", "Code=313214124124"],
    ),
    kind(
        "event.submit_invoice_title",
        "sent an invoice title",
        &["title=腾讯", "tax_no=9144", "title_type=InvoiceUserTitleBusinessType"],
    ),
    kind(
        "event.poi_check_notify",
        "a shop was checked",
        &["UniqId=123adb", "PoiId=123123", "Result=succ", "msg=xxxxxx"],
    ),
    kind(
        "event.ShakearoundUserShake",
        "shook beside a beacon (obsolete)",
        &[
            "ChosenBeacon.Uuid=121212121212",
            "#ChosenBeacon.Major=1111",
            "#ChosenBeacon.Minor=1111",
            "#ChosenBeacon.Distance=0.057",
        ],
    ),
    kind(
        "event.WifiConnected",
        "connected to Wi-Fi (obsolete)",
        &["#ConnectTime=0", "#ExpireTime=0", "VendorId=3001224419", "ShopId=1", "DeviceNo=00:1f:7a:ad:5c:a8"],
    ),
    kind(
        "event.merchant_order",
        "ordered in the small shop (obsolete)",
        &["OrderId=test_order_id", "#OrderStatus=2", "ProductId=test_product_id", "SkuInfo=10001:1000012"],
    ),
    kind("event.user_scan_product", "scanned a product (obsolete)", PRODUCT),
    kind("event.user_scan_product_enter_session", "came from a product (obsolete)", PRODUCT),
    kind(
        "event.guide_qrcode_scan_event",
        "scanned a shop assistant's code",
        &[
            "GuideScanEvent.QrcodeGuideAccount=guide",
            "GuideScanEvent.QrcodeInfo=info",
            "GuideScanEvent.openid=oSimulatedUser00000000000000",
        ],
    ),
    kind(
        "event.wxa_media_check",
        "a mini program's media was checked",
        &[
            "appid=wxfedcba9876543210",
            "trace_id=967e945cd8a3e458f3c74dcb886068e9",
            "#version=2",
            "result.suggest=pass",
            "#result.label=100",
        ],
    ),
    kind("event.weapp_audit_success", "a mini program was approved", &["#SuccTime=1488856741"]),
    kind(
        "event.weapp_audit_fail",
        "a mini program was not approved",
        &["Reason=1:账号信息不符合规范", "#FailTime=1488856591"],
    ),
    kind(
        "event.weapp_audit_delay",
        "a mini program's review takes longer",
        &["Reason=为了更好的服务小程序", "#DelayTime=1488856591"],
    ),
    kind(
        "event.user_enter_tempsession",
        "opened a mini program's conversation",
        &["SessionFrom=sessionFrom"],
    ),
    kind("event.ENTER", "opened the conversation (very old)", &[]),
    kind("event.debug_demo", "the test event of WeChat's own debugger", &["debug_str=hello world"]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_found_whatever_their_case() {
        let names: BTreeSet<_> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
        assert!(KINDS.len() > 70, "the table is whole");
        for kind in KINDS {
            assert_eq!(find(kind.name).unwrap().name, kind.name);
            assert!(!kind.says.is_empty());
        }
        // Two events differ by more than their case.
        assert_eq!(find("event.scan").unwrap().name, "event.SCAN");
        assert!(find("event.nonsense").is_none());
    }
}
