//! Complaints and forced refreshes: nothing is given up that WeChat still accepts.
//!
//! ```text
//! complaint ─ other fingerprint ───────────────> ALREADY_REPLACED, no call
//!     └ same ─ probe ─ alive ──────────────────> STILL_VALID, nothing changes
//!                ├ dead ── repair ─ new string ─> REFRESHED
//!                │            └ failed ────────> withdrawn, and when to ask again
//!                ├ no answer ──────────────────> UNAVAILABLE, no issuing call
//!                └ will not say ─ careful call ─> REFRESHED or UNVERIFIED
//! ```

use std::sync::Arc;
use std::time::Duration;

use crate::clock::BootTime;
use crate::model::{CallMode, Cause, ErrCode, Fingerprint, Kind, TokenMode};
use crate::telemetry::metrics::{self, ComplaintOutcome, LedgerStep};
use crate::wechat::Probe;

use super::attempt::{Fetched, Proof};
use super::handle::{Answer, Force, NoValue, Outcome};
use super::held::Standing;
use super::policy::{self, FORCE_SPACING, Plan, TICKET_COMPLAINT_SPACING};
use super::rare::Leak;
use super::renew::issuing_mode;
use super::task::Refresher;
use super::troubles::silent_problem;

/// What WeChat says of the held value.
pub(super) enum Verdict {
    /// It works.
    Alive,
    /// It does not.
    Dead,
    /// No answer, or "system busy".
    Silent(String),
    /// An answer that says nothing about the value.
    Other,
    /// The key's probes are used up until then.
    TooOften(BootTime),
}

impl Refresher {
    /// A complaint of this many callers.
    pub(super) async fn judge(
        &mut self,
        seen: Option<Fingerprint>,
        errcode: ErrCode,
        callers: usize,
    ) -> Result<Answer, NoValue> {
        let verdict = self.judge_one(seen, errcode).await;
        let outcome = verdict.as_ref().map_or("failed", |answer| answer.outcome.as_str());
        let reached = verdict.as_ref().ok().map(|answer| answer.outcome);
        metrics::complaint(self.key().kind, label(reached));
        self.shared.complained(seen, reached, callers);
        tracing::info!(
            app = %self.key().appid, kind = %self.key().kind, callers, outcome, errcode = errcode.0,
            fingerprint = seen.map(|seen| seen.to_string()), "complaint about {}: {outcome}", self.key(),
        );
        verdict
    }

    async fn judge_one(&mut self, seen: Option<Fingerprint>, errcode: ErrCode) -> Result<Answer, NoValue> {
        let now = self.now();
        let Some(good) = self.state.good(now) else { return self.nothing_to_complain_about(seen).await };
        // Judged again: it may have waited for an attempt that replaced the value.
        if seen != Some(good.value.fingerprint) {
            return self.answer(Outcome::AlreadyReplaced);
        }
        if self.is_paused() {
            return Err(NoValue::Paused { until: self.state.rare.paused_until.unwrap_or(now) });
        }
        if self.key().kind != Kind::AccessToken {
            return self.judge_ticket().await;
        }
        match self.probe().await {
            Verdict::Alive => {
                self.publish();
                self.answer(Outcome::StillValid)
            }
            Verdict::Dead => {
                self.suspect_foreign_refresh(errcode).await;
                self.repair().await
            }
            Verdict::Silent(what) => Err(NoValue::Unavailable {
                retry_after: Duration::from_secs(2),
                problem: Some(Arc::new(silent_problem(&what))),
            }),
            Verdict::Other => self.replace_unverified().await,
            Verdict::TooOften(until) => Err(NoValue::Exhausted {
                retry_after: until.since(now),
                rule: "a value is asked about 10 times in a row, then once per 6 s".to_owned(),
                problem: None,
            }),
        }
    }

    /// There is no good value: a caller's impatience brings no call forward that waits for a
    /// reason, but it may wait for the one that is due now.
    async fn nothing_to_complain_about(&mut self, seen: Option<Fingerprint>) -> Result<Answer, NoValue> {
        match self.plan() {
            Plan::At(at) if at <= self.now() => match self.renew(Cause::Deadline).await {
                Fetched::New | Fetched::Same => {
                    let proven = self.state.held.as_ref().map(|held| held.value.fingerprint) == seen;
                    self.answer(if proven { Outcome::StillValid } else { Outcome::Refreshed })
                }
                Fetched::Failed(why) => Err(why),
            },
            Plan::At(_) | Plan::Hold(_) => Err(self.no_value()),
        }
    }

