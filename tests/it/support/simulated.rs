//! A simulator on a real port, and the calls that tests make of it by hand.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::simulator::{Account, Accounts, Control, Settings, Simulator};

use super::record;

/// A running simulator; ends with its value.
pub(crate) struct Simulated {
    /// The hand inside.
    pub(crate) control: Control,
    /// The same WeChat, to be served again elsewhere.
    pub(crate) simulator: Simulator,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// `http://` and the address, without a slash at the end.
    pub(crate) base: String,
    stop: CancellationToken,
    tasks: JoinSet<std::io::Result<()>>,
    client: reqwest::Client,
}

impl Simulated {
    /// Serves on a free port of loopback.
    pub(crate) async fn start(settings: Settings) -> Self {
        Self::resume(Simulator::new(settings)).await
    }

    /// Serves a WeChat that may have served before.
    pub(crate) async fn resume(simulator: Simulator) -> Self {
        record::events();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(simulator.clone().serve(listener, stop.clone()));
        let client = client_builder().build().unwrap();
        Self {
            control: simulator.control(),
            simulator,
            addr,
            base: format!("http://{addr}"),
            stop,
            tasks,
            client,
        }
    }

    /// Stops serving and waits for the end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap().unwrap();
        }
    }

    /// `GET` of a path with its query; the answer as JSON.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(self.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        parse(&answer.text().await.unwrap())
    }

    /// `POST` of a JSON body; the answer as JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(self.url(path)).body(body.to_string());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        parse(&answer.text().await.unwrap())
    }

    /// The bare answer or error of a `GET`.
    pub(crate) async fn try_get(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(self.url(path)).send().await
    }

    /// The client of these calls.
    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A classic token call with the secret "s".
    pub(crate) async fn classic(&self, appid: &str) -> Value {
        self.get(&classic_path(appid)).await
    }

    /// A normal stable token call with the secret "s".
    pub(crate) async fn stable(&self, appid: &str) -> Value {
        self.post("/cgi-bin/stable_token", &stable_body(appid, false)).await
    }

    /// A forced stable token call with the secret "s".
    pub(crate) async fn forced(&self, appid: &str) -> Value {
        self.post("/cgi-bin/stable_token", &stable_body(appid, true)).await
    }

    /// A ticket call.
    pub(crate) async fn ticket(&self, token: &str, kind: &str) -> Value {
        self.get(&format!("/cgi-bin/ticket/getticket?access_token={token}&type={kind}")).await
    }

    /// The errcode that the probe API answers for a token, 0 when it is good.
    pub(crate) async fn probe(&self, token: &str) -> i64 {
        let path = format!("/cgi-bin/get_api_domain_ip?access_token={token}");
        errcode(&self.get(&path).await)
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        record::secrets(self.control.issued_values());
    }
}

/// WeChat's own numbers, and two accounts with the secret "s".
pub(crate) fn listed() -> Settings {
    Settings {
        accounts: Accounts::Listed(vec![Account::new("wx1", "s"), Account::new("wx2", "s")]),
        ..Settings::default()
    }
}

/// WeChat's own numbers, and these accounts with their secrets.
pub(crate) fn listed_with(accounts: &[(&str, &str)]) -> Settings {
    let accounts = accounts.iter().map(|(appid, secret)| Account::new(*appid, *secret)).collect();
    Settings { accounts: Accounts::Listed(accounts), ..Settings::default() }
}

/// A client that goes nowhere but where it is sent: no proxy, no redirects.
pub(crate) fn client_builder() -> reqwest::ClientBuilder {
    // reqwest builds its TLS even for plain HTTP; somebody may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none())
}

/// The path of a classic token call with the secret "s".
pub(crate) fn classic_path(appid: &str) -> String {
    format!("/cgi-bin/token?grant_type=client_credential&appid={appid}&secret=s")
}

fn stable_body(appid: &str, force: bool) -> Value {
    json!({
        "grant_type": "client_credential",
        "appid": appid,
        "secret": "s",
        "force_refresh": force,
    })
}

/// The errcode of an answer, 0 when it has none.
pub(crate) fn errcode(answer: &Value) -> i64 {
    answer.get("errcode").map_or(0, |code| code.as_i64().unwrap())
}

/// A field that must be text.
pub(crate) fn text<'a>(answer: &'a Value, field: &str) -> &'a str {
    answer.get(field).and_then(Value::as_str).unwrap_or_else(|| panic!("no {field} in {answer}"))
}

/// A field that must be a number.
pub(crate) fn number(answer: &Value, field: &str) -> i64 {
    answer.get(field).and_then(Value::as_i64).unwrap_or_else(|| panic!("no {field} in {answer}"))
}

fn parse(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}
