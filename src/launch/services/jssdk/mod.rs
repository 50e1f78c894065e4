//! The JS-SDK service in this process.
//!
//! Its local copy of tickets is fed by one task, which a reload tells of other accounts; accounts,
//! pages and the limit are made anew by a reload. While the daemon is away the copy signs on, and
//! the standing says so.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use axum::Router;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::cache::{Cache, Feeder};
use crate::client::{Client, Code};
use crate::clock::Clock;
use crate::config::jssdk::JssdkSettings;
use crate::config::{ServeConfig, Service};
use crate::daemon::chain;
use crate::daemon::parts::Parts;
use crate::model::{AppId, Key, Kind};
use crate::services::jssdk::account::Account;
use crate::services::jssdk::door::{Door, Table};
use crate::services::jssdk::pages::{Looked, Pages, Watcher};
use crate::services::jssdk::sign::Signer;

use super::error::ServicesError;
use super::link::{self, Link, Watched, Words};
use super::served::{Bell, Served, Standing, Stops, TakeOver};

mod check;
mod error;
mod standing;

pub(super) use check::check;
pub use check::{CheckedJssdk, SignedAccount};
pub use error::JssdkError;

use standing::{PagesFiles, Seen};

/// What is signed to see whether the daemon signs: an address that is nobody's.
const NOBODYS: &str = "https://zhongkong.invalid/";
/// After the daemon has refused the watch, until the next try: an operator has something to do.
const REFUSED: Duration = Duration::from_secs(15);

/// The service, built; with its tasks once they are started.
pub(super) struct Jssdk {
    seats: Arc<Seats>,
    copy: Cache,
    files: watch::Sender<PagesFiles>,
    link: watch::Sender<Link>,
    waiting: Option<Waiting>,
    bell: Bell,
}

/// What the tasks take with them.
struct Waiting {
    feeder: Feeder,
    watched: mpsc::Receiver<Option<Watcher>>,
    client: Client,
    daemon: String,
}

/// Where what a reload makes goes.
struct Seats {
    door: Arc<Door>,
    accounts: ArcSwap<Vec<Account>>,
    pages: ArcSwap<Option<Pages>>,
    keys: watch::Sender<Vec<Key>>,
    appids: watch::Sender<Vec<AppId>>,
    watchers: mpsc::Sender<Option<Watcher>>,
    bell: Bell,
}

/// What a reload makes anew.
struct Live {
    table: Table,
    pages: Option<Pages>,
    watcher: Option<Watcher>,
}

impl Live {
    /// Makes it. Reads the pages, so it blocks.
    fn new(settings: &JssdkSettings) -> Result<Self, JssdkError> {
        let opened = settings.pages.as_deref().map(Pages::open).transpose()?;
        let (pages, watcher) = opened.unzip();
        let table = Table::new(settings.accounts.iter().cloned(), pages.clone(), settings.preview)?;
        Ok(Self { table, pages, watcher })
    }
}

impl Jssdk {
    /// Builds every part. Reads the pages; opens no connection.
    pub(super) async fn build(
        settings: &JssdkSettings,
        clock: &Clock,
        bell: Bell,
    ) -> Result<Self, JssdkError> {
        let live = Live::new(settings)?;
        let client = Client::lazy(&settings.daemon.addr, settings.daemon.credentials.clone())?;
        let (copy, feeder) = Cache::new(client.clone(), clock.clone(), Vec::new());
        let signer = Signer::new(copy.clone(), client.clone(), clock.clone());
        let door = Arc::new(Door::new(Table::default(), settings.rate_limit, signer, clock.clone()));
        let (watchers, watched) = mpsc::channel(1);
        let seats = Arc::new(Seats {
            door,
            accounts: ArcSwap::default(),
            pages: ArcSwap::default(),
            keys: watch::Sender::default(),
            appids: watch::Sender::default(),
            watchers,
            bell: bell.clone(),
        });
        seats.take_over(live, settings).await;
        let waiting = Waiting { feeder, watched, client, daemon: settings.daemon.addr.clone() };
        Ok(Self {
            seats,
            copy,
            files: watch::Sender::default(),
            link: watch::Sender::default(),
            waiting: Some(waiting),
            bell,
        })
    }
}

impl Seats {
    /// Puts in what has been made for one configuration.
    async fn take_over(&self, live: Live, settings: &JssdkSettings) {
        let Live { table, pages, watcher } = live;
        let accounts = &settings.accounts;
        self.door.change(table, settings.rate_limit);
        self.accounts.store(Arc::new(accounts.clone()));
        self.pages.store(Arc::new(pages));
        let mut keys: Vec<Key> = accounts.iter().flat_map(Account::keys).collect();
        keys.sort_unstable();
        keys.dedup();
        self.keys.send_if_modified(|known| {
            let changed = *known != keys;
            *known = keys;
            changed
        });
        self.appids.send_replace(accounts.iter().map(|account| account.appid.clone()).collect());
        // Its reader ends with the process only.
        let _ = self.watchers.send(watcher).await;
        self.bell.ring();
    }
}

