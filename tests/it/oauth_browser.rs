//! A login from end to end in a real browser: an application's page, our link, WeChat's consent page,
//! and home again, with what only a browser does: fragments, cookies, policies, reloads.

use tokio::net::TcpListener;
use zhongkong::services::oauth::account::{Account, App, AssertionMode, Scope};
use zhongkong::services::oauth::flow::{self, DebugLogin, Live};
use zhongkong::services::oauth::site::Site;
use zhongkong::simulator::{Fault, Requested, Shown, Visit, Web};

use crate::oauth_world::{Around, Instance};
use crate::support::browser::{Chromium, PHONE};

/// The page of an application on another origin: it is whatever was asked for.
struct Page {
    base: String,
    _serving: tokio::task::JoinSet<()>,
}

impl Page {
    async fn start() -> Self {
        let page =
            "<!doctype html><meta charset=utf-8><title>app</title><link rel=icon href='data:,'><h1>app</h1>";
        let router = axum::Router::new().fallback(async move || axum::response::Html(page));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, _serving: serving }
    }
}

/// A browser, the world, an application, and the service for it.
struct Stage {
    browser: Chromium,
    around: Around,
    page: Page,
    base: String,
    instance: Instance,
}

impl Stage {
    async fn start(debug: DebugLogin) -> Self {
        // First: others may have it for a while.
        let browser = Chromium::start(PHONE).await;
        let around = Around::start().await;
        let page = Page::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = App {
            name: "h5".into(),
            accounts: None,
            origins: vec![page.base.parse().unwrap()],
            scope: Scope::UserInfo,
            assertion: AssertionMode::None,
        };
        let account = Account { appid: "wx1".parse().unwrap(), path: "shop".into() };
        let site = Site::new(base.parse().unwrap(), vec![account], vec![app]);
        let live = Live { site, authorize_at: around.world.sim.base.parse().unwrap() };
        let settings = flow::Settings { debug, ..flow::Settings::default() };
        let instance = around.serve(listener, settings, around.world.client("web"), live);
        Self { browser, around, page, base, instance }
    }

    /// The address of a page of the application, and a link that logs in and leads there.
    async fn link(&self, path: &str, rest: &str) -> (String, String) {
        let home = format!("{}{path}", self.page.base);
        let encoded = self.browser.text(&format!("encodeURIComponent('{home}')")).await;
        (home.clone(), format!("{}/oauth/shop/login?return_to={encoded}{rest}", self.base))
    }

    /// Waits until the application's page is there, and says at which address.
    async fn home(&self) -> String {
        self.browser.until("document.title === 'app'").await;
        self.browser.text("location.href").await
    }
}

#[tokio::test]
async fn person_logs_in_from_a_page_and_comes_back_to_it_with_everything_it_had() {
    let stage = Stage::start(DebugLogin::Off).await;
    let Stage { browser, around, .. } = &stage;
    let (home, link) = stage.link("/cart?id=7&next=%2Fpay%3Fa%3D1%26b%3D2&q=a+b%20c#/item?x=1", "").await;
    browser.open(&stage.page.base).await;
    browser.run(&format!("location.href = '{link}'")).await;
    browser.until("document.querySelector('input[value=hong]')").await;
    browser.click("input[value=hong]").await;
    browser.click("button.go").await;
    assert_eq!(stage.home().await, home);
    let codes = around.world.sim.control.codes("wx1");
    let openid = codes[0].openid.clone();
    assert!(around.user(&openid).await.unwrap().profile.is_some());
    // Where the page's script can look there is nothing.
    assert_eq!(browser.text("document.cookie").await, "");

    // The second visit asks nobody, and a page without a fragment does not get WeChat's.
    let (home, link) = stage.link("/other?y=2", "").await;
    browser.open(&link).await;
    assert_eq!(stage.home().await, home);
    assert_eq!(around.exchanges(), 1);
    assert!(browser.complaints().await.is_empty(), "{:?}", browser.complaints().await);
}

#[tokio::test]
async fn fragment_of_wechats_link_does_not_reach_a_page_without_one() {
    // Browsers carry a fragment over redirects that have none.
    let stage = Stage::start(DebugLogin::Off).await;
    let (home, link) = stage.link("/x?y=1", "&scope=snsapi_base").await;
    stage.browser.open(&link).await;
    assert_eq!(stage.home().await, format!("{home}#"));
    assert_eq!(stage.browser.text("location.hash").await, "");
}

#[tokio::test]
async fn callback_that_wechats_browser_asks_for_twice_logs_in_once() {
    let stage = Stage::start(DebugLogin::Off).await;
    let Stage { browser, around, .. } = &stage;
    for (nth, callback) in [Requested::TwiceInTurn, Requested::TwiceAtOnce].into_iter().enumerate() {
        around.world.sim.control.set_web("wx1", Web { callback, ..Web::default() });
        let (home, link) = stage.link(&format!("/{nth}?y=1#z"), "&scope=snsapi_base").await;
        browser.forget().await;
        browser.open(&link).await;
        assert_eq!(stage.home().await, home, "{callback:?}");
        assert_eq!(around.exchanges(), nth as u64 + 1, "{callback:?}");
    }
}

