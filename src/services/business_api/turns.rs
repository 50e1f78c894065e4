//! One after the other: what two requests of this process must not do at the same time.
//!
//! The tables keep processes apart; within one process, which they take for one, it is done here.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Queue, OwnedMutexGuard};

/// From so many on, those that nobody waits for are looked for and forgotten.
const MANY: usize = 256;

/// A queue for each thing.
pub(super) struct Turns<K>(Mutex<HashMap<K, Weak<Queue<()>>>>);

/// Somebody's turn; the next one's when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _held: OwnedMutexGuard<()>,
}

impl<K: Eq + Hash> Turns<K> {
    /// Waits for the turn at this thing.
    pub(super) async fn wait(&self, thing: K) -> Turn {
        Turn { _held: self.queue(thing).lock_owned().await }
    }

    /// The turn at this thing, if nobody has it.
    pub(super) fn now(&self, thing: K) -> Option<Turn> {
        Some(Turn { _held: self.queue(thing).try_lock_owned().ok()? })
    }

    fn queue(&self, thing: K) -> Arc<Queue<()>> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&thing).and_then(Weak::upgrade) {
            return queue;
        }
        if queues.len() >= MANY {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = Arc::default();
        queues.insert(thing, Arc::downgrade(&queue));
        queue
    }
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K> fmt::Debug for Turns<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turn_is_one_persons_until_it_is_dropped_and_nothing_is_kept_of_it() {
        let turns = Turns::default();
        let first = turns.now(1).unwrap();
        assert!(turns.now(1).is_none());
        assert!(turns.now(2).is_some());
        let mut second = Box::pin(turns.wait(1));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        drop(second.await);
        for thing in 0..10_000 {
            drop(turns.wait(thing).await);
        }
        assert!(turns.0.lock().unwrap().len() <= MANY);
    }
}
