//! How time passes for an engine under test: in steps, and never without looking.

use std::sync::Arc;
use std::time::Duration;

use zhongkong::clock::{BootTime, Clock};
use zhongkong::refresh::view::{Next, View};

use zhongkong::simulator::Call;

use super::engine::{Engine, TICK};

/// Real time that a wait may take. The longest takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// So many turns of the runtime without a change mean that nothing goes on any more.
const QUIET: u32 = 16;
/// So many turns are given to a call that is neither answered nor held: it is a slow one.
const STUCK: u32 = 400;

/// Time.
impl Engine {
    /// Moves the clock. Timers that became due have fired when this returns; what they set
    /// off is under way.
    pub(crate) async fn advance(&self, by: Duration) {
        self.frozen.advance(by).await;
    }

    /// Moves the clock and lets everything happen that follows.
    pub(crate) async fn pass(&self, by: Duration) {
        self.advance(by).await;
        self.settle().await;
    }

    /// Something is due after this span, and not before: moves to just before it, sees that
    /// WeChat is not called, and moves over it.
    pub(crate) async fn step(&self, by: Duration) {
        self.settle().await;
        let before = self.last_seq();
        self.pass(by.saturating_sub(TICK * 2)).await;
        let early = self.log_since(before);
        assert!(early.is_empty(), "called too early, {by:?} were announced: {early:?}");
        self.pass(TICK * 4).await;
    }

    /// The same for an instant.
    pub(crate) async fn step_to(&self, at: BootTime) {
        self.step(at.since(self.now())).await;
    }

    /// Steps to what "wx1" announces as its next attempt.
    pub(crate) async fn step_to_next(&self) {
        let Next::At(at) = self.view().next else { panic!("no attempt is announced: {:?}", self.view()) };
        self.step_to(at).await;
    }

    /// Lets time pass in steps of at most `stride` that also stop at every announced
    /// attempt, and looks at each of them, once in the middle of what goes on and once after.
    pub(crate) async fn walk(&self, span: Duration, stride: Duration, mut look: impl FnMut(&Self)) {
        let end = self.now() + span;
        while self.now() < end {
            let now = self.now();
            let announced = self.hub.keys().into_iter().filter_map(|handle| match handle.view().next {
                Next::At(at) if at + TICK > now => Some(at + TICK),
                Next::At(_) | Next::Paused(_) | Next::ParentMissing | Next::Removed => None,
            });
            let to = announced.min().unwrap_or(end).min(now + stride).min(end);
            self.advance(to.since(now).max(Duration::from_millis(1))).await;
            look(self);
            self.settle().await;
            look(self);
        }
    }

    /// Lets everything happen that can happen without the clock.
    pub(crate) async fn settle(&self) {
        let mut last = self.pulse();
        let (mut quiet, mut stuck) = (0, 0);
        while quiet < QUIET && stuck < STUCK {
            tokio::task::yield_now().await;
            let pulse = self.pulse();
            if pulse != last {
                (last, quiet, stuck) = (pulse, 0, 0);
            } else if self.gate.free() < self.in_flight && self.wechat.control.held() == 0 {
                stuck += 1;
                if stuck % 100 == 0 {
                    // What the kernel has still to deliver may need this core.
                    std::thread::yield_now();
                }
            } else {
                quiet += 1;
            }
        }
    }

    /// Waits until what is published of "wx1" is so.
    pub(crate) async fn until(&self, what: &str, mut so: impl FnMut(&View) -> bool) {
        self.wait(what, |engine| so(&engine.view())).await;
    }

    /// Waits until it is so, without moving the clock.
    pub(crate) async fn wait(&self, what: &str, mut so: impl FnMut(&Self) -> bool) {
        let real = Clock::system();
        let begun = real.boot();
        while !so(self) {
            assert!(real.boot().since(begun) < PATIENCE, "waited in vain: {what}\n{}", self.report());
            tokio::task::yield_now().await;
        }
    }

    /// The views and the last calls, for the message of a failure.
    pub(crate) fn report(&self) -> String {
        let views: Vec<String> =
            self.hub.keys().iter().map(|handle| format!("{:?}", handle.view())).collect();
        let calls: Vec<String> = self.wechat.control.with_log(|log| {
            let last = log.calls().rev().take(12).map(|call| {
                let Call { at_ms, endpoint, forced, outcome, fault, .. } = call;
                format!("{at_ms} ms {endpoint:?} forced={forced} {outcome:?} {fault:?}")
            });
            last.collect()
        });
        format!("now {:?}\n{}\nlast calls, newest first:\n{}", self.now(), views.join("\n"), calls.join("\n"))
    }

    /// What changes whenever something goes on.
    fn pulse(&self) -> (u64, usize, usize, usize) {
        let views = self.hub.keys().iter().fold(0_usize, |sum, handle| {
            sum.wrapping_mul(31).wrapping_add(Arc::as_ptr(&handle.view()) as usize)
        });
        (self.last_seq(), self.wechat.control.held(), self.gate.free(), views)
    }
}
