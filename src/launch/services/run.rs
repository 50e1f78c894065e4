//! The services, built and run: their tasks, their signals, their end.
//!
//! ```text
//! stop:  no new connection → answers under way (seconds) → what each service has still to do (the rest
//!        of the grace) → the last lines of their logs
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::future::join_all;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::admin::Readiness;
use crate::clock::Clock;
use crate::config::serve::LoadedServe;
use crate::config::{ConfigError, Environment, ServeConfig, ServiceSet};
use crate::daemon::parts::Parts;
use crate::http::{self, Limits, no_such_method, no_such_path};
use crate::launch::error::LaunchError;
use crate::process::notify::Notifier;
use crate::process::service_sockets::ServiceSockets;
use crate::process::signals::{Intent, Intents};
use crate::telemetry::{self, metrics};

use super::admin::{self, View};
use super::business::Business;
use super::error::ServicesError;
use super::files::Files;
use super::jssdk::Jssdk;
use super::messages::Messages;
use super::oauth::OAuth;
use super::reload::Reloader;
use super::served::{Bell, Served, Stops};
use super::status::{Board, Reporter, feed_watchdog};

/// For browsers and WeChat, or the proxy before us.
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
/// Of the grace for what comes after the last service is closed.
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
    served: Vec<Box<dyn Served>>,
    bell: Bell,
    counters: PrometheusHandle,
    clock: Clock,
}

/// The process of `zhongkong serve`.
pub(super) async fn run(
    config: ServeConfig,
    sockets: ServiceSockets,
    path: PathBuf,
    env: Environment,
    wanted: ServiceSet,
) -> Result<(), LaunchError> {
    let mut intents = Intents::install().map_err(LaunchError::system("taking the signals over"))?;
    let counters = metrics::install_for_services()?;
    let notifier = Notifier::from_env(&env);
    let services = Services::build(config, sockets, Clock::system(), counters).await?;
    let load = move || ServeConfig::load(&path, &env, &wanted);
    Ok(services.run(async || intents.next().await, load, notifier).await?)
}

impl Services {
    /// Builds every service that the configuration has a section for.
    ///
    /// # Errors
    /// A file, a key or an address cannot be used.
    pub async fn build(
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
        let bell = Bell::default();
        let ServeConfig { serve: _, verify_files: _, messages, oauth, jssdk, business } = &config;
        let mut served: Vec<Box<dyn Served>> = Vec::new();
        if let Some(settings) = messages {
            served.push(Box::new(Messages::build(settings, &clock, bell.clone()).await?));
        }
        if let Some(settings) = oauth {
            served.push(Box::new(OAuth::build(settings, &clock, bell.clone()).await?));
        }
        if let Some(settings) = jssdk {
            served.push(Box::new(Jssdk::build(settings, &clock, bell.clone()).await?));
        }
        if let Some(settings) = business {
            served.push(Box::new(Business::build(settings, &clock, bell.clone()).await?));
        }
        Ok(Self { config, http, admin, addresses, served, bell, counters, clock })
    }

    /// Where it listens; ports that were 0 are known now.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Runs until an intent ends it. `load` reads the configuration again.
    ///
    /// # Errors
    /// A part was lost, or something was given up at the end of the grace.
    pub async fn run(
        self,
        mut intents: impl AsyncFnMut() -> Intent,
        load: impl Fn() -> Result<LoadedServe, ConfigError> + Send + Sync + 'static,
        notifier: Notifier,
    ) -> Result<(), ServicesError> {
        let Self { config, http, admin, addresses, mut served, bell, counters, clock } = self;
        tracing::info!(http = %addresses.http, admin = %addresses.admin, "listening");
        let (live_grace, grace) = watch::channel(config.serve.grace);
        let (live_remark, remark) = watch::channel(None);
        let (ready, readiness) = watch::channel(Readiness::Ready);
        let asked = Arc::new(Notify::new());
        metrics::reloaded_at(clock.wall());

        let (mut parts, stops) = (Parts::default(), Stops::default());
        let Stops { edges, last } = &stops;
        for one in &mut served {
            one.start(&mut parts, &stops);
        }
        let served: Arc<[Arc<dyn Served>]> = served.into_iter().map(Arc::from).collect();
        let files = Arc::<Files>::default();
        files.change(&config.verify_files);
        let board = Board { served: served.clone(), remark };
        let (proxies, site) = (config.serve.proxies.clone(), site(&served, files.clone()));
        parts.start_stoppable("http", http::serve_behind(proxies, http, site, LIMITS, edges.clone()));
        let view = View { readiness, board: board.clone(), counters };
        parts
            .start_stoppable("admin", http::serve(admin, view.clone().router(), admin::LIMITS, last.clone()));
        parts.start("metrics", last, view.keep_up());
        let reporter =
            Reporter { notifier: notifier.clone(), board: board.clone(), bell, grace: grace.clone() };
        parts.start_stoppable("service manager", reporter.run(edges.clone(), last.clone()));
        if let Some(limit) = notifier.watchdog() {
            parts.start("watchdog", last, feed_watchdog(notifier.clone(), limit));
        }
        tracing::info!("running: {}", board.summary());
        let reloader = Reloader {
            config,
            load: Arc::new(load),
            board,
            files,
            grace: live_grace,
            remark: live_remark,
            notifier,
            clock,
        };
        parts.start("reload", edges, reloader.run(asked.clone()));

        let reopen = || {
            telemetry::reopen();
            served.iter().for_each(|one| one.reopen());
        };
        let lost = loop {
            tokio::select! {
                part = parts.ended() => break Some(part),
                intent = intents() => match intent {
                    Intent::Reload => {
                        reopen();
                        asked.notify_one();
                    }
                    Intent::ReopenLog => reopen(),
                    Intent::Stop => break None,
                    Intent::StopNow => return Ok(()),
                },
            }
        };
        let grace = *grace.borrow();
        let end = Instant::now() + grace;
        tracing::info!(grace_seconds = grace.as_secs(), "stopping; requests under way are answered");
        let stopped = async {
            ready.send_replace(Readiness::NotReady("the service is going down".to_owned()));
            edges.cancel();
            parts.all_ended(&["http", "reload"]).await;
            // All at once: one that takes its time must not take that of the others.
            let closed = served.iter().map(|one| one.close(end.checked_sub(LAST).unwrap_or(end)));
            let left: usize = join_all(closed).await.into_iter().sum();
            last.cancel();
            parts.none_left().await;
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

/// The paths of all services together, and a sentence for all others.
fn site(served: &[Arc<dyn Served>], files: Arc<Files>) -> Router {
    let paths = served.iter().fold(files.router(), |all, one| all.merge(one.router()));
    paths.fallback(no_such_path).method_not_allowed_fallback(no_such_method)
}
