//! `WatchTokens`: one stream, fed by the hub's changes.
//!
//! A stream holds a set of keys that its client has not seen in their present state, and
//! makes a message from the *current* view only when the client takes one. So a slow client
//! loses intermediate states, never the latest; it holds at most one entry per key; and a
//! refresher never waits for it: what it publishes is a change note, not a message.
//!
//! The stream also looks at deadlines itself: a value past its `dead_by` is withdrawn at
//! that time even if its refresher says nothing. It looks at its caller after every reload
//! and with every heartbeat.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::access::{Action, Caller, Gate};
use crate::audit::{Act, On, Outcome, Recorder};
use crate::clock::BootTime;
use crate::hub::{Change, Feed, Hub};
use crate::model::{ErrCode, Generation, Key};
use crate::pb;
use crate::pb::watch_tokens_response::Event;
use crate::refresh::handle::{Handle, NoValue};
use crate::refresh::view::{Good, Problem, ProblemClass, State};
use crate::telemetry::metrics::Watcher;

use super::convert::{self, ValuePart};
use super::errors::Failure;
use super::service::Face;

/// A third of the 45 s after which a client takes itself for not watching.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Keys that one request may name; with their appids they fit into the request's 64 KiB.
const MAX_KEYS: usize = 2_000;

/// The stream that the rpc answers with.
pub(super) type Events = Pin<Box<dyn Stream<Item = Result<pb::WatchTokensResponse, Status>> + Send>>;

/// Opens a watch. Fails only for a request that cannot be read.
pub(super) fn open(face: &Face, caller: Caller, asked: &pb::WatchTokensRequest) -> Result<Events, Failure> {
    let wanted = wanted(&asked.keys)?;
    let known = known(&asked.known)?;
    // Subscribed before the keys are read, so that no change falls in between.
    let (feed, epoch) = (face.hub.subscribe(), face.gate.epoch());
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.reset();
    // A client that read nothing for a minute is owed one heartbeat, not four.
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch {
        hub: face.hub.clone(),
        gate: face.gate.clone(),
        stop: face.stop.clone(),
        audit: face.audit.clone(),
        caller,
        wanted,
        known,
        told: HashMap::new(),
        unseen: BTreeSet::new(),
        earliest: BootTime::FAR,
        feed,
        epoch,
        heartbeat,
        snapshot: Snapshot::UnderWay,
        _counted: Watcher::opened(),
    };
    watch.look_at_all();
    Ok(Box::pin(stream::unfold(Some(watch), |watch| async {
        let mut watch = watch?;
        match watch.next().await {
            Ok(event) => Some((Ok(pb::WatchTokensResponse { event: Some(event) }), Some(watch))),
            // The failure ends the stream.
            Err(failure) => Some((Err(failure.into()), None)),
        }
    })))
}

struct Watch {
    hub: Arc<Hub>,
    gate: Gate,
    stop: CancellationToken,
    audit: Recorder,
    caller: Caller,
    wanted: Wanted,
    /// Generations whose value the client holds, so that it need not be sent.
    known: HashMap<Key, Generation>,
    /// What the client was told last of each key.
    told: HashMap<Key, Told>,
    /// Keys that may differ from what the client was told.
    unseen: BTreeSet<Key>,
    /// No later than the first end of a value that the client was told.
    earliest: BootTime,
    feed: Feed,
    epoch: watch::Receiver<u64>,
    heartbeat: Interval,
    snapshot: Snapshot,
    _counted: Watcher,
}

enum Wanted {
    /// All that the caller may read, now and later.
    All,
    /// These, readable or not.
    Named(HashSet<Key>),
}

enum Snapshot {
    UnderWay,
    Sent,
}

/// The part of a message by which it is decided whether another one is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Token { generation: Generation, dead_by: BootTime, state: State },
    Withdrawn { reason: pb::WithdrawnReason, trouble: Option<(ProblemClass, Option<ErrCode>)> },
}

