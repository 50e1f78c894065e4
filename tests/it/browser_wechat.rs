//! The simulated WeChat's pages in a real browser: consent on a phone, the fragment that only the
//! page can see, the way back, a callback that is asked for twice; and its stand-in for the JS-SDK.

use serde_json::{Value, json};
use zhongkong::jsapi;
use zhongkong::secret::Secret;
use zhongkong::simulator::{Domains, Kind, Requested, Web, fingerprint};

use super::browser_support::{ANDROID, Application, IPHONE, OLD};
use super::support::browser::{Chromium, PHONE};
use super::support::simulated::{Simulated, listed, text};

#[tokio::test]
async fn person_consents_on_a_phone_and_later_visits_are_silently_theirs() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let mut app = Application::start("").await;

    // Only the page can see that the fragment is missing; WeChat would not open the link.
    let link = app.link(&wechat, "snsapi_userinfo");
    browser.open(&link).await;
    assert!(browser.find("#no-fragment").await.is_displayed().await.unwrap());
    assert!(!browser.find("#consent").await.is_displayed().await.unwrap());

    browser.open("about:blank").await;
    browser.open(&format!("{link}#wechat_redirect")).await;
    assert!(!browser.find("#no-fragment").await.is_displayed().await.unwrap());
    assert_eq!(browser.eval("document.documentElement.scrollWidth <= innerWidth").await, true);
    let small = "[...document.querySelectorAll('label, button')].filter(one => one.offsetHeight < 44).length";
    assert_eq!(browser.eval(small).await, 0, "everything is large enough for a finger");
    browser.until("document.querySelector('img.head').naturalWidth === 132").await;
    browser.picture("simulated-consent.png").await;
    assert!(browser.complaints().await.is_empty());

    browser.click("input[value=hong]").await;
    browser.click("button.go").await;
    browser.until("document.title === 'app'").await;
    // The fragment of the link outlives redirects without one of their own, as at WeChat's.
    assert_eq!(browser.text("location.hash").await, "#wechat_redirect");
    let asked = app.asked(1).await;
    let code = asked[0]
        .strip_prefix("/back?code=")
        .and_then(|rest| rest.strip_suffix("&state=S new"))
        .expect(&asked[0]);
    assert_eq!(wechat.control.codes("wx1")[0].fingerprint, fingerprint(code));

    browser.open(&format!("{}#wechat_redirect", app.link(&wechat, "snsapi_base"))).await;
    app.asked(2).await;
    let codes = wechat.control.codes("wx1");
    assert_eq!(codes.len(), 2);
    assert_eq!(codes[0].openid, codes[1].openid, "the browser is still hers");
}

#[tokio::test]
async fn callback_is_asked_for_twice_with_the_same_code_and_cookies_when_wechat_is_so() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let mut app = Application::start("").await;
    // The application knows the browser by a cookie before WeChat does.
    browser.open(&app.base).await;
    let mut before = 0;
    for callback in [Requested::TwiceInTurn, Requested::TwiceAtOnce] {
        wechat.control.set_web("wx1", Web { callback, ..Web::default() });
        browser.open(&format!("{}#wechat_redirect", app.link(&wechat, "snsapi_base"))).await;
        browser.until("document.title === 'app'").await;
        let asked = app.asked(before + 2).await;
        let both = &asked[before..];
        assert_eq!(both[0], both[1], "{callback:?}");
        assert!(both[0].ends_with("&state=S known"), "{callback:?}: {both:?}");
        before += 2;
    }
    assert_eq!(wechat.control.codes("wx1").len(), 2);
    assert_eq!(text(&wechat.get("/_sim/web?appid=wx1").await["web"], "callback"), "twice_at_once");
}

/// A page that includes the stand-in, and the ticket that its signatures are made with.
struct Signed<'a> {
    browser: &'a Chromium,
    ticket: String,
}

impl<'a> Signed<'a> {
    async fn open(browser: &'a Chromium, wechat: &Simulated, address: &str) -> Self {
        browser.open(address).await;
        let token = wechat.stable("wx1").await;
        let ticket = wechat.ticket(text(&token, "access_token"), "jsapi").await;
        Self { browser, ticket: text(&ticket, "ticket").to_owned() }
    }

