//! What the schedule does when an attempt is due: one way for each shape.
//!
//! A classic call kills the older token, so while calls of unknown outcome are pending the
//! held value is asked about first. A stable call is idempotent and simply made; only if
//! WeChat repeats a string that it called dead is a forced call made. A ticket needs its
//! parent's token, and reports that token when WeChat refuses it.

use std::time::Duration;

use crate::clock::BootTime;
use crate::model::{CallMode, Cause, Generation, Key, Kind, TokenMode};
use crate::telemetry::metrics::LedgerStep;
use crate::wechat::End;
use crate::wechat::errcode::{self, Endpoint, Reaction};

use super::attempt::{Fetched, Proof};
use super::handle::{NoValue, Outcome};
use super::held::Standing;
use super::policy::{self, Lane, LastChance, Plan, RETRY_CAP_NEAR_END};
use super::rare::{Leak, UntoldDeath};
use super::state::Trust;
use super::task::Refresher;
use super::troubles::{problem, silent_problem, spacing_problem};
use super::verdict::Verdict;

/// How often an ailing ledger is told of a death again.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// What to do about a value of which nobody knows whether a lost call replaced it.
enum Doubt {
    /// Fetch.
    Fetch(Proof),
    /// The value is well, and its renewal is not due.
    Dispelled,
    /// No fetch now; the state says when to look again.
    Wait,
}

impl Refresher {
    /// An attempt, in the way that the key's shape asks for.
    pub(super) async fn renew(&mut self, cause: Cause) -> Fetched {
        let kind = self.key().kind;
        let unproven = self.state.trust == Trust::NeedsProof && self.state.held.is_some();
        match (kind, self.account().token_mode) {
            (Kind::JsapiTicket | Kind::WxCardTicket, _) => self.renew_ticket(cause).await,
            // Nobody watched over the stored value: it is asked about before it is served.
            (Kind::AccessToken, _) if unproven => self.prove("nobody watched over the stored value").await,
            (Kind::AccessToken, TokenMode::Classic) => match self.doubt().await {
                Doubt::Fetch(proof) => self.fetch(CallMode::Classic, cause, proof).await,
                Doubt::Dispelled => Fetched::Same,
                Doubt::Wait => Fetched::Failed(self.no_value()),
            },
            (Kind::AccessToken, TokenMode::Stable) => self.renew_stable(cause).await,
        }
    }

    /// Before a classic call: is the held value still alive, and does WeChat answer at all?
    async fn doubt(&mut self) -> Doubt {
        let now = self.now();
        let Some(held) = self.state.serving().filter(|held| held.expires > now) else {
            return Doubt::Fetch(Proof::Dead);
        };
        let expires = held.expires;
        let Some(unknown) = self.state.rare.unknown else { return Doubt::Fetch(Proof::None) };
        let chance = self.state.life(now).as_ref().and_then(policy::last_chance);
        if unknown.chance == LastChance::Open && chance.is_some_and(|at| at <= now) {
            // The value is about to end either way: one call without asking.
            if let Some(unknown) = &mut self.state.rare.unknown {
                unknown.chance = LastChance::Used;
            }
            return Doubt::Fetch(Proof::None);
        }
        match self.probe().await {
            Verdict::Alive => {
                let renewal = policy::next(&policy::Facts {
                    now,
                    shape: policy::Shape::Classic,
                    value: self.state.life(now),
                    failing: None,
                    paused_until: None,
                    parent: policy::Parent::Ready,
                    not_before: now,
                    jitter: self.state.jitter,
                });
                if self.state.rare.unknown.is_none()
                    && matches!(renewal, Plan::At(at) if at > now && at < expires)
                {
                    self.succeed();
                    return Doubt::Dispelled;
                }
                Doubt::Fetch(Proof::None)
            }
            Verdict::Dead => {
                self.withdraw().await;
                Doubt::Fetch(Proof::Dead)
            }
            Verdict::Other => Doubt::Fetch(Proof::None),
            Verdict::Silent(what) => {
                // The path is losing answers: a call now could kill the value without bringing one.
                self.fail(Lane::Soon, silent_problem(&what));
                Doubt::Wait
            }
            Verdict::TooOften(until) => {
                self.fail(Lane::Until(until), silent_problem("it was asked too often"));
                Doubt::Wait
            }
        }
    }

    async fn renew_stable(&mut self, cause: Cause) -> Fetched {
        let dead = self.state.dead_string().is_some();
        let proof = if dead { Proof::Dead } else { Proof::None };
        match self.fetch(CallMode::Stable, cause, proof).await {
            Fetched::Same if dead => self.force_dead(cause).await,
            fetched @ (Fetched::New | Fetched::Same | Fetched::Failed(_)) => fetched,
        }
    }

