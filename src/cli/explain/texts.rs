//! Every sentence that explains a key, for somebody at 3 a.m.
//!
//! Pure functions of what the daemon says of a key. They say what is, why, and what to do, in
//! words that need no knowledge of the protocol. The daemon's own words about a problem
//! (meaning, action) are WeChat's errcode table and are used as they are.

use std::fmt::Write as _;
use std::time::Duration;

use crate::clock::WallTime;
use crate::pb;
use crate::pb::{
    AttemptCause, AttemptResult, CallMode, DegradedReason, HoldReason, KeyStatus, ProblemClass, TokenState,
};

use super::super::words::{self, plain, span};
use super::remarks::short_todo;

/// `access_token of shop (wx0123456789abcdef)`.
pub(crate) fn title(key: &KeyStatus) -> String {
    let appid = plain(&key.appid);
    match key.account_name.as_str() {
        "" => format!("{} of {appid}", kind(key)),
        name => format!("{} of {} ({appid})", kind(key), plain(name)),
    }
}

/// Whether there is a value, and how good it is.
pub(super) fn state(key: &KeyStatus, parent: Option<&KeyStatus>, now: WallTime) -> String {
    let value = match key.state() {
        TokenState::NoValue => return no_value(key, parent, now),
        TokenState::Fresh if is_paused(key) => good(key, now, "The value is good, but not renewed"),
        TokenState::Fresh => good(key, now, "All is well: the value is good"),
        TokenState::Refreshing => {
            good(key, now, "All is well: the value is good, and a newer one is being fetched right now")
        }
        TokenState::Degraded => good(key, now, "There is a value, with a reservation"),
        TokenState::Unspecified => good(key, now, "The state is one that this version does not know"),
    };
    let reason = match key.degraded_reason() {
        DegradedReason::Unspecified => None,
        DegradedReason::ReportedDead => Some(
            "WeChat said that it is dead, and the daemon is replacing it right now. Programs are given it until \
             then, with this warning"
                .to_owned(),
        ),
        DegradedReason::UnknownOutcome => Some(
            "A call to WeChat got no usable answer, so nobody knows whether WeChat made a new value. If it did, this \
             one dies five minutes after that call, and so it is promised for no longer"
                .to_owned(),
        ),
        DegradedReason::RenewalFailing => {
            Some(format!("It works, but it could not be renewed: {}", trouble(key)))
        }
        DegradedReason::Ledger => Some(
            "It could not be stored: the ledger, the daemon's file on disk, cannot be written. The value works, but \
             a restart of the daemon would lose it"
                .to_owned(),
        ),
        DegradedReason::TicketNotRotated => Some(
            "WeChat repeats this ticket beyond the life that it stated first, so its true end is not known. It is \
             promised for five minutes at a time"
                .to_owned(),
        ),
    };
    match reason {
        Some(reason) => format!("{value} {reason}."),
        None => value,
    }
}

fn good(key: &KeyStatus, now: WallTime, begin: &str) -> String {
    let fingerprint = plain(&key.fingerprint);
    let age = key
        .issued_at
        .map_or_else(String::new, |at| format!(", fetched {}", words::ago(now, words::wall(at))));
    let left = left(key).map_or_else(String::new, |left| format!(", good for another {}", span(left)));
    format!("{begin}. Its fingerprint is {fingerprint}, its generation {}{age}{left}.", key.generation)
}

fn no_value(key: &KeyStatus, parent: Option<&KeyStatus>, now: WallTime) -> String {
    let ended = key
        .expires_at
        .map(words::wall)
        .filter(|at| *at <= now && !key.fingerprint.is_empty())
        .map_or_else(String::new, |at| format!(" The last one ended {}.", words::ago(now, at)));
    let why = match hold(key) {
        Some(HoldReason::Paused) => "and none is fetched, because an operator paused it".to_owned(),
        Some(HoldReason::ParentMissing) => {
            let why = parent.filter(|parent| parent.problem.is_some()).map_or_else(String::new, |parent| {
                format!(" The {} has none because {}.", kind(parent), trouble(parent))
            });
            return format!(
                "There is no value: it is fetched with the account's {}, and that has none.{why}{ended} Programs that \
                 ask get an error.",
                parent.map_or("access_token", kind),
            );
        }
        Some(HoldReason::Removed) => "because the account was removed from the configuration".to_owned(),
        Some(HoldReason::Unspecified) => {
            "and the daemon holds it for a reason that this version does not know".to_owned()
        }
        None => match (&key.problem, &key.last_attempt) {
            (Some(problem), _) => match problem.class() {
                ProblemClass::Operator => {
                    format!("and no retry brings one until somebody acts: {}", trouble(key))
                }
                ProblemClass::Quota => format!("because the calls are used up: {}", trouble(key)),
                ProblemClass::Waiting => format!("and WeChat wants it asked for later: {}", trouble(key)),
                ProblemClass::Transient | ProblemClass::Unspecified => {
                    format!("because the calls for it fail: {}", trouble(key))
                }
            },
            (None, _) if key.refreshing => "yet; it is being fetched right now".to_owned(),
            (None, None) => {
                "yet: it has not been fetched so far, which is normal in the first seconds".to_owned()
            }
            (None, Some(_)) => "at the moment, and a new one is on its way".to_owned(),
        },
    };
    let comma = if why.starts_with("yet") || why.starts_with("at the") { "" } else { "," };
    format!("There is no value{comma} {why}.{ended} Programs that ask get an error.")
}

