//! The daemon as a whole: built in order, run, stopped in reverse.
//!
//! ```text
//! build: ledger (locks the state directory) → Unix sockets → WeChat → hub → mirror, gRPC, admin
//! run:   suspend watch, refreshers, mirror, readiness, admin, gRPC, signals
//! stop:  callers first (gRPC, admin), then refreshers with the attempts under way, then the
//!        mirror, then the ledger
//! ```
//!
//! Every part is a task of one `JoinSet`; a part that ends by itself ends the daemon with
//! its name, and systemd starts it again. Nothing here decides about a credential.

use std::net::SocketAddr;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use crate::admin::exposition::{Exposition, Sources};
use crate::admin::{self, Admin, Recent};
use crate::audit;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Loaded};
use crate::grpc;
use crate::grpc::settings::Listen;
use crate::hub::{self, Hub};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{Ledger, memory::MemoryLedger, seal, sqlite};
use crate::mirror::{LayoutError, Mirror};
use crate::model::AppId;
use crate::process::notify::Notifier;
use crate::process::signals::Intent;
use crate::process::sockets::Sockets;
use crate::refresh::gate::{Gate, IN_FLIGHT};
use crate::refresh::task::Surroundings;
use crate::telemetry::{self, metrics};
use crate::wechat::WeChat;

pub mod demo;
mod error;
mod feed;
pub(crate) mod parts;
mod reload;
mod standing;
mod supervision;

pub use error::{RunError, StartError};
pub use reload::{ReloadOutcome, ReloadState};
pub use standing::{Phase, Standing};

use parts::{Parts, Stops};
use reload::Reloader;
use supervision::{Reporter, Watchdog};

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

