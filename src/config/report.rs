//! What is wrong with a configuration, all of it, in words that help.
//!
//! Each [`Problem`] names line, key, rule and fix. None ever contains a secret or a piece of
//! the file other than key names, appids, client names, addresses and paths.

use std::fmt;
use std::path::PathBuf;

use crate::process::privileges::current_user;

use super::place::Place;
use super::secrets::shown;

/// One thing that is wrong, or odd, in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line in the file, from 1; `None` if no line is to blame.
    pub line: Option<usize>,
    /// The key as a path, `account[0].appid`; empty for the file as a whole.
    pub key: String,
    /// The rule and the fix.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Why there is no configuration. Exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}{}", path.display(), unreadable(source, path))]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file breaks rules: every one that could be found in one reading.
    #[error("the configuration {} is not valid{}", path.display(), Listed(problems))]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// In the order of the file, never empty.
        problems: Vec<Problem>,
    },
}

/// What to do about a file that is there.
fn unreadable(source: &std::io::Error, path: &std::path::Path) -> String {
    if source.kind() != std::io::ErrorKind::PermissionDenied {
        return String::new();
    }
    let user = current_user();
    format!(
        " as the user `{user}`: people use sudo; the daemon's user must be in its group: chown root:GROUP {0} && chmod \
         640 {0}",
        path.display()
    )
}

/// Problems, one to a line, each on a line of its own.
struct Listed<'a>(&'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// Collects what a validation finds.
#[derive(Debug, Default)]
pub(super) struct Report {
    errors: Vec<(Place, String)>,
    warnings: Vec<(Place, String)>,
}

impl Report {
    /// A broken rule: the file will be refused.
    pub(super) fn error(&mut self, place: &Place, message: impl Into<String>) {
        self.errors.push((place.clone(), message.into()));
    }

    /// A needed key is missing, any one of these. Silent if one of them is there and was
    /// reported as wrong: that is the same mistake.
    pub(super) fn missing(&mut self, table: &Place, keys: &[&str], message: impl Into<String>) {
        let reported =
            |key: &&str| self.errors.iter().any(|(place, _)| *place == table.key((*key).to_owned()));
        if !keys.iter().any(reported) {
            self.error(table, message);
        }
    }

    /// Something odd that is allowed.
    pub(super) fn warn(&mut self, place: &Place, message: impl Into<String>) {
        self.warnings.push((place.clone(), message.into()));
    }

    /// Errors and warnings in the order of the file.
    pub(super) fn finish(self, line_of: impl Fn(&Place) -> Option<usize>) -> (Vec<Problem>, Vec<Problem>) {
        let finish = |found: Vec<(Place, String)>| {
            let located = |(place, message): (Place, String)| Problem {
                line: line_of(&place),
                // A secret pasted in the place of a key's name is not repeated either.
                key: shown(&place.to_string()).into_owned(),
                message,
            };
            let mut problems: Vec<_> = found.into_iter().map(located).collect();
            problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
            problems
        };
        (finish(self.errors), finish(self.warnings))
    }
}
