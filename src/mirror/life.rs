//! How long a copy may live on a server.
//!
//! Owns the one rule: the least of what is left of the value and of 300 s past its next attempt,
//! in whole seconds rounded down. So a server that we lost cannot hand out a value past its death,
//! and stops handing out one that was probably replaced. Less than a second is no life: the copy
//! is deleted, since memcached reads 0 as for ever.

use std::time::Duration;

use crate::clock::{BootTime, Clock};

use super::Entry;

/// How long a copy outlives the attempt that should have replaced it: as long as WeChat lets an
/// old token work beside the new one.
const OVERLAP: Duration = Duration::from_mins(5);
/// The longest relative life that memcached knows, 30 days; it reads more as a date of 1970.
const LONGEST: u32 = 30 * 86_400;

/// A copy's life in seconds, 1 … 30 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u32);

impl Ttl {
    /// A day.
    pub(super) const DAY: Self = Self(86_400);

    /// The life of a copy written now; `None` when it has none.
    pub fn of(expires_at: BootTime, next_attempt: Option<BootTime>, now: BootTime) -> Option<Self> {
        let replaced = next_attempt.map_or(BootTime::FAR, |at| at + OVERLAP);
        let seconds = expires_at.min(replaced).since(now).as_secs();
        let seconds = u32::try_from(seconds).unwrap_or(LONGEST).min(LONGEST);
        (seconds >= 1).then_some(Self(seconds))
    }

    /// The number that memcached takes.
    pub fn seconds(self) -> u32 {
        self.0
    }
}

/// What a layout has to know of an entry's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The life of the copy.
    pub ttl: Ttl,
    /// What is left of the value itself, in whole seconds: never less than `ttl`.
    pub remaining: u64,
    /// The value's end in seconds since the Unix epoch, as far as the wall clock is right.
    pub expires_at: i64,
}

impl Life {
    /// The life of a copy of this entry written now; `None` when it must not be written.
    pub fn of(entry: &Entry, clock: &Clock) -> Option<Self> {
        let now = clock.boot();
        Some(Self {
            ttl: Ttl::of(entry.expires_at, entry.next_attempt, now)?,
            remaining: entry.expires_at.since(now).as_secs(),
            expires_at: clock.wall_of(entry.expires_at).seconds(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: BootTime = BootTime(50_000);

    fn ttl(left_ms: i64, next_ms: Option<i64>) -> Option<u32> {
        let next = next_ms.map(|ms| BootTime(NOW.0 + ms));
        Ttl::of(BootTime(NOW.0 + left_ms), next, NOW).map(Ttl::seconds)
    }

    #[test]
    fn life_is_what_is_left_rounded_down_and_never_zero() {
        assert_eq!(ttl(7_200_000, None), Some(7_200));
        assert_eq!(ttl(7_199_999, None), Some(7_199));
        assert_eq!(ttl(1_000, None), Some(1));
        assert_eq!(ttl(999, None), None);
        assert_eq!(ttl(0, None), None);
        assert_eq!(ttl(-5_000, None), None);
    }

    #[test]
    fn life_ends_300_seconds_after_the_attempt_that_should_replace_the_value() {
        assert_eq!(ttl(7_200_000, Some(600_000)), Some(900));
        assert_eq!(ttl(700_000, Some(600_000)), Some(700));
        assert_eq!(ttl(7_200_000, Some(-299_000)), Some(1));
        assert_eq!(ttl(7_200_000, Some(-299_001)), None);
    }

    #[test]
    fn life_stops_short_of_what_memcached_takes_for_a_date() {
        assert_eq!(ttl(40 * 86_400_000, None), Some(2_592_000));
        assert_eq!(Ttl::of(BootTime::FAR, None, NOW), Some(Ttl(2_592_000)));
        assert_eq!(Ttl::of(BootTime::FAR, Some(BootTime::FAR), NOW), Some(Ttl(2_592_000)));
    }
}
