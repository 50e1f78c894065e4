//! `zhongkong demo`: a simulated WeChat, a daemon and the business services in one process, to be
//! tried at once.
//!
//! Everything is on loopback, and in memory or in a temporary directory that goes with it, so the
//! end leaves nothing behind. Lives are short, so that rotation is seen; what is printed can be
//! pasted into another terminal. Daemon and services are the real ones, with real credentials, over
//! real sockets.

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::access::{Action, Client, Grants, Identity, Scope};
use crate::admin::{self, Audience};
use crate::clock::Clock;
use crate::config::{
    AdminSettings, Config, ConfigError, DaemonSettings, Environment, ServeConfig, new_client,
};
use crate::grpc::settings::Listen;
use crate::hub::{AccountSettings, Change, Hub};
use crate::launch::services::ServicesError;
use crate::model::{AppId, Kind, TokenMode};
use crate::process::notify::Notifier;
use crate::process::service_sockets::ServiceSocketError;
use crate::process::signals::Intent;
use crate::process::sockets::{Inherited, SocketError, Sockets};
use crate::refresh::view::View;
use crate::secret::Secret;
use crate::simulator::{self, Account, Accounts, Limits, Simulator};
use crate::telemetry::LogSettings;
use crate::{grpc, mirror, wechat};

use super::{Daemon, RunError, StartError, Store};

mod business;
mod guide;

use business::{Around, Business};
use guide::Guide;

/// How the demo is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Life of a simulated token.
    pub life: Duration,
    /// Ports of the gRPC face, the admin listener next to it, the simulator, the business services
    /// and their admin listener: 7780, 7781, 7770, 7790, 7791 as everywhere, or free ones if one is taken.
    pub ports: Ports,
}

/// Which ports the demo uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// The documented ones.
    Documented,
    /// Free ones.
    Free,
}

