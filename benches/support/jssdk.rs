//! What the JS-SDK service's benches stand on: a daemon with one account's ticket, a copy that a
//! watch keeps, and the door before it.

#![allow(dead_code, reason = "each bench uses its part")]

use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::access::{Action, Client as Caller, Grants, Identity, Scope};
use zhongkong::client::cache::Cache;
use zhongkong::client::{Client, Credentials};
use zhongkong::clock::Clock;
use zhongkong::grpc::settings::{Listen, Settings};
use zhongkong::grpc::{Listener, Readiness, Server};
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::model::{Key, Kind, TokenMode};
use zhongkong::services::jssdk::account::{Account, DEFAULT_APIS};
use zhongkong::services::jssdk::door::{Door, Preview, Table};
use zhongkong::services::jssdk::sign::Signer;

use super::{Engine, Upstream, accounts, appid};

pub(crate) const TOKEN: &str = "a-bearer-token-of-forty-three-characters-00";
/// A page as it is opened from a chat.
pub(crate) const PAGE: &str = "https://h5.example.com/activity/2026/spring/index.html?id=20260301&from=singlemessage&isappinstalled=0&scene=1&clicktime=1740787200";

/// The service's parts; its daemon and its watch run as long as it is there.
pub(crate) struct Service {
    pub(crate) signer: Signer,
    pub(crate) account: Account,
    pub(crate) copy: Cache,
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    _upstream: Upstream,
    _running: JoinSet<()>,
}

impl Service {
    /// When the copy has the ticket.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let upstream = Upstream::start().await?;
        let clock = Clock::system();
        let ledger = Arc::new(MemoryLedger::new(clock.clone()));
        let kept = accounts(1, TokenMode::Stable, &[Kind::JsapiTicket]);
        let engine = Engine::start(&upstream.base, &clock, ledger, kept).await?;
        engine.warm().await?;
        let (ready, readiness) = watch::channel(Readiness::Ready);
        let server = Server::new(&one_reader(), engine.hub.clone(), readiness)?;
        let listener = Listener::bind(&Listen::Tcp(([127, 0, 0, 1], 0).into())).await?;
        let addr = format!("http://{}", listener.tcp_addr().context("a TCP listener")?);
        let mut running = JoinSet::new();
        running.spawn(async move {
            let _ready = ready;
            // It ends with the process.
            let _ = server.run(vec![listener], CancellationToken::new()).await;
        });
        let credentials = Credentials { token: Some(TOKEN.into()), ..Credentials::default() };
        let client = Client::lazy(&addr, credentials)?;
        let key = Key::new(appid(0), Kind::JsapiTicket);
        let (copy, mut feeder) = Cache::new(client.clone(), clock.clone(), vec![key.clone()]);
        let mut changes = copy.changes();
        running.spawn(async move { drop(feeder.run(CancellationToken::new()).await) });
        while copy.get(&key).is_none() {
            changes.changed().await?;
        }
        let account = Account {
            appid: appid(0),
            path: "shop".to_owned(),
            hosts: vec!["www.example.com".parse()?, "*.example.net".parse()?, "h5.example.com".parse()?],
            origins: vec!["https://h5.example.com".parse()?],
            apis: DEFAULT_APIS.map(str::to_owned).to_vec(),
            open_tags: Vec::new(),
            cards: Vec::new(),
        };
        let signer = Signer::new(copy.clone(), client, clock.clone());
        Ok(Self { signer, account, copy, engine, clock, _upstream: upstream, _running: running })
    }

    /// Its door, with the limit as far away as it goes.
    pub(crate) fn door(&self) -> anyhow::Result<Arc<Door>> {
        let table = Table::new([self.account.clone()], None, Preview::OnRequest)?;
        Ok(Arc::new(Door::new(table, NonZeroU32::MAX, self.signer.clone(), self.clock.clone())))
    }
}

/// One client of the daemon, which may read everything.
pub(crate) fn one_reader() -> Settings {
    let caller = Caller {
        name: "jssdk".into(),
        identities: vec![Identity::TokenSha256(Sha256::digest(TOKEN).into())],
        grants: Grants { accounts: Scope::All, kinds: Scope::All, actions: [Action::Read].into() },
        not_after: None,
    };
    Settings { listen: Vec::new(), tls: None, clients: vec![caller] }
}