#[async_trait]
impl Served for Jssdk {
    fn service(&self) -> Service {
        Service::Jssdk
    }

    fn router(&self) -> Router {
        self.seats.door.clone().router()
    }

    fn start(&mut self, parts: &mut Parts, stops: &Stops) {
        let Some(Waiting { feeder, watched, client, daemon }) = self.waiting.take() else { return };
        let keys = self.seats.keys.subscribe();
        parts.start("copy of tickets", &stops.edges, feed(feeder, keys, stops.edges.clone()));
        parts.start("pages", &stops.last, watch_pages(watched, self.files.clone(), self.bell.clone()));
        let ask = move |appid: AppId| {
            let client = client.clone();
            let asked = async move {
                let key = Key::new(appid.clone(), Kind::JsapiTicket);
                match client.get(&key, Duration::ZERO).await {
                    // Who may not read has perhaps the right to sign, which is enough.
                    Err(error) if error.code() == Some(Code::PermissionDenied) => {
                        client.sign_jsapi(&appid, NOBODYS).await.map(drop)
                    }
                    got => got.map(drop),
                }
            };
            Box::pin(asked) as _
        };
        let watched = Watched {
            service: Service::Jssdk,
            daemon,
            appids: self.seats.appids.subscribe(),
            ask: Box::new(ask),
            words: Words {
                thing: "ticket",
                without: "pages are signed with those of the local copy only, until they end",
            },
            link: self.link.clone(),
            bell: self.bell.clone(),
        };
        parts.start("daemon link of jssdk", &stops.edges, link::watch(watched));
    }

    fn standing(&self) -> Standing {
        let (accounts, pages) = (self.seats.accounts.load(), self.seats.pages.load());
        let lacks = |account: &&Account| account.keys().any(|key| self.copy.to_its_end(&key).is_none());
        let seen = Seen {
            accounts: accounts.len(),
            without_ticket: accounts.iter().filter(lacks).map(|account| account.path.clone()).collect(),
            pages: pages.as_ref().as_ref().map_or(0, |pages| pages.names().len()),
            files: *self.files.borrow(),
            link: *self.link.borrow(),
        };
        standing::standing(&seen)
    }

    fn remake(&self, config: &ServeConfig) -> Result<TakeOver, ServicesError> {
        // Without the section it was not asked for, and then it is not here either.
        let Some(settings) = config.jssdk.clone() else { return Ok(Box::pin(std::future::ready(()))) };
        let live = Live::new(&settings).map_err(ServicesError::Jssdk)?;
        let seats = self.seats.clone();
        Ok(Box::pin(async move { seats.take_over(live, &settings).await }))
    }

    fn reopen(&self) {}

    async fn close(&self, _: Instant) -> usize {
        0
    }
}

/// "2 accounts, 3 pages".
fn summary(accounts: usize, pages: usize) -> String {
    let count = |many: usize, what: &str| format!("{many} {what}{}", if many == 1 { "" } else { "s" });
    format!("{}, {}", count(accounts, "account"), count(pages, "page"))
}

/// Keeps the copy as the daemon has it, for the accounts of the moment. Never returns.
async fn feed(mut feeder: Feeder, mut keys: watch::Receiver<Vec<Key>>, stop: CancellationToken) {
    loop {
        let wanted = keys.borrow_and_update().clone();
        // To watch nothing would be to watch everything.
        let some = !wanted.is_empty();
        feeder.change_keys(wanted);
        let refused = tokio::select! {
            refused = feeder.run(stop.clone()), if some => refused,
            changed = keys.changed() => match changed {
                Ok(()) => continue,
                // Whoever sends them has gone: the process ends.
                Err(_) => match std::future::pending::<Infallible>().await {},
            },
        };
        if let Err(error) = refused {
            // A client that may only sign is one: the link's look says whether that is so.
            tracing::info!(
                error = chain(&error),
                "the daemon does not let this service read tickets, and is asked to sign each page: {}",
                chain(&error)
            );
        }
        tokio::select! {
            () = tokio::time::sleep(REFUSED) => {}
            _ = keys.changed() => {}
        }
    }
}

/// Looks at the directory of the pages of the moment.
async fn watch_pages(
    mut watchers: mpsc::Receiver<Option<Watcher>>,
    standing: watch::Sender<PagesFiles>,
    bell: Bell,
) {
    let mut current: Option<Watcher> = None;
    loop {
        let files = tokio::select! {
            next = watchers.recv() => match next {
                Some(watcher) => {
                    current = watcher;
                    PagesFiles::InForce
                }
                // Whoever sends them has gone: the process ends.
                None => match std::future::pending::<Infallible>().await {},
            },
            () = tokio::time::sleep(Watcher::PAUSE) => match &mut current {
                None => continue,
                Some(watcher) => match watcher.look().await {
                    Looked::Same | Looked::Unsettled => continue,
                    Looked::Taken(_) => PagesFiles::InForce,
                    Looked::Refused(_) => PagesFiles::Refused,
                },
            },
        };
        standing.send_replace(files);
        bell.ring();
    }
}
