//! One task for one arrival of a login, however many requests wait for it.
//!
//! Two requests of the same state, code and browser are one arrival, and get one outcome. The task
//! is ours: a browser that hangs up ends nothing. It is bounded, as is how many there are, and
//! [`Arrivals::close`] waits for all of them. Absent: other instances, which agree through the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What an arrival is known by: a hash over all that makes it one.
pub(super) type Key = [u8; 32];

/// Why there is no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoOutcome {
    /// Too many at once, or the service stops.
    Full,
    /// The task was cut off: a defect, or the end of the grace.
    Lost,
}

/// The arrivals under way, with outcomes of this type.
pub(super) struct Arrivals<T> {
    most: usize,
    open: Arc<Mutex<Open<T>>>,
    tasks: Mutex<JoinSet<()>>,
}

struct Open<T> {
    closed: Closed,
    waiting: HashMap<Key, watch::Receiver<Option<Arc<T>>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    No,
    Yes,
}

/// Takes an arrival off the list when its task ends, in whatever way.
struct Listed<T> {
    key: Key,
    open: Arc<Mutex<Open<T>>>,
}

impl<T> Drop for Listed<T> {
    fn drop(&mut self) {
        lock(&self.open).waiting.remove(&self.key);
    }
}

impl<T: Send + Sync + 'static> Arrivals<T> {
    /// At most so many at once.
    pub(super) fn new(most: usize) -> Self {
        let open = Open { closed: Closed::No, waiting: HashMap::new() };
        Self { most, open: Arc::new(Mutex::new(open)), tasks: Mutex::default() }
    }

    /// The outcome of this arrival: of the task that there is, or of this work, which is started if
    /// there is none. Dropped, it ends nothing.
    pub(super) async fn outcome<W>(&self, key: Key, work: impl FnOnce() -> W) -> Result<Arc<T>, NoOutcome>
    where
        W: Future<Output = T> + Send + 'static,
    {
        let mut waiting = {
            let mut open = lock(&self.open);
            match open.waiting.get(&key) {
                Some(waiting) => waiting.clone(),
                None if open.closed == Closed::Yes || open.waiting.len() >= self.most => {
                    return Err(NoOutcome::Full);
                }
                None => {
                    let (done, waiting) = watch::channel(None);
                    open.waiting.insert(key, waiting.clone());
                    let listed = Listed { key, open: Arc::clone(&self.open) };
                    let work = work();
                    self.spawn(async move {
                        let outcome = Arc::new(work.await);
                        // Off the list first: who comes now finds what the store says.
                        drop(listed);
                        done.send_replace(Some(outcome));
                    });
                    waiting
                }
            }
        };
        let outcome = waiting.wait_for(Option::is_some).await.map_err(|_| NoOutcome::Lost)?;
        outcome.clone().ok_or(NoOutcome::Lost)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Lets nobody in any more and waits for those inside, but not longer than this; then they are
    /// cut off. Returns how many that were.
    pub(super) async fn close(&self, grace: Duration) -> usize {
        lock(&self.open).closed = Closed::Yes;
        let end = Instant::now() + grace;
        if tokio::time::timeout_at(end, self.ended()).await.is_ok() {
            return 0;
        }
        let left = {
            let mut tasks = self.tasks();
            while tasks.try_join_next().is_some() {}
            tasks.abort_all();
            tasks.len()
        };
        self.ended().await;
        left
    }

    async fn ended(&self) {
        while std::future::poll_fn(|context| self.tasks().poll_join_next(context)).await.is_some() {}
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<T>(open: &Mutex<Open<T>>) -> MutexGuard<'_, Open<T>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    const KEY: Key = [1; 32];

    #[tokio::test]
    async fn many_requests_of_one_arrival_are_one_task_and_one_outcome() {
        let arrivals = Arrivals::new(8);
        let (runs, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let work = || {
            let (runs, gate) = (runs.clone(), gate.clone());
            async move {
                gate.acquire().await.unwrap().forget();
                runs.fetch_add(1, Ordering::SeqCst)
            }
        };
        let waiting = futures_util::future::join_all((0..50).map(|_| arrivals.outcome(KEY, work)));
        let opened = async { gate.add_permits(1) };
        let (all, ()) = tokio::join!(waiting, opened);
        assert_eq!(all.len(), 50);
        assert!(all.iter().all(|outcome| *outcome == Ok(Arc::new(0))));
        // The next one is another: what it finds is the store's business.
        gate.add_permits(1);
        assert_eq!(arrivals.outcome(KEY, work).await, Ok(Arc::new(1)));
        assert!(lock(&arrivals.open).waiting.is_empty());
    }

    #[tokio::test]
    async fn request_that_hangs_up_ends_nothing() {
        let arrivals = Arc::new(Arrivals::new(8));
        let (gate, done) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let mut browser = JoinSet::new();
        let (own, opened, told) = (arrivals.clone(), gate.clone(), done.clone());
        browser.spawn(async move {
            own.outcome(KEY, || async move {
                opened.acquire().await.unwrap().forget();
                told.add_permits(1);
            })
            .await
        });
        while lock(&arrivals.open).waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        browser.shutdown().await;
        gate.add_permits(1);
        done.acquire().await.unwrap().forget();
        assert_eq!(arrivals.close(Duration::from_secs(1)).await, 0);
    }

    #[tokio::test]
    async fn task_that_panics_is_told_and_leaves_nothing_behind() {
        let arrivals = Arrivals::<()>::new(8);
        let outcome = arrivals.outcome(KEY, || async { panic!("a defect") }).await;
        assert_eq!(outcome, Err(NoOutcome::Lost));
        assert!(lock(&arrivals.open).waiting.is_empty());
        assert_eq!(arrivals.outcome(KEY, || async {}).await, Ok(Arc::new(())));
    }

    #[tokio::test(start_paused = true)]
    async fn close_waits_for_its_grace_and_lets_nobody_in() {
        let arrivals = Arrivals::<()>::new(1);
        let gate = Arc::new(Semaphore::new(0));
        let held = gate.clone();
        let waiting = arrivals.outcome(KEY, || async move { held.acquire().await.unwrap().forget() });
        let closing = async {
            // One place, and it is taken.
            assert_eq!(arrivals.outcome([2; 32], || async {}).await, Err(NoOutcome::Full));
            let left = arrivals.close(Duration::from_secs(5)).await;
            assert_eq!(arrivals.outcome(KEY, || async {}).await, Err(NoOutcome::Full));
            left
        };
        let (outcome, left) = tokio::join!(waiting, closing);
        assert_eq!((outcome, left), (Err(NoOutcome::Lost), 1));
    }
}
