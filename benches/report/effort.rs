//! How much a run measures: all of it, or little, to see that everything works.
//!
//! `ZHONGKONG_BENCH_QUICK=1` makes one short round of each thing. Such figures say nothing, and the
//! page says so.

use std::time::Duration;

pub(crate) const QUICK: &str = "ZHONGKONG_BENCH_QUICK";

/// Whether little is asked for.
pub(crate) fn is_quick() -> bool {
    std::env::var_os(QUICK).is_some_and(|value| value != "0")
}

/// So many rounds.
pub(crate) fn rounds(full: usize) -> usize {
    if is_quick() { 1 } else { full }
}

/// So long a round.
pub(crate) fn seconds(full: f64) -> Duration {
    Duration::from_secs_f64(if is_quick() { full.min(0.3) } else { full })
}

/// So many of what is sent in a round.
pub(crate) fn count(full: usize) -> usize {
    if is_quick() { full.div_ceil(20) } else { full }
}
