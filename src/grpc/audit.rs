//! `ListAudit`, and what the other rpcs note.
//!
//! A row about a key is shown to whoever has `admin` on that key, whether the key exists or
//! not; a row about no key to whoever has it everywhere. What is outside a caller's grants is
//! noted alike for accounts that exist and for others.

use crate::access::{Action, Caller};
use crate::audit::{Act, Entry, ListError, On, Outcome, Query, Row};
use crate::hub::exchange::ExchangeError;
use crate::model::{AppId, Fingerprint};
use crate::pb;

use super::convert;
use super::errors::Failure;
use super::service::{Face, denied};

const DEFAULT_PAGE: usize = 100;
const MAX_PAGE: usize = 500;

impl Face {
    pub(super) async fn list_audit_rows(
        &self,
        caller: &Caller,
        asked: &pb::ListAuditRequest,
    ) -> Result<pb::ListAuditResponse, Failure> {
        let query = query(asked)?;
        let size = match usize::try_from(asked.page_size) {
            Ok(0) => DEFAULT_PAGE,
            Ok(size) => size.min(MAX_PAGE),
            Err(_) => return Err(Failure::invalid("page_size", "must not be negative")),
        };
        let allowed = match &query.appid {
            Some(appid) => caller.may_on_account(Action::Admin, appid.as_str()),
            None => caller.may_anywhere(Action::Admin),
        };
        if !allowed {
            let on = On::named(&asked.appid, None);
            self.audit.record(caller, Act::Audit, on, Outcome::Denied);
            let what =
                query.appid.map_or_else(|| "any account".to_owned(), |appid| format!("account {appid}"));
            return Err(denied(caller, Action::Admin, what));
        }
        let on = On::named(&asked.appid, query.kind);
        let page = self.audit.list(query, size, |entry| may_see(caller, entry)).await;
        let page = page.map_err(|source| Failure::Audit { source })?;
        self.audit.record(caller, Act::Audit, on, Outcome::Served);
        Ok(pb::ListAuditResponse {
            entries: page.rows.iter().map(entry_out).collect(),
            next_page_token: page.next.map(|next| next.to_string()).unwrap_or_default(),
            server_time: Some(convert::stamp(self.hub.clock().wall())),
        })
    }
}

fn may_see(caller: &Caller, entry: &Entry) -> bool {
    match (&entry.appid, entry.kind) {
        (Some(appid), Some(kind)) => caller.may(Action::Admin, appid.as_str(), kind),
        (Some(appid), None) => caller.may_on_account(Action::Admin, appid.as_str()),
        (None, _) => caller.may_everywhere(Action::Admin),
    }
}

fn query(asked: &pb::ListAuditRequest) -> Result<Query, Failure> {
    let appid = match asked.appid.as_str() {
        "" => None,
        text => Some(convert::appid("appid", text)?),
    };
    let kind = match asked.kind {
        0 => None,
        number => Some(convert::kind("kind", number)?),
    };
    let actions = asked.actions.iter().enumerate();
    let actions =
        actions.map(|(i, number)| act(&format!("actions[{i}]"), *number)).collect::<Result<_, _>>()?;
    let before = match asked.page_token.as_str() {
        "" => None,
        text => {
            let token =
                text.parse().map_err(|_| Failure::invalid("page_token", "did not come from an earlier page"));
            Some(token?)
        }
    };
    Ok(Query {
        client: (!asked.client.is_empty()).then(|| asked.client.clone()),
        appid,
        kind,
        actions,
        since: asked.since.map(|at| convert::wall("since", at)).transpose()?,
        until: asked.until.map(|at| convert::wall("until", at)).transpose()?,
        before,
    })
}

fn act(field: &str, number: i32) -> Result<Act, Failure> {
    let known = Act::ALL.into_iter().find(|act| i32::from(act_out(*act)) == number);
    known.ok_or_else(|| Failure::invalid(field, format!("{number} is not an action that this daemon knows")))
}

fn act_out(act: Act) -> pb::AuditAction {
    match act {
        Act::Read => pb::AuditAction::Read,
        Act::Watch => pb::AuditAction::Watch,
        Act::Sign => pb::AuditAction::Sign,
        Act::Status => pb::AuditAction::Status,
        Act::Audit => pb::AuditAction::Audit,
        Act::Exchange => pb::AuditAction::Exchange,
        Act::Complain => pb::AuditAction::Complain,
        Act::Force => pb::AuditAction::Force,
        Act::Leak => pb::AuditAction::Leak,
        Act::Pause => pb::AuditAction::Pause,
        Act::Resume => pb::AuditAction::Resume,
        Act::SignIn => pb::AuditAction::SignIn,
        Act::SignOut => pb::AuditAction::SignOut,
        Act::Refused => pb::AuditAction::Refused,
        Act::Lost => pb::AuditAction::Lost,
    }
}

fn entry_out(row: &Row) -> pb::AuditEntry {
    let Row { id, entry } = row;
    let kind = entry.kind.map_or(pb::Kind::Unspecified, convert::kind_out);
    pb::AuditEntry {
        id: *id,
        client: entry.client.to_string(),
        origin: entry.origin.to_string(),
        action: act_out(entry.action).into(),
        appid: entry.appid.as_ref().map(AppId::to_string).unwrap_or_default(),
        kind: kind.into(),
        outcome: entry.outcome.to_string(),
        fingerprint: entry.fingerprint.as_ref().map(Fingerprint::to_string).unwrap_or_default(),
        generation: entry.generation.map_or(0, |generation| generation.0),
        count: entry.count,
        first_at: Some(convert::stamp(entry.first)),
        last_at: Some(convert::stamp(entry.last)),
    }
}

/// The right that an action needs. Actions that no rpc does need none.
pub(super) fn needs(act: Act) -> Action {
    match act {
        Act::Read | Act::Watch => Action::Read,
        Act::Sign => Action::Sign,
        Act::Status => Action::Status,
        Act::Exchange => Action::Exchange,
        Act::Complain => Action::Complain,
        Act::Force | Act::Leak => Action::Force,
        Act::Audit | Act::Pause | Act::Resume | Act::SignIn | Act::SignOut | Act::Refused | Act::Lost => {
            Action::Admin
        }
    }
}

/// How a refused look-up is noted; a request that cannot be read tried nothing.
pub(super) fn refusal(failure: &Failure) -> Option<Outcome> {
    match failure {
        Failure::Denied { .. } => Some(Outcome::Denied),
        Failure::NotFound { .. } => Some(Outcome::NotFound),
        Failure::Unauthenticated(_)
        | Failure::Invalid { .. }
        | Failure::NoValue { .. }
        | Failure::Exchange { .. }
        | Failure::Pause { .. }
        | Failure::Audit { .. }
        | Failure::Stopping
        | Failure::Internal { .. } => None,
    }
}

pub(super) fn of_exchange(source: &ExchangeError) -> Outcome {
    match source {
        ExchangeError::UnknownAccount => Outcome::NotFound,
        ExchangeError::Unavailable { .. } | ExchangeError::Lost => Outcome::Unavailable,
        ExchangeError::Refused { .. } => Outcome::Failed,
    }
}

/// Why the audit could not be listed, for [`Failure`]'s mapping.
pub(super) fn is_off(source: &ListError) -> bool {
    match source {
        ListError::Off => true,
        ListError::Slow | ListError::Ledger(_) => false,
    }
}
