//! QR codes at the simulator: what is made, what is refused and how.

use serde_json::{Value, json};
use zhongkong::simulator::{Endpoint, Limits, Settings};

use super::support::frozen::Guard;
use super::support::simulated::{Simulated, errcode, text};

struct Account {
    wechat: Simulated,
    path: String,
}

impl Account {
    async fn start(limits: Limits) -> Self {
        let wechat = Simulated::start(Settings { limits, ..Settings::default() }).await;
        let token = text(&wechat.stable("wx1").await, "access_token").to_owned();
        Self { wechat, path: format!("/cgi-bin/qrcode/create?access_token={token}") }
    }

    async fn create(&self, body: &Value) -> Value {
        self.wechat.post(&self.path, body).await
    }
}

fn code(action: &str, scene: Value, expire: Option<u64>) -> Value {
    let mut body = json!({ "action_name": action });
    body["action_info"]["scene"] = scene;
    if let Some(seconds) = expire {
        body["expire_seconds"] = seconds.into();
    }
    body
}

#[tokio::test]
async fn permanent_scene_has_one_code_and_temporary_ones_are_new_each_time() {
    let _guard = Guard::start();
    let wx = Account::start(Limits::default()).await;
    let permanent = code("QR_LIMIT_SCENE", json!({ "scene_id": 7 }), None);
    let first = wx.create(&permanent).await;
    assert_eq!(wx.create(&permanent).await["ticket"], first["ticket"]);
    assert!(
        first.get("expire_seconds").is_none() && text(&first, "url").starts_with("http://weixin.qq.com/q/")
    );
    let temporary = code("QR_STR_SCENE", json!({ "scene_str": "店" }), Some(60));
    let second = wx.create(&temporary).await;
    assert_eq!(second["expire_seconds"], 60);
    assert_ne!(wx.create(&temporary).await["ticket"], second["ticket"]);
    assert_eq!(wx.wechat.control.count(Endpoint::QrcodeCreate, "wx1"), 4);
    assert_eq!(wx.wechat.control.issued(Endpoint::QrcodeCreate, "wx1"), 3);
    assert_eq!(wx.wechat.get("/_sim/codes?appid=wx1").await["permanent"], json!(["int 7"]));

    // The picture needs no token; a ticket must be percent-encoded, for it has + / and = in it.
    let ticket = text(&first, "ticket");
    assert!(ticket.contains('+') && ticket.contains('/') && ticket.contains('='), "{ticket}");
    let query: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("ticket", ticket).finish();
    let picture = wx.wechat.try_get(&format!("/cgi-bin/showqrcode?{query}")).await.unwrap();
    assert!(picture.text().await.unwrap().contains(text(&first, "url")));
    let raw = wx.wechat.try_get(&format!("/cgi-bin/showqrcode?ticket={ticket}")).await.unwrap();
    assert_eq!(raw.status(), 404);
}

#[tokio::test]
async fn codes_that_wechat_does_not_make_get_its_errcode() {
    let _guard = Guard::start();
    let wx = Account::start(Limits { permanent_codes: 1, codes_daily: 15, ..Limits::default() }).await;
    let cases = [
        (json!({ "action_info": { "scene": { "scene_id": 1 } } }), 40052),
        (code("QR_OTHER", json!({ "scene_id": 1 }), None), 40052),
        (json!({ "action_name": "QR_SCENE" }), 40053),
        (code("QR_SCENE", json!({ "scene_id": 0 }), None), 40053),
        (code("QR_SCENE", json!({ "scene_id": 4_294_967_295_u64 }), None), 0),
        (code("QR_SCENE", json!({ "scene_id": 4_294_967_296_u64 }), None), 40053),
        (code("QR_STR_SCENE", json!({ "scene_str": "" }), None), 40053),
        (code("QR_STR_SCENE", json!({ "scene_str": "汉".repeat(64) }), Some(2_592_000)), 0),
        (code("QR_STR_SCENE", json!({ "scene_str": "a".repeat(65) }), None), 40053),
        (code("QR_STR_SCENE", json!({ "scene_str": "a" }), Some(2_592_001)), 40035),
        (code("QR_LIMIT_SCENE", json!({ "scene_id": 100_001 }), None), 40053),
        (code("QR_LIMIT_SCENE", json!({ "scene_id": 100_000 }), None), 0),
        (code("QR_LIMIT_SCENE", json!({ "scene_id": 1 }), None), 45029),
        (code("QR_LIMIT_SCENE", json!({ "scene_id": 100_000 }), None), 0),
        (json!([]), 47001),
        (code("QR_SCENE", json!({ "scene_id": 1 }), None), 45009),
    ];
    for (body, expected) in cases {
        assert_eq!(errcode(&wx.create(&body).await), expected, "{body}");
    }
}
