//! Menus at the simulator: what is taken, what is refused and how, and who sees which.

use serde_json::{Value, json};
use zhongkong::simulator::{Endpoint, Fault, Kind, Limits, Script, Settings};

use super::support::frozen::Guard;
use super::support::simulated::{Simulated, errcode, text};

struct Account {
    wechat: Simulated,
    token: String,
}

impl Account {
    async fn start(settings: Settings) -> Self {
        let wechat = Simulated::start(settings).await;
        let token = text(&wechat.stable("wx1").await, "access_token").to_owned();
        Self { wechat, token }
    }

    fn path(&self, name: &str) -> String {
        format!("/cgi-bin/{name}?access_token={}", self.token)
    }

    async fn get(&self, name: &str) -> Value {
        self.wechat.get(&self.path(name)).await
    }

    async fn post(&self, name: &str, body: &Value) -> Value {
        self.wechat.post(&self.path(name), body).await
    }

    async fn create(&self, buttons: Value) -> i64 {
        errcode(&self.post("menu/create", &json!({ "button": buttons })).await)
    }
}

fn click(name: &str) -> Value {
    json!({ "type": "click", "name": name, "key": "k" })
}

fn view(url: &str) -> Value {
    json!({ "type": "view", "name": "n", "url": url })
}

fn list(items: &[Value]) -> Value {
    json!({ "name": "n", "sub_button": items })
}

#[tokio::test]
async fn menu_lives_from_its_creation_to_its_deletion() {
    let _guard = Guard::start();
    let wx = Account::start(Settings::default()).await;
    assert_eq!(errcode(&wx.get("menu/get").await), 46003);
    assert_eq!(wx.get("get_current_selfmenu_info").await["is_menu_open"], 0);
    assert_eq!(wx.create(json!([click("a"), list(&[view("http://a.example/")])])).await, 0);
    let got = wx.get("menu/get").await;
    assert_eq!(
        got["menu"]["button"][0],
        json!({ "type": "click", "name": "a", "key": "k", "sub_button": [] })
    );
    assert_eq!(got["menu"]["button"][1]["sub_button"][0]["sub_button"], json!([]));
    assert!(got["menu"]["menuid"].is_u64() && got.get("conditionalmenu").is_none(), "{got}");
    let info = wx.get("get_current_selfmenu_info").await;
    assert_eq!(info["selfmenu_info"]["button"][1]["sub_button"]["list"][0]["url"], "http://a.example/");
    assert_eq!(info["selfmenu_info"]["button"][0].get("sub_button"), None, "{info}");

    // The console takes over what users see, not what programs have made.
    let console = json!([{ "type": "text", "name": "t", "value": "hello" }]);
    wx.wechat.control.set_console_menu("wx1", console.clone());
    assert_eq!(wx.get("get_current_selfmenu_info").await["selfmenu_info"]["button"], console);
    assert_eq!(wx.get("menu/get").await, got);
    assert_eq!(wx.create(json!([click("b")])).await, 0);
    assert_eq!(wx.get("get_current_selfmenu_info").await["selfmenu_info"]["button"][0]["name"], "b");

    assert_eq!(errcode(&wx.get("menu/delete").await), 0);
    assert_eq!(errcode(&wx.get("menu/get").await), 46003);
    assert_eq!(wx.get("get_current_selfmenu_info").await["is_menu_open"], 0);
    assert_eq!(wx.wechat.control.count(Endpoint::MenuCreate, "wx1"), 2);
}

