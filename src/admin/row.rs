//! One key as the page describes it: facts only, no words and nothing that depends on "now".
//!
//! Two descriptions are equal exactly if the page need not change; ages and countdowns are
//! instants here (milliseconds of the boot clock) that the page counts itself. Never a value:
//! a fingerprint names it (S7).

use serde::Serialize;

use crate::clock::BootTime;
use crate::hub::Hub;
use crate::model::Kind;
use crate::refresh::handle::Handle;
use crate::refresh::view::{Degraded, Next, Problem, ProblemClass, State, Usage, View};

/// One key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    /// Unique on the page, and the same at the next look.
    pub(super) id: String,
    pub(super) appid: String,
    pub(super) name: Option<String>,
    pub(super) kind: &'static str,
    /// The one word on its badge.
    pub(super) state: &'static str,
    /// Why the value is degraded.
    pub(super) reason: Option<&'static str>,
    pub(super) value: Option<Shown>,
    pub(super) next: Plan,
    pub(super) last: Option<Attempt>,
    pub(super) failures: u32,
    pub(super) problem: Option<Trouble>,
    pub(super) budget: Budget,
    pub(super) foreign: u32,
    pub(super) foreign_at: Option<i64>,
    pub(super) paused: bool,
    /// Whether its viewer may steer it, or has not said who they are.
    pub(super) may_act: bool,
    /// Where to.
    pub(super) act: String,
}

/// A value without the value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Shown {
    pub(super) fingerprint: String,
    pub(super) generation: u64,
    pub(super) mode: &'static str,
    pub(super) issued: i64,
    pub(super) dies: i64,
}

/// What comes next, and when.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Plan {
    /// `at`, `paused`, `parent` or `removed`.
    pub(super) what: &'static str,
    pub(super) at: Option<i64>,
}

/// The latest attempt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Attempt {
    pub(super) cause: &'static str,
    pub(super) result: &'static str,
    pub(super) at: i64,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Trouble {
    pub(super) operator: bool,
    pub(super) errcode: Option<i64>,
    pub(super) meaning: String,
    pub(super) action: String,
    pub(super) rid: Option<String>,
    /// Whether the texts are English although the page is not.
    pub(super) english: bool,
    /// Whose: the same number means another thing where a ticket is fetched.
    #[serde(skip)]
    pub(super) kind: Kind,
}

/// Calls of the last 24 h.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Budget {
    pub(super) used: u32,
    pub(super) limit: u32,
    pub(super) forced: u32,
    pub(super) forced_limit: u32,
    /// Whether nine tenths are gone.
    pub(super) scarce: bool,
}

impl Row {
    /// Describes a key as it is at `now`.
    pub(super) fn of(hub: &Hub, handle: &Handle, now: BootTime) -> Self {
        let view = handle.view();
        let key = &view.key;
        let good = view.good(now);
        let reason = match good.as_ref().map(|good| good.state) {
            Some(State::Degraded(reason)) => Some(reason),
            Some(State::Fresh | State::Refreshing) | None => None,
        };
        let shown = view.value.as_deref().map(|value| Shown {
            fingerprint: value.fingerprint.to_string(),
            generation: value.generation.0,
            mode: value.mode.as_str(),
            issued: value.issued.0,
            dies: view.dead_by.0,
        });
        Self {
            id: format!("k-{}-{}", key.kind.index(), key.appid),
            appid: key.appid.to_string(),
            name: hub.account_name(key.appid.as_str()),
            kind: key.kind.as_str(),
            state: state(&view, now),
            reason: reason.map(Degraded::as_str),
            // A value past its end is none.
            value: good.and(shown),
            next: Plan::of(view.next),
            last: view.last.as_ref().map(|last| Attempt {
                cause: last.cause.as_str(),
                result: last.result.as_str(),
                at: last.sent.0,
            }),
            failures: view.failures,
            problem: view.problem.as_deref().map(|problem| Trouble::of(problem, key.kind)),
            budget: Budget::of(view.budget),
            foreign: view.foreign.count,
            foreign_at: view.foreign.latest.map(|at| at.0),
            paused: matches!(view.next, Next::Paused(_)),
            may_act: false,
            act: String::new(),
        }
    }
}

fn state(view: &View, now: BootTime) -> &'static str {
    let operator = view.problem.as_deref().is_some_and(|problem| problem.class == ProblemClass::Operator);
    match (view.good(now).map(|good| good.state), view.next) {
        _ if operator => "operator",
        (_, Next::Paused(_)) => "paused",
        (None, _) => "no_value",
        (Some(State::Degraded(_)), _) => "degraded",
        (Some(State::Refreshing), _) => "refreshing",
        (Some(State::Fresh), _) => "fresh",
    }
}

impl Plan {
    fn of(next: Next) -> Self {
        let (what, at) = match next {
            Next::At(at) => ("at", Some(at.0)),
            Next::Paused(until) => ("paused", Some(until.0)),
            Next::ParentMissing => ("parent", None),
            Next::Removed => ("removed", None),
        };
        Self { what, at }
    }
}

impl Trouble {
    pub(super) fn of(problem: &Problem, kind: Kind) -> Self {
        Self {
            operator: problem.class == ProblemClass::Operator,
            errcode: problem.errcode.map(|errcode| errcode.0),
            meaning: problem.meaning.clone(),
            action: problem.action.clone(),
            rid: problem.rid.clone(),
            english: false,
            kind,
        }
    }
}

impl Budget {
    fn of(usage: Usage) -> Self {
        let Usage { used, limit, forced_used, forced_limit } = usage;
        let scarce = u64::from(used) * 10 >= u64::from(limit) * 9 && limit > 0;
        Self { used, limit, forced: forced_used, forced_limit, scarce }
    }
}
