//! A site in the tests of zhongkong.js: pages with the script, and a service that signs for them
//! in the right and in wrong ways.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::form_urlencoded;
use zhongkong::jsapi;
use zhongkong::secret::Secret;
use zhongkong::services::jssdk::script::{self, Form};
use zhongkong::simulator::Kind;

use super::browser_support::PAGE;
use super::support::simulated::{Simulated, text};

const CONFIG: &str = "/jssdk/wx1/config";
const SCRIPT: &str = "/jssdk/wx1/zhongkong.js";

/// How the service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    Right,
    /// The next time with a ticket that WeChat has forgotten, then rightly.
    OnceWithADeadTicket,
    /// As one that takes the URL apart and puts another one together.
    ForAnotherUrl,
    /// As a service that cannot sign now.
    Refusal,
    /// As a proxy whose service is not there.
    Garbage,
    /// The connection breaks.
    Nothing,
}

/// What is shared with the server's task.
struct Inner {
    wechat: String,
    ticket: String,
    answers: Mutex<Answers>,
    asked: Mutex<Vec<String>>,
}

/// A running site; ends with its value.
pub(crate) struct Pages {
    /// Where it is, without a slash at the end.
    pub(crate) base: String,
    inner: Arc<Inner>,
    _serving: JoinSet<()>,
}

impl Pages {
    /// Pages of the account wx1, signed with its ticket.
    pub(crate) async fn start(wechat: &Simulated) -> Self {
        let token = wechat.stable("wx1").await;
        let ticket = wechat.ticket(text(&token, "access_token"), "jsapi").await;
        assert_eq!(
            wechat.control.current("wx1", Kind::JsapiTicket).as_deref(),
            Some(text(&ticket, "ticket"))
        );
        let inner = Arc::new(Inner {
            wechat: wechat.base.clone(),
            ticket: text(&ticket, "ticket").to_owned(),
            answers: Mutex::new(Answers::Right),
            asked: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared = inner.clone();
        let router =
            Router::new().fallback(move |request: Request| std::future::ready(shared.answer(&request)));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, inner, _serving: serving }
    }

    /// Has it answer so from now on.
    pub(crate) fn answer(&self, how: Answers) {
        *self.inner.answers.lock().unwrap() = how;
    }

    /// The URLs for which configurations were asked, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.inner.asked.lock().unwrap().clone()
    }
}

impl Inner {
    fn answer(&self, request: &Request) -> Response {
        match request.uri().path() {
            SCRIPT => script::script("wx1", Form::of(request.uri().query()), request.headers()),
            CONFIG => self.config(request),
            _ => Html(self.page(request.uri().query().unwrap_or_default())).into_response(),
        }
    }

    /// A page whose query says what is odd about it.
    fn page(&self, query: &str) -> String {
        let given = |name: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        let sdk = |version: &str| format!("{}/open/js/jweixin-{version}.js", self.wechat);
        // The address changes before any script of ours or WeChat's is there.
        let early =
            given("early").map(|_| "<script>history.replaceState(null, '', '/early')</script>".to_owned());
        let own = given("sdk").map(|version| format!("<script src='{}'></script>", sdk(&version)));
        // From here on the browser says that it is another one.
        let mac = given("mac").map(|_| {
            "<script>Object.defineProperty(navigator, 'userAgent', { value: 'Macintosh MicroMessenger' })</script>"
                .to_owned()
        });
        let timeout = given("timeout").unwrap_or_default();
        let script = if given("module").is_some() {
            // As a bundle has it: no element, so no attributes either.
            format!("<script type=module>import '{SCRIPT}';</script>")
        } else {
            format!(
                "<script src='{SCRIPT}' data-jweixin='{}' data-timeout='{timeout}'></script>",
                sdk("1.6.0")
            )
        };
        let head: String = [early, own, mac, Some(script)].into_iter().flatten().collect();
        PAGE.replace("HEAD", &head)
    }

    fn config(&self, request: &Request) -> Response {
        let query = request.uri().query().unwrap_or_default();
        let (_, url) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "url").unwrap();
        self.asked.lock().unwrap().push(url.to_string());
        let mut answers = self.answers.lock().unwrap();
        let how = *answers;
        if how == Answers::OnceWithADeadTicket {
            *answers = Answers::Right;
        }
        let (ticket, signed) = match how {
            Answers::Right => (self.ticket.as_str(), url.to_string()),
            Answers::OnceWithADeadTicket => ("dead", url.to_string()),
            Answers::ForAnotherUrl => (self.ticket.as_str(), format!("{url}/")),
            Answers::Refusal => {
                let told = json!({ "error": "no ticket is held here", "reason": "no_ticket", "request": "00000000deadbeef" });
                return (StatusCode::SERVICE_UNAVAILABLE, told.to_string()).into_response();
            }
            Answers::Garbage => return (StatusCode::BAD_GATEWAY, "<html>nginx").into_response(),
            Answers::Nothing => {
                let broken =
                    futures_util::stream::once(async { Err::<&str, _>(std::io::Error::other("cut off")) });
                return ([(header::CONTENT_LENGTH, "9")], Body::from_stream(broken)).into_response();
            }
        };
        let signature = jsapi::sign(&Secret::from(ticket), "nonce", 1_414_587_457, &signed);
        let config = json!({
            "appId": "wx1", "timestamp": 1_414_587_457, "nonceStr": "nonce", "signature": signature,
            "jsApiList": ["updateAppMessageShareData", "updateTimelineShareData", "onMenuShareAppMessage", "onMenuShareTimeline", "scanQRCode"],
            "openTagList": [], "url": url,
        });
        config.to_string().into_response()
    }
}
