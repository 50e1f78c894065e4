//! zhongkong.js with the real service behind it: a page of another origin, a daemon that is away, a
//! ticket that WeChat no longer takes, an old client.

use zhongkong::client::Force;
use zhongkong::model::Key;
use zhongkong::services::jssdk::account::Account;
use zhongkong::simulator::Kind;

use super::browser_support::{ANDROID, Application, IPHONE, OLD, next, told};
use super::jssdk_support::{Bench, account};
use super::support::browser::{Chromium, PHONE};

const READY: &str = "zhongkong.ready.then(config => say('ready ' + config.url), error => say(error.code + ' ' + error.message))";

/// A page of wx1 on an origin of its own, and the service that it asks.
struct Stage {
    browser: Chromium,
    bench: Bench,
    app: Application,
}

impl Stage {
    async fn start() -> Self {
        // First: others may have it for a while.
        let browser = Chromium::start(PHONE).await;
        let bench = Bench::start().await;
        let head = format!(
            "<script src='http://{}/jssdk/shop/zhongkong.js' data-jweixin='{}/open/js/jweixin-1.6.0.js'></script>",
            bench.http, bench.world.sim.base
        );
        let app = Application::start(&head).await;
        let stage = Self { browser, bench, app };
        stage.allow(&["updateAppMessageShareData", "updateTimelineShareData", "scanQRCode"]);
        stage
    }

    /// Has the service sign the application's pages, for these functions.
    fn allow(&self, apis: &[&str]) {
        self.bench.change(vec![Account {
            hosts: vec![self.app.base.trim_start_matches("http://").parse().unwrap()],
            origins: vec![self.app.base.parse().unwrap()],
            apis: apis.iter().map(|api| (*api).to_owned()).collect(),
            ..account()
        }]);
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.app.base)
    }

    /// The verdicts of WeChat so far.
    fn verdicts(&self) -> Vec<String> {
        self.bench.world.sim.control.js_configs("wx1").into_iter().map(|seen| seen.verdict).collect()
    }

    async fn ready(&self) -> String {
        next(&self.browser, READY).await
    }
}

#[tokio::test]
async fn page_of_another_origin_is_configured_also_while_the_daemon_is_away() {
    let mut stage = Stage::start().await;
    stage.browser.pose_as(ANDROID).await;
    let first = stage.url("/shop?x=a%20b&y=%E4%BD%A0'|");
    stage.browser.open(&format!("{first}#/route")).await;
    let shown = stage.browser.text("location.href.split('#')[0]").await;
    assert_eq!(stage.ready().await, format!("ready {shown}"));

    // The ticket lives in the service's copy for two hours.
    stage.bench.daemon_ends().await;
    stage.bench.world.frozen.advance_secs(120).await;
    let later = next(
        &stage.browser,
        &format!("history.pushState(null, '', '/later?z=1'); {}", told("zhongkong.share({ title: 'T' })")),
    )
    .await;
    assert!(later.contains("updateAppMessageShareData"), "{later}");
    assert_eq!(stage.ready().await, format!("ready {}", stage.url("/later?z=1")));
    stage.browser.pose_as(IPHONE).await;
    stage.browser.open(&stage.url("/landing")).await;
    assert_eq!(stage.ready().await, format!("ready {}", stage.url("/landing")));
    assert_eq!(stage.verdicts(), ["config:ok"; 3]);

    // And not for ever.
    stage.bench.world.frozen.advance_secs(7_200).await;
    let refused = next(&stage.browser, &told("zhongkong.refresh()")).await;
    assert!(refused.starts_with("service ") && refused.contains("(request "), "{refused}");
    let seen = next(&stage.browser, "zhongkong.error.then(error => say(error.status + ' ' + error.reason))");
    assert_eq!(seen.await, "503 no_ticket");
}

#[tokio::test]
async fn page_of_an_origin_that_is_not_listed_is_told_where_to_list_it() {
    let stage = Stage::start().await;
    stage.bench.change(vec![account()]);
    stage.browser.open(&stage.url("/")).await;
    let refused = stage.ready().await;
    assert!(refused.starts_with("service "), "{refused}");
    assert!(refused.contains(&format!("or {} is missing in origins", stage.app.base)), "{refused}");
    assert_eq!(stage.verdicts(), [""; 0]);
}

#[tokio::test]
async fn ticket_that_wechat_has_dropped_is_explained_and_its_successor_works() {
    let stage = Stage::start().await;
    let world = &stage.bench.world;
    stage.browser.pose_as(ANDROID).await;
    let url = stage.url("/page");
    stage.browser.open(&url).await;
    assert_eq!(stage.ready().await, format!("ready {url}"));

    world.sim.control.kill("wx1", Kind::JsapiTicket);
    let refused = next(&stage.browser, &told("zhongkong.refresh()")).await;
    assert!(
        refused.starts_with("invalid_signature ") && refused.contains(&format!("Signed was {url};")),
        "{refused}"
    );
    let seen = world.sim.control.js_configs("wx1").pop().unwrap();
    assert_eq!(seen.fits.as_deref(), Some("a ticket that is dead"));

    let key = Key::new("wx1".parse().unwrap(), zhongkong::model::Kind::JsapiTicket);
    let mut changes = stage.bench.copy.changes();
    let fresh = world.client("operator").force(&key, Force::Once).await.unwrap().token;
    while stage.bench.copy.get(&key).unwrap().generation < fresh.generation {
        changes.changed().await.unwrap();
    }
    let configured = next(&stage.browser, &told("zhongkong.refresh()")).await;
    assert!(configured.contains(&url), "{configured}");
    let invalid = "config:fail, invalid signature";
    assert_eq!(stage.verdicts(), ["config:ok", invalid, invalid, "config:ok"]);
}

#[tokio::test]
async fn old_client_shares_by_the_names_that_the_account_allows_and_is_told_which_are_missing() {
    let stage = Stage::start().await;
    stage.browser.pose_as(OLD).await;
    stage.browser.open(&stage.url("/page")).await;
    let share = told("zhongkong.share({ title: 'T' })");
    let refused = next(&stage.browser, &share).await;
    assert!(refused.starts_with("permission_denied ") && refused.contains("Add onMenuShare"), "{refused}");

    stage.allow(&["updateAppMessageShareData", "onMenuShareAppMessage", "onMenuShareTimeline"]);
    let shared = next(&stage.browser, &format!("zhongkong.refresh(); {share}")).await;
    assert_eq!(shared, r#"{"appMessage":"onMenuShareAppMessage","timeline":"onMenuShareTimeline"}"#);
}
