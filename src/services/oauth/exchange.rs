//! What a code is worth: spent through the daemon, which alone has the AppSecret.
//!
//! Owns the sorting of everything that can come back into what to do next. The rule behind it: a
//! code that may be spent is never shown to WeChat as if it were fresh, and a user who can log in
//! by asking WeChat again is sent there and not to a page of error.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::client::{Client, Code, Error, Exchanged, Flow, WebLogin};
use crate::model::{AppId, ErrCode};
use crate::secret::Secret;
use crate::telemetry::{ErrorTracker, Report};

use super::account::{Account, Scope};
use super::page::Stopped;
use super::users::{OpenId, UnionId};

/// For the daemon and WeChat together. The daemon gives WeChat ten seconds; a user waits no longer
/// than this for anything.
const LIMIT: Duration = Duration::from_secs(20);
/// WeChat's numbers for a code that was used, is unknown, is too old.
const STALE: [i64; 3] = [40_163, 40_029, 42_003];

/// What became of a code.
#[derive(Debug)]
pub(super) enum Spent {
    /// Somebody.
    Person(Person),
    /// The virtual user of a snapshot page: nobody.
    Snapshot,
    /// It is not good, or its answer was lost: the user needs another.
    Stale,
    /// Certainly not spent, or soon told if it was: the same may be tried again. With WeChat's number,
    /// if it sent one.
    Unspent(Option<i64>),
    /// No other code helps.
    Stopped(Stopped),
}

/// Whom WeChat named.
pub(super) struct Person {
    pub(super) openid: OpenId,
    pub(super) unionid: Option<UnionId>,
    /// What the user allowed.
    pub(super) scope: Scope,
    /// For the profile, and for this login only.
    pub(super) token: Secret,
}

