//! The books of a key's task: what it tells the ledger, the log and its readers.
//!
//! Owns the ledger's second of patience and the rule that an ailing ledger is reported
//! once, not with every write; the count of failures; and the view that is published.

use std::sync::Arc;
use std::time::Duration;

use crate::ledger::{Event, LedgerError};
use crate::telemetry::metrics::{self, LedgerStep};

use super::bell::Ring;
use super::policy::{self, Failing, Hold, Lane, Plan, Shape};
use super::task::Refresher;
use super::view::{Next, Problem, View};

/// The ledger's share of an attempt: one second for each write (architecture §4).
const LEDGER_PATIENCE: Duration = Duration::from_secs(1);

impl Refresher {
    /// Retries what the ledger did not take, without an upstream call.
    pub(super) async fn store_again(&mut self) {
        if let Some(death) = self.state.rare.untold_death {
            self.tell_death(death.generation).await;
        }
        let Some(mut owed) = self.state.rare.unstored.take() else { return };
        if self.commit(&owed.call, &owed.value).await.is_err() {
            owed.tries += 1;
            owed.retry_at =
                self.now() + Duration::from_secs(1 << owed.tries.min(5)).min(Duration::from_secs(30));
            self.state.rare.unstored = Some(owed);
        } else {
            tracing::info!(app = %self.key().appid, kind = %self.key().kind, failures = owed.tries, "the ledger has the value of {} now", self.key());
        }
    }

    /// Runs a ledger operation within its second; keeps count of whether the ledger is well.
    pub(super) async fn note<T>(
        &mut self,
        step: LedgerStep,
        operation: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, &'static str> {
        let begun = tokio::time::Instant::now();
        let result = match tokio::time::timeout(LEDGER_PATIENCE, operation).await {
            Ok(result) => result,
            Err(_) => Err(LedgerError::Slow),
        };
        metrics::ledger_took(step, begun.elapsed());
        match result {
            Ok(done) => {
                if std::mem::take(&mut self.state.ledger_ailing) {
                    tracing::info!(app = %self.key().appid, kind = %self.key().kind, "the ledger takes writes of {} again", self.key());
                }
                Ok(done)
            }
            Err(error) => {
                let reason = error.reason();
                metrics::ledger_error(step, reason);
                if !std::mem::replace(&mut self.state.ledger_ailing, true) {
                    let cause =
                        std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::error!(
                        app = %self.key().appid, kind = %self.key().kind, reason, cause,
                        "{error}; the daemon goes on from memory, and what it fetches would be lost with it",
                    );
                }
                Err(reason)
            }
        }
    }

    /// Records an event, if the ledger can.
    pub(super) async fn event(&mut self, what: &str, detail: String) {
        let event = Event {
            at: self.around.clock.wall(),
            key: Some(self.key().clone()),
            what: what.to_owned(),
            detail,
        };
        let ledger = self.around.ledger.clone();
        let _ = self.note(LedgerStep::Other, ledger.record(&event)).await;
    }

    /// Whatever was wrong may be over: a renewal that was due and failed is due at once, not at
    /// an instant that is drawn anew.
    pub(super) fn forget_failure(&mut self) {
        if self.state.rare.failing.take().is_some() {
            self.state.jitter = policy::soonest(self.shape());
        }
        self.state.rare.problem = None;
    }

    /// Takes a failure into account, unless it happened under settings that are gone.
    pub(super) fn fail(&mut self, lane: Lane, problem: Problem) {
        let now = self.now();
        self.state.jitter = rand::random();
        self.state.not_before = now + policy::FLOOR;
        if self.shared.bell.rings_for(Ring::Settings) {
            self.state.jitter = policy::soonest(self.shape());
            return;
        }
        let same_lane =
            |failing: &&Failing| std::mem::discriminant(&failing.lane) == std::mem::discriminant(&lane);
        let count = self.state.rare.failing.as_ref().filter(same_lane).map_or(0, |failing| failing.count) + 1;
        self.state.rare.failing = Some(Failing { count, at: now, lane });
        let key = self.key();
        if count <= 3 {
            tracing::warn!(
                app = %key.appid, kind = %key.kind, failures = count,
                errcode = problem.errcode.map(|code| code.0), rid = problem.rid.as_deref(),
                "could not refresh {key}: {}; {}", problem.meaning, problem.action,
            );
        } else {
            tracing::debug!(app = %key.appid, kind = %key.kind, failures = count, "could not refresh {key}: {}", problem.meaning);
        }
        self.state.rare.problem = Some(Arc::new(problem));
    }

    /// An attempt went well: whatever was wrong is over.
    pub(super) fn succeed(&mut self) {
        self.draw_jitter();
        self.state.not_before = self.now() + policy::FLOOR;
        if let Some(failing) = self.state.rare.failing.take() {
            let (key, failures) = (self.key(), failing.count);
            tracing::info!(app = %key.appid, kind = %key.kind, failures, "{key} recovered after {failures} failures");
        }
        self.state.rare.problem = None;
    }

    /// When the next renewal is, within its window: by chance, or where the key keeps out of the
    /// others' way.
    pub(super) fn draw_jitter(&mut self) {
        let life = self.state.life(self.now());
        self.state.jitter = match (self.shape(), life) {
            (Shape::Classic, Some(life)) => policy::steered(&life, policy::phase(self.key())),
            // WeChat sets the phase, the window is short, or there is nothing to renew.
            (Shape::Stable | Shape::DatedTicket | Shape::UndatedTicket, _) | (Shape::Classic, None) => {
                rand::random()
            }
        };
    }

    /// Makes the state visible.
    pub(super) fn publish(&self) {
        let state = &self.state;
        let now = self.now();
        let next = match self.plan() {
            Plan::At(at) => Next::At(at),
            Plan::Hold(Hold::Paused(until)) => Next::Paused(until),
            Plan::Hold(Hold::ParentMissing) => Next::ParentMissing,
        };
        self.shared.publish(View {
            key: self.key().clone(),
            value: state.serving().map(|held| held.value.clone()),
            dead_by: state.dead_by(),
            degraded: state.degraded(),
            refreshing: self.refreshing,
            next,
            last: state.last.clone(),
            last_success: state.last_success,
            failures: state.rare.failing.map_or(0, |failing| failing.count),
            problem: state.rare.problem.clone(),
            budget: state.budget.usage(now),
            foreign: state.rare.foreign,
            version: 0,
        });
    }

    pub(super) fn say_removed(&self) {
        let mut view = (*self.shared.view()).clone();
        view.value = None;
        view.next = Next::Removed;
        self.shared.publish(view);
    }
}
