//! The services, built and run: their tasks, their signals, their end.
//!
//! ```text
//! stop:  no new connection → answers under way (seconds) → late answers (the rest of the grace) →
//!        the last lines of the message log
//! ```

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admin::Readiness;
use crate::clock::Clock;
use crate::config::serve::LoadedServe;
use crate::config::{ConfigError, Environment, ServeConfig};
use crate::daemon::parts::Parts;
use crate::http::{self, Limits};
use crate::launch::error::LaunchError;
use crate::process::notify::Notifier;
use crate::process::service_sockets::ServiceSockets;
use crate::process::signals::{Intent, Intents};
use crate::services::messages::door::{Door, Table};
use crate::services::messages::rules::{Beside, Looked, Watcher};
use crate::telemetry::{self, metrics, services};

use super::admin::{self, View};
use super::build::{Fixed, Forwarders, Live, summary};
use super::error::ServicesError;
use super::link::{self, Link};
use super::reload::{Reloader, Swap, appids};
use super::status::{Reporter, RulesFile, Standing, feed_watchdog};

/// For WeChat, or the proxy before us.
const LIMITS: Limits = Limits {
    listener: "http",
    // Some seconds of handlers that are slow, at thousands of messages a second.
    connections: 8_192,
    // Proxies keep connections; nginx closes them after a minute.
    head: Duration::from_secs(75),
    // WeChat gives up after five seconds altogether.
    body: Duration::from_secs(4),
    buffer: 16 * 1024,
    taking: Duration::from_secs(10),
    // Nobody is answered later than this.
    drain: Duration::from_secs(5),
};
/// Of the grace for what comes after the last late answer.
const LAST: Duration = Duration::from_millis(200);

/// Where the services can be reached.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The business listener.
    pub http: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
}

/// The services, built and not yet running.
pub struct Services {
    config: ServeConfig,
    http: TcpListener,
    admin: TcpListener,
    addresses: Addresses,
    fixed: Fixed,
    live: Live,
    beside: Beside,
    counters: PrometheusHandle,
    clock: Clock,
}

/// The process of `zhongkong serve`.
pub(super) async fn run(
    config: ServeConfig,
    sockets: ServiceSockets,
    path: PathBuf,
    env: Environment,
) -> Result<(), LaunchError> {
    let mut intents = Intents::install().map_err(LaunchError::system("taking the signals over"))?;
    let counters = metrics::install_for_services()?;
    let notifier = Notifier::from_env(&env);
    let services = Services::build(config, sockets, Clock::system(), counters)?;
    let load = move || ServeConfig::load(&path, &env);
    Ok(services.run(async || intents.next().await, load, notifier).await?)
}

