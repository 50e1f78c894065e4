//! One upstream call, from the gate to the commit.
//!
//! ```text
//! budget → gate → intent (issuing calls) → WeChat → Issued    → commit, publish
//!                                                  Refused   → noted; the value stays (S5)
//!                                                  NeverSent → noted, not counted; the value stays
//!                                                  Unknown   → noted; an issuing call bounds the value (S2)
//! ```

use std::sync::Arc;

use crate::failpoint;
use crate::ledger::{Call, CallEnd, Committed, LedgerError, StoredValue};
use crate::model::{CallMode, Cause, Fingerprint};
use crate::secret::Secret;
use crate::telemetry::metrics::{self, LedgerStep};
use crate::wechat::errcode::{self, Endpoint};
use crate::wechat::{End, Issued, Refusal};

use super::budget::{Denied, Share};
use super::handle::NoValue;
use super::held::{Held, Standing};
use super::policy::{Lane, TICKET_AT_END, TICKET_DATING, TICKET_EXTENSION};
use super::rare::Unstored;
use super::state::{Trust, forced};
use super::task::Refresher;
use super::troubles::{
    fenced_problem, lane, ledger_in_the_way, lost_answer_problem, problem, repeated_problem,
    unreachable_problem,
};
use super::view::{AttemptResult, LastAttempt, Problem, ProblemClass, Value};

/// What a fetch led to.
#[derive(Clone, Debug)]
pub(super) enum Fetched {
    /// A string that is not the held one.
    New,
    /// The held string again.
    Same,
    /// Nothing; the key's state says what follows.
    Failed(NoValue),
}

/// Whether the held value is known to be dead, so that a call is right even without an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// WeChat said so, or there is no value.
    Dead,
    /// It is not.
    None,
}

/// A call that was made, before anything follows from it.
pub(super) struct Made {
    call: Call,
    pub(super) end: End,
}

impl Refresher {
    /// Makes a call for an access token and draws the consequences.
    pub(super) async fn fetch(&mut self, mode: CallMode, cause: Cause, proof: Proof) -> Fetched {
        match self.call(mode, cause, proof, None).await {
            Ok(made) => self.conclude(made, cause).await,
            Err(refused) => Fetched::Failed(refused),
        }
    }

    /// Makes one upstream call, if budget and ledger allow it.
    pub(super) async fn call(
        &mut self,
        mode: CallMode,
        cause: Cause,
        proof: Proof,
        parent_token: Option<&Secret>,
    ) -> Result<Made, NoValue> {
        let share = Share::from(cause);
        let deadline_share = self.state.deadline_share(self.shape());
        if let Err(denied) = self.state.budget.allows(self.now(), share, forced(mode), deadline_share) {
            return Err(self.denied(share, &denied));
        }
        let around = self.around.clone();
        let permit = around.gate.enter(self.rank(cause)).await;
        let _ = failpoint::hit("attempt.gated", self.key());
        // Before the intent: the life counts from here, and the intent must say when.
        let sent = around.clock.stamp();
        let call = Call {
            key: self.key().clone(),
            attempt: self.state.last_attempt.next(sent.wall.seconds()),
            mode,
            cause,
            sent,
        };
        if mode.is_issuing() {
            let stored = async {
                failpoint::hit("ledger.begin", &call.key)
                    .map_err(|reached| LedgerError::Other(reached.into()))?;
                around.ledger.begin(&call).await
            };
            let stored = self.note(LedgerStep::Begin, stored).await;
            if let Err(reason) = stored
                && proof == Proof::None
                && cause != Cause::Deadline
            {
                return Err(ledger_in_the_way(reason));
            }
            self.state.rare.in_flight = Some(call.clone());
        }
        let _ = failpoint::hit("attempt.intent_stored", self.key());
        self.state.last_attempt = call.attempt;
        self.state.budget.count(call.sent.boot, share, forced(mode));
        self.refreshing = true;
        self.publish();

        let account = self.account();
        let begun = tokio::time::Instant::now();
        let end = match (mode, parent_token) {
            (CallMode::Ticket, Some(token)) => around.wechat.fetch_ticket(self.key().kind, token).await,
            (CallMode::Ticket, None) => unreachable!("tickets are fetched with their parent's token"),
            (CallMode::Classic | CallMode::Stable | CallMode::StableForced, _) => {
                around.wechat.fetch_token(mode, &account.appid, &account.secret).await
            }
        };
        metrics::call_took(mode, begun.elapsed());
        drop(permit);
        let _ = failpoint::hit("attempt.answered", self.key());
        Ok(Made { call, end })
    }

