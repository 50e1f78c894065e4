//! Changes of keys as they are told to those who follow the hub.
//!
//! A change names its key and nothing else: who hears of it looks the key up, and so sees the
//! latest. Bounded; a follower that falls behind is told to look at every key again.

use tokio::sync::broadcast;

use crate::model::Key;

/// Changes of keys, the latest of each: a reader that is slow misses steps, never the end.
pub struct Feed(pub(super) broadcast::Receiver<Key>);

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This key: look it up again.
    Key(Key),
    /// More than can be told: look at all keys again.
    Lagged,
    /// The hub has gone.
    Closed,
}

impl Feed {
    /// Waits for the next change. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Change {
        match self.0.recv().await {
            Ok(key) => Change::Key(key),
            Err(broadcast::error::RecvError::Lagged(_)) => Change::Lagged,
            Err(broadcast::error::RecvError::Closed) => Change::Closed,
        }
    }
}
