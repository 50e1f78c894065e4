//! The daemon as a whole: built in order, run, stopped in reverse.
//!
//! ```text
//! build: ledger (locks the state directory) → listeners → WeChat → hub → mirror, gRPC, admin
//! run:   suspend watch, refreshers, mirror, readiness, admin, gRPC, signals
//! stop:  callers first (gRPC, admin), then refreshers with the attempts under way, then the
//!        mirror, then the ledger
//! ```
//!
//! Every part is a task of one `JoinSet`; a part that ends by itself ends the daemon with
//! its name, and systemd starts it again. Nothing here decides about a credential.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Loaded, restart_needed};
use crate::grpc;
use crate::hub::{self, Hub};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{Ledger, LedgerError, memory::MemoryLedger, seal, sqlite};
use crate::mirror::{LayoutError, Mirror};
use crate::model::AppId;
use crate::process::signals::Intent;
use crate::refresh::gate::{Gate, IN_FLIGHT};
use crate::refresh::task::Surroundings;
use crate::telemetry::metrics;
use crate::wechat::{self, WeChat};

pub mod demo;
mod feed;

/// The ledger's file in the state directory.
pub const LEDGER_FILE: &str = "ledger.db";

/// Where the ledger lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In the state directory.
    File,
    /// In memory: the demo, which leaves nothing behind.
    Memory,
}

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file of seal keys cannot be used.
    #[error("the seal keys cannot be used")]
    SealKeys(#[source] seal::KeysError),
    /// The ledger cannot be used.
    #[error("the ledger in {dir} cannot be used")]
    Ledger {
        /// The state directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: LedgerError,
    },
    /// A gRPC listener cannot be bound.
    #[error("the gRPC face cannot listen")]
    Grpc(#[source] grpc::BindError),
    /// The gRPC settings do not fit together.
    #[error("the gRPC face cannot be built")]
    GrpcSettings(#[source] grpc::SettingsError),
    /// The admin listener cannot be bound.
    #[error("the admin listener cannot use {addr}; stop what listens there, or change [admin] listen")]
    Admin {
        /// Where.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A memcached layout cannot hold the accounts.
    #[error("the memcached mirror cannot hold these accounts")]
    Layout(#[source] LayoutError),
    /// WeChat's client cannot be built.
    #[error("WeChat's client cannot be built")]
    WeChat(#[source] wechat::SetupError),
}

impl StartError {
    /// Whether the configuration, or a file that it names, must be changed: exit code 2.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::SealKeys(_) | Self::GrpcSettings(_) | Self::Layout(_) | Self::WeChat(_) => true,
            Self::Ledger { source, .. } => {
                matches!(source, LedgerError::SealKeyMissing(_) | LedgerError::SealKeyWrong(_))
            }
            Self::Grpc(_) | Self::Admin { .. } => false,
        }
    }
}

/// Why the daemon ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A part ended or panicked.
    #[error("the part `{0}` ended by itself; this is a defect, please report the log")]
    Part(String),
    /// The attempts under way did not end within the grace.
    #[error("stopped before every attempt had ended; the next start will know what was under way")]
    Grace,
}

/// The daemon, built and not yet running.
pub struct Daemon {
    config: Config,
    hub: Arc<Hub>,
    tasks: hub::Tasks,
    grpc: grpc::Server,
    listeners: Vec<grpc::Listener>,
    admin: Admin,
    admin_addr: SocketAddr,
    mirror: Mirror,
    feeder: feed::Feeder,
    readiness: feed::ReadinessWatch,
    file: Option<SqliteLedger>,
}

/// Where a daemon can be reached.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The gRPC listeners on TCP.
    pub grpc: Vec<SocketAddr>,
    /// The admin listener.
    pub admin: SocketAddr,
}

impl Daemon {
    /// Builds every part and binds every listener. Makes no upstream call.
    pub async fn build(
        config: Config,
        clock: Clock,
        store: Store,
        counters: PrometheusHandle,
    ) -> Result<Self, StartError> {
        check_layouts(&config).map_err(StartError::Layout)?;
        let (ledger, file) = open_ledger(&config, &clock, store).await?;
        let in_ledger = |source| StartError::Ledger { dir: config.daemon.state_dir.clone(), source };
        let mut listeners = Vec::new();
        for listen in &config.grpc.listen {
            listeners.push(grpc::Listener::bind(listen).await.map_err(StartError::Grpc)?);
        }
        let addr = config.admin.listen;
        let admin_listener =
            TcpListener::bind(addr).await.map_err(|source| StartError::Admin { addr, source })?;
        let admin_addr = admin_listener.local_addr().unwrap_or(addr);
        let around = Arc::new(Surroundings {
            clock: clock.clone(),
            wechat: WeChat::new(&config.wechat).map_err(StartError::WeChat)?,
            ledger,
            gate: Gate::new(IN_FLIGHT),
        });
        let (hub, tasks) = Hub::build(around, config.accounts.clone()).await.map_err(in_ledger)?;
        let (mirror, mirrored) = Mirror::new(config.mirror.clone(), clock);
        let (readiness, grpc_ready, admin_ready) = feed::ReadinessWatch::new(hub.clone());
        let grpc =
            grpc::Server::new(&config.grpc, hub.clone(), grpc_ready).map_err(StartError::GrpcSettings)?;
        Ok(Self {
            feeder: feed::Feeder::new(hub.clone(), mirrored),
            admin: Admin::new(admin_listener, admin_ready, counters),
            admin_addr,
            config,
            hub,
            tasks,
            grpc,
            listeners,
            mirror,
            readiness,
            file,
        })
    }

    /// Where it listens; ports that were 0 are known now.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            grpc: self.listeners.iter().filter_map(grpc::Listener::tcp_addr).collect(),
            admin: self.admin_addr,
        }
    }

    /// All credentials.
    pub fn hub(&self) -> Arc<Hub> {
        self.hub.clone()
    }

    /// Runs until an intent ends it. `load` reads the configuration again.
    pub async fn run(
        self,
        mut intents: impl AsyncFnMut() -> Intent,
        load: impl Fn() -> Result<Loaded, ConfigError> + Send + 'static,
    ) -> Result<(), RunError> {
        let Self {
            config,
            hub,
            tasks,
            grpc,
            listeners,
            admin,
            admin_addr: _,
            mirror,
            feeder,
            readiness,
            file,
        } = self;
        let grace = config.daemon.grace;
        let accounts = config.accounts.len();
        let stop = Stops::default();
        let reload = Arc::new(Notify::new());
        let reloader = Reloader { config, hub: hub.clone(), control: grpc.control(), load };
        let clock = hub.clock().clone();

        let mut parts = Parts::default();
        parts.start("suspend watch", &stop.last, async move { clock.watch_for_suspend().await });
        parts.start("readiness", &stop.last, readiness.run());
        parts.start("mirror feed", &stop.last, feeder.run());
        parts.start("reload", &stop.edges, reloader.run(reload.clone()));
        parts.start_stoppable("mirror", mirror.run(stop.last.clone()));
        parts.start_stoppable("refreshers", tasks.run(stop.engine.clone()));
        let edges = stop.edges.clone();
        parts.start_stoppable("admin", async move {
            if let Err(error) = admin.run(edges).await {
                tracing::error!(%error, "the admin listener broke");
            }
        });
        let edges = stop.edges.clone();
        parts.start_stoppable("grpc", async move {
            if let Err(error) = grpc.run(listeners, edges).await {
                tracing::error!(error = chain(&error), "the gRPC face broke");
            }
        });
        tracing::info!(accounts, "running");

        loop {
            tokio::select! {
                part = parts.ended() => return Err(RunError::Part(part)),
                intent = intents() => match intent {
                    Intent::Reload => reload.notify_one(),
                    Intent::Stop => break,
                    Intent::StopNow => return Ok(()),
                },
            }
        }
        tracing::info!(grace_seconds = grace.as_secs(), "stopping; attempts under way are finished");
        let stopped = async {
            stop.edges.cancel();
            parts.all_ended(&["grpc", "admin", "reload"]).await;
            stop.engine.cancel();
            parts.all_ended(&["refreshers"]).await;
            stop.last.cancel();
            parts.all_ended(&["mirror"]).await;
            if let Some(file) = file
                && let Err(error) = file.close().await
            {
                tracing::error!(error = chain(&error), "the ledger could not be closed in order");
            }
        };
        tokio::select! {
            ended = tokio::time::timeout(grace, stopped) => ended.map_err(|_| RunError::Grace),
            // Whatever it is: during a stop only "at once" means something.
            () = async { while intents().await != Intent::StopNow {} } => {
                tracing::warn!("told to stop at once");
                Ok(())
            }
        }
    }
}

