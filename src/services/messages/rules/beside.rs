//! Programs that are told of a message, while nobody waits for them.
//!
//! Owns what is under way, so that it outlives the answer and a reload, and a stop can wait for
//! it. What is told at once is bounded here, and closer by each program's own places and time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

/// The most that is told at once; a program takes far less by its own limits.
const MOST: usize = 4_096;

/// What is told beside the answers. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Beside(Arc<Mutex<JoinSet<()>>>);

/// There is no room for more.
#[derive(Debug, thiserror::Error)]
#[error("{MOST} messages are being told already")]
pub(super) struct Full;

impl Beside {
    /// Runs this on its own. A panic ends it alone, and is logged by the process.
    ///
    /// # Errors
    /// Too much runs already; nothing was begun.
    pub(super) fn tell(&self, telling: impl Future<Output = ()> + Send + 'static) -> Result<(), Full> {
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        if tasks.len() >= MOST {
            return Err(Full);
        }
        tasks.spawn(telling);
        Ok(())
    }

    /// Waits until all are told, but not longer than this; what is left is given up and logged.
    /// Returns how much that was. Nothing may be told any more.
    pub async fn close(&self, grace: Duration) -> usize {
        let end = Instant::now() + grace;
        let mut tasks = std::mem::take(&mut *self.tasks());
        while let Ok(Some(_)) = tokio::time::timeout_at(end, tasks.join_next()).await {}
        let left = tasks.len();
        if left > 0 {
            tasks.shutdown().await;
            tracing::warn!(
                count = left,
                "programs were still being told of {left} messages at the end of the grace, and may not have got them: they are slow, or the grace is short",
            );
        }
        left
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        // Sound: nothing in between can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_told_at_once_is_bounded_and_there_is_room_again_afterwards() {
        let beside = Beside::default();
        let gate = tokio_util::sync::CancellationToken::new();
        for _ in 0..MOST {
            beside.tell(gate.clone().cancelled_owned()).unwrap();
        }
        assert!(beside.tell(async {}).is_err());
        gate.cancel();
        while beside.tell(async {}).is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(beside.close(Duration::from_mins(1)).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn end_waits_for_what_is_told_and_gives_up_what_takes_too_long() {
        let beside = Beside::default();
        let told = Arc::new(Mutex::new(0));
        for seconds in [1, 2, 60] {
            let told = told.clone();
            let telling = async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                *told.lock().unwrap() += 1;
            };
            beside.tell(telling).unwrap();
        }
        assert_eq!(beside.close(Duration::from_secs(10)).await, 1);
        assert_eq!(*told.lock().unwrap(), 2);
    }

    #[tokio::test]
    async fn panic_of_one_leaves_the_others_alone() {
        let beside = Beside::default();
        beside.tell(async { panic!("on purpose") }).unwrap();
        beside.tell(async {}).unwrap();
        assert_eq!(beside.close(Duration::from_mins(1)).await, 0);
    }
}
