//! A clock that moves only when the test says so, with real sockets.
//!
//! A paused tokio clock jumps ahead whenever the runtime is idle, and waiting
//! for a socket is idle: time-outs fire out of thin air. While a blocking task
//! runs, tokio does not jump; so this guard keeps one, waiting on a channel, for
//! as long as it lives. Needs the current-thread runtime (`#[tokio::test]`).
//!
//! tokio's own time-outs cannot fire then, so a plain thread ends the process
//! when a test hangs, and names it.

use std::io::Write as _;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// How long a test may take in real time. The slowest takes a few seconds, and
/// a minute and a half where eight others want each core.
const HANG: Duration = Duration::from_mins(10);
/// So many turns of the runtime are enough for what needs no time.
const TURNS: u32 = 200;

/// Keeps the clock still. Make it first in a test; dropping it ends the guard,
/// not the pause.
pub(crate) struct Frozen {
    // Dropping these ends the blocking task and the guard thread.
    _no_jump: Sender<()>,
    _guard: Guard,
}

impl Frozen {
    /// Stops tokio's clock in this runtime.
    pub(crate) fn start() -> Self {
        let guard = Guard::start();
        tokio::time::pause();
        let (no_jump, ended) = mpsc::channel::<()>();
        // The runtime, which owns it, waits for it; it ends with this guard.
        drop(tokio::task::spawn_blocking(move || {
            let _ = ended.recv();
        }));
        Self { _no_jump: no_jump, _guard: guard }
    }

    /// Moves the clock. Timers that became due have fired when this returns;
    /// what they set off on sockets has not: wait for its event.
    pub(crate) async fn advance(&self, by: Duration) {
        tokio::time::advance(by).await;
    }

    /// Moves the clock second by second until this ends, but by no more than so many.
    pub(crate) async fn until<T>(&self, ends: impl Future<Output = T>, most: u64) -> Option<T> {
        tokio::pin!(ends);
        for passed in 0..=most {
            for _ in 0..TURNS {
                tokio::select! {
                    biased;
                    end = &mut ends => return Some(end),
                    () = tokio::task::yield_now() => {}
                }
            }
            if passed < most {
                self.advance_secs(1).await;
            }
        }
        None
    }

    /// Moves the clock by whole seconds.
    pub(crate) async fn advance_secs(&self, seconds: u64) {
        self.advance(Duration::from_secs(seconds)).await;
    }
}

/// Ends the process, naming the test, when it is not dropped in time. For tests
/// on real time that could hang; [`Frozen`] has its own.
pub(crate) struct Guard {
    _alive: Sender<()>,
}

impl Guard {
    /// Watches the test that runs on this thread.
    pub(crate) fn start() -> Self {
        let (alive, gone) = mpsc::channel::<()>();
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        drop(std::thread::spawn(move || {
            if gone.recv_timeout(HANG) == Err(RecvTimeoutError::Timeout) {
                let sentence = format!("test {test} hangs: no end after {HANG:?} of real time\n");
                // Straight to the descriptor: the test harness captures `eprintln!`.
                let _ = std::io::stderr().write_all(sentence.as_bytes());
                std::process::abort();
            }
        }));
        Self { _alive: alive }
    }
}
