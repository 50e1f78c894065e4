//! What is to be copied, and what each server has still to get.
//!
//! Owns the latest state of every key and one queue a server, under one lock that is held for a
//! few map operations and never across an await. A key is in a server's queue from the moment of
//! its change until the server has confirmed it, whatever happens in between: a batch that is
//! being written is remembered as such, so a torn connection or a dead task loses nothing.
//!
//! Memory is one entry a key plus, for servers that are away, the keys that they miss. States
//! are coalesced: a server that comes back gets the latest, not the history.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::clock::{Clock, WallTime};
use crate::model::Key;

use super::Entry;

/// In how much time the sweep passes over all keys: so long may a copy stay lost that a server
/// dropped by itself (memory pressure), and that no program's reader asked us about.
const SWEEP: Duration = Duration::from_secs(30 * 60);
/// The sweep's shortest step, so that many keys do not mean many wake-ups.
const SWEEP_STEP: Duration = Duration::from_secs(10);
/// After a loss everything is written at 500 keys a second: 20,000 keys in 40 s, a load that no
/// memcached notices.
const REWRITE_STEP: Duration = Duration::from_millis(100);
/// Keys in one step of a rewrite.
const REWRITE_KEYS: usize = 50;

/// What is known of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStatus {
    /// `host:port`.
    pub server: String,
    /// Whether there is a connection on which it has answered.
    pub connected: bool,
    /// Keys that it may not have in their latest state.
    pub pending: usize,
    /// Connections that failed since the last one that stood for a while.
    pub failures: u32,
    /// The latest failure, also if it is over.
    pub last_error: Option<LastError>,
    /// When it last answered.
    pub last_success: Option<WallTime>,
    /// Keys written or deleted, counted since the start.
    pub written: u64,
    /// Times that it was asked whether it still has its contents.
    pub rounds: u64,
    /// Times that it had nothing of ours, so that all keys were written: the first round of this
    /// process, and every loss.
    pub rewrites: u64,
}

/// A failure for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: WallTime,
    /// What, with its causes.
    pub what: String,
}

/// What a key's copies should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// This value, for as long as it lives.
    Present(Entry),
    /// Nothing.
    Withdrawn,
}

/// Keys to be written now, with their latest state.
pub(super) type Batch = Vec<(Key, State)>;

/// How a server is being passed over besides the changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Each key once in [`SWEEP`].
    Sweep,
    /// All of them soon: the contents were lost.
    Rewrite,
}

#[derive(Debug)]
pub(super) struct Board {
    inner: Mutex<Inner>,
    /// One a server: its queue has something new.
    wakes: Vec<Notify>,
    revision: watch::Sender<u64>,
    clock: Clock,
}

#[derive(Debug)]
struct Inner {
    states: BTreeMap<Key, State>,
    queues: Vec<Queue>,
}

#[derive(Debug)]
struct Queue {
    /// Changed, and not given out yet.
    changed: BTreeSet<Key>,
    /// Given out and not confirmed.
    in_flight: Vec<Key>,
    /// To be written once more when the connection has stood for a round: refused, or sent on a
    /// connection that broke, so that a stalled server may yet execute it after its successor.
    unsure: BTreeSet<Key>,
    /// Where the sweep or the rewrite stands: the last key that it gave out.
    cursor: Option<Key>,
    pace: Pace,
    status: ServerStatus,
}

impl Board {
    pub(super) fn new(servers: Vec<String>, clock: Clock) -> Self {
        let wakes = servers.iter().map(|_| Notify::new()).collect();
        let queues = servers.into_iter().map(Queue::new).collect();
        let inner = Mutex::new(Inner { states: BTreeMap::new(), queues });
        Self { inner, wakes, revision: watch::Sender::new(0), clock }
    }

    pub(super) fn servers(&self) -> usize {
        self.wakes.len()
    }

    pub(super) fn name(&self, server: usize) -> Arc<str> {
        self.lock().queues[server].status.server.as_str().into()
    }

    pub(super) fn publish(&self, entry: Entry) {
        self.change(entry.key.clone(), State::Present(entry));
    }

