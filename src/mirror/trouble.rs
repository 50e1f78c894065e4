//! How one server's failures are told, and how long to wait after them.
//!
//! A failure that repeats is a warning three times and then only of interest to who debugs; its
//! end is said once, with the number. The wait doubles from 1 s to 30 s and starts over only after
//! a connection that stood for a while: a server that answers one command and dies is not well.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// The first wait: a restarted memcached is back within it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait, so that a server that comes back is caught up within half a minute.
const LONGEST: Duration = Duration::from_secs(30);
/// Failures in a row that are worth a warning.
const WARNINGS: u32 = 3;

/// One kind of trouble with one server.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    server: Arc<str>,
    /// Failures since the last [`Trouble::sustained`].
    failures: u32,
    /// Failures since the last [`Trouble::recovered`].
    untold: u32,
}

impl Trouble {
    pub(super) fn new(server: Arc<str>) -> Self {
        Self { server, failures: 0, untold: 0 }
    }

    /// Counts and tells a failure.
    pub(super) fn failed(&mut self, what: &str) {
        self.failures = self.failures.saturating_add(1);
        self.untold = self.untold.saturating_add(1);
        let (server, failures) = (&*self.server, self.failures);
        if failures <= WARNINGS {
            tracing::warn!(server, failures, "memcached {server} is not being mirrored to: {what}");
        } else {
            tracing::debug!(server, failures, "memcached {server} is not being mirrored to: {what}");
        }
    }

    /// Tells, once, that everything is on the server again.
    pub(super) fn recovered(&mut self) {
        let failures = std::mem::take(&mut self.untold);
        if failures > 0 {
            let server = &*self.server;
            tracing::info!(server, failures, "memcached {server} recovered after {failures} failures");
        }
    }

    /// Lets the next failure be a first one.
    pub(super) fn sustained(&mut self) {
        self.failures = 0;
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// How long to wait before the next connection. `jitter` is 0 … 1.
    pub(super) fn wait(&self, jitter: f64) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(8);
        let base = FIRST.saturating_mul(1 << doublings).min(LONGEST);
        // Longer, never shorter: the floor holds; half, so that daemons do not stay in step.
        base.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0).min(LONGEST)
    }
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a String cannot fail.
        let _ = write!(line, ": {cause}");
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_one_second_to_thirty_and_jitter_only_lengthens() {
        let mut trouble = Trouble::new("a".into());
        let mut waits = Vec::new();
        for _ in 0..40 {
            trouble.failed("x");
            waits.push((trouble.wait(0.0).as_millis(), trouble.wait(1.0).as_millis()));
        }
        let expected = [(1_000, 1_500), (2_000, 3_000), (4_000, 6_000), (8_000, 12_000), (16_000, 24_000)];
        assert_eq!(waits[..5], expected);
        assert!(waits[5..].iter().all(|wait| *wait == (30_000, 30_000)));
    }

    #[test]
    fn waits_start_over_only_after_a_connection_that_stood() {
        let mut trouble = Trouble::new("a".into());
        for _ in 0..3 {
            trouble.failed("x");
            trouble.recovered();
        }
        assert_eq!(trouble.wait(0.0), Duration::from_secs(4));
        trouble.sustained();
        trouble.failed("x");
        assert_eq!(trouble.wait(0.0), Duration::from_secs(1));
    }
}