    /// WeChat called the value dead: it is served with a warning until the repair ends. The
    /// ledger takes it for dead at once, so that a restart in the middle does not serve it.
    async fn repair(&mut self) -> Result<Answer, NoValue> {
        if let Some(held) = &mut self.state.held {
            held.standing = Standing::ReportedDead;
        }
        self.publish();
        self.note_dead().await;
        let fetched = match self.account().token_mode {
            TokenMode::Classic => self.fetch(CallMode::Classic, Cause::Complaint, Proof::Dead).await,
            TokenMode::Stable => match self.fetch(CallMode::Stable, Cause::Complaint, Proof::Dead).await {
                Fetched::Same => self.force_dead(Cause::Complaint).await,
                fetched @ (Fetched::New | Fetched::Failed(_)) => fetched,
            },
        };
        match fetched {
            Fetched::New => self.answer(Outcome::Refreshed),
            // Classic only: the answer repeats the dead string, so there was no repair.
            Fetched::Same => {
                self.state.given_up = true;
                self.withdraw().await;
                Err(self.no_value())
            }
            Fetched::Failed(why) => {
                if let NoValue::Exhausted { retry_after, problem: None, .. } = &why {
                    // The complainers' share is used up. It pays for the next attempt as soon as it
                    // can; the deadlines' share steps in no faster than it lasts for a day.
                    let share = self.state.deadline_share(self.shape());
                    let wait = (*retry_after).min(self.state.budget.deadline_round(share));
                    self.state.not_before = self.state.not_before.max(self.now() + wait);
                }
                self.state.given_up = true;
                self.withdraw().await;
                Err(why)
            }
        }
    }

    /// WeChat would not say whether the value is dead.
    async fn replace_unverified(&mut self) -> Result<Answer, NoValue> {
        let mode = match self.account().token_mode {
            TokenMode::Classic => CallMode::Classic,
            TokenMode::Stable => CallMode::Stable,
        };
        match self.fetch(mode, Cause::Complaint, Proof::None).await {
            Fetched::New => self.answer(Outcome::Refreshed),
            Fetched::Same => self.answer(Outcome::Unverified),
            // The value is as good as before.
            Fetched::Failed(why) => match self.answer(Outcome::Unverified) {
                Ok(answer) => Ok(answer),
                Err(_) => Err(why),
            },
        }
    }

    /// A ticket cannot be probed; one more getticket says whether it was replaced.
    async fn judge_ticket(&mut self) -> Result<Answer, NoValue> {
        let now = self.now();
        let again = self.state.rare.last_ticket_complaint.map(|last| last + TICKET_COMPLAINT_SPACING);
        if let Some(again) = again.filter(|again| *again > now) {
            return Err(NoValue::Exhausted {
                retry_after: again.since(now),
                rule: "a ticket's complaints cause one call per 60 s".to_owned(),
                problem: None,
            });
        }
        self.state.rare.last_ticket_complaint = Some(now);
        match self.renew_ticket(Cause::Complaint).await {
            Fetched::New => self.answer(Outcome::Refreshed),
            Fetched::Same => self.answer(Outcome::Unchanged),
            Fetched::Failed(why) => Err(why),
        }
    }

    /// A forced refresh: an operator's word replaces the proof.
    pub(super) async fn force(&mut self, force: Force) -> Result<Answer, NoValue> {
        if self.is_paused() {
            return Err(NoValue::Paused { until: self.state.rare.paused_until.unwrap_or(self.now()) });
        }
        if self.key().kind != Kind::AccessToken {
            if self.plan() == Plan::Hold(policy::Hold::ParentMissing) {
                return Err(self.no_value());
            }
            return match self.renew_ticket(Cause::Command).await {
                Fetched::New => self.answer(Outcome::Refreshed),
                Fetched::Same => self.answer(Outcome::Unchanged),
                Fetched::Failed(why) => Err(why),
            };
        }
        let leaked = self.state.held.as_ref().map(|held| held.value.fingerprint);
        let missing = self.state.good(self.now()).is_none();
        let fetched = match force {
            // Nothing to kill: the call that brings a value is enough.
            Force::Once if missing => self.renew(Cause::Command).await,
            Force::Once | Force::Leaked => {
                if force == Force::Leaked {
                    // Before the first call: a restart between the two forgets the second one, and
                    // then this tells that it is owed.
                    self.event(
                        "leak_reported",
                        "two issuing calls are to follow; see leak_contained".to_owned(),
                    )
                    .await;
                }
                let proof = if missing { Proof::Dead } else { Proof::None };
                self.fetch(issuing_mode(self.account().token_mode), Cause::Command, proof).await
            }
        };
        match fetched {
            Fetched::New => {
                if force == Force::Leaked {
                    self.state.rare.leak = Some(Leak { leaked, second_at: self.now() + FORCE_SPACING });
                }
                self.answer(Outcome::Refreshed)
            }
            // There was none, and WeChat stands by the one that had been put aside.
            Fetched::Same if force == Force::Once && missing => self.answer(Outcome::StillValid),
            Fetched::Same => {
                let rule =
                    "WeChat ignores forced calls less than 30 s apart and repeated the token".to_owned();
                Err(NoValue::Exhausted { retry_after: FORCE_SPACING, rule, problem: None })
            }
            Fetched::Failed(why) => Err(why),
        }
    }