    /// Draws the consequences of a call.
    pub(super) async fn conclude(&mut self, made: Made, cause: Cause) -> Fetched {
        let Made { call, end } = made;
        let (fetched, result) = match end {
            End::Issued(issued) => self.accept(&call, issued, cause).await,
            End::Refused(refusal) => {
                self.close(&call, CallEnd::Refused(refusal.errcode)).await;
                self.refused(&refusal);
                (Fetched::Failed(self.no_value()), AttemptResult::Refused)
            }
            End::NeverSent(trouble) => {
                self.state.budget.uncount();
                self.close(&call, CallEnd::NeverSent).await;
                self.fail(Lane::Soon, unreachable_problem(&trouble));
                (Fetched::Failed(self.no_value()), AttemptResult::NeverSent)
            }
            End::Unknown(trouble) => {
                if call.mode.is_issuing() {
                    self.state.note_unknown(call.mode, call.attempt, call.sent.boot, self.now());
                }
                self.close(&call, CallEnd::Unknown).await;
                self.fail(Lane::Soon, lost_answer_problem(call.mode, &trouble));
                (Fetched::Failed(self.no_value()), AttemptResult::Unknown)
            }
        };
        self.refreshing = false;
        metrics::attempt(self.key().kind, cause, label(result));
        if matches!(result, AttemptResult::Issued | AttemptResult::Same) {
            self.state.last_success = Some(call.sent.boot);
        }
        self.state.last =
            Some(LastAttempt { number: call.attempt, cause, mode: call.mode, sent: call.sent.boot, result });
        self.publish();
        let _ = failpoint::hit("attempt.published", self.key());
        fetched
    }

    /// Notes the end of a call without a value; the intent is closed, or stays open as unknown.
    async fn close(&mut self, call: &Call, end: CallEnd) {
        self.state.rare.in_flight = None;
        let around = self.around.clone();
        let _ = self.note(LedgerStep::Other, around.ledger.finish(call, end)).await;
    }

    /// Takes over what WeChat issued: judged, stored, and only then published.
    async fn accept(&mut self, call: &Call, issued: Issued, cause: Cause) -> (Fetched, AttemptResult) {
        let fingerprint = Fingerprint::of(&issued.value);
        if let Some(said) = issued.odd_life {
            let detail = format!("WeChat stated a life of {said} s, which is taken for 7200 s");
            tracing::warn!(app = %call.key.appid, kind = %call.key.kind, said, "odd life of {}: {detail}", call.key);
            self.event("odd_life", detail).await;
        }
        let same = self.state.held.as_ref().filter(|held| held.value.fingerprint == fingerprint);
        if same.is_some_and(|held| held.standing != Standing::Good) && call.mode != CallMode::Ticket {
            // WeChat repeats what it called dead. Nothing is gained, and nothing is stored.
            self.close(call, CallEnd::Settled).await;
            if call.mode == CallMode::Classic {
                // No forced call follows here, so nothing else keeps the schedule from asking at once.
                self.fail(Lane::Soon, repeated_problem());
            }
            return (Fetched::Same, AttemptResult::Same);
        }
        let (held, fetched, result) = match same {
            Some(same) => (prolonged(same, call, &issued), Fetched::Same, AttemptResult::Same),
            None => (self.fresh(call, issued, fingerprint), Fetched::New, AttemptResult::Issued),
        };
        let verify_at = if call.mode == CallMode::Ticket { None } else { self.state.verification() };
        let held = Held { verify_at: verify_at.or(held.verify_at), ..held };
        let stored = held.stored(&self.around.clock);
        match self.commit(call, &stored).await {
            Ok(Committed::Stored) => {
                self.state.rare.unstored = None;
                self.state.rare.untold_death = None;
            }
            Ok(Committed::Fenced(generation)) => {
                self.state.rare.in_flight = None;
                self.state.last_attempt = self.state.last_attempt.max(generation);
                if call.mode.is_issuing() {
                    // It was made all the same, and what is held is older than it.
                    self.state.note_unknown(call.mode, call.attempt, call.sent.boot, self.now());
                }
                self.fail(Lane::Soon, fenced_problem());
                return (Fetched::Failed(self.no_value()), AttemptResult::Unknown);
            }
            // Published all the same (architecture §4): readers matter more than a restart.
            Err(_) => {
                let retry_at = self.now() + super::policy::FLOOR;
                self.state.rare.unstored =
                    Some(Box::new(Unstored { call: call.clone(), value: stored, retry_at, tries: 0 }));
            }
        }
        let _ = failpoint::hit("attempt.committed", self.key());
        self.state.rare.in_flight = None;
        self.state.rare.unknown = None;
        self.state.trust = Trust::Proven;
        self.state.given_up = false;
        if matches!(fetched, Fetched::New) {
            tracing::info!(
                app = %call.key.appid, kind = %call.key.kind, cause = cause.as_str(), mode = call.mode.as_str(),
                attempt = call.attempt.0, fingerprint = %held.value.fingerprint,
                life_seconds = held.life.as_secs(), "refreshed {}", call.key,
            );
        }
        self.state.held = Some(held);
        self.succeed();
        (fetched, result)
    }

