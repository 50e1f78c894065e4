//! A local copy of values, fed by a watch: reading it is a look-up, not a call.
//!
//! Guarantees that a value is handed out only while the daemon vouches for it: before its
//! end, and within [`VOUCHED`] of the daemon's last word; [`Cache::to_its_end`] is for what no
//! silence can kill. Never goes back to a lower generation, also over a reconnect. A [`Feeder`]
//! is the only writer and one task; readers load an immutable table. Absent on purpose: a
//! fallback to a call. Whoever gets nothing here asks [`super::Client::get`], which says why.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{BootTime, Clock};
use crate::model::{Fingerprint, Generation, Key};
use crate::secret::Secret;

use super::error::Error;
use super::token::Token;
use super::watch::Event;
use super::{Client, Code};

pub use reader::Reader;

mod reader;

/// How long a value may be used after the daemon's last word, as the contract's `cache_for`.
const VOUCHED: Duration = Duration::from_mins(1);
/// The first pause before a reconnect, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// A value from the local copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The string.
    pub value: Secret,
    /// Its name in logs and complaints.
    pub fingerprint: Fingerprint,
    /// Its generation.
    pub generation: Generation,
    /// From when on it may be dead, on this machine's boot clock.
    pub ends: BootTime,
}

type Table = HashMap<Key, Arc<Held>>;

/// The local copy. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
    clock: Clock,
}

struct Shared {
    table: ArcSwap<Table>,
    /// Boot time in ms of the daemon's last word.
    heard: AtomicI64,
    /// Counts tables.
    version: AtomicU64,
    changes: watch::Sender<u64>,
}

impl Cache {
    /// A copy of these keys, or of all that may be read if there are none, and what keeps it
    /// up to date. Empty until the feeder runs.
    pub fn new(client: Client, clock: Clock, keys: Vec<Key>) -> (Self, Feeder) {
        let (changes, _) = watch::channel(0);
        let heard = AtomicI64::new(i64::MIN / 4);
        let shared = Shared { table: ArcSwap::default(), heard, version: AtomicU64::new(0), changes };
        let cache = Self { shared: Arc::new(shared), clock };
        let copy = Copy { table: Table::new(), floors: HashMap::new(), told: None };
        (cache.clone(), Feeder { client, cache, keys, copy })
    }

    /// The value, if there is one that may be used now.
    pub fn get(&self, key: &Key) -> Option<Arc<Held>> {
        self.to_its_end(key).filter(|_| self.is_vouched())
    }

    /// The value to its end, however long the daemon has been silent. For tickets: WeChat keeps
    /// one to its end whoever asks for another, so what the daemon does not say cannot have killed
    /// it. An access token may be dead a minute after its daemon's last word: [`Cache::get`].
    pub fn to_its_end(&self, key: &Key) -> Option<Arc<Held>> {
        let held = self.shared.table.load().get(key).cloned()?;
        (self.clock.boot() < held.ends).then_some(held)
    }

    /// For reading one key often: it is looked up once a change and not once a read.
    pub fn reader(&self, key: Key) -> Reader {
        Reader::new(self.clone(), key)
    }

    /// Whether the daemon has said anything lately: values are as it has them.
    pub fn is_vouched(&self) -> bool {
        self.clock.boot() < BootTime(self.shared.heard.load(Ordering::Acquire)) + VOUCHED
    }

    /// Notifies of every change of the copy.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }
}

impl Shared {
    /// The number after the table: who sees the number finds this table or a later one.
    fn publish(&self, table: Table) {
        self.table.store(Arc::new(table));
        self.version.fetch_add(1, Ordering::Release);
    }
}

/// Keeps a [`Cache`] up to date.
pub struct Feeder {
    client: Client,
    cache: Cache,
    keys: Vec<Key>,
    copy: Copy,
}

impl Feeder {
    /// Other keys from the next [`Feeder::run`] on. What is held stays until the daemon has told
    /// of the new ones.
    pub fn change_keys(&mut self, keys: Vec<Key>) {
        self.keys = keys;
    }

    /// Watches until `stop`, and connects anew whenever the watch ends. May be dropped at any time
    /// and run again: what is held is held.
    ///
    /// # Errors
    /// The daemon does not know or not admit this client: waiting would not help, and what is held
    /// is not this client's any more and dropped.
    pub async fn run(&mut self, stop: CancellationToken) -> Result<(), Error> {
        let (first, longest) = PAUSES;
        let mut pause = first;
        loop {
            let ended = tokio::select! {
                ended = self.watch(&mut pause) => ended,
                () = stop.cancelled() => return Ok(()),
            };
            if let Err(error) = ended {
                if matches!(error.code(), Some(Code::Unauthenticated | Code::PermissionDenied)) {
                    self.forget();
                    return Err(error);
                }
                tracing::warn!(%error, "the watch ended, and the local copy ages until it is back: {error}");
            }
            // Spread, so that a restarted daemon is not met by all its clients at once.
            tokio::select! {
                () = tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))) => {}
                () = stop.cancelled() => return Ok(()),
            }
            pause = (pause * 2).min(longest);
        }
    }

    fn forget(&mut self) {
        self.copy.table.clear();
        self.cache.shared.publish(Table::new());
        self.cache.shared.changes.send_modify(|count| *count += 1);
    }

    async fn watch(&mut self, pause: &mut Duration) -> Result<(), Error> {
        let known = self.copy.table.iter().map(|(key, held)| (key.clone(), held.generation));
        let known: Vec<_> = known.collect();
        let mut watch = self.client.watch(&self.keys, &known).await?;
        self.copy.told = Some(HashSet::new());
        while let Some(event) = watch.next().await? {
            // A connection that only opens proves little; one that talks does.
            *pause = PAUSES.0;
            let now = self.cache.clock.boot();
            let effect = self.copy.take(event, now);
            let shared = &self.cache.shared;
            if effect == Effect::Changed {
                shared.publish(self.copy.table.clone());
            }
            // While a snapshot comes in, what is held from before is not vouched for yet.
            if self.copy.told.is_none() {
                shared.heard.store(now.0, Ordering::Release);
            }
            // Last, so that whoever wakes finds the copy usable.
            if effect == Effect::Changed {
                shared.changes.send_modify(|count| *count += 1);
            }
        }
        Ok(())
    }
}

