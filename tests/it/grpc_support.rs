//! What the tests of the gRPC face stand on: simulator, hub and server on real sockets,
//! under a frozen clock, with a few clients that differ in their grants.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::access::{Action, Client, Grants, Identity, Scope};
use zhongkong::audit;
use zhongkong::client::{self, Credentials};
use zhongkong::clock::{BootTime, Clock, WallTime};
use zhongkong::grpc::settings::{Listen, Settings, Tls};
use zhongkong::grpc::{Control, Listener, Readiness, ServeError, Server};
use zhongkong::hub::{AccountSettings, Hub};
use zhongkong::model::{Key, Kind, TokenMode};
use zhongkong::refresh::gate::Gate;
use zhongkong::refresh::task::Surroundings;
use zhongkong::simulator;
use zhongkong::wechat::{self, WeChat};

use crate::support::ailing::AilingLedger;
use crate::support::frozen::Frozen;
use crate::support::simulated::{Simulated, listed};

/// Longer than any test waits; a frozen clock never gets there.
pub(crate) const EVER: Duration = Duration::from_hours(1);

pub(crate) const ALL: [Action; 7] = [
    Action::Read,
    Action::Complain,
    Action::Force,
    Action::Sign,
    Action::Exchange,
    Action::Status,
    Action::Admin,
];

/// A daemon without its rim: WeChat's stand-in, the hub, the gRPC server.
pub(crate) struct World {
    pub(crate) frozen: Frozen,
    pub(crate) sim: Simulated,
    pub(crate) clock: Clock,
    pub(crate) hub: Arc<Hub>,
    pub(crate) ledger: AilingLedger,
    pub(crate) control: Control,
    pub(crate) ready: watch::Sender<Readiness>,
    /// Of the first TCP listener.
    pub(crate) addr: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinSet<Result<(), ServeError>>,
    _refreshers: JoinSet<()>,
}

impl World {
    /// Serves these clients on a free TCP port, when every key has its value.
    pub(crate) async fn start(clients: Vec<Client>) -> Self {
        let world = Self::with(settings(clients), &[]).await;
        world.warm().await;
        world
    }

    /// Serves on a free TCP port and on these Unix sockets, without waiting for values.
    pub(crate) async fn with(settings: Settings, sockets: &[&Path]) -> Self {
        Self::after(|_| {}, settings, sockets).await
    }

    /// The same, with something done to WeChat before the daemon's first call.
    pub(crate) async fn after(
        prepare: impl FnOnce(&simulator::Control),
        settings: Settings,
        sockets: &[&Path],
    ) -> Self {
        Self::of(prepare, listed(), vec![account("wx1"), account("wx2")], settings, sockets).await
    }

    /// The same with these accounts at this WeChat.
    pub(crate) async fn of(
        prepare: impl FnOnce(&simulator::Control),
        simulated: simulator::Settings,
        accounts: Vec<AccountSettings>,
        settings: Settings,
        sockets: &[&Path],
    ) -> Self {
        let frozen = Frozen::start();
        let sim = Simulated::start(simulated).await;
        prepare(&sim.control);
        let clock = Clock::manual(WallTime(1_700_000_000_000), BootTime(1_000_000), "boot");
        let wechat = WeChat::new(&wechat::Settings {
            api_base: sim.base.parse().unwrap(),
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            proxy: None,
        });
        let ledger = AilingLedger::new(clock.clone());
        let (recorder, audit) =
            audit::new(&audit::Settings::default(), Arc::new(ledger.clone()), clock.clone());
        let around = Surroundings {
            clock: clock.clone(),
            wechat: wechat.unwrap(),
            ledger: Arc::new(ledger.clone()),
            gate: Gate::new(64),
        };
        let (hub, tasks) = Hub::build(Arc::new(around), accounts).await.unwrap();
        let stop = CancellationToken::new();
        let mut refreshers = JoinSet::new();
        refreshers.spawn(tasks.run(stop.clone()));
        refreshers.spawn(audit.run(stop.clone()));

        let (ready, readiness) = watch::channel(Readiness::NotReady);
        let server = Server::new(&settings, hub.clone(), readiness).unwrap().with_audit(recorder);
        let control = server.control();
        let mut listeners = vec![Listener::bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap())).await.unwrap()];
        let addr = listeners[0].tcp_addr().unwrap();
        for path in sockets {
            listeners.push(Listener::bind(&Listen::Unix(path.into())).await.unwrap());
        }
        let mut serving = JoinSet::new();
        serving.spawn(server.run(listeners, stop.clone()));
        Self {
            frozen,
            sim,
            clock,
            hub,
            ledger,
            control,
            ready,
            addr,
            stop,
            served: serving,
            _refreshers: refreshers,
        }
    }

    /// Stops the server, if nobody has, and waits for its end.
    pub(crate) async fn ended(&mut self) {
        self.stop.cancel();
        // Connections have a moment after the stop, on the frozen clock: it is counted from when
        // the server's tasks have seen the stop.
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        self.frozen.advance_secs(1).await;
        self.served.join_next().await.unwrap().unwrap().unwrap();
    }

    /// Waits until every key has its value.
    pub(crate) async fn warm(&self) {
        for handle in self.hub.keys() {
            handle.wait(EVER).await.unwrap();
        }
    }

    /// A connection with this bearer token.
    pub(crate) fn client(&self, token: &str) -> client::Client {
        let credentials = Credentials { token: Some(token.into()), ..Credentials::default() };
        client::Client::lazy(&format!("http://{}", self.addr), credentials).unwrap()
    }

    /// Takes these clients over, as a reload does.
    pub(crate) fn reload(&self, clients: Vec<Client>) {
        self.control.reload(&settings(clients)).unwrap();
    }

    /// A bare channel, for what the client library does not do.
    pub(crate) fn channel(&self) -> tonic::transport::Channel {
        tonic::transport::Endpoint::from_shared(format!("http://{}", self.addr)).unwrap().connect_lazy()
    }
}

/// A client with these actions on every account and kind; its token is its name.
pub(crate) fn client(name: &str, actions: &[Action]) -> Client {
    Client {
        name: name.into(),
        identities: vec![token(name)],
        grants: Grants {
            accounts: Scope::All,
            kinds: Scope::All,
            actions: actions.iter().copied().collect::<BTreeSet<_>>(),
        },
        not_after: None,
    }
}

/// The same on `wx1` only.
pub(crate) fn client_of_wx1(name: &str, actions: &[Action]) -> Client {
    let mut client = client(name, actions);
    client.grants.accounts = Scope::Only(["wx1".parse().unwrap()].into());
    client
}

pub(crate) fn token(text: &str) -> Identity {
    Identity::TokenSha256(Sha256::digest(text).into())
}

pub(crate) fn settings(clients: Vec<Client>) -> Settings {
    Settings { listen: vec![], tls: None, clients }
}

pub(crate) fn with_tls(tls: Tls, clients: Vec<Client>) -> Settings {
    Settings { listen: vec![], tls: Some(tls), clients }
}

pub(crate) fn account(appid: &str) -> AccountSettings {
    AccountSettings {
        appid: appid.parse().unwrap(),
        name: Some(format!("name of {appid}")),
        secret: "s".into(),
        token_mode: TokenMode::Stable,
        tickets: vec![Kind::JsapiTicket],
        daily_calls: 2_000,
    }
}

pub(crate) fn key(appid: &str, kind: Kind) -> Key {
    Key::new(appid.parse().unwrap(), kind)
}

/// The access token's key.
pub(crate) fn access(appid: &str) -> Key {
    key(appid, Kind::AccessToken)
}
