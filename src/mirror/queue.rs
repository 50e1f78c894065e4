//! What one server has still to get.
//!
//! Owns the sets of a server's keys that are not confirmed, and where its sweep or rewrite stands.
//! A sweep passes over all keys in half an hour in even steps; a rewrite does so at once but paced.
//! Every method is a few operations on sets; the board's lock guards them all.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::ops::Bound;
use std::time::Duration;

use crate::clock::WallTime;
use crate::model::Key;

use super::board::{Batch, State};

/// In how much time the sweep passes over all keys: so long may a copy stay lost that a server
/// dropped by itself (memory pressure), and that no program's reader asked us about.
const SWEEP: Duration = Duration::from_mins(30);
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

/// What one server has still to get, and what is known of it.
#[derive(Debug)]
pub(super) struct Queue {
    /// Changed, and not given out yet.
    pub(super) changed: BTreeSet<Key>,
    /// Given out and not confirmed.
    pub(super) in_flight: Vec<Key>,
    /// Refused by the server, to be tried again at the next round.
    pub(super) refused: BTreeSet<Key>,
    /// To be written once more when the connection has stood for a round: it was being written
    /// when one broke, and a stalled server may yet execute that after its successor.
    pub(super) unsure: BTreeSet<Key>,
    /// Where the sweep or the rewrite stands: the last key that it gave out.
    cursor: Option<Key>,
    pace: Pace,
    pub(super) status: ServerStatus,
}

/// How a server is being passed over besides the changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Each key once in [`SWEEP`].
    Sweep,
    /// All of them soon: the contents were lost.
    Rewrite,
}

impl Queue {
    pub(super) fn new(server: String) -> Self {
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
            refused: BTreeSet::new(),
            unsure: BTreeSet::new(),
            cursor: None,
            pace: Pace::Sweep,
            status,
        }
    }

    /// The server answered whether it has its contents.
    pub(super) fn round(&mut self, now: WallTime) {
        self.status.connected = true;
        self.status.rounds += 1;
        self.status.last_success = Some(now);
    }

    /// The server took what was given out, but for these keys. Returns what was given out.
    pub(super) fn confirm(&mut self, refused: BTreeSet<Key>, now: WallTime) -> Vec<Key> {
        let done = std::mem::take(&mut self.in_flight);
        self.status.last_success = Some(now);
        for key in &done {
            if !refused.contains(key) {
                self.refused.remove(key);
                self.status.written += 1;
            }
        }
        self.refused.extend(refused);
        done
    }

    /// The connection has stood for a round.
    pub(super) fn sustained(&mut self) {
        self.status.failures = 0;
        self.changed.append(&mut self.refused);
        self.changed.append(&mut self.unsure);
    }

    /// Has all keys written, paced.
    pub(super) fn rewrite(&mut self, states: &BTreeMap<Key, State>) {
        self.cursor = None;
        // At the start, and after a long absence, all keys are in the queue already.
        let all_queued = self.changed.len() == states.len();
        self.pace = if all_queued { Pace::Sweep } else { Pace::Rewrite };
    }

    /// Keys that the server may not have in their latest state.
    pub(super) fn pending(&self, states: &BTreeMap<Key, State>) -> usize {
        let rest = self.in_flight.iter().chain(&self.refused).chain(&self.unsure);
        let rest: BTreeSet<_> = rest.filter(|key| !self.changed.contains(key)).collect();
        let lost = match self.pace {
            Pace::Sweep => 0,
            Pace::Rewrite => self.rest(states).filter(|(key, _)| !self.owes(key)).count(),
        };
        self.changed.len() + rest.len() + lost
    }

    /// What the sweep or the rewrite has still before it.
    pub(super) fn rest<'a>(&self, states: &'a BTreeMap<Key, State>) -> btree_map::Range<'a, Key, State> {
        let from = self.cursor.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        states.range((from, Bound::Unbounded))
    }

    /// How long after a step of the sweep or rewrite the next one is due, and how many keys it
    /// has; `None` without keys.
    pub(super) fn step(&self, states: &BTreeMap<Key, State>) -> Option<(Duration, usize)> {
        match self.pace {
            Pace::Rewrite => Some((REWRITE_STEP, REWRITE_KEYS)),
            Pace::Sweep => sweep_step(states.len()),
        }
    }

    /// Gives out the keys of the next step.
    pub(super) fn take_step(&mut self, states: &BTreeMap<Key, State>) -> Batch {
        let limit = self.step(states).map_or(0, |(_, keys)| keys);
        let mut rest = self.rest(states);
        let batch: Batch =
            rest.by_ref().take(limit).map(|(key, state)| (key.clone(), state.clone())).collect();
        if rest.next().is_some() {
            self.cursor = batch.last().map(|(key, _)| key.clone());
        } else {
            // The end of the keys: what was lost is back, and the next step starts over.
            self.cursor = None;
            self.pace = Pace::Sweep;
        }
        self.in_flight.extend(batch.iter().map(|(key, _)| key.clone()));
        batch
    }

    /// Whether the server has still to be told of this key.
    pub(super) fn owes(&self, key: &Key) -> bool {
        let Self { changed, in_flight, refused, unsure, cursor: _, pace: _, status: _ } = self;
        changed.contains(key) || in_flight.contains(key) || refused.contains(key) || unsure.contains(key)
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
}
