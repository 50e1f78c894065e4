//! Whether WeChat takes each account's AppSecret, and the address that it comes from.
//!
//! Asked by one stable normal call: in the stable mode it brings the string that is there
//! anyway, and beside a classic token it lives in a line of its own, so it kills nothing. It
//! counts as one of the day's calls.

use std::net::IpAddr;

use futures_util::{StreamExt as _, stream};

use crate::hub::AccountSettings;
use crate::model::{AppId, CallMode, ErrCode, TokenMode};
use crate::secret::Secret;
use crate::wechat::errcode::{self, Endpoint, Reaction};
use crate::wechat::{End, Refusal, Trouble, WeChat};

use super::finding::{Finding, Group, Level};
use super::upstream::advice;

/// Calls at a time.
const AT_A_TIME: usize = 20;
/// Accounts that are asked unless more are wanted.
pub(super) const BY_DEFAULT: usize = 20;
/// Not permitted: some accounts may not use the stable endpoint.
const UNAUTHORIZED: ErrCode = ErrCode(48001);

/// What the calls brought.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) findings: Vec<Finding>,
    /// Tokens that the calls brought, for further questions.
    pub(super) tokens: Vec<(AppId, Secret)>,
    /// The address of this machine that WeChat named.
    pub(super) seen_ip: Option<IpAddr>,
}

/// Asks for each of these accounts; the order of the findings is theirs.
pub(super) async fn ask(wechat: &WeChat, accounts: &[&AccountSettings]) -> Asked {
    let calls = accounts.iter().map(|account| async {
        (*account, wechat.fetch_token(CallMode::Stable, &account.appid, &account.secret).await)
    });
    let ends: Vec<_> = stream::iter(calls).buffered(AT_A_TIME).collect().await;
    let mut asked = Asked::default();
    for (account, end) in ends {
        asked.findings.push(judge(account.token_mode, &end).about(account.appid.as_str()));
        match end {
            End::Issued(issued) => asked.tokens.push((account.appid.clone(), issued.value)),
            End::Refused(refusal) => asked.seen_ip = asked.seen_ip.or(refusal.seen_ip),
            End::NeverSent(_) | End::Unknown(_) => {}
        }
    }
    asked
}

fn judge(mode: TokenMode, end: &End) -> Finding {
    const NAME: &str = "secret";
    let refusal = match end {
        End::Issued(_) => {
            return Finding::ok(Group::Accounts, NAME, "WeChat accepts it, and this machine's address");
        }
        End::NeverSent(Trouble { what }) | End::Unknown(Trouble { what }) => {
            return Finding::warn(Group::Accounts, NAME, format!("not known: {what}"), advice(*what));
        }
        End::Refused(refusal) => refusal,
    };
    if mode == TokenMode::Classic && refusal.errcode == UNAUTHORIZED {
        let detail =
            "not known: the account may not make the stable call, and a classic one would kill its token";
        let fix = "look at the daemon's state of the account instead: zhongkong explain APPID";
        return Finding::warn(Group::Accounts, NAME, detail, fix);
    }
    let level = match errcode::reaction(Endpoint::Token, refusal.errcode) {
        Reaction::NeedsOperator | Reaction::RefreshParent => Level::Fail,
        Reaction::RetrySoon | Reaction::RetryLater(_) | Reaction::QuotaSpent => Level::Warn,
    };
    let fix = errcode::action(Endpoint::Token, refusal);
    Finding { level, ..Finding::ok(Group::Accounts, NAME, said(refusal)).advice(fix) }
}

/// The number, what it means, and the address if there is one. Not WeChat's own words: they
/// say the same in worse English.
fn said(refusal: &Refusal) -> String {
    let Refusal { errcode, errmsg: _, rid, seen_ip } = refusal;
    let meaning = errcode::meaning(Endpoint::Token, *errcode);
    let seen = seen_ip.map(|ip| format!("; WeChat saw {ip}")).unwrap_or_default();
    let rid = rid.as_deref().map(|rid| format!(", rid {rid}")).unwrap_or_default();
    format!("{meaning}{seen} (errcode {errcode}{rid})")
}

/// How each account's tokens are fetched: advice where the older way is used.
pub(super) fn modes(accounts: &[AccountSettings]) -> Vec<Finding> {
    let classic = accounts.iter().filter(|account| account.token_mode == TokenMode::Classic);
    let names: Vec<_> = classic.map(|account| account.appid.as_str()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let more = names.len().saturating_sub(3);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let names = names.get(..3).unwrap_or(&names).join(", ");
    vec![
        Finding::ok(Group::Accounts, "token mode", format!("classic for {names}{rest}")).advice(
            "token_mode = \"stable\" unless WeChat refuses it: a classic call of any other program kills the token",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::TroubleKind;

    fn refused(errcode: i64, seen_ip: Option<&str>) -> End {
        End::Refused(Refusal {
            errcode: ErrCode(errcode),
            errmsg: "words of WeChat".to_owned(),
            rid: Some("r1".to_owned()),
            seen_ip: seen_ip.map(|ip| ip.parse().unwrap()),
        })
    }

    #[test]
    fn each_end_of_the_call_has_its_level_and_its_fix() {
        let cases = [
            (refused(40125, None), Level::Fail, "errcode 40125", "AppSecret"),
            (refused(40001, None), Level::Fail, "errcode 40001", "AppSecret"),
            (refused(40013, None), Level::Fail, "errcode 40013", "appid"),
            (refused(40164, Some("1.2.3.4")), Level::Fail, "WeChat saw 1.2.3.4", "IP whitelist"),
            (refused(40243, None), Level::Fail, "frozen", "unfreeze"),
            (refused(-1, None), Level::Warn, "busy", "nothing"),
            (refused(45009, None), Level::Warn, "used up", "stable"),
            (refused(45011, None), Level::Warn, "too many", "nothing"),
            (refused(48001, None), Level::Fail, "may not use", "API"),
            (End::NeverSent(TroubleKind::Tls.into()), Level::Warn, "not known", "certificate"),
            (End::Unknown(TroubleKind::TimedOut.into()), Level::Warn, "not known", "network"),
        ];
        for (end, level, detail, fix) in cases {
            let found = judge(TokenMode::Stable, &end);
            assert_eq!(found.level, level, "{found:?}");
            assert!(found.detail.contains(detail), "{found:?}");
            assert!(found.fix.as_deref().is_some_and(|text| text.contains(fix)), "{found:?}");
        }
        // An account without the stable call is no failure where it does not use it.
        assert_eq!(judge(TokenMode::Classic, &refused(48001, None)).level, Level::Warn);
    }
}
