//! What happened lately: rotations, troubles, complaints, pauses and reloads of this process, from
//! memory.
//!
//! A follower compares each key that changed with how it was, and notes the difference in a
//! ring; the ledger's own events (leaks, foreign refreshes) are put between them by the page.
//! Complaints are heard as they are judged; equal ones within a minute are one note, and all of
//! them together have a part of the ring only, so that a storm leaves room for what it led to.
//! Costs one small entry a key, and nothing while nothing changes. Deliberately absent: what
//! happened before the start. Notes have facts and no words: they are read in two languages.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::WallTime;
use crate::hub::{self, Change, Hub};
use crate::model::{Cause, Fingerprint, Generation, Key};
use crate::refresh::handle::{Complaint, Handle, Outcome};
use crate::refresh::view::{AttemptResult, Degraded, Next, Problem, ProblemClass, View};

/// Notes that are kept. A page shows some forty of those that its reader may see.
const KEPT: usize = 256;
/// Complaints among them.
const COMPLAINTS: usize = 64;
/// For so long equal complaints are one note, in milliseconds.
const TOGETHER: i64 = 60_000;

/// The ring. Cheap to clone.
#[derive(Clone)]
pub struct Recent {
    ring: Arc<Mutex<Ring>>,
}

#[derive(Default)]
struct Ring {
    notes: VecDeque<Note>,
    count: u64,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Note {
    /// Grows with every note.
    pub(super) number: u64,
    pub(super) at: WallTime,
    /// `None` for the daemon as a whole.
    pub(super) key: Option<Key>,
    pub(super) what: What,
}

/// What happened to a key, or to the daemon.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// The daemon began.
    Started,
    /// A new value came.
    Rotated { cause: Cause, fingerprint: Fingerprint, first: First },
    /// WeChat confirmed that the value is dead.
    Dead,
    /// Callers said that the value is dead; `None`: no verdict was reached, or no value.
    Complaint { seen: Option<Fingerprint>, outcome: Option<Outcome>, callers: usize },
    /// The value is good with a reservation.
    Degraded(Degraded),
    /// There is no good value any more.
    Lost,
    /// There is one again, the same as before.
    Back,
    /// Something is wrong.
    Trouble { operator: bool, errcode: Option<i64>, meaning: String },
    /// It is not any more.
    Recovered,
    /// A person paused it.
    Paused,
    /// A person resumed it, or the pause ended.
    Resumed,
    /// Its account came with a reload.
    Added,
    /// Its account went with a reload.
    Removed,
    /// The configuration was taken over.
    Reloaded { added: usize, changed: usize, removed: usize, later: String },
    /// It could not be.
    ReloadFailed { why: String },
}

/// Whether a key had a value before, in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    Yes,
    No,
}

/// What is remembered of each key, to see what changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    generation: Option<Generation>,
    good: bool,
    degraded: Option<Degraded>,
    problem: Option<(ProblemClass, Option<crate::model::ErrCode>)>,
    paused: bool,
}

impl Seen {
    fn of(view: &View, hub: &Hub) -> Self {
        Self {
            generation: view.value.as_ref().map(|value| value.generation),
            good: view.good(hub.clock().boot()).is_some(),
            degraded: view.degraded,
            problem: view.problem.as_deref().map(Problem::kind),
            paused: matches!(view.next, Next::Paused(_)),
        }
    }
}

impl Ring {
    fn add(&mut self, at: WallTime, key: Option<Key>, what: What) {
        self.count += 1;
        self.notes.push_back(Note { number: self.count, at, key, what });
        if self.notes.len() > KEPT {
            self.notes.pop_front();
        }
    }
}

impl Recent {
    /// An empty ring, which knows that the daemon starts now.
    pub fn new(started: WallTime) -> Self {
        let recent = Self { ring: Arc::default() };
        recent.note(started, None, What::Started);
        recent
    }

    /// Notes that a reload was taken over; these keys need a restart.
    pub fn reloaded(&self, at: WallTime, done: hub::Reloaded, later: &[&str]) {
        let hub::Reloaded { added, changed, removed } = done;
        self.note(at, None, What::Reloaded { added, changed, removed, later: later.join(", ") });
    }

    /// Notes that a reload was not taken over, or not as a whole, and why: without a secret.
    pub fn reload_failed(&self, at: WallTime, why: &str) {
        self.note(at, None, What::ReloadFailed { why: why.to_owned() });
    }