/// The latest call, why it was made and how it ended.
pub(super) fn last(key: &KeyStatus, now: WallTime) -> String {
    let Some(last) = &key.last_attempt else {
        return "The daemon has not called WeChat for it since it started.".to_owned();
    };
    let when = last.sent_at.map_or_else(|| "some time ago".to_owned(), |at| words::ago(now, words::wall(at)));
    let cause = match last.cause() {
        AttemptCause::Unspecified => "for a reason that this version does not know",
        AttemptCause::Deadline => "because it was due",
        AttemptCause::Complaint => "because a program reported the value as dead",
        AttemptCause::Parent => "because what it is fetched with came back",
        AttemptCause::Command => "because an operator asked, or the configuration changed",
    };
    let call = match last.mode() {
        CallMode::Unspecified => "a call",
        CallMode::Classic => "a classic token call (which ends the value before it)",
        CallMode::Stable => "a stable token call",
        CallMode::StableForced => "a forced stable token call (which ends the value before it)",
        CallMode::Ticket => "a ticket call",
    };
    let result = match last.result() {
        AttemptResult::Unspecified => "It ended in a way that this version does not know",
        AttemptResult::Issued => "WeChat gave a new value",
        AttemptResult::Same => "WeChat gave the same value again",
        AttemptResult::Refused => "WeChat refused",
        AttemptResult::NeverSent => "It did not reach WeChat",
        AttemptResult::Unknown => "No usable answer came, so nobody knows what WeChat did",
    };
    let failures = match key.failures {
        0 => String::new(),
        1 => " This was the first failure since the last success.".to_owned(),
        many => format!(" These are {many} failures in a row."),
    };
    format!("The daemon made {call} {when}, {cause}. {result}.{failures}")
}

/// What the daemon does next, and when.
pub(super) fn next(key: &KeyStatus, parent: Option<&KeyStatus>, now: WallTime) -> String {
    if key.refreshing {
        return "A call is under way right now.".to_owned();
    }
    let command = |verb: &str| format!("`zhongkong {verb} {} {}`", plain(&key.appid), kind(key));
    match hold(key) {
        Some(HoldReason::Paused) => {
            let until = key.hold.as_ref().and_then(|hold| hold.until).map(words::wall);
            let until = until.map_or_else(String::new, |at| format!(" {}", words::until(now, at)));
            return format!(
                "Nothing, until the pause ends{until}; {} ends it at once. Complaints of programs are refused until \
                 then.",
                command("resume")
            );
        }
        Some(HoldReason::ParentMissing) => {
            let when = parent.and_then(|parent| parent.next_attempt_at).map_or_else(String::new, |at| {
                format!(" The next call for that is {}.", words::until(now, words::wall(at)))
            });
            return format!(
                "It is fetched by itself as soon as the account has its {} again.{when}",
                parent.map_or("access_token", kind)
            );
        }
        Some(HoldReason::Removed) => return "Nothing.".to_owned(),
        Some(HoldReason::Unspecified) | None => {}
    }
    let Some(at) = key.next_attempt_at.map(words::wall) else {
        return "The daemon named no time.".to_owned();
    };
    let when = words::until(now, at);
    match (&key.problem, key.state()) {
        (Some(problem), _) => {
            let sooner = match problem.class() {
                ProblemClass::Operator => {
                    format!(" When you have acted, {} asks at once.", command("refresh"))
                }
                ProblemClass::Quota if problem.errcode.is_some() => {
                    format!(" When WeChat's count is cleared, {} asks at once.", command("refresh"))
                }
                ProblemClass::Quota
                | ProblemClass::Waiting
                | ProblemClass::Transient
                | ProblemClass::Unspecified => String::new(),
            };
            format!("The daemon asks WeChat again by itself {when}.{sooner}")
        }
        (None, TokenState::NoValue) => format!("The daemon asks WeChat for one {when}."),
        (None, _) => format!("The daemon asks WeChat for the next value {when}, before this one ends."),
    }
}