/// Why the demo does not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A socket of the simulator.
    #[error("the simulated WeChat cannot listen")]
    Listen(#[source] io::Error),
    /// The daemon does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The daemon ended.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The services' files.
    #[error("the demo's files cannot be written into the directory for temporary files")]
    Files(#[source] io::Error),
    /// Their configuration, which a visitor may have changed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Their sockets.
    #[error(transparent)]
    Sockets(#[from] ServiceSocketError),
    /// They do not start, or one ended.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// The terminal is gone.
    #[error("cannot print")]
    Print(#[source] io::Error),
}

/// The demo's accounts: one of each token mode.
const ACCOUNTS: [(&str, &str, TokenMode); 2] =
    [("wxdemo0000000shop", "shop", TokenMode::Stable), ("wxdemo0000000club", "club", TokenMode::Classic)];

/// How many intents may wait for one who is busy.
const INTENTS: usize = 8;

/// Runs the demo until an intent ends it.
pub async fn run(
    settings: Settings,
    counters: PrometheusHandle,
    intents: impl AsyncFnMut() -> Intent,
) -> Result<(), DemoError> {
    let wechat = TcpListener::bind(loopback(settings.ports, 7770)).await;
    let wechat = match wechat {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            TcpListener::bind(loopback(Ports::Free, 0)).await
        }
        bound => bound,
    }
    .map_err(DemoError::Listen)?;
    let upstream = wechat.local_addr().map_err(DemoError::Listen)?;
    let credential = new_client::new_client("demo");
    let clock = Clock::system();
    let config = |ports| config(upstream, &credential.token, settings.life, ports);
    let bind = |ports| {
        let config = config(ports);
        Sockets::collect(&config, Inherited::default()).map(|sockets| (config, sockets))
    };
    let bound = match bind(settings.ports) {
        Err(SocketError::Grpc(_) | SocketError::Admin { .. }) => bind(Ports::Free),
        bound => bound,
    };
    let (bound, sockets) = bound.map_err(StartError::Sockets)?;
    let daemon = Daemon::build(bound, sockets, clock, Store::Memory, counters.clone()).await?;

    let addresses = daemon.addresses();
    let grpc = addresses.grpc.first().copied().unwrap_or(upstream);
    let around = Around { upstream, daemon: grpc, token: &credential.token };
    let Business { services, addresses: serving, home } =
        Business::build(&around, settings.ports, counters).await?;
    let guide =
        Guide { grpc, admin: addresses.admin, upstream, serving, home: &home, token: &credential.token };
    guide.print().map_err(DemoError::Print)?;
    let simulator = Simulator::new(simulated(settings.life));
    let stop = CancellationToken::new();
    let _stop_on_return = stop.clone().drop_guard();
    let hub = daemon.hub();
    let nothing_to_reload = {
        let config = config(settings.ports);
        move || Ok(crate::config::Loaded { config: config.clone(), warnings: Vec::new() })
    };
    let files_to_reload = {
        let path = home.config();
        move || ServeConfig::load(&path, &Environment::default(), &business::served())
    };
    let (to_daemon, mut for_daemon) = mpsc::channel(INTENTS);
    let (to_services, mut for_services) = mpsc::channel(INTENTS);
    let both = async {
        let daemon = daemon.run(async || next(&mut for_daemon).await, nothing_to_reload, Notifier::default());
        let services =
            services.run(async || next(&mut for_services).await, files_to_reload, Notifier::default());
        tokio::try_join!(async { daemon.await.map_err(DemoError::Run) }, async {
            services.await.map_err(DemoError::Services)
        })
    };
    tokio::select! {
        ended = both => ended.map(|((), ())| ()),
        served = simulator.serve(wechat, stop) => served.map_err(DemoError::Listen),
        printed = narrate(&hub) => printed.map_err(DemoError::Print),
        never = relay(intents, [to_daemon, to_services]) => match never {},
    }
}

/// Tells both what somebody wants. Who has ended, or does not listen any more, misses it.
async fn relay(mut intents: impl AsyncFnMut() -> Intent, to: [mpsc::Sender<Intent>; 2]) -> Infallible {
    loop {
        let intent = intents().await;
        for one in &to {
            let _ = one.try_send(intent);
        }
    }
}

async fn next(intents: &mut mpsc::Receiver<Intent>) -> Intent {
    match intents.recv().await {
        Some(intent) => intent,
        // Whoever tells them ends with the demo.
        None => std::future::pending().await,
    }
}

fn loopback(ports: Ports, port: u16) -> SocketAddr {
    let port = match ports {
        Ports::Documented => port,
        Ports::Free => 0,
    };
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn simulated(life: Duration) -> simulator::Settings {
    // Short lives need more calls than a real day grants.
    let limits = Limits { classic_daily: 1_000_000, ..Limits::default() };
    let accounts = ACCOUNTS.map(|(appid, name, _)| Account::new(appid, app_secret(name)));
    simulator::Settings {
        accounts: Accounts::Listed(accounts.into()),
        limits,
        ..simulator::Settings::with_life(life)
    }
}

/// Looks like an AppSecret, and is none.
fn app_secret(name: &str) -> String {
    format!("{name:0>32}")
}

fn config(upstream: SocketAddr, token: &Secret, life: Duration, ports: Ports) -> Config {
    let accounts = ACCOUNTS
        .map(|(appid, name, token_mode)| AccountSettings {
            appid: appid.parse::<AppId>().expect("the demo's appids have only letters and digits"),
            name: Some(name.to_owned()),
            secret: Secret::from(app_secret(name)),
            token_mode,
            tickets: vec![Kind::JsapiTicket],
            daily_calls: 1_000_000,
        })
        .into();
    let client = Client {
        name: "demo".to_owned(),
        identities: vec![Identity::TokenSha256(Sha256::digest(token.expose().as_bytes()).into())],
        grants: Grants {
            accounts: Scope::All,
            kinds: Scope::All,
            actions: [
                Action::Read,
                Action::Complain,
                Action::Force,
                Action::Sign,
                Action::Exchange,
                Action::Status,
                Action::Admin,
            ]
            .into(),
        },
        not_after: None,
    };
    let api_base = format!("http://{upstream}");
    Config {
        daemon: DaemonSettings {
            state_dir: PathBuf::new(),
            pid_file: PathBuf::new(),
            user: None,
            group: None,
            log: LogSettings { filter: "warn".to_owned(), ..LogSettings::default() },
            seal_keys: None,
            ledger_max_bytes: None,
            grace: Duration::from_secs(5),
        },
        wechat: wechat::Settings {
            api_base: api_base.parse().expect("a socket address makes a URL"),
            connect_timeout: Duration::from_secs(2),
            timeout: life.min(Duration::from_secs(5)),
            proxy: None,
        },
        grpc: grpc::settings::Settings {
            listen: vec![Listen::Tcp(loopback(ports, 7780))],
            tls: None,
            clients: vec![client],
        },
        audit: crate::audit::Settings::default(),
        admin: AdminSettings {
            listen: loopback(ports, 7781),
            page: admin::Settings { view: Audience::Anyone, hosts: Vec::new() },
            metrics_per_key: 1_000,
        },
        mirror: mirror::Settings {
            servers: Vec::new(),
            layouts: Vec::new(),
            timeout: Duration::from_secs(1),
        },
        accounts,
    }
}

/// A line for every change.
async fn narrate(hub: &Hub) -> io::Result<()> {
    let mut changes = hub.subscribe();
    loop {
        match changes.next().await {
            Change::Key(key) => {
                if let Some(handle) = hub.handle(key.appid.as_str(), key.kind) {
                    let line = line(hub, &handle.view());
                    let mut out = io::stdout().lock();
                    writeln!(out, "{line}")?;
                    out.flush()?;
                }
            }
            Change::Lagged => {}
            Change::Closed => return std::future::pending().await,
        }
    }
}

fn line(hub: &Hub, view: &View) -> String {
    let clock = hub.clock();
    let at = clock.wall();
    let name = hub.account_name(view.key.appid.as_str()).unwrap_or_default();
    let kind = view.key.kind;
    match view.good(clock.boot()) {
        Some(good) => {
            let left = good.remaining.as_secs();
            let why = view.last.as_ref().map_or("", |last| last.cause.as_str());
            let note =
                view.degraded.map_or_else(String::new, |reason| format!("  degraded: {}", reason.as_str()));
            format!(
                "{at}  {name} {kind:<14} {}  generation {}  {left} s left  ({why}){note}",
                good.value.fingerprint, good.value.generation,
            )
        }
        None => format!("{at}  {name} {kind:<14} no value"),
    }
}
