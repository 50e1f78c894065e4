//! What the samples of agents', verification's, privacy's, mini programs' and legacy events say.

use super::Table;
use crate::services::messages::message::agent::Agent;
use crate::services::messages::message::legacy::{Beacon, Legacy};
use crate::services::messages::message::mini_program::{MediaCheck, MiniProgram};
use crate::services::messages::message::privacy::Privacy;
use crate::services::messages::message::verification::Verification::{self, *};
use crate::services::messages::message::{Content, Event};

const OPENID: &str = "owAqB1nqaOYYWl0Ng484G2z5NIwU";
const APP: &str = "wx13974bf780d3dc89";

pub(super) fn table() -> Table {
    let agent = |event: Agent<'static>| Content::Event(Event::Agent(event));
    let verification = |event: Verification<'static>| Content::Event(Event::Verification(event));
    let privacy = |event: Privacy<'static>| Content::Event(Event::Privacy(event));
    let mut table = vec![
        ("event.kf_create_session", agent(Agent::Created { account: "test1@test" })),
        ("event.kf_close_session", agent(Agent::Closed { account: "test1@test", close_type: Some("KF") })),
        ("event.kf_switch_session", agent(Agent::Switched { from: "test1@test", to: "test2@test" })),
        (
            "event.qualification_verify_success",
            verification(QualificationAccepted { expires: Some(1_731_536_002) }),
        ),
        (
            "event.qualification_verify_fail",
            verification(QualificationRefused { failed: Some(1_700_000_000), reason: "by time" }),
        ),
        ("event.naming_verify_success", verification(NamingAccepted { expires: Some(1_731_536_003) })),
        (
            "event.naming_verify_fail",
            verification(NamingRefused { failed: Some(1_700_000_001), reason: "名称与主体不符" }),
        ),
        ("event.annual_renew", verification(AnnualRenewal { expires: Some(1_731_536_004) })),
        ("event.verify_expired", verification(Expired { expired: Some(1_699_999_999) })),
        (
            "event.user_info_modified",
            privacy(Privacy::InfoModified { openid: OPENID, app_id: APP, what: "205" }),
        ),
        (
            "event.user_authorization_revoke",
            privacy(Privacy::Revoked { openid: OPENID, app_id: APP, what: "201" }),
        ),
        (
            "event.user_authorization_cancellation",
            privacy(Privacy::Cancelled { openid: OPENID, app_id: APP }),
        ),
    ];
    table.extend(mini_programs());
    table.extend(legacy());
    table
}

fn mini_programs() -> Table {
    let mini = |event: MiniProgram<'static>| Content::Event(Event::MiniProgram(event));
    vec![
        (
            "event.wxa_media_check",
            mini(MiniProgram::MediaChecked {
                app_id: "wx12b4f63276b14d4c",
                trace_id: "62f11967-2b24d27a-34715985",
                version: Some(2),
                suggestion: Some("risky"),
                label: Some(20_002),
                details: vec![MediaCheck {
                    strategy: "content_model",
                    error_code: Some(0),
                    suggestion: "risky",
                    label: Some(20_002),
                    probability: Some(90),
                }],
                error_code: Some(0),
                error: Some("ok"),
                risky: None,
                status_code: None,
            }),
        ),
        (
            "event.wxa_media_check.v1",
            mini(MiniProgram::MediaChecked {
                app_id: "wx12b4f63276b14d4c",
                trace_id: "967e945cd8a3e458f3c74dcb886068e9",
                version: None,
                suggestion: None,
                label: None,
                details: vec![],
                error_code: None,
                error: None,
                risky: Some(true),
                status_code: Some(4_294_966_288),
            }),
        ),
        ("event.weapp_audit_success", mini(MiniProgram::AuditPassed { succeeded: Some(1_488_856_741) })),
        (
            "event.weapp_audit_fail",
            mini(MiniProgram::AuditFailed {
                failed: Some(1_488_856_591),
                reason: "1:账号信息不符合规范:<br>(1):包含色情因素<br>",
                screenshots: "xxx|yyy|zzz",
            }),
        ),
        (
            "event.weapp_audit_delay",
            mini(MiniProgram::AuditDelayed { delayed: Some(1_488_856_592), reason: "请耐心等待" }),
        ),
        ("event.user_enter_tempsession", mini(MiniProgram::EnteredSession { from: "weapp" })),
    ]
}

fn legacy() -> Table {
    let legacy = |event: Legacy<'static>| Content::Event(Event::Legacy(event));
    let beacon = |metres| Beacon {
        uuid: "FDA50693-A4E2-4FB1-AFCF-C6EB07647825",
        major: Some(10_197),
        minor: Some(49_838),
        distance: Some(metres),
    };
    let (standard, code) = ("ean13", "6901481811083");
    let device = |session, content, operation| {
        legacy(Legacy::Device {
            device_type: "gh_7f083739789a",
            device_id: "gh_7f083739789a_8cd47e1f6141e49a",
            session,
            content,
            operation,
            openid: "oia2TjuEGTNoeX76QEjQNrcURxG8",
        })
    };
    vec![
        (
            "event.poi_check_notify",
            legacy(Legacy::PoiChecked {
                unique_id: "123adb",
                poi_id: "470671389",
                result: "fail",
                message: "门店名称不合规",
            }),
        ),
        (
            "event.ShakearoundUserShake",
            legacy(Legacy::Shaken {
                chosen: vec![beacon(0.057)],
                around: vec![beacon(166.816), beacon(15.013)],
            }),
        ),
        (
            "event.WifiConnected",
            legacy(Legacy::WifiConnected {
                connected: Some(1_496_585_705),
                expires: Some(1_496_678_400),
                // WeChat's own sample forgets the `<`.
                vendor_id: "![CDATA[3001224419]]",
                place_id: "4983322",
                bssid: "00:1f:7a:ad:5c:a8",
            }),
        ),
        (
            "event.merchant_order",
            legacy(Legacy::Ordered {
                order_id: "10296773390408887643",
                status: Some(2),
                product_id: "p2Hzljh0HJy6dZr1ig3fOiNuXBLw",
                sku: "10001:1000012;10002:100021",
            }),
        ),
        (
            "event.user_scan_product",
            legacy(Legacy::ProductScanned {
                standard,
                code,
                country: "中国",
                province: "广东",
                city: "揭阳",
                sex: Some(1),
                scene: Some(2),
                extra: "123",
            }),
        ),
        (
            "event.user_scan_product_enter_session",
            legacy(Legacy::ProductEnteredSession { standard, code, extra: "123" }),
        ),
        (
            "event.user_scan_product_async",
            legacy(Legacy::ProductAsync { standard, code, extra: "123", region: "440105" }),
        ),
        (
            "event.user_scan_product_verify_action",
            legacy(Legacy::ProductVerified {
                standard,
                code,
                result: "verify_not_ok",
                reason: "商品名称不合规",
            }),
        ),
        ("event.device_bind", device(Some(9394), Some("MTIz"), None)),
        ("event.device_unbind", device(Some(9394), Some("MTIz"), None)),
        ("event.device_text", device(Some(9394), Some("MTIz"), None)),
        ("event.device_subscribe_status", device(None, None, Some(1))),
        ("event.device_unsubscribe_status", device(None, None, Some(1))),
        (
            "event.guide_qrcode_scan_event",
            legacy(Legacy::GuideScanned {
                guide: "guide_007",
                guide_openid: "oguide000000000000000000007",
                openid: "oia2TjuEGTNoeX76QEjQNrcURxG8",
                action: Some(11),
                info: "![CDATA[xxx]]",
            }),
        ),
    ]
}
