//! The message service in this process.
//!
//! [`build`] makes its parts from the configuration: those that stay, and those that a reload makes
//! anew; [`answerers`] are the seats between them.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::client::Client;
use crate::clock::Clock;
use crate::config::messages::MessagesSettings;
use crate::config::{ServeConfig, Service};
use crate::daemon::parts::Parts;
use crate::model::{AppId, Key, Kind};
use crate::services::messages::desk::Desk;
use crate::services::messages::door::{Door, Table};
use crate::services::messages::log::{MessageLog, Writer};
use crate::services::messages::rules::{Beside, Looked, Watcher};
use crate::telemetry::metrics::Done;
use crate::telemetry::services as metrics;

use super::error::ServicesError;
use super::link::{self, Link, Watched, Words};
use super::served::{Bell, Served, Standing, Stops, TakeOver};

mod answerers;
mod build;
mod check;
mod error;
mod late;
mod standing;

pub(super) use check::check;
pub use check::{CheckedMessages, ServedAccount, ServedProgram, ServedRule};
pub use error::MessagesError;

use answerers::{ProgramSeat, RulesSeat};
use build::{Fixed, Forwarders, Live};
use standing::{Counts, RulesFile};

/// The service, built; with its tasks once they are started.
pub(super) struct Messages {
    seats: Arc<Seats>,
    desk: Arc<Desk>,
    log: MessageLog,
    /// In force until a restart: what the desk remembers is as long as the window.
    replay_window: Duration,
    clock: Clock,
    file: watch::Sender<RulesFile>,
    link: watch::Sender<Link>,
    waiting: Option<Waiting>,
    bell: Bell,
}

/// What the tasks take with them.
struct Waiting {
    watched: mpsc::Receiver<Option<Watcher>>,
    writer: Option<Writer>,
    client: Client,
    daemon: String,
}

/// Where what a reload makes goes.
struct Seats {
    door: Arc<Door>,
    rules: Arc<RulesSeat>,
    programs: Arc<ProgramSeat>,
    beside: Beside,
    forwarders: Mutex<Forwarders>,
    watchers: mpsc::Sender<Option<Watcher>>,
    appids: watch::Sender<Vec<AppId>>,
    counts: watch::Sender<Counts>,
    bell: Bell,
}

impl Messages {
    /// Builds every part. Reads the rules; opens no connection.
    pub(super) async fn build(
        settings: &MessagesSettings,
        clock: &Clock,
        bell: Bell,
    ) -> Result<Self, MessagesError> {
        let beside = Beside::default();
        let live = Live::new(settings, &Forwarders::new(), &beside, clock)?;
        let Fixed { desk, rules, programs, log, writer, client } = Fixed::new(settings, clock)?;
        let door = Arc::new(Door::new(Table::default(), desk.clone(), log.clone(), clock.clone()));
        let (watchers, watched) = mpsc::channel(1);
        let seats = Arc::new(Seats {
            door,
            rules,
            programs,
            beside,
            forwarders: Mutex::default(),
            watchers,
            appids: watch::Sender::default(),
            counts: watch::Sender::default(),
            bell: bell.clone(),
        });
        seats.take_over(live, appids(settings)).await;
        let waiting = Waiting { watched, writer, client, daemon: settings.daemon.addr.clone() };
        Ok(Self {
            seats,
            desk,
            log,
            replay_window: settings.replay_window,
            clock: clock.clone(),
            file: watch::Sender::default(),
            link: watch::Sender::default(),
            waiting: Some(waiting),
            bell,
        })
    }
}

impl Seats {
    /// Puts in what has been made for one configuration.
    async fn take_over(&self, live: Live, appids: Vec<AppId>) {
        let Live { table, rules, forwarders, programs } = live;
        let (rules, watcher) = rules.unzip();
        let counts = Counts { accounts: table.accounts(), programs: forwarders.len() };
        self.rules.fill(rules);
        self.programs.fill(programs);
        self.door.change(table);
        *self.forwarders.lock().unwrap_or_else(PoisonError::into_inner) = forwarders;
        self.appids.send_replace(appids);
        self.counts.send_replace(counts);
        // Its reader ends with the process only.
        let _ = self.watchers.send(watcher).await;
        self.bell.ring();
    }
}

#[async_trait]
impl Served for Messages {
    fn service(&self) -> Service {
        Service::Messages
    }

    fn router(&self) -> Router {
        self.seats.door.clone().router()
    }

    fn start(&mut self, parts: &mut Parts, stops: &Stops) {
        let Some(Waiting { watched, writer, client, daemon }) = self.waiting.take() else { return };
        parts.start("rules", &stops.last, watch_rules(watched, self.file.clone(), self.bell.clone()));
        let ask = move |appid: AppId| {
            let client = client.clone();
            let asked = async move {
                client.get(&Key::new(appid, Kind::AccessToken), Duration::ZERO).await.map(drop)
            };
            Box::pin(asked) as _
        };
        let watched = Watched {
            service: Service::Messages,
            daemon,
            appids: self.seats.appids.subscribe(),
            ask: Box::new(ask),
            words: Words {
                thing: "token",
                without: "answers that are late cannot be sent; messages are answered in time as before",
            },
            link: self.link.clone(),
            bell: self.bell.clone(),
        };
        parts.start("daemon link of messages", &stops.edges, link::watch(watched));
        if let Some(writer) = writer {
            parts.start_stoppable("message log", writer.run(stops.last.clone()));
        }
    }

    fn standing(&self) -> Standing {
        let (counts, file, link) = (*self.seats.counts.borrow(), *self.file.borrow(), *self.link.borrow());
        standing::standing(counts, self.seats.rules.count(), file, link)
    }

    fn remake(&self, config: &ServeConfig) -> Result<TakeOver, ServicesError> {
        // Without the section it was not asked for, and then it is not here either.
        let Some(settings) = &config.messages else { return Ok(Box::pin(std::future::ready(()))) };
        let settings = MessagesSettings { replay_window: self.replay_window, ..settings.clone() };
        let before = self.seats.forwarders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let live = Live::new(&settings, &before, &self.seats.beside, &self.clock)
            .map_err(ServicesError::Messages)?;
        let (seats, appids) = (self.seats.clone(), appids(&settings));
        Ok(Box::pin(async move { seats.take_over(live, appids).await }))
    }

    fn reopen(&self) {
        self.log.reopen();
    }

    async fn close(&self, end: Instant) -> usize {
        let rest = || end.saturating_duration_since(Instant::now());
        self.desk.close(rest()).await + self.seats.beside.close(rest()).await
    }
}

/// Looks at the file of the rules of the moment.
async fn watch_rules(
    mut watchers: mpsc::Receiver<Option<Watcher>>,
    standing: watch::Sender<RulesFile>,
    bell: Bell,
) {
    let mut current: Option<Watcher> = None;
    metrics::rules_from_the_start();
    loop {
        let file = tokio::select! {
            next = watchers.recv() => match next {
                Some(watcher) => {
                    current = watcher;
                    metrics::rules_in_force();
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
                        metrics::rules_reload(Done::Ok);
                        RulesFile::InForce
                    }
                    Looked::Refused(_) => {
                        metrics::rules_reload(Done::Failed);
                        RulesFile::Refused
                    }
                },
            },
        };
        if standing.send_if_modified(|standing| std::mem::replace(standing, file) != file) {
            bell.ring();
        }
    }
}

/// Whose messages arrive.
fn appids(settings: &MessagesSettings) -> Vec<AppId> {
    settings.accounts.iter().map(|account| account.account.appid.clone()).collect()
}
