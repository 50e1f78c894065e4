//! The JS-SDK service over real sockets: simulator, hub and gRPC server below it, its copy fed by
//! a real watch, its door on a port; all under a clock that only the test moves.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value as Json;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::access::Action;
use zhongkong::client::cache::Cache;
use zhongkong::http::{self, Limits};
use zhongkong::model::{Key, Kind};
use zhongkong::services::jssdk::account::Account;
use zhongkong::services::jssdk::door::{Door, Preview, Table};
use zhongkong::services::jssdk::pages::Pages;
use zhongkong::services::jssdk::sign::Signer;
use zhongkong::simulator::{self, TicketRule};

use super::grpc_support::{World, account as kept, client, settings};
use super::support::simulated::listed;

/// The limit, where a test does not care.
pub(crate) const PLENTY: NonZeroU32 = NonZeroU32::new(100_000).unwrap();

/// A running service with its daemon.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) copy: Cache,
    pub(crate) door: Arc<Door>,
    pub(crate) http: SocketAddr,
    /// Everything that was answered.
    said: Mutex<Vec<String>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// How a service is started.
pub(crate) struct Setup {
    pub(crate) accounts: Vec<Account>,
    pub(crate) pages: Option<Pages>,
    pub(crate) preview: Preview,
    pub(crate) a_minute: NonZeroU32,
    /// What the daemon grants.
    pub(crate) actions: Vec<Action>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            accounts: vec![account()],
            pages: None,
            preview: Preview::OnRequest,
            a_minute: PLENTY,
            actions: vec![Action::Read],
        }
    }
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let find = |line: &&str| line.split(':').next().is_some_and(|known| known.eq_ignore_ascii_case(name));
        self.head
            .lines()
            .skip(1)
            .find(find)
            .and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim())
    }
}

/// `shop`, wx1, with pages at h5.example.com and on the sub-domains of shop.example.
pub(crate) fn account() -> Account {
    Account {
        appid: "wx1".parse().unwrap(),
        path: "shop".to_owned(),
        hosts: ["h5.example.com", "*.shop.example", "example.com/wx"]
            .map(|host| host.parse().unwrap())
            .to_vec(),
        origins: vec!["https://h5.example.com".parse().unwrap()],
        apis: ["updateAppMessageShareData", "updateTimelineShareData"].map(str::to_owned).to_vec(),
        open_tags: vec!["wx-open-launch-weapp".to_owned()],
        cards: vec!["pCard1".to_owned()],
    }
}

