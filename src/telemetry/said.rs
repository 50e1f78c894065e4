//! Which reasons were said lately: whoever sends rubbish cannot fill the log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often one reason is said.
const PAUSE: Duration = Duration::from_secs(60);

/// A line a minute for each reason, with the number of those passed over.
#[derive(Debug, Default)]
pub struct Said(Mutex<HashMap<&'static str, Turn>>);

#[derive(Debug)]
struct Turn {
    last: Instant,
    others: u64,
}

impl Said {
    /// Whether it is this reason's turn; if so, how many of its kind were passed over since the last.
    pub fn turn(&self, reason: &'static str) -> Option<u64> {
        let now = Instant::now();
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(turn) = said.get_mut(reason) else {
            said.insert(reason, Turn { last: now, others: 0 });
            return Some(0);
        };
        if now.duration_since(turn.last) < PAUSE {
            turn.others += 1;
            return None;
        }
        turn.last = now;
        Some(std::mem::take(&mut turn.others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn flood_of_one_reason_is_a_line_a_minute_that_counts_the_others() {
        let said = Said::default();
        assert_eq!(said.turn("signature"), Some(0));
        for _ in 0..1_000 {
            assert_eq!(said.turn("signature"), None);
        }
        // It hides no other reason.
        assert_eq!(said.turn("stale"), Some(0));
        tokio::time::advance(PAUSE.saturating_sub(Duration::from_millis(1))).await;
        assert_eq!(said.turn("signature"), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(said.turn("signature"), Some(1_001));
        assert_eq!(said.turn("signature"), None);
    }
}
