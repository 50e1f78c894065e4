//! What was done and is not yet carried, added up per subject.
//!
//! The hot part of the audit. Callers of different accounts add into different tables, so that
//! a lock is hardly ever waited for, and is held for some ten nanoseconds; adding to a subject
//! that is there allocates nothing. The tables are bounded together: beyond, what is done is
//! still counted, and nobody told apart.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::access::Origin;
use crate::clock::WallTime;
use crate::model::{AppId, Fingerprint, Generation, Kind};
use crate::telemetry::metrics::{self, AuditLoss};

use super::{Act, Outcome};

/// More tables than cores of the machines that this runs on.
const TABLES: usize = 16;

/// What is the same about deeds that are added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) client: Option<Arc<str>>,
    pub(super) origin: Origin,
    pub(super) act: Act,
    pub(super) appid: Option<AppId>,
    pub(super) kind: Option<Kind>,
    pub(super) outcome: Outcome,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) generation: Option<Generation>,
}

/// In few pieces: a read is noted with each call, and most of what it took was to hash eight fields
/// and their variants one by one.
impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { client, origin, act, appid, kind, outcome, fingerprint, generation } = self;
        let kind = kind.map_or(0, |kind| 1 + kind as u64);
        let words = *act as u64 | (*outcome as u64) << 8 | kind << 16;
        match origin {
            Origin::Ip(IpAddr::V4(ip)) => state.write_u64(words | u64::from(ip.to_bits()) << 32),
            Origin::Ip(IpAddr::V6(ip)) => {
                state.write_u64(words);
                state.write(&ip.octets());
            }
            Origin::Uid(uid) => state.write_u64(words | 1 << 24 | u64::from(*uid) << 32),
            Origin::Unknown => state.write_u64(words | 2 << 24),
        }
        state.write(client.as_deref().unwrap_or_default().as_bytes());
        state.write(appid.as_ref().map_or("", AppId::as_str).as_bytes());
        // Reads have neither.
        if fingerprint.is_some() || generation.is_some() {
            (fingerprint, generation).hash(state);
        }
    }
}

/// How often, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    pub(super) count: u64,
    pub(super) first: WallTime,
    pub(super) last: WallTime,
    /// Its place among all subjects, whatever the clock says.
    pub(super) place: u64,
}

impl Tally {
    fn add(&mut self, count: u64, first: WallTime, last: WallTime) {
        self.count += count;
        self.first = self.first.min(first);
        self.last = self.last.max(last);
    }
}

type Table = HashMap<Subject, Tally>;

/// Tallies of all subjects.
pub(super) struct Tallies {
    tables: [Mutex<Table>; TABLES],
    limit: usize,
    /// How many subjects the tables have together. What it orders is only itself.
    held: AtomicUsize,
    next: AtomicU64,
}

impl Tallies {
    /// Room for so many subjects.
    pub(super) fn new(limit: usize) -> Self {
        Self { tables: Default::default(), limit, held: AtomicUsize::new(0), next: AtomicU64::new(0) }
    }

    /// Counts one deed.
    pub(super) fn add(&self, subject: Subject, at: WallTime) {
        let mut table = lock(&self.tables[place(&subject)]);
        if let Some(tally) = table.get_mut(&subject) {
            tally.add(1, at, at);
            return;
        }
        let subject = if self.held.load(Ordering::Relaxed) < self.limit {
            subject
        } else {
            metrics::audit_lost(AuditLoss::Overflow, 1);
            crowd(&subject)
        };
        let new = || {
            self.held.fetch_add(1, Ordering::Relaxed);
            Tally { count: 0, first: at, last: at, place: self.next.fetch_add(1, Ordering::Relaxed) }
        };
        table.entry(subject).or_insert_with(new).add(1, at, at);
    }

    /// Takes everything, in the order in which it came first.
    pub(super) fn take(&self) -> Vec<(Subject, Tally)> {
        let mut all = Table::new();
        for table in &self.tables {
            let table = std::mem::take(&mut *lock(table));
            self.held.fetch_sub(table.len(), Ordering::Relaxed);
            for (subject, tally) in table {
                // Only the crowd's subjects can stand in several tables.
                let known = all.entry(subject).or_insert(Tally { count: 0, ..tally });
                known.add(tally.count, tally.first, tally.last);
            }
        }
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_unstable_by_key(|(_, tally)| tally.place);
        all
    }
}

/// In which table a subject is: by its account. FNV, which is enough for names that nobody
/// gains anything by choosing.
fn place(subject: &Subject) -> usize {
    let name = subject.appid.as_ref().map_or("", AppId::as_str);
    let hash =
        name.bytes().fold(0xcbf2_9ce4_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash >> 16) as usize % TABLES
}

/// What is counted in the place of one subject too many.
fn crowd(subject: &Subject) -> Subject {
    Subject {
        client: None,
        origin: Origin::Unknown,
        act: subject.act,
        appid: None,
        kind: None,
        outcome: Outcome::Overflow,
        fingerprint: None,
        generation: None,
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    // A table is whole at each step, so a panic elsewhere spoils nothing.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(appid: usize) -> Subject {
        Subject {
            client: Some("web".into()),
            origin: Origin::Uid(1),
            act: Act::Read,
            appid: Some(format!("wx{appid}").parse().unwrap()),
            kind: Some(Kind::AccessToken),
            outcome: Outcome::Served,
            fingerprint: None,
            generation: None,
        }
    }

    #[test]
    fn deeds_of_many_threads_are_all_counted() {
        let tallies = Tallies::new(100);
        std::thread::scope(|scope| {
            for _ in 0..24 {
                scope.spawn(|| {
                    (0..1_000).for_each(|at| tallies.add(read(at % 3), WallTime(i64::try_from(at).unwrap())));
                });
            }
        });
        let taken = tallies.take();
        assert_eq!(taken.len(), 3);
        assert_eq!(taken.iter().map(|(_, tally)| tally.count).sum::<u64>(), 24_000);
        assert!(taken.iter().all(|(_, tally)| tally.first.0 < 3 && tally.last.0 >= 997), "{taken:?}");
        assert_eq!(tallies.take().len(), 0);
    }

    #[test]
    fn subjects_beyond_the_limit_are_counted_together() {
        let tallies = Tallies::new(10);
        for number in 0..1_000 {
            tallies.add(read(number), WallTime(5));
            tallies.add(read(0), WallTime(5));
        }
        let taken = tallies.take();
        let (crowd, known): (Vec<_>, Vec<_>) =
            taken.iter().partition(|(subject, _)| subject.outcome == Outcome::Overflow);
        assert_eq!((crowd.len(), known.len()), (1, 10));
        assert_eq!(taken.iter().map(|(_, tally)| tally.count).sum::<u64>(), 2_000);
        assert_eq!(crowd[0].1.count, 990);
        // The first ones are told apart as before.
        assert_eq!((taken[0].0.clone(), taken[0].1.count), (read(0), 1_001));
    }
}
