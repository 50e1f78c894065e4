//! zhongkong.js in a real browser, against the simulator's stand-in for WeChat's script.

use serde_json::json;
use zhongkong::simulator::{Domains, Endpoint, Fault, Kind, Script, Web};

use super::browser_support::{ANDROID, IPHONE, OLD, next, told};
use super::script_support::{Answers, Pages};
use super::support::browser::{Chromium, PHONE};
use super::support::simulated::{Simulated, listed};

/// Says what became of `zhongkong.ready`.
const READY: &str = "zhongkong.ready.then(config => say('ready ' + config.url), error => say(error.code + ' ' + error.message))";
const CARD: &str = "{ title: 'T', desc: 'D', link: '/linked?a=1', imgUrl: 'icon.png' }";

#[tokio::test]
async fn page_is_configured_and_shares_scans_and_hears_of_what_it_may_not() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let pages = Pages::start(&wechat).await;
    let url = format!("{}/folder/page?b=1&c=%E4%BD%A0", pages.base);
    browser.pose_as(ANDROID).await;
    browser.open(&format!("{url}#part")).await;
    assert_eq!(next(&browser, READY).await, format!("ready {url}"));
    assert_eq!(pages.asked(), [url.as_str()], "asked for once, without the fragment");
    assert_eq!(
        browser.eval("Object.keys(zhongkong).sort()").await,
        json!(["account", "call", "error", "on", "ready", "refresh", "share"])
    );
    assert_eq!(browser.text("zhongkong.account").await, "wx1");

    let shared = next(&browser, &told(&format!("zhongkong.share({CARD})"))).await;
    assert_eq!(shared, r#"{"appMessage":"updateAppMessageShareData","timeline":"updateTimelineShareData"}"#);
    let calls = wechat.control.js_calls("wx1");
    let of = |name: &str| &calls.iter().find(|call| call.name == name).unwrap().params;
    let card = json!({
        "title": "T", "desc": "D", "link": format!("{}/linked?a=1", pages.base),
        "imgUrl": format!("{}/folder/icon.png", pages.base),
    });
    assert_eq!(*of("updateAppMessageShareData"), card);
    assert_eq!(of("updateTimelineShareData")["desc"], json!(null), "Moments show none");

    let scanned = next(&browser, &told("zhongkong.call('scanQRCode', { needResult: 1 })")).await;
    assert!(scanned.contains("CODE_128"), "{scanned}");
    let denied = next(&browser, &told("zhongkong.call('chooseImage')")).await;
    assert!(
        denied.starts_with(
            "permission_denied zhongkong (wx1): chooseImage:permission denied. Add chooseImage to apis"
        ),
        "{denied}"
    );
    let unknown = next(&browser, &told("zhongkong.call('chooseWine')")).await;
    assert!(
        unknown.starts_with("unsupported") && unknown.contains("chooseWine:function not exist"),
        "{unknown}"
    );
    let differently = "zhongkong.share({ title: 'T', timeline: { title: 'U' } })";
    next(&browser, &told(differently)).await;
    let titles: Vec<_> = wechat
        .control
        .js_calls("wx1")
        .into_iter()
        .rev()
        .take(2)
        .map(|call| call.params["title"].clone())
        .collect();
    assert!(titles.contains(&json!("T")) && titles.contains(&json!("U")), "{titles:?}");
    assert!(browser.complaints().await.is_empty());
}

#[tokio::test]
async fn iphone_signs_the_landing_address_whatever_the_history_says_since() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let pages = Pages::start(&wechat).await;
    let landing = format!("{}/landing?a=1", pages.base);
    browser.pose_as(IPHONE).await;
    // The page's router was faster than the script: it changed the address before.
    browser.open(&format!("{landing}&early")).await;
    let landing = format!("{landing}&early");
    assert_eq!(browser.text("location.pathname").await, "/early");
    assert_eq!(next(&browser, READY).await, format!("ready {landing}"));
    browser.run("history.pushState(null, '', '/later'); history.replaceState(null, '', '/latest')").await;
    let scanned = next(&browser, &told("zhongkong.call('scanQRCode')")).await;
    assert!(scanned.contains("scanQRCode:ok"), "{scanned}");
    assert_eq!(pages.asked(), [landing.as_str()], "one configuration is enough");
    let verdicts: Vec<_> = wechat.control.js_configs("wx1").into_iter().map(|seen| seen.verdict).collect();
    assert_eq!(verdicts, ["config:ok"]);
}

