//! Where a message is answered: one handler run for it, an answer in time, and none lost.
//!
//! ```text
//! request ──┐ first: starts the run        in time: to every request that is there
//! retry   ──┼─ run ─ (claim) ─ slot ─ handlers ─┤
//! retry   ──┘ waits for the same run       too late: sent once by the late sender
//! ```
//!
//! A run belongs to the desk and outlives who asked for it. One whose handlers are ready at once
//! runs within the request, without a task. What an instance that dies was working on is run by
//! the one that gets WeChat's next retry, if both share a memcached. Nothing survives the end of
//! all instances: WeChat's retries are the only journal.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::dedup::DedupKey;
use super::dedup::shared::Shared;
use super::dedup::table::{Bounds, Found, State, Table};
use super::dispatch::Dispatcher;
use super::handler::Incoming;
use super::late::Late;
use super::message::Message;
use super::reply::{Answer, Reply};
use crate::model::AppId;
use crate::telemetry::ErrorTracker;
use crate::telemetry::metrics::{MessageFamily, MessageOutcome, Messages};

mod run;
#[cfg(test)]
mod tests;
mod work;

use run::{End, Run};
use work::Work;

/// How long, and how much at once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// From a request's arrival to its answer. WeChat hangs up after 5 s.
    pub deadline: Duration,
    /// For all handlers of one message together; then they are given up.
    pub handler_timeout: Duration,
    /// Messages whose handlers run at the same time.
    pub in_flight: usize,
    /// Messages that wait for one of these places; more are refused with 503.
    pub queue: usize,
    /// How long is remembered that a message is done: the replay window, or longer.
    pub window: Duration,
    /// How many messages that are done are remembered; each takes about 100 bytes.
    pub remembered: usize,
    /// How many of their answers are kept, for a minute, to be repeated. They take the most: a
    /// text about 500 bytes, news 10 KiB.
    pub answers: usize,
    /// Memcached servers that all instances share; empty for a single instance.
    pub memcached: Vec<String>,
    /// For one exchange with one of them, connecting included; then the instance goes on alone.
    pub memcached_timeout: Duration,
}

/// What came of sending it.
pub type Sent = Result<(), Box<dyn Error + Send + Sync>>;

/// Sends what was not ready in time.
#[async_trait]
pub trait LateSender: Send + Sync + 'static {
    /// Sends a reply to the sender of the message. `by` is who gave it, for logs.
    ///
    /// # Errors
    /// It was not sent, or nobody knows. It is not tried again.
    async fn send(&self, incoming: &Incoming, reply: &Reply, by: Option<&str>) -> Sent;
}

#[async_trait]
impl LateSender for Late {
    async fn send(&self, incoming: &Incoming, reply: &Reply, _by: Option<&str>) -> Sent {
        Ok(Self::send(self, incoming, reply).await?)
    }
}

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The body.
    pub answer: Arc<Answer>,
    /// Which handler gave it; `None` for a bare acknowledgement.
    pub by: Option<Arc<str>>,
    /// How it came about.
    pub how: How,
}

/// How an answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The handlers ran, and ended in time.
    Handled,
    /// The handlers still run; what they say is sent late.
    TooSlow,
    /// The message was known, and its answer is repeated, or it is acknowledged once more.
    Repeated,
}

/// There is no room for another message, or the process ends. To be answered with 503, so that
/// WeChat sends it again. It has been counted, and is the caller's to log: for a flood one line in
/// a while is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no room for another message, and WeChat sends it again: too many wait for their handlers, or \
     the process ends; look at what the handlers wait for, or start another instance"
)]
pub struct Busy;

/// What came of a run.
#[derive(Debug)]
pub(super) struct Verdict {
    answer: Arc<Answer>,
    by: Option<Arc<str>>,
    /// Another instance's.
    foreign: bool,
}

/// Where messages are answered. Dropping it ends what runs at once; see [`Desk::close`].
#[derive(Debug)]
pub struct Desk {
    core: Arc<Core>,
    runs: Mutex<JoinSet<()>>,
}

/// What runs need.
pub(super) struct Core {
    settings: Settings,
    dispatcher: Dispatcher,
    late: Arc<dyn LateSender>,
    table: Mutex<Table<Run, Verdict>>,
    slots: Semaphore,
    shared: Option<Arc<Shared>>,
    /// A message is done.
    done: Notify,
    counts: Messages,
    /// One for each account: what one may not do, another may.
    late_failures: Mutex<HashMap<AppId, ErrorTracker>>,
    /// What is said of everything that is merely acknowledged.
    acknowledged: Arc<Answer>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(4_500),
            handler_timeout: Duration::from_secs(60),
            in_flight: 256,
            queue: 1_024,
            window: Duration::from_mins(10),
            remembered: 500_000,
            answers: 50_000,
            memcached: Vec::new(),
            memcached_timeout: Duration::from_millis(100),
        }
    }
}

