//! What went wrong, in words for whoever must do something, and how to wait after it.

use std::sync::Arc;

use crate::clock::BootTime;
use crate::model::{CallMode, ErrCode};
use crate::wechat::errcode::{self, Endpoint, Reaction};
use crate::wechat::{Refusal, Trouble};

use super::handle::NoValue;
use super::policy::{HOLD_LOOK, Lane};
use super::view::{Problem, ProblemClass};

pub(super) fn lane(reaction: Reaction, now: BootTime) -> Lane {
    match reaction {
        // A parent's complaint was already tried when this is reached.
        Reaction::RetrySoon | Reaction::RefreshParent => Lane::Soon,
        Reaction::RetryLater(span) => Lane::Until(now + span),
        Reaction::QuotaSpent => Lane::Quota,
        Reaction::NeedsOperator => Lane::Operator,
    }
}

/// A refusal in words.
pub(super) fn problem(endpoint: Endpoint, reaction: Reaction, refusal: &Refusal) -> Problem {
    let class = match reaction {
        Reaction::RetrySoon | Reaction::RefreshParent => ProblemClass::Transient,
        Reaction::RetryLater(_) => ProblemClass::Waiting,
        Reaction::QuotaSpent => ProblemClass::Quota,
        Reaction::NeedsOperator => ProblemClass::Operator,
    };
    Problem {
        class,
        errcode: Some(refusal.errcode),
        meaning: errcode::meaning(endpoint, refusal.errcode).to_owned(),
        action: errcode::action(endpoint, refusal),
        rid: refusal.rid.clone(),
    }
}

pub(super) fn ledger_in_the_way(reason: &str) -> NoValue {
    NoValue::Unavailable {
        retry_after: HOLD_LOOK,
        problem: Some(Arc::new(Problem {
            class: ProblemClass::Transient,
            errcode: None,
            meaning: format!(
                "the ledger cannot be written ({reason}), so a call that may kill a good value waits"
            ),
            action: "make the state directory writable again".to_owned(),
            rid: None,
        })),
    }
}

fn transient(errcode: Option<ErrCode>, meaning: String, action: &str) -> Problem {
    Problem { class: ProblemClass::Transient, errcode, meaning, action: action.to_owned(), rid: None }
}

pub(super) fn unreachable_problem(trouble: &Trouble) -> Problem {
    let action =
        "check DNS, the firewall and the proxy on the way to api.weixin.qq.com; it is tried again by itself";
    transient(None, format!("WeChat cannot be reached: {trouble}"), action)
}

pub(super) fn lost_answer_problem(mode: CallMode, trouble: &Trouble) -> Problem {
    let action = if mode.is_issuing() {
        "nothing, unless it repeats: WeChat may have replaced the value, and the daemon finds out by itself"
    } else {
        "nothing, unless it repeats: it is asked again by itself"
    };
    transient(None, format!("WeChat's answer was lost or unreadable: {trouble}"), action)
}

pub(super) fn repeated_problem() -> Problem {
    transient(
        None,
        "WeChat's answer repeats a token that WeChat calls dead".to_owned(),
        "look for a cache or a proxy on the way to api.weixin.qq.com; it is tried again by itself",
    )
}

pub(super) fn fenced_problem() -> Problem {
    transient(
        None,
        "the ledger holds a newer value than the one that came".to_owned(),
        "make sure that only one daemon uses this state directory",
    )
}

pub(super) fn silent_problem(what: &str) -> Problem {
    Problem {
        class: ProblemClass::Transient,
        errcode: None,
        meaning: format!("WeChat did not say whether the value is alive: {what}"),
        action:
            "nothing, unless it repeats: no call is made that could kill the value, and WeChat is asked again"
                .to_owned(),
        rid: None,
    }
}

pub(super) fn spacing_problem(rule: &str) -> Problem {
    Problem {
        class: ProblemClass::Waiting,
        errcode: None,
        meaning: rule.to_owned(),
        action: "nothing; it is tried again as soon as WeChat's rule allows".to_owned(),
        rid: None,
    }
}

pub(super) fn interrupted() -> Problem {
    Problem {
        class: ProblemClass::Transient,
        errcode: None,
        meaning: "the attempt was interrupted by a defect of this program".to_owned(),
        action: "it is tried again by itself; please report the panic in the log".to_owned(),
        rid: None,
    }
}
