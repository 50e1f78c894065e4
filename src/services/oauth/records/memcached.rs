//! The notes in memcached: for several instances that share no database's disk, or many logins.
//!
//! Each note is on one server, chosen by its name, which is a hash. memcached forgets when it is
//! restarted or full: people then log in again. That a note is taken by one caller only is made of
//! its version: who deletes the version that was read has it.

mod wire;

use std::time::Duration;

use async_trait::async_trait;

use super::{RecordId, Records, RecordsError};
use crate::clock::{Clock, WallTime};
use crate::seal::{AtRest, KeyId, Keys};

pub use wire::MemcachedError;
use wire::{Item, Server, Store};

/// The longest that memcached takes for a span, in seconds; a greater number is a date to it.
const LONGEST: i64 = 30 * 24 * 60 * 60;
/// The form of a value: this byte, the key id's length, the id, what is sealed.
const FORM: u8 = 1;
/// What is sealed begins with the note's end, so that no server keeps one longer.
const END: usize = size_of::<i64>();

/// Notes in memcached.
#[derive(Debug)]
pub struct MemcachedRecords {
    servers: Vec<Server>,
    keys: Keys,
    clock: Clock,
}

impl MemcachedRecords {
    /// On these servers, `host:port` each, the same list in every instance; `None` without one.
    /// An exchange is given up after `limit`.
    pub fn new(servers: Vec<String>, limit: Duration, keys: Keys, clock: Clock) -> Option<Self> {
        if servers.is_empty() {
            return None;
        }
        let servers = servers.into_iter().map(|addr| Server::new(addr, limit)).collect();
        Some(Self { servers, keys, clock })
    }

    fn server(&self, id: &RecordId) -> &Server {
        let number = usize::from(u16::from_le_bytes([id.hash[0], id.hash[1]]));
        &self.servers[number % self.servers.len()]
    }

    async fn store(
        &self,
        id: &RecordId,
        value: &[u8],
        ends: WallTime,
        how: Store,
    ) -> Result<bool, RecordsError> {
        let ttl = ttl(ends, self.clock.wall());
        Ok(self.server(id).store(&name(id), self.sealed(id, value, ends), ttl, how).await?)
    }

    fn sealed(&self, id: &RecordId, value: &[u8], ends: WallTime) -> Vec<u8> {
        let clear = [&ends.0.to_be_bytes()[..], value].concat();
        let AtRest { bytes, key } = self.keys.seal(&id.bound_to(), &clear);
        let key = key.as_ref().map_or("", KeyId::as_str);
        let length = u8::try_from(key.len()).expect("a key's id has at most 32 characters");
        [&[FORM, length], key.as_bytes(), &bytes].concat()
    }

    /// `None` if it has ended.
    fn opened(&self, id: &RecordId, value: &[u8]) -> Result<Option<Vec<u8>>, RecordsError> {
        let foreign = || RecordsError::Foreign;
        let [FORM, length, rest @ ..] = value else { return Err(foreign()) };
        let (key, sealed) = rest.split_at_checked(usize::from(*length)).ok_or_else(foreign)?;
        let key = std::str::from_utf8(key).map_err(|_| foreign())?;
        let key = Some(key).filter(|key| !key.is_empty());
        let clear = self.keys.unseal(&id.bound_to(), sealed, key)?;
        let (ends, value) = clear.split_first_chunk::<END>().ok_or_else(foreign)?;
        let ends = WallTime(i64::from_be_bytes(*ends));
        Ok((self.clock.wall() < ends).then(|| value.to_vec()))
    }
}

#[async_trait]
impl Records for MemcachedRecords {
    async fn put(&self, id: &RecordId, value: &[u8], ends: WallTime) -> Result<(), RecordsError> {
        self.store(id, value, ends, Store::Set).await.map(drop)
    }

    async fn add(&self, id: &RecordId, value: &[u8], ends: WallTime) -> Result<bool, RecordsError> {
        self.store(id, value, ends, Store::Add).await
    }

    async fn replace(&self, id: &RecordId, value: &[u8], ends: WallTime) -> Result<bool, RecordsError> {
        self.store(id, value, ends, Store::Replace).await
    }

    async fn get(&self, id: &RecordId) -> Result<Option<Vec<u8>>, RecordsError> {
        let Some(item) = self.server(id).read(&name(id)).await? else { return Ok(None) };
        self.opened(id, &item.value)
    }

    async fn take(&self, id: &RecordId) -> Result<Option<Vec<u8>>, RecordsError> {
        let server = self.server(id);
        let Some(Item { value, cas }) = server.read(&name(id)).await? else { return Ok(None) };
        // Opened first: what does not open is left for who has the key.
        let opened = self.opened(id, &value)?;
        Ok(if server.delete(&name(id), Some(cas)).await? { opened } else { None })
    }

    async fn remove(&self, id: &RecordId) -> Result<(), RecordsError> {
        self.server(id).delete(&name(id), None).await?;
        Ok(())
    }
}

fn name(id: &RecordId) -> String {
    format!("zhongkong:oauth:{}:{}", id.kind.as_str(), hex::encode(id.hash))
}

/// Seconds from now, rounded up: what is too long by that ends by itself.
fn ttl(ends: WallTime, now: WallTime) -> u32 {
    let seconds = ends.0.saturating_sub(now.0).saturating_add(999).div_euclid(1_000).max(1);
    let number = if seconds > LONGEST { ends.seconds().saturating_add(1) } else { seconds };
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_told_as_memcached_reads_it() {
        let now = WallTime(1_800_000_000_000);
        let after = |ms: i64| ttl(WallTime(now.0 + ms), now);
        assert_eq!(after(60_000), 60);
        assert_eq!(after(60_001), 61);
        assert_eq!(after(1), 1);
        // Zero is for ever to memcached, and a negative number is nothing.
        assert_eq!(after(0), 1);
        assert_eq!(after(-5_000), 1);
        assert_eq!(after(LONGEST * 1_000), 2_592_000);
        assert_eq!(after(LONGEST * 1_000 + 1_000), 1_800_000_000 + 2_592_001 + 1, "a date");
    }
}
