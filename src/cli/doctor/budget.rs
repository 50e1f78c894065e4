//! What is left of each key's daily calls: from the daemon, or from its ledger while it is down.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cli::words;
use crate::clock::Clock;
use crate::daemon::LEDGER_FILE;
use crate::hub::AccountSettings;
use crate::ledger::sqlite::{self, PeekError};
use crate::pb;

use super::finding::{Finding, Group};

/// Forced calls that WeChat grants a day.
const FORCED: u32 = 20;
/// Keys that are told one by one.
const TOLD: usize = 10;

/// The budget of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Budget {
    key: String,
    left: u32,
    limit: u32,
    forced_left: u32,
}

/// As the daemon counts them.
pub(super) fn told(keys: &[pb::KeyStatus]) -> Vec<Finding> {
    let budget = |key: &pb::KeyStatus| {
        let pb::Budget { used, left, forced_used: _, forced_left } = key.budget?;
        let name = format!("{} {}", key.appid, words::kind(key.kind()));
        Some(Budget { key: name, left, limit: used.saturating_add(left), forced_left })
    };
    judge(&keys.iter().filter_map(budget).collect::<Vec<_>>())
}

/// As the ledger has them, of a daemon that does not run or does not tell.
pub(super) async fn looked_up(state_dir: &Path, accounts: &[AccountSettings], clock: &Clock) -> Vec<Finding> {
    let path = state_dir.join(LEDGER_FILE);
    let spent = match sqlite::peek(&path, clock).await {
        Ok(spent) => spent,
        Err(PeekError::NoLedger) => {
            return vec![Finding::ok(
                Group::Daemon,
                "budget",
                "nothing was ever used: there is no ledger yet",
            )];
        }
        Err(error) => {
            let detail =
                format!("not known: of the ledger {}: {}", path.display(), crate::cli::chain(&error));
            let fix = "start the daemon, or run doctor as its user";
            return vec![Finding::warn(Group::Daemon, "budget", detail, fix)];
        }
    };
    let limits: BTreeMap<_, _> =
        accounts.iter().map(|account| (&account.appid, account.daily_calls)).collect();
    let budget = |spent: sqlite::Spent| {
        let limit = *limits.get(&spent.key.appid)?;
        let left = limit.saturating_sub(spent.used);
        let forced_left = FORCED.saturating_sub(spent.forced);
        Some(Budget { key: format!("{} {}", spent.key.appid, spent.key.kind), left, limit, forced_left })
    };
    judge(&spent.into_iter().filter_map(budget).collect::<Vec<_>>())
}

fn judge(budgets: &[Budget]) -> Vec<Finding> {
    const NAME: &str = "budget";
    let Some(least) = budgets.iter().min_by_key(|budget| budget.left).cloned() else {
        return vec![Finding::ok(Group::Daemon, NAME, "no calls in the last 24 h")];
    };
    let mut found: Vec<_> = budgets.iter().filter_map(judge_one).take(TOLD).collect();
    if found.is_empty() {
        let Budget { key, left, limit, forced_left: _ } = least;
        let count = words::count(budgets.len(), "key");
        let detail = format!("{count}; the least is left to {key}: {left} of {limit} calls in 24 h");
        found.push(Finding::ok(Group::Daemon, NAME, detail));
    }
    found
}

fn judge_one(budget: &Budget) -> Option<Finding> {
    const NAME: &str = "budget";
    const FIX: &str = "zhongkong explain tells what used it: look for a caller that complains without end, or a \
                       second program with this AppSecret; it comes back by itself within 24 h of each call";
    let Budget { key, left, limit, forced_left } = budget;
    let finding = if *left == 0 {
        Finding::fail(Group::Daemon, NAME, format!("none of {limit} calls is left: no renewal"), FIX)
    } else if left.saturating_mul(10) < *limit {
        Finding::warn(Group::Daemon, NAME, format!("{left} of {limit} calls are left"), FIX)
    } else if *forced_left == 0 {
        let fix = "nothing, unless a token leaks: then the AppSecret must be reset in WeChat's console";
        Finding::warn(Group::Daemon, NAME, "no forced refresh is left for 24 h", fix)
    } else {
        return None;
    };
    Some(finding.about(key))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn budget_warns_below_a_tenth_and_fails_at_nothing() {
        for (left, forced_left, level) in [
            (2_000, 20, Level::Ok),
            (200, 20, Level::Ok),
            (199, 20, Level::Warn),
            (1, 20, Level::Warn),
            (0, 20, Level::Fail),
            (2_000, 0, Level::Warn),
        ] {
            let found = judge(&[Budget { key: "wx1 access_token".into(), left, limit: 2_000, forced_left }]);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].level, level, "{left} {forced_left}: {found:?}");
        }
        assert_eq!(judge(&[])[0].level, Level::Ok);
    }
}
