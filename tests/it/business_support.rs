//! What the tests of menus and codes over HTTP stand on: the service on a real socket, over a real
//! SQLite file, with a real daemon below it and the simulator as WeChat. The clock is frozen.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zhongkong::access::{Action, Client};
use zhongkong::client::{self, Credentials};
use zhongkong::http::{self, Limits};
use zhongkong::services::business_api::{Api, Live, Parts};
use zhongkong::services::database::{Database, Place};
use zhongkong::services::qrcode;
use zhongkong::services::wechat_api::{self, WechatApi};

use super::grpc_support::{World, client, client_of_wx1};
use super::support::simulated::client_builder;

/// The limits, where a test does not care.
pub(crate) const CODES: qrcode::Limits = qrcode::Limits { permanent: 100_000, reserve: 1_000 };

/// What events are signed with.
pub(crate) const EVENTS: &str = "an-events-secret-of-the-tests";

/// A menu of one button.
pub(crate) const MENU: &str = r#"{"button":[{"type":"click","name":"今日歌曲","key":"V1"}]}"#;

/// A running service with its daemon.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) api: Api,
    pub(crate) http: SocketAddr,
    pub(crate) dir: TempDir,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Its document, if it has this status.
    pub(crate) fn of(&self, status: u16) -> Value {
        let document = self.json();
        assert_eq!(self.status, status, "{document:#}");
        document
    }

    /// Asserts a refusal.
    pub(crate) fn refused(&self, status: u16, reason: &str) -> Value {
        let document = self.of(status);
        assert_eq!(document["reason"], reason, "{document:#}");
        assert!(document["request"].as_str().is_some_and(|id| Some(id) == self.header("x-request-id")));
        document
    }
}

/// Who may what at the daemon; each one's token is its name.
pub(crate) fn clients() -> Vec<Client> {
    vec![
        client("web", &[Action::Read, Action::Complain]),
        client_of_wx1("shop", &[Action::Read, Action::Complain]),
        client("mute", &[Action::Read]),
        client("signer", &[Action::Sign, Action::Status]),
    ]
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::with(CODES).await
    }

    pub(crate) async fn with(codes: qrcode::Limits) -> Self {
        let world = World::start(clients()).await;
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Sqlite(dir.path().join("business.db"));
        Self::over(world, dir, place, codes).await
    }

    /// Over this database.
    pub(crate) async fn over(world: World, dir: TempDir, place: Place, codes: qrcode::Limits) -> Self {
        let addr = format!("http://{}", world.addr);
        let daemon = client::Client::lazy(&addr, Credentials::default()).unwrap();
        let base: url::Url = world.sim.base.parse().unwrap();
        let api = WechatApi::new(
            daemon.clone(),
            wechat_api::Settings {
                api_base: base.clone(),
                connect_timeout: Duration::from_secs(3),
                timeout: Duration::from_secs(10),
                proxy: None,
                daemon: addr,
            },
        );
        let database = Database::new(&place, Api::schema()).unwrap();
        let clock = world.clock.clone();
        let parts = Parts { daemon, api: api.unwrap(), pictures: base, database, clock };
        let api = Api::new(Live { codes, events: Some(EVENTS.into()) }, parts);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let proxies = std::iter::once("127.0.0.1/32".parse().unwrap()).collect();
        tasks.spawn(http::serve_behind(proxies, listener, api.router(), limits(), stop.clone()));
        Self { world, api, http, dir, stop, tasks }
    }

    /// A request with this token, about `/business/v1/wx1`.
    pub(crate) async fn ask(&self, token: &str, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Got {
        let bearer = format!("Bearer {token}");
        self.send(method, &format!("/business/v1/wx1{path}"), &[("authorization", &bearer)], body).await
    }

    /// The same of the client that may all, without a body.
    pub(crate) async fn get(&self, path: &str) -> Got {
        self.ask("web", Method::GET, path, "").await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<Vec<u8>>) -> Got {
        self.ask("web", Method::PUT, path, body).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Got {
        self.ask("web", Method::POST, path, body).await
    }

    /// A request as it is.
    pub(crate) async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Got {
        let client = client_builder().build().unwrap();
        let mut request = client.request(method, format!("http://{}{target}", self.http)).body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Got { status, headers, bytes: answer.bytes().await.unwrap().to_vec() }
    }

    /// From another machine, as the proxy of the tests says.
    pub(crate) async fn from(&self, address: Ipv4Addr, token: &str, path: &str) -> Got {
        let (bearer, address) = (format!("Bearer {token}"), address.to_string());
        let headers = [("authorization", bearer.as_str()), ("x-forwarded-for", address.as_str())];
        self.send(Method::GET, &format!("/business/v1/wx1{path}"), &headers, "").await
    }

    /// Ends it as a stop does: nothing is left to do.
    pub(crate) async fn end(mut self) {
        assert_eq!(self.api.close(Instant::now() + Duration::from_secs(60)).await, 0);
        self.stop.cancel();
        self.tasks.shutdown().await;
    }
}

fn limits() -> Limits {
    let long = Duration::from_secs(3_600);
    Limits {
        listener: "test",
        connections: 200,
        head: long,
        body: long,
        buffer: 16 * 1_024,
        taking: long,
        drain: Duration::from_secs(1),
    }
}