    /// The latest notes that `wanted` accepts, newest first.
    pub(super) fn latest(&self, limit: usize, wanted: impl Fn(Option<&Key>) -> bool) -> Vec<Note> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.notes.iter().rev().filter(|note| wanted(note.key.as_ref())).take(limit).cloned().collect()
    }

    fn note(&self, at: WallTime, key: Option<Key>, what: What) {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).add(at, key, what);
    }

    /// Notes a complaint, or adds its callers to one like it.
    fn complained(&self, at: WallTime, complaint: Complaint) {
        let Complaint { key, seen, outcome, callers } = complaint;
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back begins another note.
        let lately = |note: &Note| (0..TOGETHER).contains(&at.0.saturating_sub(note.at.0));
        for note in ring.notes.iter_mut().rev().filter(|note| lately(note) && note.key.as_ref() == Some(&key))
        {
            if let What::Complaint { seen: of, outcome: was, callers: so_far } = &mut note.what
                && (*of, *was) == (seen, outcome)
            {
                *so_far = so_far.saturating_add(callers);
                return;
            }
        }
        ring.add(at, Some(key), What::Complaint { seen, outcome, callers });
        let complaint = |note: &Note| matches!(note.what, What::Complaint { .. });
        if ring.notes.iter().filter(|note| complaint(note)).count() > COMPLAINTS
            && let Some(oldest) = ring.notes.iter().position(complaint)
        {
            ring.notes.remove(oldest);
        }
    }

    /// Follows the hub's changes for ever.
    pub(super) async fn follow(&self, hub: &Hub) {
        let mut changes = hub.subscribe_plans();
        let mut complaints = hub.subscribe_complaints();
        let mut seen = HashMap::new();
        hub::survey(hub, |handle, _| {
            seen.insert(handle.key().clone(), Seen::of(&handle.view(), hub));
        });
        loop {
            let change = tokio::select! {
                change = changes.next() => change,
                complaint = complaints.next() => {
                    self.complained(hub.clock().wall(), complaint);
                    continue;
                }
            };
            match change {
                Change::Key(key) => self.look(hub, key, &mut seen),
                // Steps were missed; from here on the differences are told again.
                Change::Lagged => self.catch_up(hub, &mut seen),
                Change::Closed => return std::future::pending().await,
            }
        }
    }

    /// Compares all keys; those that are no more go.
    fn catch_up(&self, hub: &Hub, seen: &mut HashMap<Key, Seen>) {
        hub::survey(hub, |handle, _| self.compare(hub, handle, seen));
        let gone: Vec<Key> =
            seen.keys().filter(|key| hub.handle(key.appid.as_str(), key.kind).is_none()).cloned().collect();
        for key in gone {
            self.look(hub, key, seen);
        }
    }

    fn look(&self, hub: &Hub, key: Key, seen: &mut HashMap<Key, Seen>) {
        match hub.handle(key.appid.as_str(), key.kind) {
            Some(handle) => self.compare(hub, &handle, seen),
            None if seen.remove(&key).is_some() => self.note(hub.clock().wall(), Some(key), What::Removed),
            None => {}
        }
    }

    fn compare(&self, hub: &Hub, handle: &Handle, seen: &mut HashMap<Key, Seen>) {
        let view = handle.view();
        let new = Seen::of(&view, hub);
        let at = hub.clock().wall();
        let note = |what| self.note(at, Some(view.key.clone()), what);
        let Some(old) = seen.insert(view.key.clone(), new) else {
            note(What::Added);
            return;
        };
        if old == new {
            return;
        }
        let fresh = view.value.as_deref().filter(|value| old.generation != Some(value.generation));
        if let Some(value) = fresh {
            let last = view.last.as_ref().filter(|last| last.result == AttemptResult::Issued);
            note(What::Rotated {
                cause: last.map_or(Cause::Deadline, |last| last.cause),
                fingerprint: value.fingerprint,
                first: if old.generation.is_none() { First::Yes } else { First::No },
            });
        } else if old.good && !new.good {
            note(What::Lost);
        } else if !old.good && new.good && old.generation.is_some() {
            note(What::Back);
        }
        if new.degraded != old.degraded
            && let Some(reason) = new.degraded
        {
            note(if reason == Degraded::ReportedDead { What::Dead } else { What::Degraded(reason) });
        }
        match &view.problem {
            Some(problem) if new.problem != old.problem => note(What::Trouble {
                operator: problem.class == ProblemClass::Operator,
                errcode: problem.errcode.map(|errcode| errcode.0),
                meaning: problem.meaning.clone(),
            }),
            None if old.problem.is_some() => note(What::Recovered),
            Some(_) | None => {}
        }
        match (old.paused, new.paused) {
            (false, true) => note(What::Paused),
            (true, false) => note(What::Resumed),
            (true, true) | (false, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    fn complaint(number: usize, callers: usize) -> Complaint {
        let key = Key::new(format!("wx{number}").parse().unwrap(), Kind::AccessToken);
        Complaint { key, seen: None, outcome: Some(Outcome::StillValid), callers }
    }

    #[test]
    fn storm_of_complaints_leaves_room_for_what_it_led_to() {
        let recent = Recent::new(WallTime(0));
        for number in 0..10_000 {
            recent.complained(WallTime(1), complaint(number, 1));
        }
        let notes = recent.latest(KEPT, |_| true);
        assert_eq!(notes.len(), COMPLAINTS + 1);
        assert_eq!(notes.last().unwrap().what, What::Started, "what came before is still there");
        assert_eq!(notes[0].key, Some(complaint(9_999, 1).key), "and so is the latest");
    }

    #[test]
    fn equal_complaints_of_a_minute_are_one_note_and_others_are_not() {
        let recent = Recent::new(WallTime(0));
        let other = Complaint { outcome: None, ..complaint(1, 1) };
        recent.complained(WallTime(1_000), complaint(1, 2));
        recent.complained(WallTime(60_999), complaint(1, 3));
        recent.complained(WallTime(60_999), other);
        recent.complained(WallTime(61_000), complaint(1, 4));
        // The wall clock is set back: nothing is added to what lies ahead.
        recent.complained(WallTime(60_998), complaint(1, 5));
        let notes = recent.latest(KEPT, |key| key.is_some());
        let callers = notes.iter().map(|note| match &note.what {
            What::Complaint { callers, .. } => *callers,
            what => panic!("{what:?}"),
        });
        assert_eq!(callers.collect::<Vec<_>>(), [4, 1, 10]);
    }
}
