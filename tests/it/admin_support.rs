//! What the tests of the status page stand on: the admin listener over a real engine under a
//! frozen clock, a browser's requests, and a reader of its live stream.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use reqwest::header::{HOST, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client as Http, RequestBuilder, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::access::{Client, Gate, Table};
use zhongkong::admin::exposition::{self, Exposition};
use zhongkong::admin::{Admin, Audience, Readiness, Recent, Server, Settings, Sources};
use zhongkong::audit::Recorder;
use zhongkong::clock::Clock;
use zhongkong::hub::{AccountSettings, Hub};
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::refresh::{self, task::Surroundings};
use zhongkong::wechat::{self, WeChat};

use crate::support::engine::Engine;
use crate::support::record;
use crate::support::simulated::client_builder;

/// The page as everybody on the machine sees it.
pub(crate) fn open_to_all() -> Settings {
    Settings { view: Audience::Anyone, hosts: Vec::new() }
}

/// The page for clients that sign in.
pub(crate) fn for_clients() -> Settings {
    Settings { view: Audience::Clients, hosts: Vec::new() }
}

/// A page without a single account.
pub(crate) async fn empty() -> Sources {
    let hub = asleep(Vec::new()).await;
    let clock = hub.clock().clone();
    Sources {
        gate: Gate::new(Table::default(), clock.clone()),
        audit: Recorder::off(),
        recent: Recent::new(clock.wall()),
        servers: Arc::new(Vec::new),
        hub,
    }
}

/// A hub whose refreshers do not run: keys that nobody has fetched yet.
pub(crate) async fn asleep(accounts: Vec<AccountSettings>) -> Arc<Hub> {
    let clock = Clock::system();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wechat = WeChat::new(&wechat::Settings {
        api_base: "http://127.0.0.1:1".parse().unwrap(),
        connect_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        proxy: None,
    });
    let around = Surroundings {
        clock: clock.clone(),
        wechat: wechat.unwrap(),
        ledger: Arc::new(MemoryLedger::new(clock.clone())),
        gate: refresh::gate::Gate::new(1),
    };
    Hub::build(Arc::new(around), accounts).await.unwrap().0
}

/// What /metrics is made from, without a mirror and a ledger.
pub(crate) fn exposition(
    recorded: PrometheusHandle,
    readiness: watch::Receiver<Readiness>,
    hub: Arc<Hub>,
) -> Exposition {
    let servers = Arc::new(Vec::new);
    Exposition::new(exposition::Sources { recorded, hub, readiness, servers, ledger: None, per_key: 0 })
}

/// An admin listener; ends with its value.
pub(crate) struct Desk {
    /// `http://` and the address, without a slash at the end.
    pub(crate) base: String,
    pub(crate) gate: Gate,
    pub(crate) recent: Recent,
    pub(crate) servers: watch::Sender<Vec<Server>>,
    pub(crate) readiness: watch::Sender<Readiness>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: JoinSet<()>,
}

impl Desk {
    /// Serves this hub's page.
    pub(crate) async fn start(hub: &Arc<Hub>, settings: Settings, clients: &[Client]) -> Self {
        Self::noting(hub, settings, clients, Recorder::off()).await
    }

    /// The same, with an audit.
    pub(crate) async fn noting(
        hub: &Arc<Hub>,
        settings: Settings,
        clients: &[Client],
        audit: Recorder,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let gate = Gate::new(Table::new(clients).unwrap(), hub.clock().clone());
        let recent = Recent::new(hub.clock().wall());
        let servers = watch::Sender::new(Vec::new());
        let (readiness, seen) = watch::channel(Readiness::Ready);
        let shown = servers.clone();
        let sources = Sources {
            hub: hub.clone(),
            gate: gate.clone(),
            audit,
            recent: recent.clone(),
            servers: Arc::new(move || shown.borrow().clone()),
        };
        let counted = PrometheusBuilder::new().build_recorder().handle();
        let metrics = exposition(counted, seen.clone(), hub.clone());
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(Admin::new(listener, seen, metrics, settings, sources).run(stop.clone()));
        Self { base, gate, recent, servers, readiness, stop, tasks }
    }

    /// Takes other clients over, as a reload does.
    pub(crate) fn reload(&self, clients: &[Client]) {
        self.gate.replace(Table::new(clients).unwrap());
    }

    /// A browser that has not signed in.
    pub(crate) fn browser(&self) -> Browser {
        Browser { base: self.base.clone(), http: client_builder().build().unwrap(), cookies: Vec::new() }
    }

