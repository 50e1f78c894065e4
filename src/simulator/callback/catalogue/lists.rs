//! Lists of fields that several kinds share, and a long one.

pub(super) const PICTURES: &[&str] = &[
    "EventKey=rselfmenu_1_0",
    "#SendPicsInfo.Count=1",
    "SendPicsInfo.PicList.item.PicMd5Sum=1b5f7c23b5bf75682a53e7b6d163e185",
];
pub(super) const SCANCODE: &[&str] = &[
    "EventKey=rselfmenu_0_1",
    "ScanCodeInfo.ScanType=qrcode",
    "ScanCodeInfo.ScanResult=https://example.com/1",
];
pub(super) const CARD: &[&str] = &["CardId=pFS7Fjg8kV1IdDz01r4SQwMkuCKc", "UserCardCode=12312312"];
pub(super) const REVOKED: &[&str] =
    &["OpenID=oSimulatedUser00000000000000", "AppID=wx0123456789abcdef", "#RevokeInfo=201"];
pub(super) const EXPIRES: &[&str] = &["#ExpiredTime=1893427200"];
pub(super) const FAILED: &[&str] = &["#FailTime=1893427200", "FailReason=by time"];
pub(super) const GIFT: &[&str] = &["PageId=OLCZNfyyGPU5VNF", "OrderId=Z2y2rY74kswZ"];
pub(super) const DEVICE: &[&str] =
    &["DeviceType=gh_simulated0000", "DeviceID=device-1", "Content=aGVsbG8=", "SessionID=1"];
pub(super) const PRODUCT: &[&str] =
    &["KeyStandard=ean13", "KeyStr=6901481811083", "Country=", "Province=", "City=", "#Sex=1"];

pub(super) const MASS_SENT: &[&str] = &[
    "#MsgID=1000001625",
    "Status=send success",
    "#TotalCount=100",
    "#FilterCount=80",
    "#SentCount=75",
    "#ErrorCount=5",
    "#CopyrightCheckResult.Count=1",
    "#CopyrightCheckResult.ResultList.item.ArticleIdx=1",
    "#CopyrightCheckResult.ResultList.item.UserDeclareState=0",
    "#CopyrightCheckResult.ResultList.item.AuditState=2",
    "CopyrightCheckResult.ResultList.item.OriginalArticleUrl=https://mp.weixin.qq.com/s/1",
    "#CopyrightCheckResult.ResultList.item.OriginalArticleType=1",
    "#CopyrightCheckResult.ResultList.item.CanReprint=1",
    "#CopyrightCheckResult.ResultList.item.NeedReplaceContent=1",
    "#CopyrightCheckResult.ResultList.item.NeedShowReprintSource=1",
    "#CopyrightCheckResult.CheckState=2",
    "#ArticleUrlResult.Count=1",
    "#ArticleUrlResult.ResultList.item.ArticleIdx=1",
    "ArticleUrlResult.ResultList.item.ArticleUrl=https://mp.weixin.qq.com/s/2",
];
