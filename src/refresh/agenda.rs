//! What a key does next by itself, when, and at whose expense.

use crate::clock::BootTime;
use crate::model::Cause;

use super::budget::{Forced, Share};
use super::policy::{self, Facts, HOLD_LOOK, Hold, Parent, Plan};
use super::task::Refresher;

/// What is due next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// An attempt by the schedule.
    Attempt,
    /// A look at a hold.
    Look,
    /// The probe that S3 asks for.
    Verify,
    /// The second call after a leak.
    SecondForce,
    /// A commit or a death that the ledger did not take.
    Store,
}

impl Refresher {
    /// Who pays for an attempt of the schedule: the complainers, if a value was given up for
    /// them and their share has room; else a war with another program would use up what keeps
    /// the deadlines.
    pub(super) fn scheduled_cause(&self) -> Cause {
        let deadline_share = self.state.deadline_share(self.shape());
        let theirs = self.state.given_up
            && self.state.budget.allows(self.now(), Share::Complaint, Forced::No, deadline_share).is_ok();
        if theirs { Cause::Complaint } else { Cause::Deadline }
    }

    /// What happens next by itself, and when.
    pub(super) fn due(&self) -> (BootTime, Due) {
        let look = self.now() + HOLD_LOOK;
        let mut next = match self.plan() {
            Plan::At(at) => (at, Due::Attempt),
            Plan::Hold(Hold::Paused(until)) => (until.min(look), Due::Look),
            Plan::Hold(Hold::ParentMissing) => (look, Due::Look),
        };
        let mut sooner = |at: Option<BootTime>, due: Due| {
            if let Some(at) = at.filter(|at| *at < next.0) {
                next = (at, due);
            }
        };
        if !self.is_paused() {
            let verify = self.state.serving().and_then(|held| held.verify_at);
            sooner(verify.map(|at| at.max(self.state.not_before)), Due::Verify);
            sooner(self.state.rare.leak.map(|leak| leak.second_at), Due::SecondForce);
        }
        sooner(self.state.rare.unstored.as_ref().map(|owed| owed.retry_at), Due::Store);
        sooner(self.state.rare.untold_death.map(|death| death.retry_at), Due::Store);
        next
    }

    pub(super) fn plan(&self) -> Plan {
        let now = self.now();
        let parent = match &self.parent {
            Some(parent) if parent.read().is_err() => Parent::Missing,
            Some(_) | None => Parent::Ready,
        };
        let shape = self.shape();
        let paced = self.state.budget.paced_until(now, self.state.deadline_share(shape));
        policy::next(&Facts {
            now,
            shape,
            value: self.state.life(now),
            failing: self.state.rare.failing,
            paused_until: self.state.rare.paused_until,
            parent,
            not_before: self.state.not_before.max(paced),
            jitter: self.state.jitter,
        })
    }
}
