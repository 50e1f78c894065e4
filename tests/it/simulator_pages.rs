//! The simulated authorize link as a browser's requests meet it; the pages themselves are looked
//! at in browser_wechat.

use reqwest::header::{ACCEPT_LANGUAGE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use zhongkong::simulator::{
    AfterRefusal, Domains, Endpoint, Fault, Outcome, Person, Script, Shown, Unionid, Visit, Web, fingerprint,
};

use crate::support::simulated::{Simulated, errcode, listed, text};

/// `https://h5.example.com/back?a=1`, encoded as the link needs it.
const BACK: &str = "https%3A%2F%2Fh5.example.com%2Fback%3Fa%3D1";

fn link(appid: &str, scope: &str, state: &str) -> String {
    format!(
        "/connect/oauth2/authorize?appid={appid}&redirect_uri={BACK}&response_type=code&scope={scope}&state={state}"
    )
}

async fn start() -> Simulated {
    let wechat = Simulated::start(listed()).await;
    let oauth_domains = Domains::Only(vec!["h5.example.com".to_owned()]);
    wechat.control.set_web("wx1", Web { oauth_domains, ..Web::default() });
    wechat
}

/// A visit by a browser that remembers its person, or nobody yet.
async fn visit(wechat: &Simulated, path: &str, cookie: &str) -> Response {
    wechat.client().get(wechat.url(path)).header(COOKIE, cookie).send().await.unwrap()
}

/// The answer that the consent page would send.
async fn answer(wechat: &Simulated, path: &str, form: &'static str) -> Response {
    wechat.client().post(wechat.url(path)).body(form).send().await.unwrap()
}

fn location(response: &Response) -> String {
    assert_eq!(response.status(), StatusCode::FOUND);
    response.headers()[LOCATION].to_str().unwrap().to_owned()
}

/// The code in an address that begins and ends as it must.
fn code_of(address: &str, state: &str) -> String {
    let rest = address.strip_prefix("https://h5.example.com/back?a=1&code=").expect(address);
    let (code, rest) = rest.split_once('&').expect(address);
    assert_eq!(rest, format!("state={state}"));
    code.to_owned()
}

fn cookie_of(response: &Response) -> String {
    let set = response.headers()[SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

async fn exchange(wechat: &Simulated, code: &str) -> Value {
    let path = "/sns/oauth2/access_token?grant_type=authorization_code&secret=s&appid=wx1";
    wechat.get(&format!("{path}&code={code}")).await
}

async fn profile(wechat: &Simulated, answer: &Value) -> Value {
    let (token, openid) = (text(answer, "access_token"), text(answer, "openid"));
    wechat.get(&format!("/sns/userinfo?access_token={token}&openid={openid}&lang=zh_CN")).await
}

#[tokio::test]
async fn silent_authorization_goes_straight_back_with_a_code_that_can_be_exchanged_once() {
    let wechat = start().await;
    let path = link("wx1", "snsapi_base", "S1");
    let seen = visit(&wechat, &path, "").await;
    let code = code_of(&location(&seen), "S1");
    assert_eq!(seen.headers()["cache-control"], "no-store");

    // The code is known inside by its fingerprint only.
    let codes = wechat.control.codes("wx1");
    assert_eq!(codes.len(), 1);
    assert_eq!((codes[0].fingerprint.as_str(), codes[0].used), (fingerprint(&code).as_str(), false));
    let described = wechat.get("/_sim/web?appid=wx1").await;
    assert_eq!(described["codes"][0]["fingerprint"], fingerprint(&code));
    assert!(!described.to_string().contains(&code), "{described}");

    let user = exchange(&wechat, &code).await;
    assert_eq!(text(&user, "openid"), Person::new("ming", "").openid("wx1"));
    assert_eq!(text(&user, "scope"), "snsapi_base");
    assert_eq!(errcode(&exchange(&wechat, &code).await), 40163);
    assert!(wechat.control.codes("wx1")[0].used);
    wechat.control.with_log(|log| {
        let call = log.calls().next().unwrap();
        assert_eq!((call.endpoint, call.outcome), (Endpoint::Authorize, Outcome::Issued));
        assert_eq!(call.issued_fingerprint.as_deref(), Some(fingerprint(&code).as_str()));
    });
}

#[tokio::test]
async fn browser_keeps_its_person_until_somebody_else_is_wanted() {
    let wechat = start().await;
    let base = link("wx1", "snsapi_base", "S");
    let openid = async |response: &Response| {
        let user = exchange(&wechat, &code_of(&location(response), "S")).await;
        text(&user, "openid").to_owned()
    };
    let of = |name: &str| Person::new(name, "").openid("wx1");
    // Hong consents, and later silent logins of her browser are hers; those of another are not.
    let consent = link("wx1", "snsapi_userinfo", "S");
    let hers = answer(&wechat, &consent, "decision=allow&person=hong&mode=full").await;
    let cookie = cookie_of(&hers);
    assert_eq!(openid(&hers).await, of("hong"));
    assert_eq!(openid(&visit(&wechat, &base, &cookie).await).await, of("hong"));
    assert_eq!(openid(&visit(&wechat, &base, "").await).await, of("ming"));

    let wanted = json!({ "person": "nils" });
    assert_eq!(wechat.post("/_sim/visitor", &wanted).await, json!({ "ok": true }));
    let his = visit(&wechat, &base, &cookie).await;
    assert_eq!(openid(&his).await, of("nils"));
    assert_eq!(openid(&visit(&wechat, &base, &cookie_of(&his)).await).await, of("nils"));
    assert_eq!(openid(&visit(&wechat, &base, &cookie).await).await, of("hong"), "wanted once");
}

#[tokio::test]
async fn consent_brings_the_chosen_persons_profile_and_unionid() {
    let wechat = start().await;
    let path = link("wx1", "snsapi_userinfo", "S");
    let page = visit(&wechat, &path, "").await.text().await.unwrap();
    for name in ["小明", "小红", "Anna", "Kim &lt;b&gt;&amp;amp;&lt;&#x2f;b&gt; 🙂"] {
        assert!(page.contains(name), "{name} cannot be chosen: {page}");
    }
    let allowed = answer(&wechat, &path, "decision=allow&person=hong&mode=full").await;
    let user = exchange(&wechat, &code_of(&location(&allowed), "S")).await;
    let hong = Person::new("hong", "");
    assert_eq!(text(&user, "unionid"), hong.unionid());
    let profile = profile(&wechat, &user).await;
    assert_eq!(text(&profile, "nickname"), "小红");
    let picture = text(&profile, "headimgurl");
    let drawn = wechat.client().get(picture).send().await.unwrap();
    assert_eq!(drawn.headers()["content-type"], "image/svg+xml");
    assert!(picture.ends_with("/132"));

    wechat.control.set_web("wx1", Web { unionid: Unionid::Unbound, ..Web::default() });
    let allowed = answer(&wechat, &path, "decision=allow&person=kim&mode=full").await;
    let user = exchange(&wechat, &code_of(&location(&allowed), "S")).await;
    assert_eq!(user.get("unionid"), None, "the account is bound to no open platform");
}

#[tokio::test]
async fn snapshot_page_brings_a_virtual_user_without_a_profile() {
    let wechat = start().await;
    let base = link("wx1", "snsapi_base", "S");
    let hong = Person::new("hong", "");
    wechat.control.next_visitor(Visit { person: "hong".to_owned(), mode: Shown::Snapshot });
    let by_wish = visit(&wechat, &base, "").await;
    let by_link = visit(&wechat, &format!("{base}&forceSnapShot=true"), &cookie_of(&by_wish)).await;
    let consent = link("wx1", "snsapi_userinfo", "S");
    let by_choice = answer(&wechat, &consent, "decision=allow&person=hong&mode=snapshot").await;
    for response in [by_wish, by_link, by_choice] {
        let user = exchange(&wechat, &code_of(&location(&response), "S")).await;
        assert_eq!(user["is_snapshotuser"], 1);
        assert_eq!(text(&user, "openid"), hong.virtual_openid("wx1"));
        assert_ne!(text(&user, "openid"), hong.openid("wx1"));
        assert_eq!(user.get("unionid"), None);
        assert_eq!(errcode(&profile(&wechat, &user).await), 48001);
    }
}

#[tokio::test]
async fn refusal_returns_without_a_code_or_stays() {
    let wechat = start().await;
    let path = link("wx1", "snsapi_userinfo", "S");
    let refused = answer(&wechat, &path, "decision=refuse&person=ming&mode=full").await;
    assert_eq!(location(&refused), "https://h5.example.com/back?a=1&state=S");
    wechat.control.set_web("wx1", Web { refusal: AfterRefusal::Stays, ..Web::default() });
    let refused = answer(&wechat, &path, "decision=refuse&person=ming&mode=full").await;
    assert_eq!(refused.status(), StatusCode::OK);
    assert!(refused.text().await.unwrap().contains("You refused"));
    assert!(wechat.control.codes("wx1").is_empty());
}

#[tokio::test]
async fn wrong_link_shows_wechats_error_page_with_its_number() {
    let wechat = start().await;
    wechat.control.script(Script::once(Endpoint::Authorize, Fault::errcode(10004)));
    let good = link("wx1", "snsapi_base", "S");
    let cases = [
        // By a script first; then by the link.
        (good.clone(), "10004", "此公众号被封禁"),
        (good.replace("h5.example.com", "example.com"), "10003", "web-authorization domain"),
        (good.replace("h5.example.com", "a.h5.example.com"), "10003", "web-authorization domain"),
        (good.replace("appid=wx1", "appid="), "10012", "appid is missing"),
        (good.replace("snsapi_base", ""), "10010", "scope is missing"),
        (good.replace(BACK, ""), "10011", "redirect_uri is missing"),
        (good.replace("state=S", "state="), "10013", "state is empty"),
        (good.replace("appid=wx1", "appid=wx9"), "", "no account"),
        (
            good.replace("response_type=code&scope=snsapi_base", "scope=snsapi_base&response_type=code"),
            "",
            "the order is",
        ),
    ];
    for (path, number, about) in cases {
        let response = visit(&wechat, &path, "").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().get(SET_COOKIE).is_none());
        let page = response.text().await.unwrap();
        assert!(page.contains(about), "{path}: {page}");
        assert_eq!(page.contains("id=\"number\""), !number.is_empty(), "{path}: {page}");
        assert!(
            page.contains(&format!("<b id=\"number\">{number}</b>")) || number.is_empty(),
            "{path}: {page}"
        );
    }
    assert!(wechat.control.codes("wx1").is_empty());
    assert!(visit(&wechat, &good, "").await.status().is_redirection(), "and the good one is good");
}

#[tokio::test]
async fn pages_speak_the_browsers_language() {
    let wechat = start().await;
    let path = wechat.url(&link("wx1", "snsapi_userinfo", "S"));
    for (accepts, says) in
        [("zh-CN,zh;q=0.9,en;q=0.8", "允许"), ("en-US,en", "Allow"), ("fr, en;q=0.5", "Allow")]
    {
        let request = wechat.client().get(&path).header(ACCEPT_LANGUAGE, accepts);
        let page = request.send().await.unwrap().text().await.unwrap();
        assert!(page.contains(says), "{accepts}: {page}");
    }
}

#[tokio::test]
async fn scripted_faults_strike_the_authorize_link_as_any_other_call() {
    let wechat = start().await;
    let path = link("wx1", "snsapi_base", "S");
    wechat.control.script(Script::once(Endpoint::Authorize, Fault::HttpStatus(502)).only("wx1"));
    assert_eq!(visit(&wechat, &path, "").await.status(), StatusCode::BAD_GATEWAY);
    wechat.control.script(Script::once(Endpoint::Authorize, Fault::AnswerLost));
    assert!(wechat.try_get(&path).await.is_err());
    assert_eq!(wechat.control.codes("wx1").len(), 1, "the code was minted, and its answer lost");
    assert!(visit(&wechat, &path, "").await.status().is_redirection());
}

#[tokio::test]
async fn web_settings_are_changed_one_by_one_over_http() {
    let wechat = start().await;
    let set = json!({ "appid": "wx1", "js_domains": ["h5.example.com/shop"], "callback": "twice_in_turn" });
    let described = wechat.post("/_sim/web", &set).await;
    assert_eq!(described["web"]["oauth_domains"], json!(["h5.example.com"]), "as it was");
    assert_eq!(described["web"]["callback"], "twice_in_turn");
    wechat.post("/_sim/web", &json!({ "appid": "wx1", "oauth_domains": null })).await;
    assert_eq!(wechat.control.web("wx1").oauth_domains, Domains::Any);
    let people = json!({ "people": [{ "name": "li", "nickname": "李", "picture": "none" }] });
    wechat.post("/_sim/people", &people).await;
    let seen = visit(&wechat, &link("wx1", "snsapi_userinfo", "S"), "").await.text().await.unwrap();
    assert!(seen.contains("李") && !seen.contains("小明"), "{seen}");
    for (path, wrong, about) in [
        ("/_sim/web", json!({ "appid": "wx1", "oauth_domain": null }), "oauth_domain"),
        ("/_sim/web", json!({ "js_domains": null }), "appid"),
        ("/_sim/visitor", json!({ "person": "a b" }), "person"),
        ("/_sim/people", json!({ "people": [{ "name": "", "nickname": "" }] }), "name"),
    ] {
        let refused = wechat.client().post(wechat.url(path)).body(wrong.to_string()).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{wrong}");
        assert!(refused.text().await.unwrap().contains(about), "{wrong}");
    }
}

#[tokio::test]
async fn jssdk_is_served_in_its_versions_and_answers_by_script_like_any_other_call() {
    let wechat = start().await;
    for version in ["1.6.0", "1.4.0", "1.2.0"] {
        let path = format!("/open/js/jweixin-{version}.js");
        let answer = wechat.try_get(&path).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/javascript; charset=utf-8");
        let text = answer.text().await.unwrap();
        assert!(text.contains(&format!("jweixin-{version}.js")) && !text.contains("SIMULATED"), "{version}");
    }
    assert_eq!(wechat.try_get("/open/js/jweixin-9.9.9.js").await.unwrap().status(), StatusCode::NOT_FOUND);

    let config = json!({
        "appid": "wx1", "timestamp": "1", "nonceStr": "n", "signature": "0", "jsApiList": ["scanQRCode"],
        "openTagList": [], "url": "https://h5.example.com/", "href": "https://h5.example.com/#a",
    });
    let invalid = json!({ "errMsg": "config:fail, invalid signature", "denied": [] });
    assert_eq!(wechat.post("/open/js/config", &config).await, invalid, "no ticket was ever issued");
    let fault = Fault::Errcode { code: -1, message: Some("system error".to_owned()) };
    wechat.control.script(Script::once(Endpoint::JsConfig, fault).only("wx1"));
    assert_eq!(
        wechat.post("/open/js/config", &config).await,
        json!({ "errMsg": "config:fail, system error" })
    );
    let stranger = json!({ "appid": "wx9", "timestamp": "1", "nonceStr": "n", "signature": "0", "jsApiList": [], "openTagList": [], "url": "", "href": "" });
    assert_eq!(wechat.post("/open/js/config", &stranger).await["errMsg"], "config:fail, invalid appid");
    assert_eq!(wechat.control.count(Endpoint::JsConfig, "wx1"), 2);
    assert_eq!(wechat.control.count_all(Endpoint::JsSdk), 4);
    assert_eq!(wechat.control.js_configs("wx1").len(), 1, "a scripted refusal is no verdict");
    let described = wechat.get("/_sim/web?appid=wx9").await;
    assert_eq!(described["web"], Value::Null, "asking opened no account");
}