/// Three stops, in the order in which they are given.
#[derive(Default)]
struct Stops {
    /// What faces callers.
    edges: CancellationToken,
    /// The refreshers.
    engine: CancellationToken,
    /// What follows them.
    last: CancellationToken,
}

/// The daemon's tasks by name.
#[derive(Default)]
struct Parts {
    running: JoinSet<()>,
    names: HashMap<tokio::task::Id, &'static str>,
}

impl Parts {
    /// Starts a part that ends when `stop` says so, wherever it is.
    fn start(
        &mut self,
        name: &'static str,
        stop: &CancellationToken,
        part: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = stop.clone();
        self.start_stoppable(name, async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = part => {}
            }
        });
    }

    /// Starts a part that knows its own stop.
    fn start_stoppable(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        let id = self.running.spawn(part).id();
        self.names.insert(id, name);
    }

    /// The next part that ends. Dropping the future loses nothing.
    async fn ended(&mut self) -> String {
        match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => self.names.remove(&id).unwrap_or_default().to_owned(),
            Some(Err(lost)) => {
                let name = self.names.remove(&lost.id()).unwrap_or_default();
                tracing::error!(part = name, panicked = lost.is_panic(), "a part of the daemon was lost");
                name.to_owned()
            }
            // There is always a part until all are told to end.
            None => std::future::pending().await,
        }
    }

    /// Waits until none of these runs any more.
    async fn all_ended(&mut self, names: &[&str]) {
        while self.names.values().any(|running| names.contains(running)) {
            self.ended().await;
        }
    }
}

