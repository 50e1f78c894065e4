//! An application in a browser's tests: pages at any path, a note of who asked for `/back`; and what
//! WeChat's own browsers say they are.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::response::{AppendHeaders, Html, IntoResponse as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::support::browser::Chromium;
use super::support::simulated::Simulated;

/// What every page has: a list of what it said, which a test waits for.
pub(crate) const PAGE: &str =
    "<!DOCTYPE html><html><head><meta charset=utf-8><title>app</title><link rel=icon href='data:,'>
<script>
const said = [];
function say(text) {
  said.push(text);
  document.body.append(Object.assign(document.createElement('p'), { textContent: text }));
}
</script>HEAD</head><body><h1>Back</h1></body></html>";

/// WeChat on an iPhone.
pub(crate) const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.42 Language/zh_CN";
/// WeChat on Android.
pub(crate) const ANDROID: &str = "Mozilla/5.0 (Linux; Android 13; V2183A) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.42 WeChat/arm64 Language/zh_CN";
/// WeChat of 2017.
pub(crate) const OLD: &str = "Mozilla/5.0 (Linux; Android 5.1) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/53.0 Mobile Safari/537.36 MicroMessenger/6.5.7.1041 NetType/WIFI Language/zh_CN";

/// The application that a browser comes back to: it notes what was asked for.
pub(crate) struct Application {
    /// Where it is, without a slash at the end.
    pub(crate) base: String,
    asked: Arc<Mutex<Vec<String>>>,
    seen: watch::Receiver<usize>,
    _serving: JoinSet<()>,
}

impl Application {
    /// With this in the head of every page.
    pub(crate) async fn start(head: &str) -> Self {
        let html: Arc<str> = PAGE.replace("HEAD", head).into();
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
            std::future::ready(
                (AppendHeaders([(SET_COOKIE, "app=1; SameSite=Lax")]), Html(html.to_string()))
                    .into_response(),
            )
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, Router::new().fallback(page)).await.unwrap() });
        Self { base, asked, seen, _serving: serving }
    }

    /// The link that this application sends its visitors to, without the fragment.
    pub(crate) fn link(&self, wechat: &Simulated, scope: &str) -> String {
        let back = format!("{}/back", self.base).replace(':', "%3A").replace('/', "%2F");
        let path = "/connect/oauth2/authorize";
        format!(
            "{}{path}?appid=wx1&redirect_uri={back}&response_type=code&scope={scope}&state=S",
            wechat.base
        )
    }

    /// Waits until `/back` was asked for so often, and says how.
    pub(crate) async fn asked(&mut self, times: usize) -> Vec<String> {
        self.seen.wait_for(|count| *count >= times).await.unwrap();
        self.asked.lock().unwrap().clone()
    }
}

/// Says what became of a promise.
pub(crate) fn told(promise: &str) -> String {
    format!(
        "{promise}.then(answer => say(JSON.stringify(answer)), error => say(error.code + ' ' + error.message))"
    )
}

/// Runs a script, and waits for the next thing that the page says.
pub(crate) async fn next(browser: &Chromium, script: &str) -> String {
    let before = browser.eval("said.length").await;
    browser.run(script).await;
    browser.until(&format!("said.length > {before}")).await;
    browser.text(&format!("said[{before}]")).await
}
