//! What reaches a key's task from outside: mail, a reload, a parent that came back.
//!
//! Every caller is answered after the state that the answer speaks of was published, so
//! whoever is answered also reads it.

use crate::model::{Cause, Kind};
use crate::telemetry::metrics::LedgerStep;

use super::handle::PauseError;
use super::mail::{Ask, Command};
use super::policy::{Hold, Lane, Plan};
use super::task::Refresher;

impl Refresher {
    /// The parent's value may have come: what waited for it is due now. A ticket that is not due
    /// stays as it is, because a new parent does not make it old.
    pub(super) async fn greet_parent(&mut self) {
        if self.plan() == Plan::Hold(Hold::ParentMissing) {
            return;
        }
        // A failure that passes by itself most likely was the old parent's.
        if self.state.rare.failing.is_some_and(|failing| failing.lane == Lane::Soon) {
            self.forget_failure();
        }
        if matches!(self.plan(), Plan::At(at) if at <= self.now()) {
            self.renew(Cause::Parent).await;
        }
    }

    pub(super) async fn read_mail(&mut self) {
        let mail = self.shared.mail.take();
        for command in mail.commands {
            self.shared.steps.work();
            self.obey(command).await;
        }
        for batch in mail.batches {
            if batch.callers() == 0 {
                tracing::debug!(app = %self.key().appid, kind = %self.key().kind, "every caller of a request about {} has gone", self.key());
            }
            // How many questions wait is the callers' doing, and must not look like a standstill.
            self.shared.steps.work();
            let answer = match batch.ask {
                Ask::Complaint(seen) => self.judge(seen, batch.errcode, batch.callers()).await,
                Ask::Force(force) => self.force(force).await,
            };
            // Published first, so that whoever is answered also reads what the answer says.
            self.publish();
            batch.answer(answer);
        }
    }

    pub(super) async fn obey(&mut self, command: Command) {
        let ledger = self.around.ledger.clone();
        let key = self.key().clone();
        match command {
            Command::Pause(until, reply) => {
                let stamp = self.around.clock.stamp_of(until);
                let stored = self.note(LedgerStep::Other, ledger.pause(&key, Some(stamp))).await;
                let result = stored.map(|()| {
                    self.state.rare.paused_until = Some(until);
                    tracing::info!(app = %key.appid, kind = %key.kind, until = %self.around.clock.wall_of(until), "paused {key}");
                });
                self.publish();
                let _ = reply.send(result.map_err(PauseError::Ledger));
            }
            Command::Resume(reply) => {
                let result = self.note(LedgerStep::Other, ledger.pause(&key, None)).await.map(|()| {
                    self.state.rare.paused_until = None;
                    self.forget_failure();
                    tracing::info!(app = %key.appid, kind = %key.kind, "resumed {key}");
                });
                self.publish();
                let _ = reply.send(result.map_err(PauseError::Ledger));
            }
        }
    }

    /// A reload: what it changed decides what is done at once.
    pub(super) async fn take_settings(&mut self) {
        let new = self.settings.load_full();
        let old = std::mem::replace(&mut self.known, new.clone());
        self.state.budget.set_limit(new.daily_calls);
        // Whatever stood in the way, the operator may have just mended it.
        self.forget_failure();
        if self.key().kind != Kind::AccessToken {
            return;
        }
        if self.is_paused() {
            // A reset of the AppSecret kills the token: asked about as soon as the pause ends.
            if old.secret != new.secret
                && let Some(held) = &mut self.state.held
            {
                held.verify_at = Some(held.verify_at.map_or(held.asked, |at| at.min(held.asked)));
            }
            return;
        }
        if old.token_mode != new.token_mode {
            // The old mode's value is served to its end, or until the new mode's first one.
            self.renew(Cause::Command).await;
        } else if old.secret != new.secret && self.state.good(self.now()).is_some() {
            self.prove("the AppSecret changed").await;
        }
    }
}
