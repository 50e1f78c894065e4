//! The simulated WeChat's pages in a real browser: consent on a phone, the fragment that only the
//! page can see, the way back, a callback that is asked for twice.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::response::{AppendHeaders, Html, IntoResponse as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zhongkong::simulator::{Requested, Web, fingerprint};

use super::support::browser::{Chromium, PHONE};
use super::support::simulated::{Simulated, listed, text};

/// The application that a browser comes back to: it notes what was asked for.
struct Application {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
    seen: watch::Receiver<usize>,
    _serving: JoinSet<()>,
}

impl Application {
    async fn start() -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (count, seen) = watch::channel(0);
        let noted = asked.clone();
        let page = move |request: Request| {
            let cookie = request.headers().get(COOKIE).map_or("", |value| value.to_str().unwrap());
            if request.uri().path() == "/back" {
                let mut asked = noted.lock().unwrap();
                asked.push(format!(
                    "{} {}",
                    request.uri(),
                    if cookie.contains("app=1") { "known" } else { "new" }
                ));
                count.send_replace(asked.len());
            }
            let page = "<!DOCTYPE html><title>app</title><link rel=icon href='data:,'><h1>Back</h1>";
            std::future::ready(
                (AppendHeaders([(SET_COOKIE, "app=1; SameSite=Lax")]), Html(page)).into_response(),
            )
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, Router::new().fallback(page)).await.unwrap() });
        Self { base, asked, seen, _serving: serving }
    }

    /// The link that this application sends its visitors to, without the fragment.
    fn link(&self, wechat: &Simulated, scope: &str) -> String {
        let back = format!("{}/back", self.base).replace(':', "%3A").replace('/', "%2F");
        let path = "/connect/oauth2/authorize";
        format!(
            "{}{path}?appid=wx1&redirect_uri={back}&response_type=code&scope={scope}&state=S",
            wechat.base
        )
    }

    /// Waits until `/back` was asked for so often, and says how.
    async fn asked(&mut self, times: usize) -> Vec<String> {
        self.seen.wait_for(|count| *count >= times).await.unwrap();
        self.asked.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn person_consents_on_a_phone_and_later_visits_are_silently_theirs() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(listed()).await;
    let mut app = Application::start().await;

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
    let mut app = Application::start().await;
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