impl Desk {
    /// Lets these handlers answer, and this sender send what is late.
    pub fn new(settings: Settings, dispatcher: Dispatcher, late: Arc<dyn LateSender>) -> Self {
        let bounds = Bounds {
            working: settings.in_flight.max(1).saturating_add(settings.queue),
            done: settings.remembered,
            answers: settings.answers,
            window: settings.window,
        };
        let core = Core {
            table: Mutex::new(Table::new(bounds)),
            slots: Semaphore::new(settings.in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            shared: Shared::new(settings.memcached.clone(), settings.memcached_timeout, settings.window)
                .map(Arc::new),
            counts: Messages::new(),
            done: Notify::new(),
            late_failures: Mutex::default(),
            acknowledged: Arc::new(Answer::Success),
            settings,
            dispatcher,
            late,
        };
        Self { core: Arc::new(core), runs: Mutex::default() }
    }

    /// Answers a request that arrived at this instant. Dropping it is what a hang-up of the caller
    /// is: the handlers go on.
    ///
    /// # Errors
    /// There is no room; nothing was begun.
    pub async fn answer(&self, incoming: Arc<Incoming>, arrived: Instant) -> Result<Answered, Busy> {
        let family = family(&incoming.message);
        let key = DedupKey::of(&incoming.account, &incoming.message);
        let deadline = arrived + self.core.settings.deadline;
        let found = self.core.table().find(key, Instant::now(), Arc::default);
        let (end, first) = match found {
            Found::New(run) => {
                let open = run.enter();
                let end = match self.start(Work::new(&self.core, key, run, incoming)).await {
                    Some(verdict) => Some(End::Passive(verdict)),
                    None => open.wait(deadline).await,
                };
                (end, First::Yes)
            }
            Found::Known(State::Working(run)) => (run.enter().wait(deadline).await, First::No),
            Found::Known(State::Answered(verdict)) => (Some(End::Passive(verdict)), First::No),
            Found::Known(State::Done) => (Some(End::Late), First::No),
            Found::Full => {
                self.core.counts.count(family, MessageOutcome::RefusedBusy);
                return Err(Busy);
            }
        };
        let answered = self.core.answered(end, first);
        self.core.counts.count(family, answered.outcome());
        Ok(answered)
    }

    /// Runs the handlers: here, if they are ready at once, which most are, else in a task of the
    /// desk's.
    async fn start(&self, work: Work) -> Option<Arc<Verdict>> {
        let work = Arc::new(work);
        let own = Arc::clone(&work);
        let mut going = Box::pin(async move { own.produce().await });
        // One poll, and no waiting: nothing can be dropped half done.
        match std::future::poll_fn(|context| Poll::Ready(going.as_mut().poll(context))).await {
            Poll::Ready(produced) if produced.lease.is_none() => return Some(work.finish_here(produced)),
            Poll::Ready(produced) => self.spawn(async move { work.finish(produced).await }),
            Poll::Pending => self.spawn(async move { work.finish(going.await).await }),
        }
        None
    }

    fn spawn(&self, run: impl Future<Output = ()> + Send + 'static) {
        let mut runs = self.runs();
        while runs.try_join_next().is_some() {}
        runs.spawn(run);
    }

    /// Refuses new messages and waits until what runs is finished, late answers included, but not
    /// longer than this; what is left is given up and logged. Returns how much that was. Retries of
    /// what is known are answered as before. Dropped midway, nothing is given up.
    pub async fn close(&self, grace: Duration) -> usize {
        self.core.table().close();
        let end = Instant::now() + grace;
        if tokio::time::timeout_at(end, self.finished()).await.is_ok() {
            return 0;
        }
        let left = {
            let mut runs = self.runs();
            while runs.try_join_next().is_some() {}
            runs.abort_all();
            runs.len()
        };
        self.ended().await;
        if left > 0 {
            tracing::warn!(
                count = left,
                "{left} messages were still being handled at the end of the grace and are given up; their senders get no answer: handlers are slow, or the grace is short",
            );
        }
        left
    }

    /// Waits until nothing is worked on.
    async fn finished(&self) {
        // First the table, in which a message is from the moment it is taken; then the tasks, which
        // end a little later, and of which a desk that is closed gets no new ones.
        loop {
            let done = self.core.done.notified();
            if self.core.table().working() == 0 {
                break;
            }
            done.await;
        }
        self.ended().await;
    }

    /// Waits until there are no runs.
    async fn ended(&self) {
        // In its place, and not taken out: this may be dropped, and a run must not be.
        while std::future::poll_fn(|context| self.runs().poll_join_next(context)).await.is_some() {}
    }

    fn runs(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a request is the one that brought the message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Yes,
    No,
}

impl Answered {
    fn outcome(&self) -> MessageOutcome {
        match (self.how, &self.by) {
            (How::Handled, Some(_)) => MessageOutcome::Answered,
            (How::Handled, None) | (How::TooSlow, _) => MessageOutcome::Acknowledged,
            (How::Repeated, _) => MessageOutcome::Repeated,
        }
    }
}

impl Core {
    fn answered(&self, end: Option<End>, first: First) -> Answered {
        let how = match (&end, first) {
            (None, _) => How::TooSlow,
            (Some(End::Passive(verdict)), First::Yes) if !verdict.foreign => How::Handled,
            (Some(_), _) => How::Repeated,
        };
        let (answer, by) = match end {
            Some(End::Passive(verdict)) => (Arc::clone(&verdict.answer), verdict.by.clone()),
            Some(End::Late) | None => (Arc::clone(&self.acknowledged), None),
        };
        Answered { answer, by, how }
    }

    fn table(&self) -> MutexGuard<'_, Table<Run, Verdict>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn family(message: &Message) -> MessageFamily {
    match message.msg_type() {
        "text" => MessageFamily::Text,
        "image" | "voice" | "video" | "shortvideo" => MessageFamily::Media,
        "event" => MessageFamily::Event,
        _ => MessageFamily::Other,
    }
}
