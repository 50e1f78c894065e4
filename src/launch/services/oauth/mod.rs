//! The login service in this process.
//!
//! [`build`] makes its parts from the configuration; a reload changes accounts, applications, the
//! secret of events and WeChat's address, nothing else. It starts and serves without the daemon and
//! without a database that is away: people are then told to come again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::{Client, Code, Error, Flow as CodeFlow};
use crate::clock::Clock;
use crate::config::oauth::OAuthSettings;
use crate::config::{ServeConfig, Service};
use crate::daemon::parts::Parts;
use crate::model::AppId;
use crate::secret::Secret;
use crate::services::database::Database;
use crate::services::oauth::account::Origin;
use crate::services::oauth::flow::{self, DebugLogin, Flow};
use crate::services::oauth::identity::{self, Identity};
use crate::services::oauth::records::sql::SqlRecords;
use crate::services::oauth::records::{RecordId, Records};
use crate::services::oauth::site::Site;

use super::error::ServicesError;
use super::link::{self, Link, Watched, Words};
use super::served::{Bell, Served, Standing, Stops, TakeOver};

mod build;
mod check;
mod error;
mod standing;

pub(super) use check::check;
pub use check::{CheckedOAuth, ServedAccount, ServedApp};
pub use error::OAuthError;

use standing::{Counts, Facts, StoreStanding};

/// Between two looks at the stores.
const LOOK: Duration = Duration::from_secs(15);

/// The service, built; with its tasks once they are started.
pub(super) struct OAuth {
    seats: Arc<Seats>,
    base: Origin,
    debug: DebugLogin,
    database: Database,
    link: watch::Sender<Link>,
    stores: watch::Sender<StoreStanding>,
    waiting: Option<Waiting>,
    bell: Bell,
}

/// What the tasks take with them.
struct Waiting {
    client: Client,
    daemon: String,
    records: Arc<dyn Records>,
    /// To be swept; memcached sweeps itself.
    sweep: Option<SqlRecords>,
}

/// Where what a reload makes goes.
struct Seats {
    flow: Flow,
    identity: Identity,
    appids: watch::Sender<Vec<AppId>>,
    counts: watch::Sender<Counts>,
    bell: Bell,
}

/// What a reload makes anew.
struct Live {
    flow: flow::Live,
    identity: identity::Live,
}

impl OAuth {
    /// Builds every part and opens the database. One that is only away is tried again later.
    pub(super) async fn build(
        settings: &OAuthSettings,
        clock: &Clock,
        bell: Bell,
    ) -> Result<Self, OAuthError> {
        let built = build::build(settings, live(settings, settings.site.base()), clock).await?;
        let build::Built { flow, identity, client, database, records, sweep } = built;
        let seats = Seats {
            flow,
            identity,
            appids: watch::Sender::new(appids(&settings.site)),
            counts: watch::Sender::new(Counts::of(&settings.site)),
            bell: bell.clone(),
        };
        let daemon = settings.daemon.addr.clone();
        Ok(Self {
            seats: Arc::new(seats),
            base: settings.site.base().clone(),
            debug: settings.debug_login,
            database,
            link: watch::Sender::default(),
            stores: watch::Sender::default(),
            waiting: Some(Waiting { client, daemon, records, sweep }),
            bell,
        })
    }
}

impl Seats {
    fn take_over(&self, live: Live) {
        let Live { flow, identity } = live;
        self.appids.send_replace(appids(&flow.site));
        self.counts.send_replace(Counts::of(&flow.site));
        self.flow.change(flow);
        self.identity.change(identity);
        self.bell.ring();
    }
}

#[async_trait]
impl Served for OAuth {
    fn service(&self) -> Service {
        Service::OAuth
    }

    fn router(&self) -> Router {
        self.seats.flow.router().merge(self.seats.identity.router())
    }

    fn start(&mut self, parts: &mut Parts, stops: &Stops) {
        let Some(Waiting { client, daemon, records, sweep }) = self.waiting.take() else { return };
        let watched = Watched {
            service: Service::OAuth,
            daemon,
            appids: self.seats.appids.subscribe(),
            ask: Box::new(move |appid| {
                let client = client.clone();
                Box::pin(async move { may_exchange(&client, &appid).await })
            }),
            words: Words {
                thing: "exchange of a code",
                without: "nobody can log in; who is logged in stays so",
            },
            link: self.link.clone(),
            bell: self.bell.clone(),
        };
        parts.start("daemon link of oauth", &stops.edges, link::watch(watched));
        let look = look(self.database.clone(), records, self.stores.clone(), self.bell.clone());
        parts.start("stores of oauth", &stops.edges, look);
        if let Some(records) = sweep {
            parts.start("sweeper of oauth", &stops.edges, records.keep_swept());
        }
    }

    fn standing(&self) -> Standing {
        let facts = Facts {
            counts: *self.seats.counts.borrow(),
            link: *self.link.borrow(),
            stores: *self.stores.borrow(),
            debug: self.debug,
        };
        standing::standing(facts)
    }

    fn remake(&self, config: &ServeConfig) -> Result<TakeOver, ServicesError> {
        // Without the section it was not asked for, and then it is not here either.
        let Some(settings) = &config.oauth else { return Ok(Box::pin(std::future::ready(()))) };
        let (seats, live) = (self.seats.clone(), live(settings, &self.base));
        Ok(Box::pin(async move { seats.take_over(live) }))
    }

    fn reopen(&self) {}

    async fn close(&self, end: Instant) -> usize {
        let left = self.seats.flow.close(end.saturating_duration_since(Instant::now())).await;
        self.database.close().await;
        left
    }
}

/// What changes live. The address stays as it was at the start.
fn live(settings: &OAuthSettings, base: &Origin) -> Live {
    let OAuthSettings { site, authorize_base, events_secret, .. } = settings;
    let site = Site::new(base.clone(), site.accounts().to_vec(), site.apps().to_vec());
    Live {
        flow: flow::Live { site: site.clone(), authorize_at: authorize_base.clone() },
        identity: identity::Live { site, events: events_secret.clone() },
    }
}

/// Whether the daemon would exchange a code of this account: it says so of an empty one without
/// asking WeChat.
async fn may_exchange(client: &Client, appid: &AppId) -> Result<(), Error> {
    match client.exchange_code(appid, &Secret::from(""), CodeFlow::Web).await {
        Ok(_) => Ok(()),
        Err(Error::Refused(refusal)) if refusal.code == Code::InvalidArgument => Ok(()),
        Err(error) => Err(error),
    }
}

/// Looks for ever whether the stores answer, so that trouble is known before somebody logs in, and
/// its end too.
async fn look(
    database: Database,
    records: Arc<dyn Records>,
    standing: watch::Sender<StoreStanding>,
    bell: Bell,
) {
    let nobody = RecordId::event("is anybody there");
    loop {
        let now = match (database.ping().await, records.get(&nobody).await) {
            (Err(error), _) => StoreStanding::Database(error.reason()),
            (Ok(()), Err(_)) => StoreStanding::Sessions,
            (Ok(()), Ok(_)) => StoreStanding::Well,
        };
        if standing.send_if_modified(|before| std::mem::replace(before, now) != now) {
            bell.ring();
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whose logins there are.
fn appids(site: &Site) -> Vec<AppId> {
    site.accounts().iter().map(|account| account.appid.clone()).collect()
}