#[tokio::test]
async fn android_is_configured_anew_for_the_last_of_several_addresses() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let pages = Pages::start(&wechat).await;
    let url = |path: &str| format!("{}{path}", pages.base);
    browser.pose_as(ANDROID).await;
    browser.open(&url("/")).await;
    assert_eq!(next(&browser, READY).await, format!("ready {}", url("/")));
    browser.run("zhongkong.on('ready', config => { document.body.dataset.configured = config.url; })").await;
    // A router's three changes in a row are one; what is called at once waits for it.
    let called = next(&browser, &format!(
        "history.pushState(null, '', '/a'); history.pushState(null, '', '/b'); history.replaceState(null, '', '/c?d=1#e'); {}",
        told("zhongkong.call('scanQRCode')"),
    )).await;
    assert!(called.contains("scanQRCode:ok"), "{called}");
    assert_eq!(browser.text("document.body.dataset.configured").await, url("/c?d=1"));
    assert_eq!(pages.asked(), [url("/"), url("/c?d=1")]);
    // A fragment is no other address; the way back is.
    browser.run("history.replaceState(null, '', '/c?d=1#f'); location.hash = 'g'").await;
    assert_eq!(next(&browser, READY).await, format!("ready {}", url("/c?d=1")));
    assert_eq!(pages.asked().len(), 2);
    browser.run("history.go(-2)").await;
    browser.until(&format!("document.body.dataset.configured === '{}'", url("/a"))).await;
    let verdicts: Vec<_> = wechat.control.js_configs("wx1").into_iter().map(|seen| seen.verdict).collect();
    assert!(verdicts.iter().all(|verdict| verdict == "config:ok"), "{verdicts:?}");
    assert!(browser.complaints().await.is_empty());
}

#[tokio::test]
async fn address_that_changes_while_wechat_judges_is_configured_before_the_page_is_ready() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let pages = Pages::start(&wechat).await;
    browser.pose_as(ANDROID).await;
    wechat.control.script(Script::once(Endpoint::JsConfig, Fault::HoldAnswer));
    browser.open(&format!("{}/first", pages.base)).await;
    wechat.control.wait_held(1).await;
    browser.run("history.pushState(null, '', '/second')").await;
    browser.run(READY).await;
    wechat.control.release();
    browser.until("said.length > 0").await;
    assert_eq!(browser.text("said[0]").await, format!("ready {}/second", pages.base));
    assert_eq!(wechat.control.js_configs("wx1").len(), 2);
}

#[tokio::test]
async fn wrong_signature_is_tried_once_more_and_then_explained() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let pages = Pages::start(&wechat).await;
    let url = format!("{}/page", pages.base);
    browser.pose_as(ANDROID).await;
    // A ticket that died a moment ago: the second configuration is made with its successor.
    pages.answer(Answers::OnceWithADeadTicket);
    browser.open(&url).await;
    assert_eq!(next(&browser, READY).await, format!("ready {url}"));
    assert_eq!(pages.asked().len(), 2);

    pages.answer(Answers::ForAnotherUrl);
    let said = next(&browser, &told("zhongkong.refresh()")).await;
    assert!(
        said.starts_with("invalid_signature zhongkong (wx1): config:fail, invalid signature. "),
        "{said}"
    );
    assert!(said.contains(&format!("Signed was {url}; the page is at {url}.")), "{said}");
    assert!(said.contains("zhongkong jssdk check URL"), "{said}");
    assert_eq!(pages.asked().len(), 4, "twice, and no more");
    // Whoever looks later hears of it too, and nothing was left unhandled.
    assert_eq!(next(&browser, "zhongkong.error.then(error => say(error.url))").await, url);
    let complaints = browser.complaints().await;
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].contains("invalid signature"), "{complaints:?}");

    // And it comes back by itself when asked to.
    pages.answer(Answers::Right);
    browser.run("zhongkong.refresh()").await;
    assert_eq!(next(&browser, READY).await, format!("ready {url}"));
    let shared = next(&browser, &told(&format!("zhongkong.share({CARD})"))).await;
    assert!(shared.contains("updateAppMessageShareData"), "{shared}");
}