    /// WeChat's normal call repeats a string that WeChat calls dead: only a forced one helps.
    pub(super) async fn force_dead(&mut self, cause: Cause) -> Fetched {
        let fetched = self.fetch(CallMode::StableForced, cause, Proof::Dead).await;
        match fetched {
            Fetched::New => Fetched::New,
            Fetched::Same => {
                let rule = "WeChat ignored the forced call and repeated a token that it calls dead";
                let retry_after = policy::FORCE_SPACING;
                self.fail(Lane::Until(self.now() + retry_after), spacing_problem(rule));
                Fetched::Failed(NoValue::Exhausted { retry_after, rule: rule.to_owned(), problem: None })
            }
            Fetched::Failed(NoValue::Exhausted { retry_after, rule, problem: None }) => {
                self.fail(Lane::Until(self.now() + retry_after), spacing_problem(&rule));
                Fetched::Failed(NoValue::Exhausted { retry_after, rule, problem: None })
            }
            Fetched::Failed(why) => Fetched::Failed(why),
        }
    }

    /// One getticket; if WeChat refuses the parent's token, that is a complaint to the parent,
    /// and one more getticket with what comes of it.
    pub(super) async fn renew_ticket(&mut self, cause: Cause) -> Fetched {
        let Some(parent) = self.parent.clone() else { return Fetched::Failed(self.no_value()) };
        let Ok(token) = parent.read() else { return Fetched::Failed(self.no_value()) };
        let first = match self.call(CallMode::Ticket, cause, Proof::None, Some(&token.value.secret)).await {
            Ok(made) => made,
            Err(refused) => return Fetched::Failed(refused),
        };
        let End::Refused(refusal) = &first.end else { return self.conclude(first, cause).await };
        let refusal = refusal.clone();
        if errcode::reaction(Endpoint::Ticket, refusal.errcode) != Reaction::RefreshParent {
            return self.conclude(first, cause).await;
        }
        // No permit of the gate is held here: the parent needs one.
        let answer = parent.complain(Some(token.value.fingerprint), refusal.errcode).await;
        let (token, still_valid) = match &answer {
            Ok(answer) => (answer.good.value.secret.clone(), answer.outcome == Outcome::StillValid),
            Err(_) => return self.conclude(first, cause).await,
        };
        // Where the slow lane was, if that is where it ends again: the refusals in between are
        // part of one failure.
        let failing = self.state.rare.failing;
        self.conclude(first, cause).await;
        let second = match self.call(CallMode::Ticket, cause, Proof::None, Some(&token)).await {
            Ok(made) => made,
            Err(refused) => return Fetched::Failed(refused),
        };
        let refused_again = match &second.end {
            End::Refused(again) => errcode::says_dead(again.errcode).then(|| again.clone()),
            End::Issued(_) | End::NeverSent(_) | End::Unknown(_) => None,
        };
        let fetched = self.conclude(second, cause).await;
        if let (Some(again), true) = (refused_again, still_valid) {
            let mut problem = problem(Endpoint::Ticket, Reaction::NeedsOperator, &again);
            "WeChat refuses the account's token for tickets, though it accepts it elsewhere; check that the account \
             has the JS-SDK or card permission and that appid and AppSecret belong together"
                .clone_into(&mut problem.action);
            self.state.rare.failing = failing;
            self.fail(Lane::Operator, problem);
            return Fetched::Failed(self.no_value());
        }
        fetched
    }

    /// Asks WeChat about a value that must be proven before it is served: alive → it is kept,
    /// dead → fetched anew.
    pub(super) async fn prove(&mut self, why: &str) -> Fetched {
        let now = self.now();
        let held = self.state.held.as_ref();
        if held.is_none_or(|held| held.standing == Standing::Withdrawn || held.expires <= now) {
            self.state.trust = Trust::Proven;
            return self.fetch_anew().await;
        }
        match self.probe().await {
            Verdict::Alive => {
                tracing::info!(app = %self.key().appid, kind = %self.key().kind, "WeChat says that the value of {} is alive; it was asked because {why}", self.key());
                self.state.trust = Trust::Proven;
                self.succeed();
                self.publish();
                Fetched::Same
            }
            Verdict::Dead => {
                self.withdraw().await;
                self.state.trust = Trust::Proven;
                self.fetch_anew().await
            }
            // No proof: what needed one is not served before it is replaced.
            Verdict::Other => self.fetch_anew().await,
            Verdict::Silent(what) => self.prove_later(Lane::Soon, self.now() + RETRY_CAP_NEAR_END, &what),
            Verdict::TooOften(until) => self.prove_later(Lane::Until(until), until, "it was asked too often"),
        }
    }