/// What the feeder knows; readers get copies of its table.
struct Copy {
    table: Table,
    /// The highest generation of each key, also of keys that were withdrawn.
    floors: HashMap<Key, Generation>,
    /// Keys told in the snapshot that is coming in; `None` after its end.
    told: Option<HashSet<Key>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Changed,
    Nothing,
}

impl Copy {
    fn take(&mut self, event: Event, now: BootTime) -> Effect {
        match event {
            Event::Token(token) => {
                if let Some(told) = &mut self.told {
                    told.insert(token.key.clone());
                }
                self.hold(token, now);
            }
            Event::Withdrawn { key, .. } => {
                self.table.remove(&key);
            }
            Event::SnapshotComplete => {
                if let Some(told) = self.told.take() {
                    self.table.retain(|key, _| told.contains(key));
                }
            }
            Event::Heartbeat { .. } => return Effect::Nothing,
        }
        // A snapshot is published as a whole: a table per key of it would be many tables.
        if self.told.is_none() { Effect::Changed } else { Effect::Nothing }
    }

    fn hold(&mut self, token: Token, now: BootTime) {
        let Token { key, value, fingerprint, generation, remaining, .. } = token;
        let floor = self.floors.entry(key.clone()).or_default();
        if generation < *floor {
            return;
        }
        *floor = generation;
        // Left out because we said that we hold it.
        let same = |held: &&Arc<Held>| held.generation == generation;
        let value = value.or_else(|| self.table.get(&key).filter(same).map(|held| held.value.clone()));
        match value {
            Some(value) => {
                let held = Held { value, fingerprint, generation, ends: now + remaining };
                self.table.insert(key, Arc::new(held));
            }
            // Not ours to read, or never held: there is nothing to hand out.
            None => drop(self.table.remove(&key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::model::Kind;
    use crate::pb;

    fn key() -> Key {
        Key::new("wx1".parse().unwrap(), Kind::AccessToken)
    }

    fn token(generation: u64, value: Option<&str>) -> Event {
        Event::Token(Token {
            key: key(),
            value: value.map(Secret::from),
            fingerprint: Fingerprint::of(&Secret::from("v")),
            generation: Generation(generation),
            issued_at: WallTime(0),
            expires_at: WallTime(0),
            remaining: Duration::from_secs(100),
            cache_for: VOUCHED,
            state: pb::TokenState::Fresh,
            degraded_reason: pb::DegradedReason::Unspecified,
        })
    }

    fn copy() -> Copy {
        Copy { table: Table::new(), floors: HashMap::new(), told: None }
    }

    fn held(copy: &Copy) -> Option<(u64, &str)> {
        copy.table.get(&key()).map(|held| (held.generation.0, held.value.expose()))
    }

    #[test]
    fn lower_generation_is_not_taken_even_after_a_withdrawal() {
        let mut copy = copy();
        copy.take(token(5, Some("five")), BootTime(0));
        copy.take(token(4, Some("four")), BootTime(0));
        assert_eq!(held(&copy), Some((5, "five")));
        let gone = pb::WithdrawnReason::Expired;
        copy.take(
            Event::Withdrawn { key: key(), reason: gone, retry_after: None, problem: None },
            BootTime(0),
        );
        copy.take(token(4, Some("four")), BootTime(0));
        assert_eq!(held(&copy), None);
    }

    #[test]
    fn value_that_was_left_out_is_kept_with_its_new_end() {
        let mut copy = copy();
        copy.take(token(5, Some("five")), BootTime(0));
        copy.take(token(5, None), BootTime(7));
        assert_eq!(held(&copy), Some((5, "five")));
        assert_eq!(copy.table[&key()].ends, BootTime(100_007));
        copy.take(token(6, None), BootTime(7));
        assert_eq!(held(&copy), None);
    }

    #[test]
    fn key_that_a_snapshot_leaves_out_is_dropped_at_its_end_and_not_before() {
        let mut copy = copy();
        copy.take(token(5, Some("five")), BootTime(0));
        copy.told = Some(HashSet::new());
        assert_eq!(held(&copy), Some((5, "five")));
        assert_eq!(copy.take(Event::SnapshotComplete, BootTime(0)), Effect::Changed);
        assert_eq!(held(&copy), None);
    }
}
