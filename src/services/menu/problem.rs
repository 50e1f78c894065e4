//! What is wrong or odd in a menu, by the path of the button.

use std::fmt;

/// One thing that is wrong, or odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path: `button[1].sub_button[0].key`; empty for the menu as a whole.
    pub place: String,
    /// The line of the file, where lines are known.
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    pub(super) fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), line: None, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, line, message } = self;
        match (place.as_str(), line) {
            ("", None) => {}
            ("", Some(line)) => write!(f, "line {line}: ")?,
            (place, None) => write!(f, "{place}: ")?,
            (place, Some(line)) => write!(f, "{place} (line {line}): ")?,
        }
        f.write_str(message)
    }
}

/// Of each kind so many are told: nobody mends more at once.
const MOST: usize = 100;

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// WeChat would refuse the menu, or it cannot be read.
    pub errors: Vec<Problem>,
    /// It works, and is probably not meant.
    pub warnings: Vec<Problem>,
}

impl Findings {
    pub(super) fn error(&mut self, place: impl Into<String>, message: impl Into<String>) {
        if self.errors.len() < MOST {
            self.errors.push(Problem::new(place, message));
        }
    }

    pub(super) fn warn(&mut self, place: impl Into<String>, message: impl Into<String>) {
        if self.warnings.len() < MOST {
            self.warnings.push(Problem::new(place, message));
        }
    }
}