    /// Configures the page as signed for a URL, and waits for what it says next.
    async fn config(&self, url: &str, apis: &[&str]) -> String {
        let signature = jsapi::sign(&Secret::from(self.ticket.as_str()), "nonce", 1_414_587_457, url);
        let config = json!({
            "appId": "wx1", "timestamp": 1_414_587_457, "nonceStr": "nonce", "signature": signature, "jsApiList": apis,
        });
        self.next(&format!("wx.error(answer => say(answer.errMsg)); wx.config({config}); wx.checkJsApi({{ jsApiList: [], complete() {{ say('settled'); }} }});"), "settled").await
    }

    /// Calls a function, and waits for its answer.
    async fn call(&self, name: &str, params: &Value) -> Value {
        let ended = self
            .next(
                &format!(
                    "wx['{name}']({{ ...{params}, complete(answer) {{ say(JSON.stringify(answer)); }} }});"
                ),
                "",
            )
            .await;
        serde_json::from_str(&ended).unwrap()
    }

    /// Runs a script; the first thing that is said then, or the last one before `end`.
    async fn next(&self, script: &str, end: &str) -> String {
        let before = self.browser.eval("said.length").await.as_u64().unwrap();
        self.browser.run(script).await;
        let ended = if end.is_empty() {
            format!("said.length > {before}")
        } else {
            format!("said.indexOf('{end}', {before}) >= 0")
        };
        self.browser.until(&ended).await;
        self.browser.text(&format!("said[{before}]")).await
    }
}

fn sdk(wechat: &Simulated) -> String {
    format!("<script src='{}/open/js/jweixin-1.6.0.js'></script>", wechat.base)
}

#[tokio::test]
async fn jssdk_judges_a_signature_by_the_page_and_explains_what_a_wrong_one_fits() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let app = Application::start(&sdk(&wechat)).await;
    let url = format!("{}/a?b=1&c=%E4%BD%A0", app.base);
    let page = Signed::open(&browser, &wechat, &format!("{url}#route")).await;
    assert_eq!(page.config(&url, &["scanQRCode"]).await, "settled", "no error is the good news");
    assert_eq!(page.call("scanQRCode", &json!({ "needResult": 1 })).await["errMsg"], "scanQRCode:ok");
    assert_eq!(page.call("chooseImage", &json!({})).await["errMsg"], "chooseImage:permission denied");

    let invalid = "config:fail, invalid signature";
    for (wrong, fits) in [
        (format!("{}/a", app.base), format!("the URL {}/a", app.base)),
        (url.replace('&', "&amp;"), format!("the URL {}", url.replace('&', "&amp;"))),
        (format!("{}/other", app.base), String::new()),
    ] {
        assert_eq!(page.config(&wrong, &["scanQRCode"]).await, invalid, "{wrong}");
        let seen = wechat.control.js_configs("wx1").pop().unwrap();
        assert_eq!((seen.verdict.as_str(), seen.fits.unwrap_or_default()), (invalid, fits));
        assert_eq!((seen.url.as_str(), seen.href), (url.as_str(), format!("{url}#route")));
        let call = page.call("scanQRCode", &json!({})).await;
        assert_eq!(call["errMsg"], "scanQRCode:the permission value is offline verifying");
    }

    // The ticket dies, and with it what was signed.
    wechat.control.kill("wx1", Kind::JsapiTicket);
    assert_eq!(page.config(&url, &["scanQRCode"]).await, invalid);
    let seen = wechat.control.js_configs("wx1").pop().unwrap();
    assert_eq!(seen.fits.as_deref(), Some("a ticket that is dead"));
    let told = wechat.get("/_sim/jssdk?appid=wx1").await.to_string();
    assert!(told.contains("needResult") && !told.contains(&page.ticket), "{told}");

    let js_domains = Domains::Only(vec!["127.0.0.1/elsewhere".to_owned()]);
    wechat.control.set_web("wx1", Web { js_domains, ..Web::default() });
    assert_eq!(page.config(&url, &["scanQRCode"]).await, "config:fail, invalid url domain");
    assert!(browser.complaints().await.is_empty());
}