/// Spends codes.
pub(super) struct Exchange {
    client: Client,
    /// The daemon's address, for the log.
    daemon: String,
    /// One for each account: what fails with one works with another.
    troubles: Mutex<HashMap<AppId, ErrorTracker>>,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl Exchange {
    pub(super) fn new(client: Client, daemon: String) -> Self {
        Self { client, daemon, troubles: Mutex::default() }
    }

    /// Spends the code. Dropped midway it may be spent all the same.
    pub(super) async fn spend(&self, account: &Account, code: &Secret) -> Spent {
        let asked = self.client.exchange_code(&account.appid, code, Flow::Web);
        let answered = tokio::time::timeout(LIMIT, asked).await;
        let (spent, why) = match answered {
            Ok(Ok(Exchanged::Web(login))) => match person(login) {
                Some(spent) => (spent, None),
                None => (Spent::Stopped(Stopped::Setup), Some("the answer names nobody".to_owned())),
            },
            Ok(Ok(Exchanged::MiniProgram(_))) => {
                (Spent::Stopped(Stopped::Setup), Some("the answer is a mini program's".to_owned()))
            }
            Ok(Err(error)) => (verdict(&error), Some(said(&error))),
            Err(_) => (Spent::Stale, Some(format!("the daemon did not answer within {LIMIT:?}"))),
        };
        self.tell(account, &spent, why);
        spent
    }

    /// Says what an operator must know, and not more than three times in a row.
    fn tell(&self, account: &Account, spent: &Spent, why: Option<String>) {
        let (app, daemon) = (account.appid.as_str(), self.daemon.as_str());
        let why = why.unwrap_or_default();
        let failed = match spent {
            Spent::Person(_) | Spent::Snapshot => false,
            // Users cause these: a page opened twice, a phone put away.
            Spent::Stale => {
                tracing::debug!(
                    app,
                    why,
                    "a code of {app} was not good, and its user is sent to WeChat again: {why}"
                );
                return;
            }
            Spent::Unspent(_) | Spent::Stopped(_) => true,
        };
        let report = {
            let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
            let tracker = troubles.entry(account.appid.clone()).or_default();
            if failed { tracker.failed() } else { tracker.succeeded() }
        };
        match (report, spent) {
            (Report::Warn(times), Spent::Stopped(_)) => tracing::error!(
                app,
                daemon,
                times,
                why,
                "nobody can log in with {app}, and it does not mend itself; after the third time in a row at debug: {why}",
            ),
            (Report::Warn(times), _) => tracing::warn!(
                app,
                daemon,
                times,
                why,
                "a code of {app} could not be exchanged, and its user is asked to try again (is the daemon running at \
                 {daemon}, and does it reach WeChat?); after the third time in a row at debug: {why}",
            ),
            (Report::Debug(times), _) => {
                tracing::debug!(app, times, why, "a code of {app} was not exchanged: {why}");
            }
            (Report::Recovered(times), _) => {
                tracing::info!(app, times, "codes of {app} are exchanged again after {times} failures");
            }
            (Report::Nothing, _) => {}
        }
    }
}

/// Somebody, or nobody; `None` if the answer does not keep to the contract.
fn person(login: WebLogin) -> Option<Spent> {
    if login.snapshot_user {
        return Some(Spent::Snapshot);
    }
    let openid = login.openid.parse().ok()?;
    // Without one of our form the person is only known in this account.
    let unionid = login.unionid.parse().ok();
    let person = Person {
        openid,
        unionid,
        scope: Scope::granted(&login.scope),
        token: Secret::from(login.access_token),
    };
    Some(Spent::Person(person))
}

fn verdict(error: &Error) -> Spent {
    let refusal = match error {
        Error::Refused(refusal) => refusal,
        // A call that does not reach the daemon spends nothing.
        Error::Connect(_) | Error::Silent => return Spent::Unspent(None),
        Error::Address(_) => return Spent::Stopped(Stopped::Setup),
        Error::Answer { .. } => return Spent::Stale,
    };
    let passes = matches!(refusal.code, Code::Unavailable | Code::ResourceExhausted);
    match (refusal.errcode, refusal.reason.as_deref()) {
        (Some(ErrCode(number)), _) if STALE.contains(&number) => Spent::Stale,
        (None, Some("CODE_LOST")) => Spent::Stale,
        (Some(ErrCode(number)), _) if passes => Spent::Unspent(Some(number)),
        (Some(ErrCode(number)), _) => Spent::Stopped(Stopped::WeChat(number)),
        (None, Some(_)) if passes => Spent::Unspent(None),
        // The connection broke under the call. If the code is spent, the next try is told so by WeChat,
        // and then the user is sent there.
        (None, None) if passes || matches!(refusal.code, Code::Cancelled | Code::Unknown) => {
            Spent::Unspent(None)
        }
        (None, _) if refusal.code == Code::DeadlineExceeded => Spent::Stale,
        (None, _) => Spent::Stopped(Stopped::Setup),
    }
}

/// The daemon's words and what it says to do. Neither holds a code.
fn said(error: &Error) -> String {
    let Error::Refused(refusal) = error else { return error.to_string() };
    let right = match refusal.code {
        Code::PermissionDenied | Code::Unauthenticated => {
            "; give the [[client]] of this service the action `exchange` for the account"
        }
        _ => "",
    };
    let rid = refusal.rid.as_ref().map(|rid| format!(" (rid {rid})")).unwrap_or_default();
    format!("{refusal}{rid}{right}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Refusal;

    fn refused(code: Code, errcode: Option<i64>, reason: Option<&str>) -> Error {
        Error::Refused(Box::new(Refusal {
            code,
            message: "why".into(),
            retry_after: None,
            reason: reason.map(str::to_owned),
            errcode: errcode.map(ErrCode),
            rid: None,
            action: None,
            fields: Vec::new(),
        }))
    }

    #[test]
    fn every_refusal_is_sorted_by_what_the_user_can_do() {
        use Code::{
            Cancelled, DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied,
            ResourceExhausted, Unauthenticated, Unavailable, Unknown,
        };
        let cases = [
            (InvalidArgument, Some(40_163), Some("WECHAT_40163"), "Stale"),
            (InvalidArgument, Some(40_029), Some("WECHAT_40029"), "Stale"),
            (InvalidArgument, Some(42_003), Some("WECHAT_42003"), "Stale"),
            (Unavailable, None, Some("CODE_LOST"), "Stale"),
            (DeadlineExceeded, None, None, "Stale"),
            (Unavailable, Some(-1), Some("WECHAT_-1"), "Unspent(Some(-1))"),
            (ResourceExhausted, Some(45_011), Some("WECHAT_45011"), "Unspent(Some(45011))"),
            (Unavailable, None, Some("UNAVAILABLE"), "Unspent(None)"),
            (Unavailable, None, Some("STOPPING"), "Unspent(None)"),
            (Unavailable, None, None, "Unspent(None)"),
            (Cancelled, None, None, "Unspent(None)"),
            (Unknown, None, None, "Unspent(None)"),
            (FailedPrecondition, Some(40_125), Some("WECHAT_40125"), "Stopped(WeChat(40125))"),
            (InvalidArgument, Some(41_008), Some("WECHAT_41008"), "Stopped(WeChat(41008))"),
            (Unauthenticated, None, None, "Stopped(Setup)"),
            (PermissionDenied, None, None, "Stopped(Setup)"),
            (NotFound, None, None, "Stopped(Setup)"),
            (InvalidArgument, None, None, "Stopped(Setup)"),
        ];
        for (code, errcode, reason, spent) in cases {
            let shown = format!("{:?}", verdict(&refused(code, errcode, reason)));
            assert_eq!(shown, spent, "{code:?} {errcode:?} {reason:?}");
        }
        assert!(matches!(verdict(&Error::Silent), Spent::Unspent(None)));
        assert!(matches!(verdict(&Error::Answer { field: "result" }), Spent::Stale));
    }

    #[test]
    fn denied_client_is_told_which_right_it_lacks() {
        let said = said(&refused(Code::PermissionDenied, None, None));
        assert!(said.contains("`exchange`"), "{said}");
    }

    #[test]
    fn snapshot_user_is_nobody_and_an_odd_unionid_makes_nobody_else() {
        let login = |openid: &str, unionid: &str, snapshot_user| WebLogin {
            openid: openid.into(),
            unionid: unionid.into(),
            scope: "snsapi_base".into(),
            snapshot_user,
            access_token: "t0ken".into(),
            ..WebLogin::default()
        };
        assert!(matches!(person(login("o1", "", true)), Some(Spent::Snapshot)));
        assert!(person(login("", "", false)).is_none());
        assert!(person(login("o 1", "", false)).is_none());
        let Some(Spent::Person(person)) = person(login("o1", "u 1", false)) else { panic!("a person") };
        assert!(person.unionid.is_none());
        assert!(!format!("{person:?}").contains("t0ken"));
    }
}
