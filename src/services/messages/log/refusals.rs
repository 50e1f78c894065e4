//! Which refused pushes have a line of their own, and a count of the others.
//!
//! Ten at once and then one in six seconds have one; the others are counted per account and
//! reason, and the counts are written once a minute. So whoever sends a million of them makes at
//! most some ten KiB a minute, in which the log's oldest line is safe for weeks.

use std::sync::Arc;
use std::time::Duration;

use super::super::account::Account;
use super::entry::Refused;
use crate::clock::{BootTime, WallTime};

/// How many may have a line at once.
const BURST: u32 = 10;
/// How long it takes until one more may.
const REFILL: Duration = Duration::from_secs(6);
/// How many pairs of account and reason are counted apart.
const APART: usize = 64;
/// Why, when there were too many pairs.
const OTHERS: &str = "various";

/// Refusals that have no line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) account: Option<Arc<Account>>,
    pub(super) reason: &'static str,
    pub(super) count: u64,
    pub(super) since: WallTime,
}

/// The bound.
#[derive(Debug)]
pub(super) struct Refusals {
    left: u32,
    refilled: BootTime,
    counted: Vec<Counted>,
}

impl Refusals {
    pub(super) fn new(now: BootTime) -> Self {
        Self { left: BURST, refilled: now, counted: Vec::new() }
    }

    /// Whether this one has a line of its own; otherwise it is counted.
    pub(super) fn has_room_for(&mut self, refused: &Refused<'_>, wall: WallTime, now: BootTime) -> bool {
        let gained = now.since(self.refilled).as_millis() / REFILL.as_millis();
        let gained = u32::try_from(gained).unwrap_or(u32::MAX);
        if self.left.saturating_add(gained) >= BURST {
            (self.left, self.refilled) = (BURST, now);
        } else {
            self.left += gained;
            self.refilled = self.refilled + REFILL * gained;
        }
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return true;
        }
        self.count(refused.account, refused.reason, wall);
        false
    }

    fn count(&mut self, account: Option<&Arc<Account>>, reason: &'static str, wall: WallTime) {
        let same = |counted: &&mut Counted| counted.reason == reason && counted.account.as_ref() == account;
        if let Some(counted) = self.counted.iter_mut().find(same) {
            counted.count += 1;
        } else if self.counted.len() < APART || reason == OTHERS {
            self.counted.push(Counted { account: account.cloned(), reason, count: 1, since: wall });
        } else {
            self.count(None, OTHERS, wall);
        }
    }

    /// What was counted since the last time.
    pub(super) fn take(&mut self) -> Vec<Counted> {
        std::mem::take(&mut self.counted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::handler::Trace;
    use super::*;

    fn account(number: usize) -> Arc<Account> {
        Arc::new(Account { appid: format!("wx{number:016}").parse().unwrap(), path: number.to_string() })
    }

    #[test]
    fn flood_of_refusals_has_a_few_lines_and_counts() {
        let (shop, trace) = (account(1), Trace("t".into()));
        let refused = |account, reason| Refused { trace: &trace, account, peer: None, reason, status: 403 };
        let mut refusals = Refusals::new(BootTime(0));
        let mut lines = 0;
        for second in 0..60 {
            for _ in 0..1_000 {
                let refused = refused(Some(&shop), "signature");
                let has = refusals.has_room_for(&refused, WallTime(second * 1_000), BootTime(second * 1_000));
                lines += u64::from(has);
            }
        }
        assert_eq!(lines, 10 + 9);
        let counted = Counted {
            account: Some(shop.clone()),
            reason: "signature",
            count: 60_000 - lines,
            since: WallTime(0),
        };
        assert_eq!(refusals.take(), [counted]);
        assert_eq!(refusals.take(), []);

        // A quiet minute later there is room for as many as at first, and for no more.
        let late = BootTime(3_600_000);
        let again = (0..20).filter(|_| refusals.has_room_for(&refused(None, "account"), WallTime(0), late));
        assert_eq!(again.count(), 10);
    }

    #[test]
    fn refusals_of_more_kinds_than_are_told_apart_are_counted_together() {
        let trace = Trace("t".into());
        let mut refusals = Refusals { left: 0, ..Refusals::new(BootTime(0)) };
        for number in 0..1_000 {
            let account = account(number);
            let refused = Refused {
                trace: &trace,
                account: Some(&account),
                peer: None,
                reason: "signature",
                status: 403,
            };
            assert!(!refusals.has_room_for(&refused, WallTime(7), BootTime(0)));
        }
        let counted = refusals.take();
        assert_eq!(counted.len(), APART + 1);
        let others = Counted { account: None, reason: OTHERS, count: 936, since: WallTime(7) };
        assert_eq!(counted[APART], others);
    }
}