#[tokio::test]
async fn iphone_judges_by_the_landing_address_and_android_by_the_current_one() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let app = Application::start(&sdk(&wechat)).await;
    let [landing, current] = ["/landing?a=1", "/later"].map(|path| format!("{}{path}", app.base));
    let list = ["getNetworkType"];
    for (agent, good, bad) in [(IPHONE, &landing, &current), (ANDROID, &current, &landing)] {
        browser.pose_as(agent).await;
        let page = Signed::open(&browser, &wechat, &landing).await;
        browser.run("history.pushState(null, '', '/later')").await;
        assert_eq!(page.config(bad, &list).await, "config:fail, invalid signature", "{agent}");
        assert_eq!(page.config(good, &list).await, "settled", "{agent}");
        assert_eq!(page.call("getNetworkType", &json!({})).await["networkType"], "wifi");
        // Android asks again what the new address may; an iPhone does not see it.
        browser.run("history.pushState(null, '', '/latest')").await;
        let later = page.call("getNetworkType", &json!({})).await;
        let verdict = if agent == IPHONE { "ok" } else { "the permission value is offline verifying" };
        assert_eq!(later["errMsg"], format!("getNetworkType:{verdict}"));
    }
}

#[tokio::test]
async fn jssdk_of_an_account_without_rights_or_of_an_old_client_refuses_by_name() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    wechat.control.set_web("wx1", Web { denied_apis: vec!["scanQRCode".to_owned()], ..Web::default() });
    let app = Application::start(&sdk(&wechat)).await;
    let url = format!("{}/", app.base);
    browser.pose_as(OLD).await;
    let page = Signed::open(&browser, &wechat, &url).await;
    let list = ["scanQRCode", "updateAppMessageShareData", "onMenuShareAppMessage"];
    assert_eq!(page.config(&url, &list).await, "settled");
    assert_eq!(page.call("scanQRCode", &json!({})).await["errMsg"], "scanQRCode:permission denied");
    let share = page.call("updateAppMessageShareData", &json!({ "title": "t" })).await;
    assert_eq!(share["errMsg"], "updateAppMessageShareData:function not exist");
    let check = page.call("checkJsApi", &json!({ "jsApiList": list })).await;
    assert_eq!(
        check["checkResult"],
        json!({
            "scanQRCode": false, "updateAppMessageShareData": false, "onMenuShareAppMessage": true,
        })
    );
}

#[tokio::test]
async fn cards_are_added_with_a_right_signature_only() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let app = Application::start(&sdk(&wechat)).await;
    let url = format!("{}/", app.base);
    let page = Signed::open(&browser, &wechat, &url).await;
    assert_eq!(page.config(&url, &["addCard", "chooseCard"]).await, "settled");
    let token = wechat.stable("wx1").await;
    let ticket = wechat.ticket(text(&token, "access_token"), "wx_card").await;
    let sign = |values: &[&str]| {
        use sha1::Digest as _;
        let mut values: Vec<&str> = values.iter().copied().chain([text(&ticket, "ticket")]).collect();
        values.sort_unstable();
        hex::encode(sha1::Sha1::digest(values.concat()))
    };
    let card = |signature: String| {
        let ext =
            json!({ "timestamp": "1414587457", "nonce_str": "n", "signature": signature, "outer_str": "x" });
        json!({ "cardList": [{ "cardId": "p1", "cardExt": ext.to_string() }] })
    };
    let added = page.call("addCard", &card(sign(&["p1", "n", "1414587457"]))).await;
    assert_eq!(added["errMsg"], "addCard:ok");
    assert_eq!(added["cardList"][0]["isSuccess"], true);
    let added = page.call("addCard", &card(sign(&["p1", "1414587457"]))).await;
    assert_eq!(added["errMsg"], "addCard:fail, invalid signature");
    let choice = |signature: String| json!({ "shopId": "", "cardType": "GROUPON", "cardId": "", "timestamp": 1_414_587_457, "nonceStr": "n", "signType": "SHA1", "cardSign": signature });
    let right = sign(&["wx1", "GROUPON", "1414587457", "n"]);
    assert_eq!(page.call("chooseCard", &choice(right)).await["errMsg"], "chooseCard:ok");
    let chosen = page.call("chooseCard", &choice(sign(&["GROUPON", "1414587457", "n"]))).await;
    assert_eq!(chosen["errMsg"], "chooseCard:fail, invalid signature");
    let verdicts: Vec<String> = wechat.control.js_calls("wx1").into_iter().map(|call| call.verdict).collect();
    assert_eq!(verdicts.iter().filter(|verdict| verdict.ends_with(":ok")).count(), 3, "{verdicts:?}");
}
