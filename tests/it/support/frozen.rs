//! A clock that moves only when a test moves it, also while real sockets are idle.
//!
//! tokio's paused clock jumps ahead whenever no task can run, which is always so while an answer
//! is on its way. A blocking task that waits for the test's end keeps tokio from that. Since no
//! time-out can fire then, a plain thread ends a test that hangs.

use std::io::{Write, stderr};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Real time that a test may take.
const HANG: Duration = Duration::from_mins(1);

/// The clock stands still while this lives.
pub(crate) struct Frozen {
    _keep: Sender<()>,
    _watch: Sender<()>,
}

impl Frozen {
    /// Freezes the clock of the current runtime, which must be a current-thread one.
    pub(crate) fn start() -> Self {
        tokio::time::pause();
        let (keep, kept): (Sender<()>, Receiver<()>) = channel();
        drop(tokio::task::spawn_blocking(move || kept.recv()));
        let (watch, watched): (Sender<()>, Receiver<()>) = channel();
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        std::thread::spawn(move || {
            if watched.recv_timeout(HANG) == Err(RecvTimeoutError::Timeout) {
                // Not eprintln!, which the test harness keeps to itself.
                let _ = writeln!(stderr(), "{name} waits for an event that does not come in {HANG:?}");
                std::process::abort();
            }
        });
        Self { _keep: keep, _watch: watch }
    }

    /// Moves the clock and lets every task that waited for it run.
    pub(crate) async fn advance(&self, by: Duration) {
        tokio::time::advance(by).await;
    }
}
