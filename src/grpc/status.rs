//! `ListStatus`: everything about keys but their values.
//!
//! A page is made from the views as they are at that moment; pages hang together by the
//! last key, so keys that come and go between two pages are neither repeated nor make
//! others be left out.

use std::ops::Bound;

use crate::access::{Action, Caller};
use crate::audit::{Act, On, Outcome};
use crate::clock::Clock;
use crate::model::{AppId, Key, Kind};
use crate::pb;
use crate::refresh::view::{Next, Usage, View};

use super::convert;
use super::errors::Failure;
use super::service::{Face, denied};

const DEFAULT_PAGE: usize = 100;
/// A key's status is some 500 bytes, so the largest page is a quarter of a megabyte.
const MAX_PAGE: usize = 500;
/// Accounts in one filter; a request of 64 KiB has room for some 3,000.
const MAX_APPIDS: usize = 1_000;

impl Face {
    pub(super) fn list(
        &self,
        caller: &Caller,
        asked: &pb::ListStatusRequest,
    ) -> Result<pb::ListStatusResponse, Failure> {
        if !caller.may_anywhere(Action::Status) {
            let failure = denied(caller, Action::Status, "any account".to_owned());
            self.note_refusal(caller, Act::Status, On::default(), &failure);
            return Err(failure);
        }
        let filter = self.filter(caller, asked)?;
        let size = match usize::try_from(asked.page_size) {
            Ok(0) => DEFAULT_PAGE,
            Ok(size) => size.min(MAX_PAGE),
            Err(_) => return Err(Failure::invalid("page_size", "must not be negative")),
        };
        let after = page_token(&asked.page_token)?;

        let mut handles = self.hub.keys();
        let first = handles.partition_point(|handle| match &after {
            Bound::Excluded(last) => handle.key() <= last,
            Bound::Included(_) | Bound::Unbounded => false,
        });
        let mut keys = Vec::with_capacity(size.min(handles.len()));
        let mut next_page_token = String::new();
        for handle in handles.drain(first..) {
            let key = handle.key();
            let seen = caller.may(Action::Status, key.appid.as_str(), key.kind) && filter.wants_key(key);
            if !seen {
                continue;
            }
            let status = self.status_of(&handle.view());
            if !filter.wants_status(&status) {
                continue;
            }
            if keys.len() == size {
                // One more exists, so there is a next page.
                next_page_token = keys.last().map(last_key).unwrap_or_default();
                break;
            }
            keys.push(status);
        }
        self.audit.record(caller, Act::Status, On::default(), Outcome::Served);
        let server_time = Some(convert::stamp(self.hub.clock().wall()));
        Ok(pb::ListStatusResponse { keys, next_page_token, server_time })
    }

    /// One key as it is now.
    pub(super) fn status_of(&self, view: &View) -> pb::KeyStatus {
        let name = self.hub.account_name(view.key.appid.as_str());
        key_status(view, name.unwrap_or_default(), self.hub.clock())
    }

    fn filter(&self, caller: &Caller, asked: &pb::ListStatusRequest) -> Result<Filter, Failure> {
        if asked.appids.len() > MAX_APPIDS {
            return Err(Failure::invalid("appids", format!("has more than {MAX_APPIDS} accounts")));
        }
        let appids = asked.appids.iter().enumerate();
        let appids = appids
            .map(|(i, text)| self.check_account(caller, Act::Status, &format!("appids[{i}]"), text))
            .collect::<Result<_, _>>()?;
        let kinds = asked.kinds.iter().enumerate();
        let kinds = kinds
            .map(|(i, number)| convert::kind(&format!("kinds[{i}]"), *number))
            .collect::<Result<_, _>>()?;
        for (i, number) in asked.states.iter().enumerate() {
            match pb::TokenState::try_from(*number) {
                Ok(pb::TokenState::Unspecified) | Err(_) => {
                    let rule = format!("{number} is not a state that this daemon knows");
                    return Err(Failure::invalid(format!("states[{i}]"), rule));
                }
                Ok(_) => {}
            }
        }
        let troubled = if asked.only_problems { Keys::Troubled } else { Keys::All };
        Ok(Filter { appids, kinds, states: asked.states.clone(), troubled })
    }
}

