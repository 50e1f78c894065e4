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

use std::net::SocketAddr;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use crate::admin::{self, Admin, Recent};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Loaded};
use crate::grpc;
use crate::hub::{self, Hub};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{Ledger, memory::MemoryLedger, seal, sqlite};
use crate::mirror::{LayoutError, Mirror};
use crate::model::AppId;
use crate::process::signals::Intent;
use crate::refresh::gate::{Gate, IN_FLIGHT};
use crate::refresh::task::Surroundings;
use crate::wechat::WeChat;

pub mod demo;
mod error;
mod feed;
mod parts;
mod reload;

pub use error::{RunError, StartError};

use parts::{Parts, Stops};
use reload::Reloader;

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
        let recent = Recent::new(hub.clock().wall());
        let servers = parts::servers(&mirrored);
        let page =
            admin::Sources { hub: hub.clone(), gate: grpc.gate(), recent: recent.clone(), servers };
        Ok(Self {
            feeder: feed::Feeder::new(hub.clone(), mirrored),
            admin: Admin::new(admin_listener, admin_ready, counters, config.admin.page.clone(), page),
            admin_addr,
            config,
            hub,
            tasks,
            grpc,
            listeners,
            mirror,
            readiness,
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
            admin_addr,
            mirror,
            feeder,
            readiness,
            recent,
            file,
        } = self;
        // Ports that were 0 are known now, and nothing else tells them.
        let faces: Vec<_> = listeners.iter().map(ToString::to_string).collect();
        tracing::info!(grpc = %faces.join(","), admin = %admin_addr, "listening");
        let (live_grace, grace) = watch::channel(config.daemon.grace);
        let accounts = config.accounts.len();
        let stop = Stops::default();
        let reload = Arc::new(Notify::new());
        let reloader =
            Reloader { config, hub: hub.clone(), control: grpc.control(), grace: live_grace, recent, load };
        let clock = hub.clock().clone();

        let mut parts = Parts::default();
        parts.start("suspend watch", &stop.last, async move { clock.watch_for_suspend().await });
        parts.start("readiness", &stop.last, readiness.run());
        parts.start("mirror feed", &stop.last, feeder.run());
        parts.start("reload", &stop.edges, reloader.run(reload.clone()));
        parts.start_stoppable("mirror", mirror.run(stop.last.clone()));
        parts.start_stoppable("refreshers", tasks.run(stop.engine.clone()));
        let edges = stop.edges.clone();
        parts.start_stoppable("admin", admin.run(edges));
        let edges = stop.edges.clone();
        parts.start_stoppable("grpc", async move {
            if let Err(error) = grpc.run(listeners, edges).await {
                tracing::error!(error = chain(&error), "the gRPC face broke");
            }
        });
        tracing::info!(accounts, "running");

        let lost = loop {
            tokio::select! {
                // The others are stopped in order all the same: an attempt under way may already
                // have replaced a token.
                part = parts.ended() => break Some(part),
                intent = intents() => match intent {
                    Intent::Reload => reload.notify_one(),
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
            parts.all_ended(&["mirror"]).await;
            if let Some(file) = file
                && let Err(error) = file.close().await
            {
                tracing::error!(error = chain(&error), "the ledger could not be closed in order");
            }
        };
        let ended = tokio::select! {
            ended = tokio::time::timeout(grace, stopped) => ended.map_err(|_| RunError::Grace),
            // Whatever it is: during a stop only "at once" means something.
            () = async { while intents().await != Intent::StopNow {} } => {
                tracing::warn!("told to stop at once");
                Ok(())
            }
        };
        lost.map_or(ended, |part| Err(RunError::Part(part)))
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