    /// A browser signed in with this token.
    pub(crate) async fn signed_in(&self, token: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.sign_in(token).await;
        assert_eq!(
            (answer.status, answer.location.as_deref()),
            (StatusCode::SEE_OTHER, Some("/")),
            "{answer:?}"
        );
        browser
    }
}

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let location = headers.get(LOCATION).map(|value| value.to_str().unwrap().to_owned());
        let name = format!("page {}", response.url().path());
        let body = response.text().await.unwrap();
        record::output(&name, format!("{}\n{body}", location.as_deref().unwrap_or_default()).as_bytes());
        Self { status, headers, location, body }
    }

    /// A header, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The ids of the keys in their order.
    pub(crate) fn keys(&self) -> Vec<String> {
        keys(&self.body)
    }

    /// The form token of the page.
    pub(crate) fn form_token(&self) -> String {
        let (_, rest) = self.body.split_once("name=\"csrf\" value=\"").expect("the page has a form");
        rest.split('"').next().unwrap().to_owned()
    }

    /// The text of one key's entry.
    pub(crate) fn key(&self, id: &str) -> &str {
        let (_, rest) =
            self.body.split_once(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}: {}", self.body));
        rest.split("</li>").next().unwrap()
    }
}

/// The ids of the keys in some HTML.
pub(crate) fn keys(html: &str) -> Vec<String> {
    let rows = html.split("<li class=\"key ").skip(1);
    rows.map(|row| row.split("id=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()).collect()
}

/// A browser, as far as cookies go.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) base: String,
    pub(crate) http: Http,
    pub(crate) cookies: Vec<String>,
}

impl Browser {
    /// A request with the browser's cookies, to be completed.
    pub(crate) fn ask(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("cookie", self.cookies.join("; "))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.base));
        Answer::of(self.ask(request).send().await.unwrap()).await
    }

    /// The same with one more header.
    pub(crate) async fn get_with(&self, path: &str, name: &str, value: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.base)).header(name, value);
        Answer::of(self.ask(request).send().await.unwrap()).await
    }

    /// A form sent from a page of ours.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.post_from(&self.base, path, form).await
    }

    /// A form sent from this origin.
    pub(crate) async fn post_from(&self, origin: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}{path}", self.base)).header(ORIGIN, origin);
        self.submit(request, form).await
    }

    /// A form sent to another host name.
    pub(crate) async fn post_to_host(&self, host: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}{path}", self.base)).header(HOST, host);
        self.submit(request, form).await
    }

    async fn submit(&self, request: RequestBuilder, form: &[(&str, &str)]) -> Answer {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.finish());
        Answer::of(self.ask(request).send().await.unwrap()).await
    }

    /// Signs in, and keeps the cookie.
    pub(crate) async fn sign_in(&mut self, token: &str) -> Answer {
        let answer = self.post("/signin", &[("token", token)]).await;
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            // Whoever reads a session's id in a log has the session.
            record::secrets(cookie.split(';').next().and_then(|pair| pair.strip_prefix("zk_session=")));
            self.cookies.push(cookie.split(';').next().unwrap().to_owned());
        }
        answer
    }

    /// Confirms an action as the form does.
    pub(crate) async fn act(&self, what: &str, appid: &str, kind: &str) -> Answer {
        let page = self.get(&format!("/act?do={what}&appid={appid}&kind={kind}")).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        let token = page.form_token();
        self.post("/act", &[("csrf", &token), ("do", what), ("appid", appid), ("kind", kind)]).await
    }

    /// Opens the page's live stream.
    pub(crate) async fn live(&self, path: &str) -> Live {
        let request = self.http.get(format!("{}{path}", self.base));
        let response = self.ask(request).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Live { response, bytes: Vec::new(), said: String::new() }
    }
}

/// An open live stream.
pub(crate) struct Live {
    response: Response,
    bytes: Vec<u8>,
    /// The messages that showed something.
    said: String,
}

impl Drop for Live {
    fn drop(&mut self) {
        record::output("live page", self.said.as_bytes());
    }
}

/// One message of a live stream.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) event: String,
    pub(crate) data: serde_json::Value,
}

impl Message {
    /// A part's HTML, empty if it did not change.
    pub(crate) fn part(&self, name: &str) -> &str {
        self.data["parts"][name].as_str().unwrap_or_default()
    }

    /// A key's HTML, empty if it did not change.
    pub(crate) fn row(&self, id: &str) -> &str {
        self.data["rows"][id].as_str().unwrap_or_default()
    }
}

impl Live {
    /// The next message; `None` when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(end) = self.bytes.windows(2).position(|pair| pair == b"\n\n") {
                let message: Vec<u8> = self.bytes.drain(..end + 2).collect();
                let message = String::from_utf8(message).unwrap();
                let field = |name: &str| {
                    message
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .unwrap_or_default()
                        .trim()
                        .to_owned()
                };
                let (event, data) = (field("event:"), field("data:"));
                if data.contains("\"parts\"") || data.contains("\"rows\"") {
                    self.said.push_str(&message);
                }
                return Some(Message { event, data: serde_json::from_str(&data).unwrap_or(data.into()) });
            }
            let chunk = self.response.chunk().await.ok()??;
            self.bytes.extend_from_slice(&chunk);
        }
    }

    /// Moves the clock until a message is as wanted; panics if the stream ends first.
    pub(crate) async fn until(&mut self, engine: &Engine, wanted: impl Fn(&Message) -> bool) -> Message {
        loop {
            // Then a heartbeat comes at the latest.
            engine.advance(HEARTBEAT).await;
            let message = self.next().await.expect("the stream goes on");
            if wanted(&message) {
                return message;
            }
        }
    }
}

/// So often a live stream says something.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(10);