    /// Asks WeChat whether the held value works.
    pub(super) async fn probe(&mut self) -> Verdict {
        let now = self.now();
        if let Err(until) = self.state.probes.take(now) {
            return Verdict::TooOften(until);
        }
        let Some(value) = self.state.held.as_ref().map(|held| held.value.clone()) else {
            return Verdict::Dead;
        };
        let around = self.around.clone();
        let permit = around.gate.enter(self.rank(Cause::Complaint)).await;
        let asked = self.now();
        let probe = around.wechat.probe(&value.secret).await;
        drop(permit);
        let verdict = match probe {
            Probe::Alive => {
                if let Some(through) = self.state.found_alive(asked) {
                    let key = self.key().clone();
                    let _ = self.note(LedgerStep::Other, around.ledger.settle(&key, through)).await;
                }
                Verdict::Alive
            }
            Probe::Dead(_) => Verdict::Dead,
            Probe::Silent(what) => Verdict::Silent(what.to_string()),
            Probe::Other(_) => Verdict::Other,
        };
        metrics::probe(match &verdict {
            Verdict::Alive => metrics::Verdict::Alive,
            Verdict::Dead => metrics::Verdict::Dead,
            Verdict::Silent(_) | Verdict::Other | Verdict::TooOften(_) => metrics::Verdict::None,
        });
        verdict
    }

    /// A value that died inside its life without a call of ours: somebody else made one.
    async fn suspect_foreign_refresh(&mut self, errcode: ErrCode) {
        let now = self.now();
        let Some(held) = self.state.held.as_ref().filter(|held| held.expires > now) else { return };
        if self.state.death_is_ours() {
            return;
        }
        let age = now.since(held.value.issued).as_secs();
        let fingerprint = held.value.fingerprint;
        self.state.rare.foreign.count += 1;
        self.state.rare.foreign.latest = Some(now);
        metrics::foreign_refresh(self.key().kind);
        let advice = match self.account().token_mode {
            TokenMode::Classic => {
                "another program uses this AppSecret; find it, or set token_mode = \"stable\", whose tokens its calls \
                 cannot kill"
            }
            TokenMode::Stable => {
                "another program forces refreshes with this AppSecret; find it, or reset the secret"
            }
        };
        tracing::warn!(
            app = %self.key().appid, kind = %self.key().kind, fingerprint = %fingerprint, age_seconds = age,
            errcode = errcode.0, count = self.state.rare.foreign.count, "foreign refresh of {} suspected: {advice}",
            self.key(),
        );
        let detail = format!("the value {fingerprint} died {age} s after it was issued; {advice}");
        self.event("foreign_refresh_suspected", detail).await;
    }

    fn answer(&self, outcome: Outcome) -> Result<Answer, NoValue> {
        self.publish();
        let now = self.now();
        let view = self.shared.view();
        match view.good(now) {
            Some(good) => Ok(Answer { outcome, good }),
            None => Err(view.no_value(now)),
        }
    }
}

fn label(outcome: Option<Outcome>) -> ComplaintOutcome {
    match outcome {
        Some(Outcome::Refreshed) => ComplaintOutcome::Refreshed,
        Some(Outcome::AlreadyReplaced) => ComplaintOutcome::AlreadyReplaced,
        Some(Outcome::StillValid) => ComplaintOutcome::StillValid,
        Some(Outcome::Unchanged) => ComplaintOutcome::Unchanged,
        Some(Outcome::Unverified) => ComplaintOutcome::Unverified,
        None => ComplaintOutcome::Failed,
    }
}
