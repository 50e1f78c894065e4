//! Reading one key of the local copy as often as a program likes.
//!
//! A reader keeps the value that it looked up until the copy changes. A read is then two loads of
//! what is written once in many seconds, and a look at the clock: nothing is hashed, and nothing is
//! written that another thread reads, so threads do not wait for each other. It hands out exactly
//! what [`Cache::get`] would. Absent on purpose: sharing one; each thread has a clone of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::BootTime;
use crate::model::Key;

use super::{Cache, Held, VOUCHED};

/// One key of the copy, resolved once.
#[derive(Clone)]
pub struct Reader {
    cache: Cache,
    key: Key,
    /// Of the table in which `held` was looked up.
    version: u64,
    held: Option<Arc<Held>>,
}

impl Reader {
    pub(super) fn new(cache: Cache, key: Key) -> Self {
        // No table has this version: the first read looks up.
        Self { cache, key, version: u64::MAX, held: None }
    }

    /// The value, if there is one that may be used now: as [`Cache::get`].
    pub fn read(&mut self) -> Option<&Arc<Held>> {
        let shared = &self.cache.shared;
        let version = shared.version.load(Ordering::Acquire);
        if version != self.version {
            self.held = shared.table.load().get(&self.key).cloned();
            self.version = version;
        }
        let held = self.held.as_ref()?;
        let now = self.cache.clock.boot();
        let vouched = BootTime(shared.heard.load(Ordering::Acquire)) + VOUCHED;
        (now < held.ends && now < vouched).then_some(held)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::cache::Table;
    use crate::client::{Client, Credentials};
    use crate::clock::{Clock, WallTime};
    use crate::model::{Fingerprint, Generation, Kind};
    use crate::secret::Secret;

    fn key(appid: &str) -> Key {
        Key::new(appid.parse().unwrap(), Kind::AccessToken)
    }

    /// An empty copy and its clock, which stands at 1,000,000 ms after the boot.
    fn cache() -> (Cache, Clock) {
        let clock = Clock::manual(WallTime(0), BootTime(1_000_000), "boot");
        let client = Client::lazy("http://127.0.0.1:1", Credentials::default()).unwrap();
        (Cache::new(client, clock.clone(), Vec::new()).0, clock)
    }

    fn publish(cache: &Cache, values: &[(&str, &str, i64)]) {
        let held = |value: &str, ends| {
            let value = Secret::from(value);
            let fingerprint = Fingerprint::of(&value);
            Arc::new(Held { value, fingerprint, generation: Generation(1), ends: BootTime(ends) })
        };
        let table = values.iter().map(|(appid, value, ends)| (key(appid), held(value, *ends)));
        cache.shared.publish(table.collect::<Table>());
        cache.shared.heard.store(cache.clock.boot().0, Ordering::Release);
    }

    fn read(reader: &mut Reader) -> Option<String> {
        reader.read().map(|held| held.value.expose().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn reader_follows_every_change_of_its_key() {
        let (cache, _clock) = cache();
        let mut reader = cache.reader(key("wx1"));
        assert_eq!(read(&mut reader), None);
        publish(&cache, &[("wx1", "one", 2_000_000)]);
        assert_eq!(read(&mut reader).as_deref(), Some("one"));
        let mut other = reader.clone();
        publish(&cache, &[("wx1", "two", 2_000_000), ("wx2", "another's", 2_000_000)]);
        assert_eq!(read(&mut reader).as_deref(), Some("two"));
        assert_eq!(read(&mut other).as_deref(), Some("two"), "a clone looks by itself");
        publish(&cache, &[("wx2", "another's", 2_000_000)]);
        assert_eq!(read(&mut reader), None, "its key was withdrawn");
    }

    #[tokio::test(start_paused = true)]
    async fn reader_hands_out_nothing_past_its_end_or_that_nobody_vouches_for() {
        let (cache, clock) = cache();
        let mut reader = cache.reader(key("wx1"));
        publish(&cache, &[("wx1", "one", 1_059_000)]);
        for (passed, here) in [(58_999, true), (1, false)] {
            tokio::time::advance(Duration::from_millis(passed)).await;
            assert_eq!(read(&mut reader).is_some(), here, "at {:?}", clock.boot());
            assert_eq!(cache.get(&key("wx1")).is_some(), here);
        }
        publish(&cache, &[("wx1", "one", 9_000_000)]);
        for (passed, here) in [(59_999, true), (1, false)] {
            tokio::time::advance(Duration::from_millis(passed)).await;
            assert_eq!(read(&mut reader).is_some(), here, "at {:?}", clock.boot());
            assert_eq!(cache.get(&key("wx1")).is_some(), here);
        }
    }
}
