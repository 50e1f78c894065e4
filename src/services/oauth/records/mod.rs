//! Sealed notes that end by themselves: pending logins, their results, sessions.
//!
//! A note lies under the hash of what only the browser has, and is sealed and bound to that name:
//! who reads the store learns nothing and cannot exchange one note for another. All instances of
//! the service share a store, so each of these is one step for all of them.

use std::fmt;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use self::memcached::MemcachedError;
use crate::clock::WallTime;
use crate::seal::OpenError;
use crate::services::database::DatabaseError;

pub mod memcached;
pub mod sql;

/// Where notes are kept.
#[async_trait]
pub trait Records: Send + Sync + 'static {
    /// Writes it, in place of what is there.
    async fn put(&self, id: &RecordId, value: &[u8], ends: WallTime) -> Result<(), RecordsError>;
    /// Writes it if there is nothing; of many callers one is told `true`.
    async fn add(&self, id: &RecordId, value: &[u8], ends: WallTime) -> Result<bool, RecordsError>;
    /// Writes it if there is something, and tells whether there was.
    async fn replace(&self, id: &RecordId, value: &[u8], ends: WallTime) -> Result<bool, RecordsError>;
    /// What is there, if it has not ended.
    async fn get(&self, id: &RecordId) -> Result<Option<Vec<u8>>, RecordsError>;
    /// The same, and removes it: of many callers one gets it.
    async fn take(&self, id: &RecordId) -> Result<Option<Vec<u8>>, RecordsError>;
    /// Removes it, if it is there.
    async fn remove(&self, id: &RecordId) -> Result<(), RecordsError>;
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// Somebody was sent to WeChat and has not come back.
    Pending,
    /// Somebody came back; what a second arrival of the same is told.
    Done,
    /// Somebody is logged in.
    Session,
    /// The message service has told something.
    Event,
}

impl RecordKind {
    /// Its name in the stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Session => "session",
            Self::Event => "event",
        }
    }
}

/// The name of a note: its kind, and the hash of what only the browser has.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordId {
    kind: RecordKind,
    hash: [u8; 32],
}

impl RecordId {
    /// A pending login, by its state.
    pub fn pending(state: &str) -> Self {
        Self::of(RecordKind::Pending, state)
    }

    /// The result of a login, by its state.
    pub fn done(state: &str) -> Self {
        Self::of(RecordKind::Done, state)
    }

    /// A session, by its id.
    pub fn session(id: &str) -> Self {
        Self::of(RecordKind::Session, id)
    }

    /// Something that was told, by its name.
    pub fn event(name: &str) -> Self {
        Self::of(RecordKind::Event, name)
    }

    fn of(kind: RecordKind, what: &str) -> Self {
        Self { kind, hash: Sha256::digest(what.as_bytes()).into() }
    }

    /// What a sealed note is bound to. No kind holds a NUL.
    fn bound_to(&self) -> Vec<u8> {
        let mut bound = format!("record\0{}\0", self.kind.as_str()).into_bytes();
        bound.extend(self.hash);
        bound
    }
}

impl fmt::Debug for RecordId {
    /// Enough to find it, not enough to be it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), hex::encode(&self.hash[..4]))
    }
}

/// Why the store did not do it. The page answers 503; the store has logged it.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The database did not.
    #[error("the records cannot be kept")]
    Database(#[from] DatabaseError),
    /// memcached did not.
    #[error("the records cannot be kept")]
    Memcached(#[from] MemcachedError),
    /// Something else was put there, or another release's.
    #[error("there is something in memcached that this release has not written")]
    Foreign,
    /// What is there does not open.
    #[error("a record does not open")]
    Sealed(#[from] OpenError),
}
