//! The one gate that every upstream call of every key passes.
//!
//! Bounds how many calls are in flight, and lets the most urgent in first: a key without
//! a value, then a complaint, then the value with the least life left. So ten thousand
//! cold keys neither burst nor starve the one that somebody waits for. Deliberately not
//! a semaphore: tokio's is first come, first served.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// Upstream calls in flight over all keys.
pub const IN_FLIGHT: usize = 64;

/// How urgent a call is; the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The key has no value to serve.
    NoValue,
    /// Somebody waits for a verdict.
    Complaint,
    /// The value has this long to live.
    Renewal(Duration),
}

/// The gate. Cheap to clone.
#[derive(Clone)]
pub struct Gate(Arc<Mutex<Waiting>>);

struct Waiting {
    free: usize,
    /// In order of rank, then of arrival.
    queue: BTreeMap<(Rank, u64), oneshot::Sender<Permit>>,
    arrivals: u64,
    /// How many callers were let in.
    passed: u64,
}

/// What somebody sees who watches whether the gate moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Callers that wait.
    pub waiting: usize,
    /// Callers that were let in since the gate was made.
    pub passed: u64,
}

/// The right to have one call in flight; given back by its drop.
pub struct Permit(Option<Gate>);

impl Gate {
    /// A gate for this many calls in flight.
    pub fn new(in_flight: usize) -> Self {
        let queue = BTreeMap::new();
        Self(Arc::new(Mutex::new(Waiting { free: in_flight, queue, arrivals: 0, passed: 0 })))
    }

    /// Waits for the right to make a call. Dropping the future gives the place up.
    pub async fn enter(&self, rank: Rank) -> Permit {
        let turn = {
            let mut waiting = self.lock();
            if waiting.free > 0 {
                waiting.free -= 1;
                waiting.passed += 1;
                return Permit(Some(self.clone()));
            }
            let (sender, turn) = oneshot::channel();
            let arrival = waiting.arrivals;
            waiting.arrivals += 1;
            waiting.queue.insert((rank, arrival), sender);
            turn
        };
        // The sender is dropped only with the gate, and `self` keeps the gate.
        turn.await.expect("a queued caller is always let in")
    }

    /// How many calls could begin at once.
    pub fn free(&self) -> usize {
        self.lock().free
    }

    /// Who waits, and how many were let in.
    pub fn queue(&self) -> Queue {
        let waiting = self.lock();
        Queue { waiting: waiting.queue.len(), passed: waiting.passed }
    }

    fn leave(&self) {
        loop {
            let next = {
                let mut waiting = self.lock();
                let Some((_, next)) = waiting.queue.pop_first() else {
                    waiting.free += 1;
                    return;
                };
                waiting.passed += 1;
                next
            };
            match next.send(Permit(Some(self.clone()))) {
                Ok(()) => return,
                // That caller has gone: its permit comes back and is disarmed, the next one is asked.
                Err(mut permit) => permit.0 = None,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No code in a locked section can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        let waker = futures_util::task::noop_waker();
        std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(&waker))
    }

    #[test]
    fn the_most_urgent_caller_is_let_in_first_and_equals_by_arrival() {
        let gate = Gate::new(1);
        let Poll::Ready(held) = poll(&mut Box::pin(gate.enter(Rank::NoValue))) else {
            panic!("gate is free")
        };
        let ranks = [
            Rank::Renewal(Duration::from_secs(900)),
            Rank::Renewal(Duration::from_secs(5)),
            Rank::Complaint,
            Rank::NoValue,
            Rank::NoValue,
        ];
        let mut callers: Vec<_> = ranks.iter().map(|rank| Box::pin(gate.enter(*rank))).collect();
        for caller in &mut callers {
            assert!(poll(caller).is_pending());
        }
        let mut held = Some(held);
        for expected in [3, 4, 2, 1, 0] {
            drop(held.take());
            for (index, caller) in callers.iter_mut().enumerate() {
                if index == expected {
                    let Poll::Ready(permit) = poll(caller) else { panic!("{expected} is next") };
                    held = Some(permit);
                }
            }
            assert!(held.is_some());
        }
    }

    #[test]
    fn a_caller_that_went_away_costs_no_place() {
        let gate = Gate::new(1);
        let Poll::Ready(held) = poll(&mut Box::pin(gate.enter(Rank::NoValue))) else {
            panic!("gate is free")
        };
        let mut gone = Box::pin(gate.enter(Rank::NoValue));
        assert!(poll(&mut gone).is_pending());
        let mut waits = Box::pin(gate.enter(Rank::Complaint));
        assert!(poll(&mut waits).is_pending());
        drop(gone);
        drop(held);
        let Poll::Ready(permit) = poll(&mut waits) else { panic!("the place was lost") };
        drop(permit);
        assert!(poll(&mut Box::pin(gate.enter(Rank::Complaint))).is_ready());
    }
}