#[tokio::test]
async fn client_that_has_the_other_address_in_mind_is_satisfied_by_the_second_try() {
    // It judges as an iPhone does, and does not say that it is one: WeChat on a Mac.
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let pages = Pages::start(&wechat).await;
    browser.pose_as(IPHONE).await;
    let landing = format!("{}/landing?early&sdk=1.6.0&mac", pages.base);
    browser.open(&landing).await;
    assert_eq!(next(&browser, READY).await, format!("ready {landing}"));
    assert_eq!(pages.asked(), [format!("{}/early", pages.base), landing.clone()]);
    let verdicts: Vec<_> = wechat.control.js_configs("wx1").into_iter().map(|seen| seen.verdict).collect();
    assert_eq!(verdicts, ["config:fail, invalid signature", "config:ok"]);
}

#[tokio::test]
async fn old_client_is_given_its_share_data_by_the_old_names() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let pages = Pages::start(&wechat).await;
    for (agent, version) in [(OLD, "1.6.0"), (ANDROID, "1.2.0")] {
        // An old client, or a page that brings an old script of WeChat's with it.
        browser.pose_as(agent).await;
        browser.open(&format!("{}/page?sdk={version}", pages.base)).await;
        let shared = next(&browser, &told(&format!("zhongkong.share({CARD})"))).await;
        assert_eq!(
            shared, r#"{"appMessage":"onMenuShareAppMessage","timeline":"onMenuShareTimeline"}"#,
            "{agent}"
        );
        let names: Vec<_> = wechat
            .control
            .js_calls("wx1")
            .into_iter()
            .filter(|call| call.verdict.ends_with(":ok"))
            .map(|call| call.name)
            .collect();
        for name in ["onMenuShareAppMessage", "onMenuShareTimeline"] {
            assert!(names.iter().any(|called| called == name), "{names:?}");
        }
    }
}

#[tokio::test]
async fn what_keeps_a_page_from_being_configured_is_said_with_what_to_do() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let pages = Pages::start(&wechat).await;
    let url = format!("{}/page", pages.base);
    let mut cases = Vec::new();

    pages.answer(Answers::Refusal);
    browser.open(&url).await;
    cases.push((next(&browser, READY).await, "service", "no ticket is held here (request 00000000deadbeef)"));

    pages.answer(Answers::Garbage);
    browser.open(&url).await;
    cases.push((next(&browser, READY).await, "service", "status 502"));

    pages.answer(Answers::Nothing);
    browser.open(&url).await;
    cases.push((next(&browser, READY).await, "service", "cannot be reached"));

    pages.answer(Answers::Right);
    wechat.control.script(Script::once(Endpoint::JsSdk, Fault::HttpStatus(503)));
    browser.open(&url).await;
    cases.push((next(&browser, READY).await, "sdk", "cannot be loaded from http://127.0.0.1"));

    wechat.control.script(Script::once(Endpoint::JsConfig, Fault::HoldAnswer));
    browser.open(&format!("{url}?timeout=3000")).await;
    cases.push((next(&browser, READY).await, "timeout", "This browser is not WeChat"));
    wechat.control.release();

    wechat.control.set_web("wx1", Web { js_domains: Domains::Only(Vec::new()), ..Web::default() });
    browser.open(&url).await;
    cases.push((
        next(&browser, READY).await,
        "invalid_url_domain",
        "Add 127.0.0.1 to the JS interface domains",
    ));

    for (said, code, about) in cases {
        assert!(said.starts_with(&format!("{code} ")) && said.contains(about), "{code}: {said}");
    }
    assert!(wechat.control.current("wx1", Kind::JsapiTicket).is_some(), "pages were signed for at all");
}

#[tokio::test]
async fn script_that_is_imported_as_a_module_asks_the_host_of_its_page() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let pages = Pages::start(&wechat).await;
    let url = format!("{}/page?sdk=1.6.0&module", pages.base);
    browser.open(&url).await;
    assert_eq!(next(&browser, READY).await, format!("ready {url}"));
    assert_eq!(pages.asked(), [url]);
    // Included once more, it is the same: its promises are not made anew.
    browser.run("window.first = zhongkong; document.head.append(Object.assign(document.createElement('script'), { src: '/jssdk/wx1/zhongkong.js', onload() { say('again'); } }))").await;
    browser.until("said.includes('again')").await;
    assert_eq!(browser.eval("first === zhongkong").await, true);
    assert_eq!(pages.asked().len(), 1);
}