/// The calls of the last 24 hours.
pub(super) fn calls(key: &KeyStatus) -> Option<String> {
    let budget = key.budget.as_ref()?;
    let all = budget.used.saturating_add(budget.left);
    let mut text = format!("{} of {all} calls of the last 24 hours are used", budget.used);
    let forced = budget.forced_used.saturating_add(budget.forced_left);
    if forced > 0 && key.kind() == pb::Kind::AccessToken {
        let _ = write!(text, ", {} of {forced} forced ones", budget.forced_used);
    }
    text.push('.');
    if budget.left == 0 {
        text.push_str(
            " Nothing is left: the daemon makes no call until the oldest of them is 24 hours old, so that WeChat does \
             not lock the account out.",
        );
    } else if budget.left < all / 10 {
        text.push_str(" Few are left: something causes far more calls than normal renewal.");
    }
    Some(text)
}

/// Other programs that seem to use the AppSecret.
pub(super) fn others(key: &KeyStatus, now: WallTime) -> Option<String> {
    if key.foreign_refreshes == 0 {
        return None;
    }
    let times = if key.foreign_refreshes == 1 {
        "once".to_owned()
    } else {
        format!("{} times", key.foreign_refreshes)
    };
    let latest = key
        .last_foreign_refresh_at
        .map_or_else(String::new, |at| format!(", the last time {}", words::ago(now, words::wall(at))));
    Some(format!(
        "Since the daemon started a value died {times} before its end without a call of ours{latest}. Another program \
         probably fetches tokens with this AppSecret."
    ))
}

/// What the operator should do; always a sentence.
pub(super) fn todo(key: &KeyStatus, parent: Option<&KeyStatus>) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(todo) = short_todo(key) {
        parts.push(sentence(&todo));
    } else if hold(key) == Some(HoldReason::ParentMissing) {
        let todo = parent.and_then(short_todo).map_or_else(
            || {
                "Look at the account's access_token: `zhongkong explain` with it tells why it has none."
                    .to_owned()
            },
            |todo| sentence(&todo),
        );
        parts.push(todo);
    }
    if key.foreign_refreshes > 0 {
        parts.push(match key.value_mode() {
            CallMode::Stable | CallMode::StableForced => {
                "Find the other program that uses this AppSecret, or reset the AppSecret in the console.".to_owned()
            }
            CallMode::Unspecified | CallMode::Classic | CallMode::Ticket => {
                "Find the other program that uses this AppSecret, or set token_mode = \"stable\" for the account: its \
                 calls cannot kill a stable token."
                    .to_owned()
            }
        });
    }
    if key.budget.as_ref().is_some_and(|budget| budget.left == 0) && key.problem.is_none() {
        parts.push(
            "Find out what causes so many calls: the daemon's log names each call's cause, and clients that complain."
                .to_owned(),
        );
    }
    if parts.is_empty() {
        return "Nothing.".to_owned();
    }
    parts.join(" ")
}

/// WeChat's or the daemon's own words about what is wrong.
pub(super) fn trouble(key: &KeyStatus) -> String {
    let Some(problem) = &key.problem else { return "the daemon did not say why".to_owned() };
    let meaning = plain(&problem.meaning);
    match (problem.errcode, problem.rid.as_str()) {
        (Some(errcode), "") => format!("{meaning} (errcode {errcode})"),
        (Some(errcode), rid) => format!("{meaning} (errcode {errcode}, request id {})", plain(rid)),
        (None, _) => meaning,
    }
}

pub(super) fn hold(key: &KeyStatus) -> Option<HoldReason> {
    key.hold.as_ref().map(pb::Hold::reason)
}

fn is_paused(key: &KeyStatus) -> bool {
    hold(key) == Some(HoldReason::Paused)
}

pub(super) fn kind(key: &KeyStatus) -> &'static str {
    words::kind(key.kind())
}

fn left(key: &KeyStatus) -> Option<Duration> {
    key.remaining.and_then(|span| Duration::try_from(span).ok())
}

/// A fragment as a sentence.
fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    let first: String = letters.next().map(|letter| letter.to_uppercase().collect()).unwrap_or_default();
    let end = if fragment.ends_with('.') { "" } else { "." };
    // The name of a site keeps its spelling.
    if fragment.starts_with("mp.weixin") {
        return format!("{fragment}{end}");
    }
    format!("{first}{}{end}", letters.as_str())
}
