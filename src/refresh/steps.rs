//! Whether a key's task waits or works, and whether it moves at all.
//!
//! Written by the task alone, at each change; read by the pulse, which must not need the task's
//! help to see that it hangs.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the changes between waiting and working.
#[derive(Debug)]
pub struct Steps(AtomicU64);

/// A reading: equal ones mean that the task did not move in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step(u64);

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It waits for something that may come at once or never.
    Waiting,
    /// It is in a round, which ends, or has not begun to run.
    Working,
}

impl Default for Steps {
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

impl Steps {
    /// Where the task is now.
    pub fn read(&self) -> Step {
        Step(self.0.load(Ordering::Relaxed))
    }

    /// The task begins to wait; also after a panic, which may have come anywhere.
    pub(super) fn wait(&self) {
        self.0.store((self.read().0 | 1) + 1, Ordering::Relaxed);
    }

    /// The task begins to work, or ends.
    pub(super) fn work(&self) {
        self.0.store((self.read().0 + 1) | 1, Ordering::Relaxed);
    }
}

impl Step {
    /// What the task does there.
    pub fn doing(self) -> Doing {
        if self.0.is_multiple_of(2) { Doing::Waiting } else { Doing::Working }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_another_step_and_a_repeat_does_not_turn_it_round() {
        let steps = Steps::default();
        assert_eq!(steps.read().doing(), Doing::Working, "it has not begun to run");
        let mut seen = vec![steps.read()];
        for _ in 0..2 {
            // A panic while it works is followed by another wait, and one while it waits too.
            steps.wait();
            assert_eq!(steps.read().doing(), Doing::Waiting);
            seen.push(steps.read());
            steps.wait();
            assert_eq!(steps.read().doing(), Doing::Waiting);
            seen.push(steps.read());
            steps.work();
            assert_eq!(steps.read().doing(), Doing::Working);
            seen.push(steps.read());
        }
        for pair in seen.windows(2) {
            assert_ne!(pair[0], pair[1]);
        }
    }
}
