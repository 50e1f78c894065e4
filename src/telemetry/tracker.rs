//! How loudly a failure that repeats is said.

/// Failures in a row that are said aloud: enough to see that it is no accident.
const LOUD: u64 = 3;

/// Counts failures in a row of one thing, so that an outage of a day is four lines and not a
/// million: three warnings, then debug, then one "recovered after n".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorTracker {
    in_a_row: u64,
}

/// How to say what just happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A failure, at `warn`; it is this many in a row. At the third say that the next ones are
    /// at `debug`.
    Warn(u64),
    /// A failure, at `debug`; it is this many in a row.
    Debug(u64),
    /// It works again, at `info`, after this many failures.
    Recovered(u64),
    /// It works as before: nothing to say.
    Nothing,
}

impl ErrorTracker {
    /// Notes a failure.
    pub fn failed(&mut self) -> Report {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row <= LOUD { Report::Warn(self.in_a_row) } else { Report::Debug(self.in_a_row) }
    }

    /// Notes a success.
    pub fn succeeded(&mut self) -> Report {
        match std::mem::take(&mut self.in_a_row) {
            0 => Report::Nothing,
            failures => Report::Recovered(failures),
        }
    }

    /// How many failures there were since the last success.
    pub fn in_a_row(&self) -> u64 {
        self.in_a_row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_warns_three_times_and_ends_with_one_line() {
        let mut tracker = ErrorTracker::default();
        assert_eq!(tracker.succeeded(), Report::Nothing);
        let said: Vec<_> = (0..5).map(|_| tracker.failed()).collect();
        let expected =
            [Report::Warn(1), Report::Warn(2), Report::Warn(3), Report::Debug(4), Report::Debug(5)];
        assert_eq!(said, expected);
        assert_eq!(tracker.succeeded(), Report::Recovered(5));
        assert_eq!(tracker.succeeded(), Report::Nothing);
        assert_eq!(tracker.failed(), Report::Warn(1));
    }
}
