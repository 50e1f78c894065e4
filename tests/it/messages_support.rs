//! Stands in for WeChat's business endpoints where a test wants the bytes of each request: one
//! answer for each call, from a list, and every request kept as it came.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use zhongkong::client::Client;
use zhongkong::services::wechat_api::{Settings, WechatApi};

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    /// `POST /cgi-bin/…?access_token=…`
    pub(crate) line: String,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// This text with status 200.
    Text(String),
    /// This status, with a `location` that leads back to it.
    Status(u16),
    /// So many bytes of a JSON text.
    Long(usize),
    /// Nothing, ever.
    Nothing,
}

#[derive(Default)]
struct Shared {
    came: Mutex<Vec<Came>>,
    says: Mutex<VecDeque<Says>>,
}

/// The stand-in; ends with its value.
pub(crate) struct Standin {
    shared: Arc<Shared>,
    pub(crate) base: String,
    _served: JoinSet<()>,
}

impl Standin {
    /// Answers in this order on a free port, and `ok` afterwards.
    pub(crate) async fn start(says: impl IntoIterator<Item = Says>) -> Self {
        let shared = Arc::new(Shared { says: Mutex::new(says.into_iter().collect()), ..Shared::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let mut served = JoinSet::new();
        served.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, base, _served: served }
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.shared.came.lock().unwrap().clone()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    let content_type = request.headers().get("content-type");
    let content_type = content_type.map_or("", |value| value.to_str().unwrap()).to_owned();
    let body: Bytes = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    shared.came.lock().unwrap().push(Came { line, content_type, body: body.to_vec() });
    let says = shared.says.lock().unwrap().pop_front();
    match says.unwrap_or_else(|| Says::Text(r#"{"errcode":0,"errmsg":"ok"}"#.to_owned())) {
        Says::Text(text) => text.into_response(),
        Says::Status(status) => {
            (StatusCode::from_u16(status).unwrap(), [("location", "/elsewhere")], "<html>").into_response()
        }
        Says::Long(bytes) => format!("{{\"x\":\"{}\"}}", "x".repeat(bytes)).into_response(),
        Says::Nothing => std::future::pending().await,
    }
}

/// Calls of this WeChat with tokens of this client's daemon.
pub(crate) fn api(client: Client, base: &str) -> WechatApi {
    api_within(client, base, Duration::from_secs(20))
}

/// The same with a limit for each call.
pub(crate) fn api_within(client: Client, base: &str, timeout: Duration) -> WechatApi {
    let settings = Settings {
        api_base: base.parse().unwrap(),
        connect_timeout: timeout,
        timeout,
        proxy: None,
        daemon: "unix:/run/zhongkong/grpc.sock".to_owned(),
    };
    WechatApi::new(client, settings).unwrap()
}