impl Bench {
    /// The account of [`account`], whose tickets are in the copy.
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let Setup { accounts, pages, preview, a_minute, actions } = setup;
        // A ticket that is asked for again is another, so that a test can have it replaced.
        let simulated = simulator::Settings { ticket_rule: TicketRule::NewEachCall, ..listed() };
        let mut shop = kept("wx1");
        shop.tickets = vec![Kind::JsapiTicket, Kind::WxCardTicket];
        let clients = vec![client("jssdk", &actions), client("operator", &super::grpc_support::ALL)];
        let world = World::of(|_| {}, simulated, vec![shop], settings(clients), &[]).await;
        world.warm().await;
        let keys: Vec<Key> = accounts.iter().flat_map(Account::keys).collect();
        let client = world.client("jssdk");
        let (copy, mut feeder) = Cache::new(client.clone(), world.clock.clone(), keys.clone());
        let mut changes = copy.changes();
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let stopped = stop.clone();
        tasks.spawn(async move { drop(feeder.run(stopped).await) });
        if actions.contains(&Action::Read) {
            while keys.iter().any(|key| copy.get(key).is_none()) {
                changes.changed().await.unwrap();
            }
        }
        let table = Table::new(accounts, pages, preview).unwrap();
        let signer = Signer::new(copy.clone(), client, world.clock.clone());
        let door = Arc::new(Door::new(table, a_minute, signer, world.clock.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        // The proxy of the tests.
        let proxies = std::iter::once("127.0.0.9/32".parse().unwrap()).collect();
        tasks.spawn(http::serve_behind(proxies, listener, door.clone().router(), limits(), stop.clone()));
        Self { world, copy, door, http, said: Mutex::default(), stop, tasks }
    }

    /// Other accounts from now on.
    pub(crate) fn change(&self, accounts: Vec<Account>) {
        self.door.change(Table::new(accounts, None, Preview::OnRequest).unwrap(), PLENTY);
    }

    /// The ticket that signs pages now.
    pub(crate) fn ticket(&self, kind: Kind) -> String {
        let held = self.copy.to_its_end(&Key::new("wx1".parse().unwrap(), kind));
        held.expect("the copy has the ticket").value.expose().to_owned()
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: &str) -> Answer {
        self.send_from(Ipv4Addr::LOCALHOST, request).await
    }

    /// The same from another address of loopback.
    pub(crate) async fn send_from(&self, from: Ipv4Addr, request: &str) -> Answer {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        let mut stream = socket.connect(self.http).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {}
        let text = String::from_utf8(bytes).unwrap();
        self.said.lock().unwrap().push(text.clone());
        let status =
            text.split(' ').nth(1).unwrap_or_else(|| panic!("no answer to {request}")).parse().unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// `GET`, with further header lines.
    pub(crate) async fn get(&self, target: &str, headers: &str) -> Answer {
        self.send(&format!(
            "GET {target} HTTP/1.1\r\nhost: wx.example.com\r\nconnection: close\r\n{headers}\r\n"
        ))
        .await
    }

    /// The configuration for a URL, which is encoded as encodeURIComponent does.
    pub(crate) async fn config(&self, url: &str) -> Answer {
        self.get(&format!("/jssdk/shop/config?url={}", encoded(url)), "").await
    }

    pub(crate) async fn post(&self, target: &str, kind: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(&format!(
            "POST {target} HTTP/1.1\r\nhost: wx.example.com\r\nconnection: close\r\ncontent-type: {kind}\r\n\
             content-length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    /// Asserts that a configuration is what WeChat computes too for this URL.
    pub(crate) fn is_signed(&self, answer: &Answer, url: &str) {
        assert_eq!(answer.status, 200, "{answer:?}");
        let config = answer.json();
        let text =
            |name: &str| config[name].as_str().unwrap_or_else(|| panic!("{name}: {config}")).to_owned();
        let string = format!(
            "jsapi_ticket={}&noncestr={}&timestamp={}&url={url}",
            self.ticket(Kind::JsapiTicket),
            text("nonceStr"),
            config["timestamp"].as_i64().expect("whole seconds"),
        );
        assert_eq!(text("signature"), hex::encode(Sha1::digest(string)), "{url}");
        assert_eq!((text("appId").as_str(), text("url").as_str()), ("wx1", url));
    }

    /// The daemon ends in good order, and what it said last has been taken in: the clock may move.
    pub(crate) async fn daemon_ends(&mut self) {
        self.world.ended().await;
        for _ in 0..3 {
            self.get("/jssdk/shop/zhongkong.js", "").await;
        }
    }

    /// Ends it. Nothing that was answered has a ticket, a token or a secret in it.
    pub(crate) async fn end(mut self) {
        let said = self.said.into_inner().unwrap();
        assert!(!said.is_empty());
        let mut checked = 0;
        for value in self.world.sim.control.issued_values().iter().filter(|value| value.len() > 8) {
            checked += 1;
            for answer in &said {
                assert!(!answer.contains(value.as_str()), "an answer has a value of WeChat's: {answer}");
            }
        }
        assert!(checked >= 2, "only {checked} values were looked for");
        self.stop.cancel();
        self.tasks.shutdown().await;
    }
}

/// As encodeURIComponent does.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn limits() -> Limits {
    let long = Duration::from_secs(3_600);
    Limits {
        listener: "test",
        connections: 100,
        head: long,
        body: long,
        buffer: 16 * 1_024,
        taking: long,
        drain: Duration::from_secs(1),
    }
}