#[tokio::test]
async fn every_spelling_that_passes_leads_a_browser_where_it_was_checked_to_lead() {
    // The rules know what browsers do; here is what one does.
    let stage = Stage::start(DebugLogin::Off).await;
    let (_, link) = stage.link("/first", "&scope=snsapi_base").await;
    stage.browser.open(&link).await;
    stage.home().await;
    let own = &stage.base;
    for (return_to, leads_to) in [
        ("/%252f%252fevil.example", format!("{own}/%2f%2fevil.example")),
        ("/%255cevil.example", format!("{own}/%5cevil.example")),
        ("/%2509/evil.example", format!("{own}/%09/evil.example")),
        ("/x?u=//evil.example&v=%5C%5Cevil.example", format!("{own}/x?u=//evil.example")),
        ("/@evil.example", format!("{own}/@evil.example")),
        ("/%EF%BC%8Fevil.example", format!("{own}/%EF%BC%8Fevil.example")),
        ("/javascript:alert(1)", format!("{own}/javascript:alert(1)")),
    ] {
        stage.browser.open(&format!("{own}/oauth/shop/login?scope=snsapi_base&return_to={return_to}")).await;
        assert_eq!(stage.browser.text("location.href").await, leads_to, "{return_to}");
    }
}

#[tokio::test]
async fn person_who_refuses_gets_a_page_that_says_so_and_may_think_again() {
    let stage = Stage::start(DebugLogin::Off).await;
    let Stage { browser, .. } = &stage;
    let (home, link) = stage.link("/x#y", "").await;
    browser.open(&link).await;
    browser.until("document.querySelector('#consent')").await;
    browser.click("button[value=refuse]").await;
    browser.until("document.title === 'You are not logged in'").await;
    browser.picture("oauth-refused.png").await;
    assert_eq!(browser.eval("document.documentElement.scrollWidth <= innerWidth").await, true);
    browser.click("a.button").await;
    browser.until("document.querySelector('input[value=hong]')").await;
    browser.click("input[value=hong]").await;
    browser.click("button.go").await;
    assert_eq!(stage.home().await, home);
    assert!(
        browser.complaints().await.iter().all(|line| line.contains("403")),
        "{:?}",
        browser.complaints().await
    );
}

#[tokio::test]
async fn busy_wechat_is_a_page_whose_button_goes_on_with_the_same_login() {
    // The button holds no address, and so neither code nor state: it loads the page's own again.
    let stage = Stage::start(DebugLogin::Off).await;
    let Stage { browser, around, .. } = &stage;
    around.once(Fault::errcode(-1));
    let (home, link) = stage.link("/x#y", "&scope=snsapi_base").await;
    browser.open(&link).await;
    browser.until("document.title === 'WeChat cannot be asked at the moment'").await;
    browser.click("a.button").await;
    assert_eq!(stage.home().await, home);
    assert_eq!(around.exchanges(), 2);
}

#[tokio::test]
async fn snapshot_user_sees_what_to_tap_and_goes_on_as_themselves() {
    let stage = Stage::start(DebugLogin::Off).await;
    let Stage { browser, around, .. } = &stage;
    around.world.sim.control.next_visitor(Visit { person: "ming".into(), mode: Shown::Snapshot });
    let (home, link) = stage.link("/x#y", "&scope=snsapi_base").await;
    browser.open(&link).await;
    browser.until("document.title === 'Please use the full service'").await;
    browser.picture("oauth-snapshot.png").await;
    assert!(!browser.text("location.href").await.contains("code="));
    browser.click("a.button").await;
    assert_eq!(stage.home().await, home);
}

#[tokio::test]
async fn developer_logs_in_as_somebody_made_up_and_lands_on_another_origin() {
    // A form's answer that leads to another origin is followed only if the policy says so.
    let stage = Stage::start(DebugLogin::On).await;
    let Stage { browser, around, .. } = &stage;
    let (home, link) = stage.link("/x?y=1#z", "").await;
    browser.open(&link).await;
    browser.until("document.querySelector('.debug')").await;
    browser.picture("oauth-debug.png").await;
    browser.click("input[value=chen]").await;
    browser.click("button[value=login]").await;
    assert_eq!(stage.home().await, home);
    assert!(around.user("oDEBUG-chen").await.is_some());
    assert!(browser.complaints().await.is_empty(), "{:?}", browser.complaints().await);
    assert_eq!(stage.instance.flow.close(std::time::Duration::from_secs(1)).await, 0);
}
