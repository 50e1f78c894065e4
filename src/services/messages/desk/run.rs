//! Where the requests for one message meet the run of its handler.
//!
//! The rule is decided in one place, under one lock: when the run ends, the answer is passive if a
//! request is still there to take it, else late. A request that goes away without having taken it
//! (its caller hung up in that instant) hands the answer back. So an answer is either taken, or
//! sent late once, and never both.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Verdict;

/// The run of a message's handler, seen by the requests for that message.
#[derive(Debug, Default)]
pub(in super::super) struct Run {
    state: Mutex<State>,
    /// The run has ended, or nobody waits for it any more.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Requests that are there and have time left.
    open: usize,
    end: Option<End>,
    /// Whether a request has taken the answer.
    taken: bool,
}

/// How a run ended, for those who wait.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// With an answer for who is there.
    Passive(Arc<Verdict>),
    /// Its answer goes out late, or there is none.
    Late,
}

/// A request that is there. Dropped when it is answered or its caller hangs up.
pub(super) struct Open {
    run: Arc<Run>,
}

impl Run {
    /// A request came.
    pub(super) fn enter(self: &Arc<Self>) -> Open {
        self.state().open += 1;
        Open { run: Arc::clone(self) }
    }

    /// The run ended. Tells whether somebody is there to take the answer. Only the first end
    /// counts: a run that is cut off while its answer is handed over has one.
    pub(super) fn settle(&self, verdict: Arc<Verdict>) -> bool {
        let mut state = self.state();
        let passive = state.open > 0;
        if state.end.is_none() {
            state.end = Some(if passive { End::Passive(verdict) } else { End::Late });
        }
        drop(state);
        self.changed.notify_waiters();
        passive
    }

    /// Waits until a request has taken the answer; `false` if they all went away without it, and
    /// then nobody gets it any more.
    pub(super) async fn delivered(&self) -> bool {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if state.taken {
                    return true;
                }
                if state.open == 0 {
                    state.end = Some(End::Late);
                    return false;
                }
            }
            changed.await;
        }
    }

    /// How many requests wait for it.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state().open
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// The end of the run, taken; `None` while it lasts.
    pub(super) fn take(&self) -> Option<End> {
        let mut state = self.run.state();
        let end = state.end.clone()?;
        match end {
            End::Passive(_) => state.taken = true,
            End::Late => {}
        }
        Some(end)
    }

    /// Waits for the end of the run, but not longer than this.
    pub(super) async fn wait(self, deadline: Instant) -> Option<End> {
        // It may have ended by now, and a timer is not for nothing.
        if let Some(end) = self.take() {
            return Some(end);
        }
        let until = tokio::time::sleep_until(deadline);
        tokio::pin!(until);
        loop {
            let changed = self.run.changed.notified();
            if let Some(end) = self.take() {
                return Some(end);
            }
            tokio::select! {
                () = changed => {}
                () = &mut until => return self.take(),
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.run.state();
        state.open -= 1;
        // One that took the answer, too: the run waits to hear of it.
        let last_or_taken = state.open == 0 || state.taken;
        drop(state);
        if last_or_taken {
            self.run.changed.notify_waiters();
        }
    }
}