    pub(super) fn withdraw(&self, key: &Key) {
        self.change(key.clone(), State::Withdrawn);
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    pub(super) fn status(&self) -> Vec<ServerStatus> {
        let inner = self.lock();
        let Inner { states, queues } = &*inner;
        queues
            .iter()
            .map(|queue| ServerStatus { pending: queue.pending(states), ..queue.status.clone() })
            .collect()
    }

    /// Completes when the server's queue got something new since the last time it completed.
    pub(super) async fn woken(&self, server: usize) {
        self.wakes[server].notified().await;
    }

    /// Up to `limit` changed keys. They stay the server's until [`Board::confirm`] or
    /// [`Board::give_back`].
    pub(super) fn take_changed(&self, server: usize, limit: usize) -> Batch {
        let mut inner = self.lock();
        let Inner { states, queues } = &mut *inner;
        let queue = &mut queues[server];
        while queue.in_flight.len() < limit {
            let Some(key) = queue.changed.pop_first() else { break };
            queue.in_flight.push(key);
        }
        let state = |key: &Key| states.get(key).map(|state| (key.clone(), state.clone()));
        queue.in_flight.iter().filter_map(state).collect()
    }

    /// How long after a step of the sweep or rewrite the next one is due; `None` without keys.
    pub(super) fn step(&self, server: usize) -> Option<Duration> {
        let inner = self.lock();
        match inner.queues[server].pace {
            Pace::Rewrite => Some(REWRITE_STEP),
            Pace::Sweep => sweep_step(inner.states.len()).map(|(period, _)| period),
        }
    }

    /// The keys of the next step of the sweep or rewrite, given out like changed ones.
    pub(super) fn take_step(&self, server: usize) -> Batch {
        let mut inner = self.lock();
        let Inner { states, queues } = &mut *inner;
        let queue = &mut queues[server];
        let limit = match queue.pace {
            Pace::Rewrite => REWRITE_KEYS,
            Pace::Sweep => sweep_step(states.len()).map_or(0, |(_, keys)| keys),
        };
        let from = queue.cursor.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = states.range((from, Bound::Unbounded));
        let batch: Batch =
            rest.by_ref().take(limit).map(|(key, state)| (key.clone(), state.clone())).collect();
        if rest.next().is_some() {
            queue.cursor = batch.last().map(|(key, _)| key.clone());
        } else {
            // The end of the keys: what was lost is back, and the next step starts over.
            queue.pace = Pace::Sweep;
        }
        queue.in_flight.extend(batch.iter().map(|(key, _)| key.clone()));
        batch
    }

    /// The server took what was given out, but for the refused keys, which get another chance at
    /// the next round.
    pub(super) fn confirm(&self, server: usize, refused: Vec<Key>) {
        self.update(|inner, now| {
            let queue = &mut inner.queues[server];
            let done = std::mem::take(&mut queue.in_flight);
            queue.status.written += (done.len() - refused.len().min(done.len())) as u64;
            queue.status.last_success = Some(now);
            queue.unsure.extend(refused);
            for key in done {
                inner.forget_withdrawn(&key);
            }
        });
    }

    /// Nobody knows what became of what was given out: it is to be written again at once, and
    /// once more when the next connection has stood for a round.
    pub(super) fn give_back(&self, server: usize) {
        self.update(|inner, _| {
            let queue = &mut inner.queues[server];
            let lost = std::mem::take(&mut queue.in_flight);
            queue.unsure.extend(lost.iter().cloned());
            queue.changed.extend(lost);
        });
    }

    /// The server still has its contents, as far as anybody knows.
    pub(super) fn round_kept(&self, server: usize) {
        self.update(|inner, now| inner.queues[server].round(now));
    }

    /// The server holds nothing of this process: all keys are to be written. Says how many times
    /// that has been so, the first of which is no loss.
    pub(super) fn round_lost(&self, server: usize) -> u64 {
        self.update(|inner, now| {
            let queue = &mut inner.queues[server];
            queue.round(now);
            queue.status.rewrites += 1;
            queue.rewrite(&inner.states);
            queue.status.rewrites
        })
    }

    /// The answer to the question after the contents was lost, and may have been that they are.
    pub(super) fn round_unknown(&self, server: usize) {
        self.update(|inner, _| inner.queues[server].rewrite(&inner.states));
    }

    /// The connection is gone, for this reason.
    pub(super) fn disconnected(&self, server: usize, failures: u32, what: String) {
        self.update(|inner, now| {
            let status = &mut inner.queues[server].status;
            status.connected = false;
            status.failures = failures;
            status.last_error = Some(LastError { at: now, what });
        });
    }

    /// The server is there but refused something, for this reason.
    pub(super) fn refused(&self, server: usize, what: String) {
        self.update(|inner, now| {
            inner.queues[server].status.last_error = Some(LastError { at: now, what });
        });
    }

    /// The connection has stood for a while: its failures are over, and what nobody was sure of
    /// is to be written once more.
    pub(super) fn sustained(&self, server: usize) {
        self.update(|inner, _| {
            let queue = &mut inner.queues[server];
            queue.status.failures = 0;
            queue.changed.append(&mut queue.unsure);
        });
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().states.is_empty()
    }

    fn change(&self, key: Key, state: State) {
        if self.wakes.is_empty() {
            return;
        }
        self.update(|inner, _| {
            for queue in &mut inner.queues {
                queue.changed.insert(key.clone());
            }
            inner.states.insert(key, state);
        });
        for wake in &self.wakes {
            wake.notify_one();
        }
    }

    fn update<T>(&self, change: impl FnOnce(&mut Inner, WallTime) -> T) -> T {
        let now = self.clock.wall();
        let outcome = change(&mut self.lock(), now);
        // After the lock: whoever wakes will want it.
        self.revision.send_modify(|revision| *revision += 1);
        outcome
    }

    /// A panic under the lock cannot leave a state that a later call would choke on: at worst a
    /// key is written once too often. So a poisoned lock is used on (L4).
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Drops a withdrawn key once no server has to be told of it any more.
    fn forget_withdrawn(&mut self, key: &Key) {
        let owed = |queue: &Queue| {
            queue.changed.contains(key) || queue.unsure.contains(key) || queue.in_flight.contains(key)
        };
        if self.states.get(key) == Some(&State::Withdrawn) && !self.queues.iter().any(owed) {
            self.states.remove(key);
        }
    }
}

impl Queue {
    fn new(server: String) -> Self {
        let status = ServerStatus {
            server,
            connected: false,
            pending: 0,
            failures: 0,
            last_error: None,
            last_success: None,
            written: 0,
            rounds: 0,
            rewrites: 0,
        };
        Self {
            changed: BTreeSet::new(),
            in_flight: Vec::new(),
            unsure: BTreeSet::new(),
            cursor: None,
            pace: Pace::Sweep,
            status,
        }
    }