#[tokio::test]
async fn each_rule_of_a_menu_has_its_errcode() {
    let _guard = Guard::start();
    let wx = Account::start(Settings::default()).await;
    wx.wechat.control.set_linked("wx1", &["wxlinked"]);
    let long = |n: usize| "a".repeat(n);
    let key = |n: usize| json!({ "type": "click", "name": "n", "key": long(n) });
    let url = |n: usize| view(&format!("http://a.example/{}", long(n - 17)));
    let mini = |appid: &str| json!({ "type": "miniprogram", "name": "n", "url": "http://a.example/", "appid": appid, "pagepath": "p" });
    let cases = [
        (json!([]), 40016),
        (json!([click("a"), click("b"), click("c")]), 0),
        (json!([click("a"), click("b"), click("c"), click("d")]), 40016),
        (json!({}), 40016),
        (json!([{ "type": "clik", "name": "n", "key": "k" }]), 40017),
        (json!([{ "name": "n" }]), 40017),
        (json!([click(&long(16))]), 0),
        (json!([click("一二三四五六")]), 40018),
        (json!([{ "type": "click", "key": "k" }]), 40018),
        (json!([key(128)]), 0),
        (json!([key(129)]), 40019),
        (json!([{ "type": "click", "name": "n" }]), 40019),
        (json!([url(1024)]), 0),
        (json!([url(1025)]), 40020),
        (json!([view("ftp://a.example/")]), 40055),
        (json!([list(&[list(&[click("a")])])]), 40022),
        (json!([list(&vec![click("a"); 5])]), 0),
        (json!([list(&vec![click("a"); 6])]), 40023),
        (json!([list(&[json!({ "type": "x", "name": "n" })])]), 40024),
        (json!([list(&[click(&"汉".repeat(20))])]), 0),
        (json!([list(&[click(&long(61))])]), 40025),
        (json!([list(&[key(129)])]), 40026),
        (json!([list(&[url(1025)])]), 40027),
        (json!([list(&[view("nonsense")])]), 40054),
        (json!([mini("wxlinked")]), 0),
        (json!([mini("wxother")]), 45064),
        (json!([{ "type": "media_id", "name": "n" }]), 40007),
        (json!([{ "type": "article_id", "name": "n", "article_id": "a" }]), 0),
    ];
    for (buttons, code) in cases {
        assert_eq!(wx.create(buttons.clone()).await, code, "{buttons}");
    }
    let raw = async |body: &str| {
        let url = wx.wechat.url(&wx.path("menu/create"));
        let answer = wx.wechat.client().post(url).body(body.to_owned()).send().await.unwrap();
        errcode(&serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    };
    assert_eq!(raw("").await, 44002);
    assert_eq!(raw("{").await, 47001);
    assert_eq!(raw(r#"{"button":[{"type":"click","name":"\u4f60","key":"k"}]}"#).await, 40033);
    assert_eq!(errcode(&wx.get("menu/create").await), 43002);
}

#[tokio::test]
async fn conditional_menus_follow_a_default_one_and_the_last_that_fits_is_shown() {
    let _guard = Guard::start();
    let wx = Account::start(Settings {
        limits: Limits { conditional_menus: 3, ..Limits::default() },
        ..Settings::default()
    })
    .await;
    let add = async |name: &str, rule: Value| {
        wx.post("menu/addconditional", &json!({ "button": [click(name)], "matchrule": rule })).await
    };
    let vip = json!({ "tag_id": "2" });
    assert_eq!(errcode(&add("early", vip.clone()).await), 65303);
    wx.create(json!([click("default")])).await;
    let first = add("vip", vip.clone()).await;
    let first = text(&first, "menuid").to_owned();
    add("ios", json!({ "client_platform_type": 1 })).await;
    let user = |fields: Value| serde_json::from_value(fields).unwrap();
    wx.wechat.control.set_menu_user(
        "wx1",
        "oVip",
        user(json!({ "tag_id": "2", "client_platform_type": "2" })),
    );
    wx.wechat.control.set_menu_user(
        "wx1",
        "oBoth",
        user(json!({ "tag_id": "2", "client_platform_type": "1" })),
    );
    wx.wechat.control.set_menu_user("wx1", "oNone", user(json!({})));
    let sees = async |id: &str| wx.post("menu/trymatch", &json!({ "user_id": id })).await;
    for (id, name) in [("oVip", "vip"), ("oBoth", "ios"), ("oNone", "default")] {
        assert_eq!(sees(id).await["button"][0]["name"], name, "{id}");
    }
    assert_eq!(errcode(&sees("oStranger").await), 65302);
    let got = wx.get("menu/get").await;
    assert_eq!(got["conditionalmenu"][1]["matchrule"], json!({ "group_id": 2 }), "{got}");

    let cases = [
        (json!({ "button": [click("a")], "matchrule": {} }), 65304),
        (json!({ "button": [click("a")], "matchrule": { "tag_id": "" } }), 65304),
        (json!({ "button": [], "matchrule": vip }), 65307),
        (json!({ "button": [{ "name": "n" }], "matchrule": vip }), 65308),
        (json!({ "button": [click("a")], "matchrule": { "province": "广东" } }), 65310),
        (json!({ "button": [click("a")], "matchrule": { "country": "中国", "city": "广州" } }), 65311),
        (json!({ "button": [click("a")], "matchrule": { "country": 7 } }), 65312),
        (json!({ "button": [click("a")], "matchrule": { "client_platform_type": "4" } }), 40035),
        (
            json!({ "button": [list(&[view("http://a.a/"), view("http://b.b/"), view("http://c.c/"), view("http://d.d/")])], "matchrule": vip }),
            65316,
        ),
        (json!({ "button": [click("一二三四五六")], "matchrule": vip }), 40018),
    ];
    for (body, code) in cases {
        assert_eq!(errcode(&wx.post("menu/addconditional", &body).await), code, "{body}");
    }
    assert_eq!(errcode(&add("third", json!({ "tag_id": "3" })).await), 0);
    assert_eq!(errcode(&add("fourth", json!({ "tag_id": "4" })).await), 65305);

    assert_eq!(errcode(&wx.post("menu/delconditional", &json!({ "menuid": "1" })).await), 65301);
    assert_eq!(errcode(&wx.post("menu/delconditional", &json!({ "menuid": first })).await), 0);
    assert_eq!(sees("oVip").await["button"][0]["name"], "default");
    // A new default menu leaves the conditional ones; a deletion takes all.
    wx.create(json!([click("again")])).await;
    assert_eq!(wx.wechat.control.menus("wx1").conditional.len(), 2);
    wx.get("menu/delete").await;
    assert_eq!(wx.wechat.control.menus("wx1").conditional.len(), 0);
}

#[tokio::test]
async fn calls_of_a_day_are_counted_and_scripts_and_dead_tokens_strike() {
    let _guard = Guard::start();
    let limits = Limits {
        menu_changes_daily: 2,
        menu_reads_daily: 1,
        conditional_changes_daily: 1,
        ..Limits::default()
    };
    let wx = Account::start(Settings { limits, ..Settings::default() }).await;
    let menu = json!([click("a")]);
    assert_eq!(wx.create(menu.clone()).await, 0);
    assert_eq!(wx.create(json!([])).await, 40016);
    assert_eq!(wx.create(menu.clone()).await, 45009, "refused calls count, too");
    assert_eq!(errcode(&wx.get("menu/get").await), 0);
    assert_eq!(errcode(&wx.get("menu/get").await), 45009);
    let conditional = json!({ "button": menu, "matchrule": { "tag_id": "2" } });
    assert_eq!(errcode(&wx.post("menu/addconditional", &conditional).await), 0);
    assert_eq!(errcode(&wx.post("menu/delconditional", &json!({ "menuid": "1" })).await), 45009);
    wx.wechat.control.script(Script::once(Endpoint::MenuDelete, Fault::errcode(-1)));
    assert_eq!(errcode(&wx.get("menu/delete").await), -1);
    assert!(wx.wechat.control.menus("wx1").default.is_some());
    wx.wechat.control.kill("wx1", Kind::Stable);
    assert_eq!(errcode(&wx.get("menu/delete").await), 40001);
}

#[tokio::test]
async fn console_menus_users_and_links_are_set_over_http() {
    let _guard = Guard::start();
    let wx = Account::start(Settings::default()).await;
    let sim =
        async |path: &str, body: Value| assert_eq!(wx.wechat.post(path, &body).await, json!({ "ok": true }));
    sim(
        "/_sim/console_menu",
        json!({ "appid": "wx1", "button": [{ "type": "img", "name": "n", "value": "m" }] }),
    )
    .await;
    assert_eq!(wx.get("get_current_selfmenu_info").await["selfmenu_info"]["button"][0]["type"], "img");
    assert_eq!(wx.wechat.get("/_sim/menus?appid=wx1").await["console"][0]["value"], "m");
    wx.create(json!([click("default")])).await;
    sim("/_sim/menu_user", json!({ "appid": "wx1", "user_id": "o1", "fields": { "tag_id": "2" } })).await;
    assert_eq!(wx.post("menu/trymatch", &json!({ "user_id": "o1" })).await["button"][0]["name"], "default");
    sim("/_sim/linked", json!({ "appid": "wx1", "mini_programs": [] })).await;
    let mini = json!({ "type": "miniprogram", "name": "n", "url": "http://a.example/", "appid": "wx9", "pagepath": "p" });
    assert_eq!(wx.create(json!([mini])).await, 45064);
    assert_eq!(wx.wechat.get("/_sim/menus?appid=wx1").await["default"]["button"][0]["name"], "default");
}