impl Watch {
    /// The next message. Dropping it between two messages loses nothing: what the client has
    /// not seen stays in `unseen`.
    async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            // Before each message, so that none leaves under grants that are gone.
            if self.epoch.has_changed().unwrap_or(false) {
                self.epoch.mark_unchanged();
                self.recheck()?;
                self.look_at_all();
            }
            while let Some(key) = self.unseen.pop_first() {
                if let Some(event) = self.look(&key) {
                    return Ok(event);
                }
            }
            if let Snapshot::UnderWay = self.snapshot {
                self.snapshot = Snapshot::Sent;
                return Ok(Event::SnapshotComplete(pb::SnapshotComplete {}));
            }
            let clock = self.hub.clock().clone();
            tokio::select! {
                change = self.feed.next() => match change {
                    Change::Key(key) => self.note(key),
                    Change::Lagged => self.look_at_all(),
                    Change::Closed => return Err(Failure::Stopping),
                },
                // The sender lives in `gate`, so this never fails; the loop's head reacts.
                _ = self.epoch.changed() => self.epoch.mark_changed(),
                () = clock.sleep_until(self.earliest) => self.look_at_ended(),
                _ = self.heartbeat.tick() => {
                    // `not_after` passes without any reload.
                    self.recheck()?;
                    let server_time = Some(convert::stamp(clock.wall()));
                    return Ok(Event::Heartbeat(pb::Heartbeat { server_time }));
                }
                () = self.stop.cancelled() => return Err(Failure::Stopping),
            }
        }
    }

    fn recheck(&mut self) -> Result<(), Failure> {
        self.caller = self.gate.recheck(&self.caller).map_err(Failure::Unauthenticated)?;
        Ok(())
    }

    /// Notes a change, if it is of a key that this client has to do with.
    fn note(&mut self, key: Key) {
        let concerned = match &self.wanted {
            Wanted::Named(keys) => keys.contains(&key),
            Wanted::All => self.may_read(&key) || self.told.contains_key(&key),
        };
        if concerned {
            self.unseen.insert(key);
        }
    }

    fn look_at_all(&mut self) {
        match &self.wanted {
            Wanted::Named(keys) => self.unseen.extend(keys.iter().cloned()),
            Wanted::All => {
                let handles = self.hub.keys();
                let readable = handles.iter().map(Handle::key).filter(|key| self.may_read(key)).cloned();
                // The ones told of are looked at even if they are gone or forbidden now.
                self.unseen = readable.chain(self.told.keys().cloned()).collect();
            }
        }
    }

    /// Looks again at the values that have ended, and finds the next end.
    fn look_at_ended(&mut self) {
        let now = self.hub.clock().boot();
        self.earliest = BootTime::FAR;
        for (key, told) in &self.told {
            match told {
                Told::Token { dead_by, .. } if *dead_by <= now => {
                    self.unseen.insert(key.clone());
                }
                Told::Token { dead_by, .. } => self.earliest = self.earliest.min(*dead_by),
                Told::Withdrawn { .. } => {}
            }
        }
    }

    fn may_read(&self, key: &Key) -> bool {
        self.caller.may(Action::Read, key.appid.as_str(), key.kind)
    }

    /// The message about a key as it is now, if the client was not told the same before.
    fn look(&mut self, key: &Key) -> Option<Event> {
        let handle = self.hub.handle(key.appid.as_str(), key.kind);
        let Some(handle) = handle.filter(|_| self.may_read(key)) else {
            let event = self.withdraw(key, self.out_of_reach(key));
            // Asked for by name, and told so for the first time.
            if event.is_some() && matches!(self.wanted, Wanted::Named(_)) && !self.may_read(key) {
                self.audit.record(&self.caller, Act::Watch, On::key(key), Outcome::Denied);
            }
            // A key that nobody asked for by name and that is gone need not be remembered.
            if let Wanted::All = self.wanted {
                self.told.remove(key);
            }
            return event;
        };
        match handle.read() {
            Ok(good) => self.tell(key, &good),
            Err(source) => self.withdraw(key, self.without_value(key, source)),
        }
    }

    fn tell(&mut self, key: &Key, good: &Good) -> Option<Event> {
        let generation = good.value.generation;
        let told = Told::Token { generation, dead_by: good.dead_by, state: good.state };
        self.earliest = self.earliest.min(good.dead_by);
        if self.told.insert(key.clone(), told) == Some(told) {
            return None;
        }
        let part = match self.known.get(key) {
            Some(known) if *known == generation => ValuePart::LeftOut,
            Some(_) | None => ValuePart::Shown,
        };
        if part == ValuePart::Shown {
            self.audit.record(&self.caller, Act::Watch, On::key(key), Outcome::Served);
        }
        let token = convert::token(key.appid.as_str(), key.kind, good, part, self.hub.clock().moment());
        Some(Event::Token(token))
    }

    fn withdraw(&mut self, key: &Key, gone: Gone) -> Option<Event> {
        let Gone { reason, retry_after, problem } = gone;
        // The client drops what it holds, so it must get the value if it comes back.
        self.known.remove(key);
        let trouble = problem.as_deref().map(Problem::kind);
        let told = Told::Withdrawn { reason, trouble };
        if self.told.insert(key.clone(), told) == Some(told) {
            return None;
        }
        Some(Event::Withdrawn(pb::Withdrawn {
            appid: key.appid.as_str().to_owned(),
            kind: convert::kind_out(key.kind).into(),
            reason: reason.into(),
            retry_after: retry_after.map(convert::span_out),
            problem: problem.as_deref().map(convert::problem),
        }))
    }

    /// Why a key is not there for this client.
    fn out_of_reach(&self, key: &Key) -> Gone {
        if self.may_read(key) {
            Gone::new(pb::WithdrawnReason::NotFound, None, None)
        } else {
            Gone::new(pb::WithdrawnReason::Forbidden, None, None)
        }
    }

    /// Why a configured, readable key has no value.
    fn without_value(&self, key: &Key, source: NoValue) -> Gone {
        let now = self.hub.clock().boot();
        let mut gone = Gone::of(source, now);
        let ended = matches!(self.told.get(key), Some(Told::Token { dead_by, .. }) if *dead_by <= now);
        if ended && gone.reason == pb::WithdrawnReason::Unavailable {
            gone.reason = pb::WithdrawnReason::Expired;
        }
        gone
    }
}

