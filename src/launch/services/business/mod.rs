//! Menus and QR codes for programs, in this process.
//!
//! It has no accounts of its own and nothing to show to the daemon: its callers have. So it looks
//! whether the daemon serves at all. It starts and serves without the daemon and without a database
//! that is away: programs are then told to come again. A reload changes the numbers of codes and the
//! secret of events.

use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::Client;
use crate::clock::Clock;
use crate::config::business::BusinessSettings;
use crate::config::{ServeConfig, Service};
use crate::daemon::chain;
use crate::daemon::parts::Parts;
use crate::services::business_api::{self, Api, Live};
use crate::services::database::Database;
use crate::services::qrcode::picture_host;
use crate::services::wechat_api::{self, WechatApi};
use crate::telemetry::{ErrorTracker, Report, services};

use super::error::ServicesError;
use super::link::Link;
use super::served::{Bell, Served, Standing, Stops, TakeOver};

mod check;
mod error;
mod standing;

pub use check::CheckedBusiness;
pub(super) use check::check;
pub use error::BusinessError;

use standing::StoreStanding;

/// Between two looks at the daemon and the database.
const LOOK: Duration = Duration::from_secs(15);

/// The service, built; with its tasks once they are started.
pub(super) struct Business {
    api: Api,
    database: Database,
    link: watch::Sender<Link>,
    store: watch::Sender<StoreStanding>,
    waiting: Option<Waiting>,
    bell: Bell,
}

/// What the tasks take with them.
struct Waiting {
    client: Client,
    daemon: String,
}

impl Business {
    /// Builds every part and opens the database. One that is only away is tried again later.
    pub(super) async fn build(
        settings: &BusinessSettings,
        clock: &Clock,
        bell: Bell,
    ) -> Result<Self, BusinessError> {
        let BusinessSettings { daemon, wechat, database, codes: _, events_secret: _ } = settings;
        let client = Client::lazy(&daemon.addr, daemon.credentials.clone())?;
        let api = WechatApi::new(
            client.clone(),
            wechat_api::Settings {
                api_base: wechat.api_base.clone(),
                connect_timeout: wechat.connect_timeout,
                timeout: wechat.timeout,
                proxy: wechat.proxy.clone(),
                daemon: daemon.addr.clone(),
            },
        )?;
        let database = Database::new(database, Api::schema())?;
        match database.prepare().await {
            Ok(()) => {}
            // It has said so in the log, and is tried again with each request.
            Err(error) if error.passes() => {}
            Err(error) => return Err(error.into()),
        }
        let parts = business_api::Parts {
            daemon: client.clone(),
            api,
            pictures: picture_host(&wechat.api_base),
            database: database.clone(),
            clock: clock.clone(),
        };
        Ok(Self {
            api: Api::new(live(settings), parts),
            database,
            link: watch::Sender::default(),
            store: watch::Sender::default(),
            waiting: Some(Waiting { client, daemon: daemon.addr.clone() }),
            bell,
        })
    }
}

#[async_trait]
impl Served for Business {
    fn service(&self) -> Service {
        Service::Business
    }

    fn router(&self) -> Router {
        self.api.router()
    }

    fn start(&mut self, parts: &mut Parts, stops: &Stops) {
        let Some(waiting) = self.waiting.take() else { return };
        let link = watch_daemon(waiting, self.link.clone(), self.bell.clone());
        parts.start("daemon link of business", &stops.edges, link);
        let store = watch_store(self.database.clone(), self.store.clone(), self.bell.clone());
        parts.start("database of business", &stops.edges, store);
    }

    fn standing(&self) -> Standing {
        standing::standing(*self.link.borrow(), *self.store.borrow())
    }

    fn remake(&self, config: &ServeConfig) -> Result<TakeOver, ServicesError> {
        // Without the section it was not asked for, and then it is not here either.
        let Some(settings) = &config.business else { return Ok(Box::pin(std::future::ready(()))) };
        let (api, live) = (self.api.clone(), live(settings));
        Ok(Box::pin(async move { api.change(live) }))
    }

    fn reopen(&self) {}

    async fn close(&self, end: Instant) -> usize {
        self.api.close(end).await
    }
}

/// What changes live.
fn live(settings: &BusinessSettings) -> Live {
    Live { codes: settings.codes, events: settings.events_secret.clone() }
}

/// Looks for ever whether the daemon serves, so that its absence is known before a program asks.
async fn watch_daemon(waiting: Waiting, link: watch::Sender<Link>, bell: Bell) {
    let Waiting { client, daemon } = waiting;
    let service = Service::Business.as_str();
    let mut trouble = ErrorTracker::default();
    loop {
        let error = match client.serving().await {
            Ok(true) => None,
            Ok(false) => Some("it is starting or stopping".to_owned()),
            Err(error) => Some(chain(&error)),
        };
        let (now, report) = match &error {
            None => (Link::Up, trouble.succeeded()),
            Some(_) => (Link::Down, trouble.failed()),
        };
        services::daemon_reachable(service, if now == Link::Up { 1.0 } else { 0.0 });
        if link.send_if_modified(|link| std::mem::replace(link, now) != now) {
            bell.ring();
        }
        let error = error.unwrap_or_default();
        // Behind the state: who reads the line and looks must find it so.
        match report {
            Report::Warn(times) => tracing::warn!(
                service,
                daemon,
                times,
                error,
                "the daemon does not serve, and no program is let in (is it running, does [business] daemon name it?): {error}",
            ),
            Report::Debug(times) => {
                tracing::debug!(service, daemon, times, error, "the daemon does not serve");
            }
            Report::Recovered(times) => tracing::info!(service, times, "the daemon serves again"),
            Report::Nothing => {}
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Looks for ever whether the database answers.
async fn watch_store(database: Database, standing: watch::Sender<StoreStanding>, bell: Bell) {
    loop {
        let now = match database.ping().await {
            Ok(()) => StoreStanding::Well,
            Err(error) => StoreStanding::Away(error.reason()),
        };
        if standing.send_if_modified(|before| std::mem::replace(before, now) != now) {
            bell.ring();
        }
        tokio::time::sleep(LOOK).await;
    }
}
