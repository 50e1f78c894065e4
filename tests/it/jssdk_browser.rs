//! The whole way in a real Chromium: the daemon, the service, a page, and WeChat's script, which has
//! the simulator judge each signature as WeChat does.

use std::fs;

use serde_json::Value as Json;
use zhongkong::simulator::{Accounts, JsCall, Settings};

use super::browser_support::{ANDROID, IPHONE};
use super::support::browser::{Chromium, PHONE};
use super::support::ports::Kept;
use super::support::process::{Process, Site, TOKEN};
use super::support::simulated::Simulated;

/// A page with both helpers. JWEIXIN is the simulator's script.
const INDEX: &str = "<!doctype html><meta charset=utf-8><link rel=icon href='data:,'><body>
{{ wechat(src=\"JWEIXIN\") }}
{{ share(title=query.t or \"T\", desc=\"D\", img=\"https://h5.example.com/i.png\") }}
<p>{{ query.t }}</p>
<script>
wx.ready(function () { document.body.dataset.ready = 'yes'; });
wx.error(function (problem) { document.body.dataset.error = problem.errMsg; });
</script>";
/// A page with zhongkong.js.
const APP: &str = "<!doctype html><meta charset=utf-8><link rel=icon href='data:,'><body>
<script src='/jssdk/{{ account }}/zhongkong.js' data-jweixin='JWEIXIN'></script>
<script>
var end = function (name) { return function (value) { document.body.dataset[name] = value && value.message || 'yes'; }; };
zhongkong.ready.then(end('ready'), end('error'));
</script>";

struct Bench {
    browser: Chromium,
    wechat: Simulated,
    base: String,
    service: Process,
    daemon: Process,
    _port: Kept,
    _site: Site,
}

impl Bench {
    async fn start() -> Self {
        let browser = Chromium::start(PHONE).await;
        let wechat = Simulated::start(Settings { accounts: Accounts::Any, ..Settings::default() }).await;
        let kept = Kept::new();
        let port = kept.port();
        let mut site = Site::new(&wechat.base);
        site.account("wx1", "token_mode = \"stable\"\ntickets = [\"jsapi_ticket\"]");
        site.file("bearer.token", TOKEN);
        fs::create_dir(site.path("pages")).unwrap();
        let jweixin = format!("{}/open/js/jweixin-1.6.0.js", wechat.base);
        site.file("pages/index.html", &INDEX.replace("JWEIXIN", &jweixin));
        site.file("pages/app.html", &APP.replace("JWEIXIN", &jweixin));
        site.section("serve", &format!("listen = \"127.0.0.1:{port}\"\nadmin = \"127.0.0.1:0\"\n"));
        let addr = site.addr();
        site.section(
            "jssdk",
            &format!("daemon = \"{addr}\"\ntoken_file = \"bearer.token\"\npages = \"pages\"\n"),
        );
        site.raw(&format!(
            "[[jssdk.account]]\nappid = \"wx1\"\npath = \"shop\"\nhosts = [\"127.0.0.1:{port}\"]\n"
        ));
        let daemon = site.start_ready().await;
        let mut command = site.command();
        command.arg("--config").arg(site.write()).args(["serve", "jssdk"]);
        let service = Process::spawn(command);
        service.line("running: ").await;
        Self {
            browser,
            wechat,
            base: format!("http://127.0.0.1:{port}"),
            service,
            daemon,
            _port: kept,
            _site: site,
        }
    }

    fn calls(&self, name: &str) -> Vec<JsCall> {
        self.wechat.control.js_calls("wx1").into_iter().filter(|call| call.name == name).collect()
    }

    /// The last judgement of a signature.
    fn verdict(&self) -> (String, String) {
        let seen = self.wechat.control.js_configs("wx1").pop().expect("wx.config was called");
        (seen.verdict, seen.url)
    }

    async fn end(self) {
        self.service.stop().await;
        self.daemon.stop().await;
    }
}

#[tokio::test]
async fn page_of_a_template_is_configured_by_wechat_and_shares_its_own_address() {
    let bench = Bench::start().await;
    bench.browser.pose_as(ANDROID).await;
    let evil = "%3C/script%3E%3Cscript%3Edocument.body.dataset.evil=1%3C/script%3E";
    let url =
        format!("{}/jssdk/shop/page/index?b=%E4%BD%A0&t={evil}&x=a+b%20'%7B|&from=singlemessage", bench.base);
    bench.browser.open(&format!("{url}#/route")).await;
    bench.browser.until("document.body.dataset.ready || document.body.dataset.error").await;
    assert_eq!(bench.browser.eval("document.body.dataset.error || null").await, Json::Null);
    let shown = bench.browser.text("location.href.split('#')[0]").await;
    assert_eq!(bench.verdict(), ("config:ok".to_owned(), shown.clone()));
    bench.browser.until("performance.getEntriesByType('resource').length > 1").await;
    bench
        .browser
        .run("wx.checkJsApi({ jsApiList: ['x'], complete() { document.body.dataset.checked = 1; } })")
        .await;
    bench.browser.until("document.body.dataset.checked").await;
    for name in ["updateAppMessageShareData", "updateTimelineShareData"] {
        let call = bench.calls(name).pop().unwrap_or_else(|| panic!("{name} was not called"));
        assert_eq!(call.verdict, format!("{name}:ok"));
        assert_eq!(call.params["link"], shown.as_str());
        assert!(call.params["title"].as_str().unwrap().starts_with("</script><script>"), "{call:?}");
    }
    assert_eq!(bench.browser.eval("document.body.dataset.evil || null").await, Json::Null);
    assert_eq!(bench.browser.complaints().await, Vec::<String>::new());
    bench.end().await;
}

#[tokio::test]
async fn script_of_the_service_configures_pages_of_both_clients_over_their_history() {
    let bench = Bench::start().await;
    for agent in [ANDROID, IPHONE] {
        bench.browser.pose_as(agent).await;
        let url = format!("{}/jssdk/shop/page/app?landing=1", bench.base);
        bench.browser.open(&format!("{url}#top")).await;
        bench.browser.until("document.body.dataset.ready || document.body.dataset.error").await;
        assert_eq!(bench.browser.eval("document.body.dataset.error || null").await, Json::Null, "{agent}");
        assert_eq!(bench.verdict(), ("config:ok".to_owned(), url.clone()), "{agent}");
        // The history moves on without a load: each client has another address in mind.
        bench.browser.run("history.pushState(null, '', '/jssdk/shop/page/app?later=2')").await;
        bench
            .browser
            .run(
                "zhongkong.share({ title: 'S', link: location.href }).then(
                     function () { document.body.dataset.shared = 'yes'; },
                     function (problem) { document.body.dataset.shared = problem.message; })",
            )
            .await;
        bench.browser.until("document.body.dataset.shared").await;
        assert_eq!(bench.browser.text("document.body.dataset.shared").await, "yes", "{agent}");
        let shared = bench.calls("updateAppMessageShareData").pop().unwrap();
        assert_eq!(shared.params["link"], format!("{}/jssdk/shop/page/app?later=2", bench.base), "{agent}");
    }
    bench.end().await;
}

#[tokio::test]
async fn preview_shows_in_any_browser_what_wechat_would_be_told() {
    let bench = Bench::start().await;
    bench.daemon.stop().await;
    bench.browser.open(&format!("{}/jssdk/shop/page/index?preview&t=%3Cb%3Ebold", bench.base)).await;
    bench.browser.until("document.body.dataset.ready").await;
    bench.browser.until("document.querySelectorAll('#zhongkong-preview pre').length >= 3").await;
    let panel = bench.browser.text("document.querySelector('#zhongkong-preview').innerText").await;
    for words in [
        "WeChat is not here",
        "would be signed.",
        "wx.config(",
        "\"appId\": \"wx1\"",
        "wx.updateAppMessageShareData(",
        "\"title\": \"<b>bold\"",
    ] {
        assert!(panel.contains(words), "{words}: {panel}");
    }
    assert_eq!(bench.browser.eval("document.querySelectorAll('b').length").await, 0);
    assert!(bench.wechat.control.js_configs("wx1").is_empty(), "WeChat is not asked");
    assert_eq!(bench.browser.complaints().await, Vec::<String>::new());
    bench.service.stop().await;
}