/// What a `Withdrawn` says.
struct Gone {
    reason: pb::WithdrawnReason,
    retry_after: Option<Duration>,
    problem: Option<Arc<Problem>>,
}

impl Gone {
    fn new(
        reason: pb::WithdrawnReason,
        retry_after: Option<Duration>,
        problem: Option<Arc<Problem>>,
    ) -> Self {
        Self { reason, retry_after, problem }
    }

    fn of(source: NoValue, now: BootTime) -> Self {
        use pb::WithdrawnReason as Reason;
        match source {
            NoValue::Unavailable { retry_after, problem } => {
                Self::new(Reason::Unavailable, Some(retry_after), problem)
            }
            NoValue::NeedsOperator { retry_after, problem } => {
                Self::new(Reason::NeedsOperator, Some(retry_after), Some(problem))
            }
            NoValue::Exhausted { retry_after, rule: _, problem } => {
                Self::new(Reason::Exhausted, Some(retry_after), problem)
            }
            NoValue::Paused { until } => Self::new(Reason::Paused, Some(until.since(now)), None),
            NoValue::Removed => Self::new(Reason::NotFound, None, None),
            // Answers to complaints, which a reading never gets.
            NoValue::NotAComplaint { .. } | NoValue::FingerprintMissing => {
                Self::new(Reason::Unavailable, None, None)
            }
        }
    }
}

fn wanted(keys: &[pb::Key]) -> Result<Wanted, Failure> {
    if keys.is_empty() {
        return Ok(Wanted::All);
    }
    if keys.len() > MAX_KEYS {
        return Err(Failure::invalid("keys", format!("has more than {MAX_KEYS} keys")));
    }
    let keys = keys.iter().enumerate();
    let keys = keys.map(|(i, key)| convert::key(&format!("keys[{i}]"), &key.appid, key.kind));
    Ok(Wanted::Named(keys.collect::<Result<_, _>>()?))
}

fn known(known: &[pb::KnownToken]) -> Result<HashMap<Key, Generation>, Failure> {
    let known = known.iter().enumerate();
    known
        .map(|(i, one)| {
            let key = convert::key(&format!("known[{i}]"), &one.appid, one.kind)?;
            Ok((key, Generation(one.generation)))
        })
        .collect()
}
