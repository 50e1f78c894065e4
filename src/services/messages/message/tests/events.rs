//! What the samples of followers', menus', jobs' and subscriptions' events say.

use super::Table;
use crate::services::messages::message::follow::Follow::{self, *};
use crate::services::messages::message::job::{CopyrightCheck, Job, PublishedArticle, SentArticle};
use crate::services::messages::message::menu::Menu::{self, *};
use crate::services::messages::message::subscription::{Answer, Delivery, Subscription};
use crate::services::messages::message::{Content, Event};

const TICKET: &str =
    "gQH47joAAAAAAAAAASxodHRwOi8vd2VpeGluLnFxLmNvbS9xL2taZ2Z3TVRtNzJXV1Brb3ZhYmJJAAIEZ23sUwMEmm3sUw==";
const TEMPLATE: &str = "VRR0UEO9VJOLs0MHlU0OilqX6MVFDwH3_3gz3Oc0NIc";
const OTHER_TEMPLATE: &str = "9nLIlbOQZC5Y89AZteFEux3WCXRRRG5Wfzkpssu4bLI";

pub(super) fn table() -> Table {
    let follow = |event: Follow<'static>| Content::Event(Event::Follow(event));
    let menu = |event: Menu<'static>| Content::Event(Event::Menu(event));
    let pictures =
        |count, md5s: &[&'static str]| menu(Pictures { key: "6", count: Some(count), md5s: md5s.to_vec() });
    let mut table = vec![
        ("event.subscribe", follow(Subscribe { key: "", ticket: None })),
        ("event.subscribe.qrscene", follow(Subscribe { key: "qrscene_123123", ticket: Some(TICKET) })),
        (
            "event.subscribe.product",
            follow(Subscribe { key: "scanbarcode|ean13|6901481811083", ticket: None }),
        ),
        ("event.unsubscribe", follow(Unsubscribe)),
        ("event.SCAN", follow(Scan { scene: "shop_12", ticket: TICKET })),
        (
            "event.LOCATION",
            follow(Location {
                latitude: Some(23.137_466),
                longitude: Some(113.352_425),
                precision: Some(119.38504),
            }),
        ),
        ("event.ENTER", follow(Enter)),
        ("event.debug_demo", follow(DebugDemo { text: "hello from the push debugger" })),
        ("event.CLICK", menu(Click { key: "V1001_TODAY_MUSIC" })),
        ("event.VIEW", menu(View { url: "https://www.example.com/a?b=1&c=2", menu_id: Some("407749318") })),
        (
            "event.view_miniprogram",
            menu(ViewMiniProgram { page_path: "pages/index/index", menu_id: Some("407749319") }),
        ),
        (
            "event.scancode_push",
            menu(ScanCodePush { key: "rselfmenu_0_1", code_type: "qrcode", result: "1" }),
        ),
        (
            "event.scancode_waitmsg",
            menu(ScanCodeWaitMsg {
                key: "rselfmenu_0_0",
                code_type: "barcode",
                result: "EAN_13,6901481811083",
            }),
        ),
        ("event.pic_sysphoto", pictures(1, &["1b5f7c23b5bf75682a53e7b6d163e185"])),
        (
            "event.pic_photo_or_album",
            pictures(2, &["5a75aaca956d97be686719218f275c6b", "e7f6b9b3f2c1a0d4e5f60718293a4b5c"]),
        ),
        ("event.pic_weixin", pictures(1, &["5a75aaca956d97be686719218f275c6c"])),
        (
            "event.location_select",
            menu(LocationSelect {
                key: "6",
                latitude: Some(23.0),
                longitude: Some(113.0),
                scale: Some(15),
                label: " 广州市海珠区客村艺苑路 106号",
                poi_name: None,
            }),
        ),
    ];
    table.extend(jobs());
    table.extend(subscriptions());
    table
}

fn jobs() -> Table {
    let job = |event: Job<'static>| Content::Event(Event::Job(event));
    vec![
        (
            "event.TEMPLATESENDJOBFINISH",
            job(Job::TemplateSent { msg_id: Some(2_834_297_812_345_678_901), status: "failed:user block" }),
        ),
        (
            "event.MASSSENDJOBFINISH",
            job(Job::MassSent {
                msg_id: Some(1_000_001_625),
                status: "err(30003)",
                total: Some(100),
                filtered: Some(80),
                sent: Some(75),
                failed: Some(5),
                copyright_state: Some(2),
                copyright: vec![
                    CopyrightCheck {
                        index: Some(1),
                        declared: Some(0),
                        audited: Some(2),
                        original_url: "https://mp.weixin.qq.com/s/Url_1",
                        original_type: Some(1),
                        may_reprint: Some(true),
                        must_replace: Some(true),
                        must_name_source: Some(true),
                    },
                    CopyrightCheck {
                        index: Some(2),
                        declared: Some(0),
                        audited: Some(2),
                        original_url: "https://mp.weixin.qq.com/s/Url_2",
                        original_type: Some(2),
                        may_reprint: Some(false),
                        must_replace: Some(false),
                        must_name_source: Some(false),
                    },
                ],
                articles: vec![SentArticle { index: Some(1), url: "https://mp.weixin.qq.com/s/Url" }],
            }),
        ),
        (
            "event.PUBLISHJOBFINISH",
            job(Job::Published {
                publish_id: Some(2_247_503_051),
                status: Some(0),
                article_id: Some("b5O2OUs25HBxRceL7hfReg-U9QGeq9zQjiDvy"),
                articles: vec![
                    PublishedArticle { index: Some(1), url: "https://mp.weixin.qq.com/s/Art_1" },
                    PublishedArticle { index: Some(2), url: "https://mp.weixin.qq.com/s/Art_2" },
                ],
                failed: vec![],
            }),
        ),
        (
            "event.PUBLISHJOBFINISH.failed",
            job(Job::Published {
                publish_id: Some(2_247_503_052),
                status: Some(2),
                article_id: None,
                articles: vec![],
                failed: vec![1, 2],
            }),
        ),
    ]
}

fn subscriptions() -> Table {
    let subscription = |event: Subscription<'static>| Content::Event(Event::Subscription(event));
    let answer = |template_id, status, scene| Answer { template_id, status, scene };
    vec![
        (
            "event.subscribe_msg_popup_event",
            subscription(Subscription::Popup {
                answers: vec![answer(TEMPLATE, "accept", Some(2)), answer(OTHER_TEMPLATE, "reject", Some(2))],
            }),
        ),
        (
            "event.subscribe_msg_change_event",
            subscription(Subscription::Change { answers: vec![answer(TEMPLATE, "reject", None)] }),
        ),
        (
            "event.subscribe_msg_sent_event",
            subscription(Subscription::Sent {
                messages: vec![Delivery {
                    template_id: TEMPLATE,
                    msg_id: Some(1_864_323_726_461_255_680),
                    error_code: Some(0),
                    error_status: "success",
                }],
            }),
        ),
    ]
}