impl Services {
    /// Builds every part. Reads the rules; opens no connection.
    ///
    /// # Errors
    /// A file, a key or an address cannot be used.
    pub fn build(
        config: ServeConfig,
        sockets: ServiceSockets,
        clock: Clock,
        counters: PrometheusHandle,
    ) -> Result<Self, ServicesError> {
        let ServiceSockets { http, admin, notes } = sockets;
        if !notes.is_empty() {
            tracing::info!("inherited {}; a restart refuses no connection there", notes.join(", "));
        }
        let watched = |socket: std::net::TcpListener| {
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket)
        };
        let http = watched(http).map_err(ServicesError::Watch)?;
        let admin = watched(admin).map_err(ServicesError::Watch)?;
        let addresses = Addresses {
            http: http.local_addr().map_err(ServicesError::Watch)?,
            admin: admin.local_addr().map_err(ServicesError::Watch)?,
        };
        let beside = Beside::default();
        let live = Live::new(&config.messages, &Forwarders::new(), &beside, &clock)?;
        let fixed = Fixed::new(&config.messages, &clock)?;
        Ok(Self { config, http, admin, addresses, fixed, live, beside, counters, clock })
    }

    /// Where it listens; ports that were 0 are known now.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Runs until an intent ends it. `load` reads the configuration again.
    ///
    /// # Errors
    /// A part was lost, or messages were given up at the end of the grace.
    pub async fn run(
        self,
        mut intents: impl AsyncFnMut() -> Intent,
        load: impl Fn() -> Result<LoadedServe, ConfigError> + Send + Sync + 'static,
        notifier: Notifier,
    ) -> Result<(), ServicesError> {
        let Self { config, http, admin, addresses, fixed, live, beside, counters, clock } = self;
        let Fixed { desk, rules, programs, log, writer, client } = fixed;
        tracing::info!(http = %addresses.http, admin = %addresses.admin, "listening");
        let door = Arc::new(Door::new(Table::default(), desk.clone(), log.clone(), clock.clone()));
        let (live_grace, grace) = watch::channel(config.serve.grace);
        let (live_link, link) = watch::channel(Link::default());
        let (live_appids, known) = watch::channel(appids(&config));
        let daemon = config.messages.daemon.addr.clone();
        let (accounts, forwards) = (live.table.accounts(), live.forwarders.len());
        let (live_standing, standing) =
            watch::channel(Standing { accounts, programs: forwards, ..Standing::default() });
        let (watchers, watched) = mpsc::channel(1);
        let mut swap = Swap {
            door: door.clone(),
            rules: rules.clone(),
            programs,
            watchers,
            beside: beside.clone(),
            appids: live_appids,
            forwarders: Forwarders::new(),
        };
        swap.take_over(live, appids(&config)).await;
        let (ready, readiness) = watch::channel(Readiness::Ready);
        let view = View { readiness, standing: standing.clone(), link: link.clone(), counters };
        let (edges, last) = (CancellationToken::new(), CancellationToken::new());
        let asked = Arc::new(Notify::new());
        metrics::reloaded_at(clock.wall());

        let mut parts = Parts::default();
        parts.start_stoppable("http", http::serve(http, door.router(), LIMITS, edges.clone()));
        parts
            .start_stoppable("admin", http::serve(admin, view.clone().router(), admin::LIMITS, last.clone()));
        parts.start("metrics", &last, view.keep_up());
        parts.start("rules", &last, watch_rules(watched, live_standing.clone()));
        parts.start("daemon link", &edges, link::watch(client, daemon, known, live_link));
        if let Some(writer) = writer {
            parts.start_stoppable("message log", writer.run(last.clone()));
        }
        let reporter = Reporter {
            notifier: notifier.clone(),
            standing,
            link,
            rules: rules.clone(),
            grace: grace.clone(),
        };
        parts.start_stoppable("service manager", reporter.run(edges.clone(), last.clone()));
        if let Some(limit) = notifier.watchdog() {
            parts.start("watchdog", &last, feed_watchdog(notifier.clone(), limit));
        }
        let reloader = Reloader {
            config,
            load: Arc::new(load),
            swap,
            grace: live_grace,
            standing: live_standing,
            notifier,
            clock,
        };
        parts.start("reload", &edges, reloader.run(asked.clone()));
        tracing::info!("running: {}", summary(accounts, rules.count(), forwards));

        let lost = loop {
            tokio::select! {
                part = parts.ended() => break Some(part),
                intent = intents() => match intent {
                    Intent::Reload => {
                        telemetry::reopen();
                        log.reopen();
                        asked.notify_one();
                    }
                    Intent::ReopenLog => {
                        telemetry::reopen();
                        log.reopen();
                    }
                    Intent::Stop => break None,
                    Intent::StopNow => return Ok(()),
                },
            }
        };
        let grace = *grace.borrow();
        let end = Instant::now() + grace;
        tracing::info!(grace_seconds = grace.as_secs(), "stopping; messages under way are answered");
        let stopped = async {
            ready.send_replace(Readiness::NotReady("the service is going down".to_owned()));
            edges.cancel();
            parts.all_ended(&["http", "reload"]).await;
            let rest = || end.saturating_duration_since(Instant::now() + LAST);
            let left = desk.close(rest()).await + beside.close(rest()).await;
            last.cancel();
            parts.all_ended(&["admin", "message log", "service manager"]).await;
            if left == 0 { Ok(()) } else { Err(ServicesError::Grace) }
        };
        let ended = tokio::select! {
            ended = tokio::time::timeout_at(end + LAST, stopped) => ended.unwrap_or(Err(ServicesError::Grace)),
            // Whatever it is: during a stop only "at once" means something.
            () = async { while intents().await != Intent::StopNow {} } => {
                tracing::info!("told to stop at once");
                Ok(())
            }
        };
        lost.map_or(ended, |part| Err(ServicesError::Part(part)))
    }
}

/// Looks at the file of the rules of the moment.
async fn watch_rules(mut watchers: mpsc::Receiver<Option<Watcher>>, standing: watch::Sender<Standing>) {
    let mut current: Option<Watcher> = None;
    loop {
        let file = tokio::select! {
            next = watchers.recv() => match next {
                Some(watcher) => {
                    current = watcher;
                    services::rules_in_force();
                    RulesFile::InForce
                }
                // Whoever sends them has gone: the process ends.
                None => match std::future::pending::<Infallible>().await {},
            },
            () = tokio::time::sleep(Watcher::PAUSE) => match &mut current {
                None => continue,
                Some(watcher) => match watcher.look().await {
                    Looked::Same | Looked::Unsettled => continue,
                    Looked::Taken(_) => {
                        services::rules_reload(metrics::Done::Ok);
                        RulesFile::InForce
                    }
                    Looked::Refused(_) => {
                        services::rules_reload(metrics::Done::Failed);
                        RulesFile::Refused
                    }
                },
            },
        };
        standing.send_if_modified(|standing| std::mem::replace(&mut standing.file, file) != file);
    }
}
