//! The made-up logins: pages are developed outside WeChat, and nobody else gets in that way.

use zhongkong::services::oauth::flow::{self, DebugLogin};
use zhongkong::services::oauth::sessions::Via;

use crate::oauth_world::{Around, Browser, Got, Instance};
use crate::support::logged::Logged;

const LOGIN: &str = "/oauth/shop/login?return_to=https://h5.example/x";
/// The cookies of an address without https.
const SESSION: &str = "zk_session";

/// An instance for developers.
async fn developing(around: &Around) -> Instance {
    let settings = flow::Settings { debug: DebugLogin::On, ..flow::Settings::default() };
    around.instance_with(settings, around.world.client("web"), "http://127.0.0.1:7790").await
}

/// What a page's form holds.
fn state(page: &Got) -> String {
    let (_, rest) = page.body.split_once("name=\"state\" value=\"").expect("it is the form");
    rest.split_once('"').unwrap().0.to_owned()
}

/// Sends the form, filled in like this.
async fn send(browser: &mut Browser, page: &Got, rest: &str) -> Got {
    let answer = browser.post("/oauth/shop/debug").body(format!("state={}&{rest}", state(page))).send().await;
    let got = Got::of(answer.unwrap()).await;
    browser.keep(&got);
    got
}

#[tokio::test]
async fn developer_logs_in_as_somebody_made_up_and_every_page_says_so() {
    let around = Around::start().await;
    let (logged, _guard) = Logged::start();
    let instance = developing(&around).await;
    assert!(logged.lines().iter().any(|line| line.contains("DEBUG LOGIN IS ON")), "{:?}", logged.lines());
    let mut browser = instance.browser();
    let page = browser.go(LOGIN).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("DEBUG LOGIN IS ON") && page.body.contains("oDEBUG-alice"), "{}", page.body);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.ends_with("form-action 'self' https://h5.example"), "{policy}");

    let got = send(&mut browser, &page, "act=login&person=bob").await;
    assert_eq!((got.status, got.location()), (303, "https://h5.example/x#"));
    let user = around.user("oDEBUG-bob").await.unwrap();
    assert_eq!(user.profile.unwrap().nickname, "oDEBUG-bob");
    let session = got.headers["set-cookie"].to_str().unwrap();
    assert!(session.starts_with(SESSION), "{session}");
    // Straight back from now on, and marked as what it is.
    assert_eq!(browser.go(LOGIN).await.location(), "https://h5.example/x");
    let logins = around.logins(&browser, SESSION).await;
    assert_eq!(logins.iter().map(|login| login.via).collect::<Vec<_>>(), [Via::Debug]);
    assert_eq!(around.exchanges(), 0, "WeChat has nothing to do with it");
    let refused = browser.go("/oauth/shop/login?return_to=//x").await;
    assert!(refused.body.contains("DEBUG LOGIN IS ON"), "{}", refused.body);
}

#[tokio::test]
async fn developer_sees_what_users_see_who_refuse_or_are_virtual() {
    let around = Around::start().await;
    let instance = developing(&around).await;
    let mut browser = instance.browser();
    let page = browser.go(LOGIN).await;
    let got = send(&mut browser, &page, "act=refuse").await;
    got.is_page(403, "You are not logged in");
    let page = browser.go(&got.button()).await;
    let got = send(&mut browser, &page, "act=snapshot").await;
    browser.go(got.location()).await.is_page(403, "Please use the full service");
    // A name of one's own; nothing that an openid cannot be.
    let page = browser.go(LOGIN).await;
    for bad in [
        "act=login&person=&other=a%20b",
        "act=login&person=%3Cb%3E",
        &format!("act=login&person={}", "x".repeat(200)),
    ] {
        send(&mut browser, &page, bad).await.is_page(400, "This login is over");
    }
    let got = send(&mut browser, &page, "act=login&person=&other=me-2").await;
    assert_eq!(got.status, 303);
    assert!(around.user("oDEBUG-me-2").await.is_some());
}

#[tokio::test]
async fn made_up_login_needs_the_browser_that_began_and_a_name_of_this_machine() {
    let around = Around::start().await;
    let instance = developing(&around).await;
    let mut browser = instance.browser();
    let page = browser.go(LOGIN).await;
    // A page elsewhere posts the form: its browser sends no cookie along.
    let mut stranger = instance.browser();
    send(&mut stranger, &page, "act=login&person=bob")
        .await
        .is_page(403, "This login was begun somewhere else");
    stranger.go(LOGIN).await;
    send(&mut stranger, &page, "act=login&person=bob")
        .await
        .is_page(403, "This login was begun somewhere else");
    // A name of somebody else's that resolves to this machine.
    for host in ["evil.example", "evil.example:7790", "127.0.0.1.evil.example"] {
        let posted = browser.post("/oauth/shop/debug").header("host", host);
        let got = posted.body(format!("state={}&act=login&person=bob", state(&page))).send().await.unwrap();
        assert_eq!(got.status(), 404, "{host}");
        let got = browser.request(LOGIN).header("host", host).send().await.unwrap();
        assert_eq!(got.status(), 404, "{host}");
    }
    assert!(around.user("oDEBUG-bob").await.is_none());
}

#[tokio::test]
async fn made_up_login_is_nothing_once_it_is_off() {
    // A database that a developer used is not a way in.
    let around = Around::start().await;
    let on = developing(&around).await;
    let mut browser = on.browser();
    let page = browser.go(LOGIN).await;
    let form = state(&page);
    send(&mut browser, &page, "act=login&person=bob").await;
    let off = around
        .instance_with(flow::Settings::default(), around.world.client("web"), "http://127.0.0.1:7790")
        .await;
    let mut browser = browser.at(&off);
    let got =
        browser.post("/oauth/shop/debug").body(format!("state={form}&act=login&person=bob")).send().await;
    assert_eq!(got.unwrap().status(), 404);
    let got = browser.go(LOGIN).await;
    assert!(got.location().contains("/connect/oauth2/authorize?"), "{got:?}");
}