struct Filter {
    appids: Vec<AppId>,
    kinds: Vec<Kind>,
    states: Vec<i32>,
    troubled: Keys,
}

#[derive(PartialEq, Eq)]
enum Keys {
    All,
    Troubled,
}

impl Filter {
    fn wants_key(&self, key: &Key) -> bool {
        (self.appids.is_empty() || self.appids.contains(&key.appid))
            && (self.kinds.is_empty() || self.kinds.contains(&key.kind))
    }

    fn wants_status(&self, status: &pb::KeyStatus) -> bool {
        let troubled = || {
            matches!(status.state(), pb::TokenState::Degraded | pb::TokenState::NoValue)
                || status.hold.is_some()
                || status.problem.is_some()
        };
        (self.states.is_empty() || self.states.contains(&status.state))
            && (self.troubled == Keys::All || troubled())
    }
}

fn key_status(view: &View, account_name: String, clock: &Clock) -> pb::KeyStatus {
    let good = view.good(clock.boot());
    let value = view.value.as_deref();
    let (state, degraded_reason) = match &good {
        Some(good) => convert::state(good.state),
        None => (pb::TokenState::NoValue, pb::DegradedReason::Unspecified),
    };
    let wall = |at| convert::stamp(clock.wall_of(at));
    let (next_attempt_at, hold) = match view.next {
        Next::At(at) => (Some(wall(at)), None),
        Next::Paused(until) => (None, Some((pb::HoldReason::Paused, Some(wall(until))))),
        Next::ParentMissing => (None, Some((pb::HoldReason::ParentMissing, None))),
        Next::Removed => (None, Some((pb::HoldReason::Removed, None))),
    };
    let last_attempt = view.last.as_ref().map(|last| pb::LastAttempt {
        number: last.number.0,
        cause: convert::cause(last.cause).into(),
        mode: convert::mode(last.mode).into(),
        sent_at: Some(wall(last.sent)),
        result: convert::result(last.result).into(),
    });
    pb::KeyStatus {
        appid: view.key.appid.as_str().to_owned(),
        kind: convert::kind_out(view.key.kind).into(),
        account_name,
        state: state.into(),
        degraded_reason: degraded_reason.into(),
        fingerprint: value.map(|value| value.fingerprint.to_string()).unwrap_or_default(),
        generation: value.map_or(0, |value| value.generation.0),
        value_mode: value.map_or(0, |value| convert::mode(value.mode).into()),
        issued_at: value.map(|value| wall(value.issued)),
        expires_at: value.map(|_| wall(view.dead_by)),
        remaining: good.map(|good| convert::span_out(good.remaining)),
        refreshing: view.refreshing,
        next_attempt_at,
        hold: hold.map(|(reason, until)| pb::Hold { reason: reason.into(), until }),
        last_attempt,
        failures: view.failures,
        problem: view.problem.as_deref().map(convert::problem),
        budget: Some(budget(view.budget)),
        foreign_refreshes: view.foreign.count,
        last_foreign_refresh_at: view.foreign.latest.map(wall),
    }
}

fn budget(usage: Usage) -> pb::Budget {
    let Usage { used, limit, forced_used, forced_limit } = usage;
    pb::Budget {
        used,
        left: limit.saturating_sub(used),
        forced_used,
        forced_left: forced_limit.saturating_sub(forced_used),
    }
}

/// A page token is the last key of the page before it, as text.
fn last_key(status: &pb::KeyStatus) -> String {
    format!("{}:{}", status.appid, status.kind)
}

fn page_token(text: &str) -> Result<Bound<Key>, Failure> {
    if text.is_empty() {
        return Ok(Bound::Unbounded);
    }
    let key = text.rsplit_once(':').and_then(|(appid, kind)| {
        let kind = convert::kind("page_token", kind.parse().ok()?).ok()?;
        Some(Key::new(appid.parse().ok()?, kind))
    });
    key.map(Bound::Excluded)
        .ok_or_else(|| Failure::invalid("page_token", "did not come from an earlier page"))
}