    /// No verdict. A value that is served all the same is asked about again; the schedule must
    /// not take that for a reason to fetch.
    fn prove_later(&mut self, lane: Lane, again: BootTime, what: &str) -> Fetched {
        match self.state.trust {
            Trust::NeedsProof => self.fail(lane, silent_problem(what)),
            Trust::Proven => self.verified(Some(again)),
        }
        Fetched::Failed(self.no_value())
    }

    /// The call of the account's mode, whatever is held.
    async fn fetch_anew(&mut self) -> Fetched {
        match self.account().token_mode {
            TokenMode::Classic => self.fetch(CallMode::Classic, Cause::Deadline, Proof::Dead).await,
            TokenMode::Stable => self.renew_stable(Cause::Deadline).await,
        }
    }

    /// S3: a value that came after a call of unknown outcome is asked about once.
    pub(super) async fn verify(&mut self) {
        match self.probe().await {
            Verdict::Alive | Verdict::Other => self.verified(None),
            Verdict::Dead => {
                tracing::warn!(
                    app = %self.key().appid, kind = %self.key().kind,
                    "the value of {} turned out to be dead, killed by a call whose answer was lost or by a reset of \
                     the AppSecret; it is fetched again",
                    self.key(),
                );
                self.withdraw().await;
                self.fetch_anew().await;
            }
            Verdict::Silent(_) => self.verified(Some(self.now() + RETRY_CAP_NEAR_END)),
            Verdict::TooOften(until) => self.verified(Some(until)),
        }
    }

    fn verified(&mut self, again: Option<BootTime>) {
        self.state.not_before = self.now() + policy::FLOOR;
        if let Some(held) = &mut self.state.held {
            held.verify_at = again;
        }
    }

    /// The second call after a leak: only now is the leaked string certainly dead.
    pub(super) async fn finish_leak(&mut self) {
        let Some(leak) = self.state.rare.leak.take() else { return };
        let mode = issuing_mode(self.account().token_mode);
        match self.fetch(mode, Cause::Command, Proof::Dead).await {
            Fetched::New => {
                let leaked = leak.leaked.map_or_else(|| "unknown".to_owned(), |print| print.to_string());
                tracing::info!(app = %self.key().appid, kind = %self.key().kind, leaked, "the leaked value {leaked} of {} is dead", self.key());
                self.event(
                    "leak_contained",
                    format!("two issuing calls were made; the value {leaked} is dead"),
                )
                .await;
            }
            Fetched::Same | Fetched::Failed(_) => {
                // Not done until it succeeded: the operator was promised a dead value.
                let retry = match self.plan() {
                    Plan::At(at) if self.state.rare.failing.is_some() => at,
                    Plan::At(_) | Plan::Hold(_) => self.now(),
                };
                let second_at = retry.max(self.now() + policy::FORCE_SPACING);
                self.state.rare.leak = Some(Leak { second_at, ..leak });
            }
        }
    }

    /// The held value is dead, in memory and in the ledger.
    pub(super) async fn withdraw(&mut self) {
        self.state.withdraw();
        self.publish();
        self.note_dead().await;
    }

    /// Tells the ledger that the held value is dead.
    pub(super) async fn note_dead(&mut self) {
        // What the ledger is still owed must not come to it as alive.
        if let Some(owed) = &mut self.state.rare.unstored {
            owed.value.dead = true;
        }
        let Some(generation) = self.state.held.as_ref().map(|held| held.value.generation) else { return };
        self.tell_death(generation).await;
    }

    /// Tells the ledger of a death, and remembers it if the ledger cannot take it: it must not
    /// be forgotten when the ledger is well again, or a restart would serve the value.
    pub(super) async fn tell_death(&mut self, generation: Generation) {
        let around = self.around.clone();
        let key: Key = self.key().clone();
        let told = self.note(LedgerStep::Other, around.ledger.withdraw(&key, generation)).await.is_ok();
        let retry_at = self.now() + TELL_AGAIN;
        self.state.rare.untold_death = (!told).then_some(UntoldDeath { generation, retry_at });
    }
}

/// The call that replaces a token for certain.
pub(super) fn issuing_mode(mode: TokenMode) -> CallMode {
    match mode {
        TokenMode::Classic => CallMode::Classic,
        TokenMode::Stable => CallMode::StableForced,
    }
}
