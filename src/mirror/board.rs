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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::clock::{Clock, WallTime};
use crate::model::Key;

use super::Entry;
use super::queue::{LastError, Queue, ServerStatus};

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

    pub(super) fn clock(&self) -> Clock {
        self.clock.clone()
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
        inner.queues[server].step(&inner.states).map(|(period, _)| period)
    }

    /// The keys of the next step of the sweep or rewrite, given out like changed ones.
    pub(super) fn take_step(&self, server: usize) -> Batch {
        let mut inner = self.lock();
        let Inner { states, queues } = &mut *inner;
        queues[server].take_step(states)
    }

    /// The server took what was given out, but for the refused keys, which get another chance at
    /// the next round.
    pub(super) fn confirm(&self, server: usize, refused: BTreeSet<Key>) {
        self.update(|inner, now| {
            for key in inner.queues[server].confirm(refused, now) {
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
        self.update(|inner, _| inner.queues[server].sustained());
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
        if self.states.get(key) == Some(&State::Withdrawn) && !self.queues.iter().any(|queue| queue.owes(key))
        {
            self.states.remove(key);
        }
    }
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
        board.confirm(0, BTreeSet::new());
        assert_eq!(board.take_changed(0, 10), [(key(1), State::Present(entry(1, "b")))]);
    }

    #[test]
    fn what_was_being_written_when_the_line_broke_is_written_at_once_and_once_more_later() {
        let board = board(1);
        board.publish(entry(1, "a"));
        board.take_changed(0, 10);
        board.give_back(0);
        assert_eq!(board.take_changed(0, 10).len(), 1);
        board.confirm(0, BTreeSet::new());
        assert_eq!(pending(&board), [1], "a stalled server may still execute the older write");
        board.round_kept(0);
        assert_eq!(board.take_changed(0, 10), [], "a round at the connection's start is too early");
        board.sustained(0);
        assert_eq!(board.take_changed(0, 10).len(), 1);
        board.confirm(0, BTreeSet::new());
        assert_eq!(pending(&board), [0]);
    }

    #[test]
    fn a_refused_key_waits_for_the_next_round() {
        let board = board(1);
        board.publish(entry(1, "a"));
        board.take_changed(0, 10);
        board.confirm(0, [key(1)].into());
        assert_eq!((board.take_changed(0, 10), pending(&board)), (vec![], vec![1]));
        board.sustained(0);
        assert_eq!(board.take_changed(0, 10).len(), 1);
        board.confirm(0, BTreeSet::new());
        assert_eq!(pending(&board), [0]);
    }

    #[test]
    fn a_refused_key_that_was_replaced_and_taken_is_not_pending() {
        let board = board(1);
        board.publish(entry(1, "too large"));
        board.take_changed(0, 10);
        board.confirm(0, [key(1)].into());
        board.publish(entry(1, "small"));
        board.take_changed(0, 10);
        board.confirm(0, BTreeSet::new());
        assert_eq!(pending(&board), [0]);
    }

    #[test]
    fn a_withdrawn_key_is_forgotten_when_the_last_server_has_deleted_it() {
        let board = board(2);
        board.withdraw(&key(1));
        board.take_changed(0, 10);
        board.confirm(0, BTreeSet::new());
        assert!(!board.is_empty());
        assert_eq!(board.take_changed(1, 10), [(key(1), State::Withdrawn)]);
        board.confirm(1, BTreeSet::new());
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
            board.confirm(0, BTreeSet::new());
        }
        board.round_lost(0);
        assert_eq!(pending(&board), [120]);
        let mut steps = Vec::new();
        while board.step(0) == Some(Duration::from_millis(100)) {
            steps.push(board.take_step(0).len());
            board.confirm(0, BTreeSet::new());
        }
        assert_eq!((steps, pending(&board)), (vec![50, 50, 20], vec![0]));
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
            board.confirm(0, BTreeSet::new());
        }
        assert_eq!(seen, [0, 1, 2, 0, 1, 2].map(key));
    }
}