    /// Stores a value and the end of the call that brought it.
    pub(super) async fn commit(
        &mut self,
        call: &Call,
        value: &StoredValue,
    ) -> Result<Committed, &'static str> {
        let around = self.around.clone();
        self.note(LedgerStep::Commit, async {
            failpoint::hit("ledger.commit", &call.key)
                .map_err(|reached| LedgerError::Other(reached.into()))?;
            around.ledger.commit(call, value).await
        })
        .await
    }

    /// A string that is not the held one.
    fn fresh(&self, call: &Call, issued: Issued, fingerprint: Fingerprint) -> Held {
        let sent = call.sent.boot;
        // Seen to change between two asks that were close: its age is known.
        let age_known = self
            .state
            .held
            .as_ref()
            .is_some_and(|old| sent.since(old.asked) <= TICKET_DATING.min(old.life / 3));
        Held {
            value: Arc::new(Value {
                secret: issued.value,
                fingerprint,
                generation: call.attempt,
                issued: sent,
                mode: call.mode,
            }),
            asked: sent,
            expires: sent + issued.life,
            life: issued.life,
            verify_at: None,
            age_known,
            not_rotated: false,
            standing: Standing::Good,
        }
    }

    /// The budget says no. A schedule that is told so waits; nobody else changes the key's state.
    fn denied(&mut self, share: Share, denied: &Denied) -> NoValue {
        let retry_after = denied.until.since(self.now());
        metrics::budget_refusal(
            self.key().kind,
            match share {
                Share::Deadline => metrics::Share::Deadlines,
                Share::Complaint => metrics::Share::Complaints,
                Share::Operator => metrics::Share::Operators,
            },
        );
        if share == Share::Deadline {
            let problem = Problem {
                class: ProblemClass::Quota,
                errcode: None,
                meaning: format!("the call budget of 24 h is used up: {}", denied.rule),
                action: "find out who complains or restarts so often (zhongkong explain), or raise daily_calls if \
                         WeChat grants more"
                    .to_owned(),
                rid: None,
            };
            self.fail(Lane::Until(denied.until), problem);
        }
        NoValue::Exhausted { retry_after, rule: denied.rule.to_owned(), problem: None }
    }

    /// WeChat said no: how to go on.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        let endpoint = match self.key().kind {
            crate::model::Kind::AccessToken => Endpoint::Token,
            crate::model::Kind::JsapiTicket | crate::model::Kind::WxCardTicket => Endpoint::Ticket,
        };
        if !errcode::is_known(refusal.errcode) {
            metrics::unknown_errcode();
        }
        let reaction = errcode::reaction(endpoint, refusal.errcode);
        self.fail(lane(reaction, self.now()), problem(endpoint, reaction, refusal));
    }

    /// Why there is no value, seen from the task.
    pub(super) fn no_value(&self) -> NoValue {
        self.publish();
        self.shared.view().no_value(self.now())
    }
}

/// The held string came again: only its expiry moves.
fn prolonged(held: &Held, call: &Call, issued: &Issued) -> Held {
    let sent = call.sent.boot;
    let stated = sent + issued.life;
    if call.mode != CallMode::Ticket {
        return Held { asked: sent, expires: stated, ..held.clone() };
    }
    // A repeated ticket may overstate its life: the earlier end holds, and at that end it is
    // prolonged by little, as long as WeChat goes on repeating it.
    if sent + TICKET_AT_END.min(held.life / 12) >= held.expires {
        return Held {
            asked: sent,
            expires: sent + TICKET_EXTENSION.min(issued.life),
            not_rotated: true,
            standing: Standing::Good,
            ..held.clone()
        };
    }
    Held { asked: sent, expires: held.expires.min(stated), ..held.clone() }
}

fn label(result: AttemptResult) -> metrics::AttemptResult {
    match result {
        AttemptResult::Issued => metrics::AttemptResult::Issued,
        AttemptResult::Same => metrics::AttemptResult::Same,
        AttemptResult::Refused => metrics::AttemptResult::Refused,
        AttemptResult::NeverSent => metrics::AttemptResult::NeverSent,
        AttemptResult::Unknown => metrics::AttemptResult::Unknown,
    }
}
