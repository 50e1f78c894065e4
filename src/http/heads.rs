//! The time-outs for the heads of a connection's requests, by one timer of the runtime.
//!
//! hyper asks for a timer for each head and drops it when the head has come, nearly always at once.
//! To enter one into the runtime's wheel and take it out again costs more than reading the head. So
//! a connection has one, which is left in the wheel: it wakes at an older head's instant at most
//! once a time-out, and is then set to that of the head that is waited for.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt;
use tokio::time::{Instant, Sleep, sleep_until};

/// Of one connection.
#[derive(Clone, Default)]
pub(super) struct Heads(Arc<Mutex<Option<Pin<Box<Sleep>>>>>);

/// Until when a head must have come.
struct Head {
    until: Instant,
    timer: Heads,
}

impl rt::Timer for Heads {
    fn sleep(&self, span: Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep_until((Instant::now() + span).into())
    }

    fn sleep_until(&self, until: std::time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Head { until: until.into(), timer: self.clone() })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

impl rt::Sleep for Head {}

impl Future for Head {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // A timer is whole at each step, so a panic elsewhere spoils nothing.
        let mut held = self.timer.0.lock().unwrap_or_else(PoisonError::into_inner);
        let timer = held.get_or_insert_with(|| Box::pin(sleep_until(self.until)));
        // Later than this head: it was set for one that hyper asked for afterwards.
        if timer.deadline() > self.until {
            timer.as_mut().reset(self.until);
        }
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= self.until {
                return Poll::Ready(());
            }
            // An older head's.
            timer.as_mut().reset(self.until);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use hyper::rt::Timer as _;

    use super::*;

    const SPAN: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn head_is_late_at_its_own_instant_whatever_came_before_it() {
        let heads = Heads::default();
        let begun = Instant::now();
        // The first comes after 10 s; the second is waited for from 20 s on.
        let mut first = heads.sleep(SPAN);
        assert!(first.as_mut().now_or_never().is_none());
        tokio::time::advance(Duration::from_secs(10)).await;
        drop(first);
        tokio::time::advance(Duration::from_secs(10)).await;
        heads.sleep(SPAN).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(80));
        // One that is asked for long after the timer has fired.
        tokio::time::advance(2 * SPAN).await;
        heads.sleep(SPAN).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(80) + 3 * SPAN);
    }

    #[tokio::test(start_paused = true)]
    async fn shorter_wait_is_over_before_the_longer_one_that_was_set() {
        let heads = Heads::default();
        let begun = Instant::now();
        assert!(heads.sleep(SPAN).now_or_never().is_none());
        heads.sleep(SPAN / 2).await;
        assert_eq!(begun.elapsed(), SPAN / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn connection_is_given_up_a_whole_wait_after_the_last_of_many_heads() {
        let heads = Heads::default();
        for _ in 0..1_000 {
            assert!(heads.sleep(SPAN).now_or_never().is_none());
            tokio::time::advance(SPAN / 3).await;
        }
        let mut last = heads.sleep(SPAN);
        tokio::time::advance(Duration::from_millis(59_999)).await;
        assert!(last.as_mut().now_or_never().is_none());
        tokio::time::advance(Duration::from_millis(2)).await;
        assert!(last.as_mut().now_or_never().is_some());
    }
}