    fn round(&mut self, now: WallTime) {
        self.status.connected = true;
        self.status.rounds += 1;
        self.status.last_success = Some(now);
    }

    fn rewrite(&mut self, states: &BTreeMap<Key, State>) {
        self.cursor = None;
        // At the start, and after a long absence, all keys are in the queue already.
        let all_queued = states.keys().all(|key| self.changed.contains(key));
        self.pace = if all_queued { Pace::Sweep } else { Pace::Rewrite };
    }

    fn pending(&self, states: &BTreeMap<Key, State>) -> usize {
        let mut keys: BTreeSet<&Key> =
            self.changed.iter().chain(&self.in_flight).chain(&self.unsure).collect();
        if self.pace == Pace::Rewrite {
            let from = self.cursor.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            keys.extend(states.range((from, Bound::Unbounded)).map(|(key, _)| key));
        }
        keys.len()
    }
}

/// Period and size of a step that pass over `keys` keys in [`SWEEP`]; `None` without keys.
fn sweep_step(keys: usize) -> Option<(Duration, usize)> {
    let count = u32::try_from(keys).unwrap_or(u32::MAX);
    let period = SWEEP.checked_div(count)?.max(SWEEP_STEP);
    let steps = SWEEP.as_millis() / period.as_millis();
    let step = keys.div_ceil(usize::try_from(steps).unwrap_or(usize::MAX));
    Some((period, step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootTime;
    use crate::model::{Fingerprint, Generation, Kind};
    use crate::secret::Secret;

    fn key(number: usize) -> Key {
        Key::new(format!("wx{number:04}").parse().unwrap(), Kind::AccessToken)
    }

    fn entry(number: usize, value: &str) -> Entry {
        let value = Secret::from(value);
        Entry {
            key: key(number),
            fingerprint: Fingerprint::of(&value),
            value,
            generation: Generation(1),
            expires_at: BootTime::FAR,
            next_attempt: None,
        }
    }

    fn board(servers: usize) -> Board {
        Board::new((0..servers).map(|number| format!("m{number}")).collect(), Clock::system())
    }

    fn pending(board: &Board) -> Vec<usize> {
        board.status().iter().map(|status| status.pending).collect()
    }

    #[test]
    fn changes_of_one_key_are_coalesced_to_the_latest() {
        let board = board(1);
        board.publish(entry(1, "old"));
        board.withdraw(&key(1));
        board.publish(entry(1, "new"));
        assert_eq!(board.take_changed(0, 10), [(key(1), State::Present(entry(1, "new")))]);
    }

    #[test]
    fn a_change_during_a_write_is_written_after_it() {
        let board = board(1);
        board.publish(entry(1, "a"));
        board.take_changed(0, 10);
        board.publish(entry(1, "b"));
        board.confirm(0, vec![]);
        assert_eq!(board.take_changed(0, 10), [(key(1), State::Present(entry(1, "b")))]);
    }

    #[test]
    fn what_was_being_written_when_the_line_broke_is_written_at_once_and_once_more_later() {
        let board = board(1);
        board.publish(entry(1, "a"));
        board.take_changed(0, 10);
        board.give_back(0);
        assert_eq!(board.take_changed(0, 10).len(), 1);
        board.confirm(0, vec![]);
        assert_eq!(pending(&board), [1], "a stalled server may still execute the older write");
        board.round_kept(0);
        assert_eq!(board.take_changed(0, 10), [], "a round at the connection's start is too early");
        board.sustained(0);
        assert_eq!(board.take_changed(0, 10).len(), 1);
        board.confirm(0, vec![]);
        assert_eq!(pending(&board), [0]);
    }

    #[test]
    fn a_refused_key_waits_for_the_next_round() {
        let board = board(1);
        board.publish(entry(1, "a"));
        board.take_changed(0, 10);
        board.confirm(0, vec![key(1)]);
        assert_eq!((board.take_changed(0, 10), pending(&board)), (vec![], vec![1]));
        board.sustained(0);
        assert_eq!(board.take_changed(0, 10).len(), 1);
    }

    #[test]
    fn a_withdrawn_key_is_forgotten_when_the_last_server_has_deleted_it() {
        let board = board(2);
        board.withdraw(&key(1));
        board.take_changed(0, 10);
        board.confirm(0, vec![]);
        assert!(!board.is_empty());
        assert_eq!(board.take_changed(1, 10), [(key(1), State::Withdrawn)]);
        board.confirm(1, vec![]);
        assert!(board.is_empty());
    }

    #[test]
    fn a_loss_has_every_key_written_and_then_the_sweep_goes_on() {
        let board = board(1);
        for number in 0..120 {
            board.publish(entry(number, "v"));
        }
        board.round_lost(0);
        assert_eq!(board.step(0), Some(Duration::from_secs(15)), "all are queued already");
        while !board.take_changed(0, 50).is_empty() {
            board.confirm(0, vec![]);
        }
        board.round_lost(0);
        assert_eq!(pending(&board), [120]);
        let mut steps = Vec::new();
        while board.step(0) == Some(REWRITE_STEP) {
            steps.push(board.take_step(0).len());
            board.confirm(0, vec![]);
        }
        assert_eq!((steps, pending(&board)), (vec![50, 50, 20], vec![0]));
    }

    #[test]
    fn the_sweep_passes_over_all_keys_in_half_an_hour_without_a_burst() {
        assert_eq!(sweep_step(0), None);
        assert_eq!(sweep_step(1), Some((SWEEP, 1)));
        assert_eq!(sweep_step(20_000), Some((Duration::from_secs(10), 112)));
        for keys in [1, 2, 7, 100, 179, 180, 181, 1_000, 20_000, 100_000] {
            let (period, step) = sweep_step(keys).unwrap();
            let steps = u32::try_from(keys.div_ceil(step)).unwrap();
            assert!(period * steps <= SWEEP && period >= SWEEP_STEP, "{keys}");
        }
    }

    #[test]
    fn each_sweep_starts_over_at_the_first_key() {
        let board = board(1);
        for number in 0..3 {
            board.publish(entry(number, "v"));
        }
        let mut seen = Vec::new();
        for _ in 0..6 {
            seen.extend(board.take_step(0).into_iter().map(|(key, _)| key));
            board.confirm(0, vec![]);
        }
        assert_eq!(seen, [0, 1, 2, 0, 1, 2].map(key));
    }
}