/// The daemon, built and not yet running.
pub struct Daemon {
    /// Without the accounts, which the hub has.
    config: Config,
    /// How many accounts there were.
    configured: usize,
    hub: Arc<Hub>,
    tasks: hub::Tasks,
    grpc: grpc::Server,
    listeners: Vec<grpc::Listener>,
    admin: Admin,
    admin_addr: SocketAddr,
    mirror: Mirror,
    feeder: feed::Feeder,
    readiness: feed::ReadinessWatch,
    reloads: watch::Sender<ReloadOutcome>,
    audit: audit::Writer,
    recent: Recent,
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
    /// Builds every part and binds the listeners that are not bound yet. Makes no upstream call.
    pub async fn build(
        mut config: Config,
        sockets: Sockets,
        clock: Clock,
        store: Store,
        counters: PrometheusHandle,
    ) -> Result<Self, StartError> {
        check_layouts(&config).map_err(StartError::Layout)?;
        let (ledger, file) = open_ledger(&config, &clock, store).await?;
        let in_ledger = |source| StartError::Ledger { dir: config.daemon.state_dir.clone(), source };
        let (listeners, admin_listener) = open_sockets(sockets).await?;
        let admin_addr = admin_listener.local_addr().unwrap_or(config.admin.listen);
        let (recorder, audit) = audit::new(&config.audit, ledger.clone(), clock.clone());
        let around = Arc::new(Surroundings {
            clock: clock.clone(),
            wechat: WeChat::new(&config.wechat).map_err(StartError::WeChat)?,
            ledger,
            gate: Gate::new(IN_FLIGHT),
        });
        // Handed over, not copied: of 100,000 accounts one copy is enough.
        let accounts = std::mem::take(&mut config.accounts);
        let configured = accounts.len();
        let (hub, tasks) = Hub::build(around, accounts).await.map_err(in_ledger)?;
        let (mirror, mirrored) = Mirror::new(config.mirror.clone(), clock);
        let (readiness, grpc_ready, admin_ready) = feed::ReadinessWatch::new(hub.clone());
        let servers = parts::servers(&mirrored);
        let exposition = Exposition::new(Sources {
            recorded: counters,
            hub: hub.clone(),
            readiness: admin_ready.clone(),
            servers: servers.clone(),
            ledger: file.as_ref().map(|_| config.daemon.state_dir.join(LEDGER_FILE)),
            per_key: config.admin.metrics_per_key,
        });
        let grpc =
            grpc::Server::new(&config.grpc, hub.clone(), grpc_ready).map_err(StartError::GrpcSettings)?;
        let grpc = grpc.with_audit(recorder.clone());
        let recent = Recent::new(hub.clock().wall());
        let page = admin::Sources {
            hub: hub.clone(),
            gate: grpc.gate(),
            audit: recorder,
            recent: recent.clone(),
            servers,
        };
        Ok(Self {
            feeder: feed::Feeder::new(hub.clone(), mirrored),
            admin: Admin::new(admin_listener, admin_ready, exposition, config.admin.page.clone(), page),
            admin_addr,
            config,
            configured,
            hub,
            tasks,
            grpc,
            listeners,
            mirror,
            readiness,
            reloads: watch::Sender::default(),
            audit,
            recent,
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

    /// How the reloads went, for whoever wants to know.
    pub fn reloads(&self) -> watch::Receiver<ReloadOutcome> {
        self.reloads.subscribe()
    }

    /// How the daemon is, for whoever waits for its start or shows its state.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.readiness.standing()
    }

    /// Runs until an intent ends it. `load` reads the configuration again; the service manager
    /// hears of everything through `notifier`.
    pub async fn run(
        self,
        mut intents: impl AsyncFnMut() -> Intent,
        load: impl Fn() -> Result<Loaded, ConfigError> + Send + 'static,
        notifier: Notifier,
    ) -> Result<(), RunError> {
        let Self {
            config,
            configured,
            hub,
            tasks,
            grpc,
            listeners,
            admin,
            admin_addr,
            mirror,
            feeder,
            readiness,
            reloads,
            audit,
            recent,
            file,
        } = self;
        // Ports that were 0 are known now, and nothing else tells them.
        let faces: Vec<_> = listeners.iter().map(ToString::to_string).collect();
        tracing::info!(grpc = %faces.join(","), admin = %admin_addr, "listening");
        let (live_grace, grace) = watch::channel(config.daemon.grace);
        let stop = Stops::default();
        let reload = Arc::new(Notify::new());
        let reporter =
            Reporter::new(notifier.clone(), readiness.standing(), reloads.subscribe(), grace.clone());
        let reloader = Reloader {
            config,
            hub: hub.clone(),
            control: grpc.control(),
            grace: live_grace,
            recent,
            outcome: reloads,
            load,
        };
        let clock = hub.clock().clone();

        metrics::reloaded_at(clock.wall());
        let mut parts = Parts::default();
        parts.start("suspend watch", &stop.last, async move { clock.watch_for_suspend().await });
        parts.start("readiness", &stop.last, readiness.run());
        parts.start("mirror feed", &stop.last, feeder.run());
        parts.start("reload", &stop.edges, reloader.run(reload.clone()));
        parts.start_stoppable("mirror", mirror.run(stop.last.clone()));
        parts.start_stoppable("audit", audit.run(stop.last.clone()));
        parts.start_stoppable("refreshers", tasks.run(stop.engine.clone()));
        let edges = stop.edges.clone();
        parts.start_stoppable("admin", admin.run(edges));
        let edges = stop.edges.clone();
        parts.start_stoppable("grpc", async move {
            if let Err(error) = grpc.run(listeners, edges).await {
                let error = chain(&error);
                tracing::error!(error, "the gRPC face broke: {error}");
            }
        });
        parts.start_stoppable("service manager", reporter.run(stop.edges.clone(), stop.last.clone()));
        if let Some(watchdog) = Watchdog::new(notifier, hub::pulse::Pulse::new(hub)) {
            parts.start("watchdog", &stop.edges, watchdog.run());
        }
        tracing::info!(accounts = configured, "running");

        let lost = loop {
            tokio::select! {
                // The others are stopped in order all the same: an attempt under way may already
                // have replaced a token.
                part = parts.ended() => break Some(part),
                intent = intents() => match intent {
                    Intent::Reload => {
                        telemetry::reopen();
                        reload.notify_one();
                    }
                    Intent::ReopenLog => telemetry::reopen(),
                    Intent::Stop => break None,
                    Intent::StopNow => return Ok(()),
                },
            }
        };
        let grace = *grace.borrow();
        tracing::info!(grace_seconds = grace.as_secs(), "stopping; attempts under way are finished");
        let stopped = async {
            stop.edges.cancel();
            parts.all_ended(&["grpc", "admin", "reload"]).await;
            stop.engine.cancel();
            parts.all_ended(&["refreshers"]).await;
            stop.last.cancel();
            parts.all_ended(&["mirror", "audit", "service manager"]).await;
            if let Some(file) = file
                && let Err(error) = file.close().await
            {
                let error = chain(&error);
                tracing::error!(error, "the ledger could not be closed in order: {error}");
            }
        };
        let ended = tokio::select! {
            ended = tokio::time::timeout(grace, stopped) => ended.map_err(|_| RunError::Grace),
            // Whatever it is: during a stop only "at once" means something.
            () = async { while intents().await != Intent::StopNow {} } => {
                tracing::info!("told to stop at once");
                Ok(())
            }
        };
        lost.map_or(ended, |part| Err(RunError::Part(part)))
    }
}

/// Hands the bound sockets to the runtime, and binds those that are left.
async fn open_sockets(sockets: Sockets) -> Result<(Vec<grpc::Listener>, TcpListener), StartError> {
    let Sockets { grpc_tcp, grpc_unix, grpc_unbound, admin, notes } = sockets;
    if !notes.is_empty() {
        tracing::info!("inherited {}; a restart refuses no connection there", notes.join(", "));
    }
    let mut listeners = Vec::new();
    for path in grpc_unbound {
        let bound = grpc::Listener::bind(&Listen::Unix(path)).await;
        listeners.push(bound.map_err(StartError::Grpc)?);
    }
    for tcp in grpc_tcp {
        listeners.push(grpc::Listener::from_tcp(tcp).map_err(StartError::Watch)?);
    }
    for (unix, path) in grpc_unix {
        listeners.push(grpc::Listener::from_unix(unix, path).map_err(StartError::Watch)?);
    }
    admin.set_nonblocking(true).map_err(StartError::Watch)?;
    let admin = TcpListener::from_std(admin).map_err(StartError::Watch)?;
    Ok((listeners, admin))
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