/// Takes a changed configuration over, as far as it can change live.
struct Reloader<F> {
    config: Config,
    hub: Arc<Hub>,
    control: grpc::Control,
    load: F,
}

impl<F: Fn() -> Result<Loaded, ConfigError> + Send> Reloader<F> {
    async fn run(mut self, asked: Arc<Notify>) {
        loop {
            asked.notified().await;
            let done = match self.reload().await {
                Ok(()) => metrics::Done::Ok,
                Err(error) => {
                    tracing::error!(
                        "the configuration was not taken over, everything goes on as before: {error:#}"
                    );
                    metrics::Done::Failed
                }
            };
            metrics::reload(done);
        }
    }

    /// All or nothing, but for what only a restart can change, which is named.
    async fn reload(&mut self) -> anyhow::Result<()> {
        let Loaded { config, warnings } = (self.load)()?;
        for warning in &warnings {
            tracing::warn!("configuration: {warning}");
        }
        check_layouts(&config)?;
        self.control.reload(&config.grpc)?;
        let later = restart_needed(&self.config, &config);
        if !later.is_empty() {
            tracing::warn!(keys = later.join(", "), "these settings changed and need a restart");
        }
        let done = self.hub.reload(config.accounts.clone()).await?;
        metrics::reloaded_at(self.hub.clock().wall());
        tracing::info!(
            added = done.added,
            changed = done.changed,
            removed = done.removed,
            "configuration taken over"
        );
        self.config = config;
        Ok(())
    }
}

/// Whether the mirror's layouts can hold these accounts.
pub fn check_layouts(config: &Config) -> Result<(), LayoutError> {
    let appids: Vec<AppId> = config.accounts.iter().map(|account| account.appid.clone()).collect();
    config.mirror.layouts.iter().try_for_each(|layout| layout.check(&appids))
}

/// The ledger's settings by the configuration.
pub fn ledger_settings(config: &Config) -> Result<sqlite::Settings, seal::KeysError> {
    let seal = match &config.daemon.seal_keys {
        Some(text) => seal::Keys::parse(text.expose())?,
        None => seal::Keys::none(),
    };
    Ok(sqlite::Settings {
        path: config.daemon.state_dir.join(LEDGER_FILE),
        seal,
        max_bytes: config.daemon.ledger_max_bytes,
    })
}

async fn open_ledger(
    config: &Config,
    clock: &Clock,
    store: Store,
) -> Result<(Arc<dyn Ledger>, Option<SqliteLedger>), StartError> {
    if store == Store::Memory {
        return Ok((Arc::new(MemoryLedger::new(clock.clone())), None));
    }
    let settings = ledger_settings(config).map_err(StartError::SealKeys)?;
    let opened = SqliteLedger::open(settings, clock.clone())
        .await
        .map_err(|source| StartError::Ledger { dir: config.daemon.state_dir.clone(), source })?;
    if let Some(aside) = &opened.set_aside {
        tracing::error!(
            path = %aside.display(),
            "the ledger was corrupt and is set aside; every credential is fetched once, and forced refreshes wait \
             for 24 h",
        );
    }
    Ok((Arc::new(opened.ledger.clone()), Some(opened.ledger)))
}

/// An error with its causes, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
