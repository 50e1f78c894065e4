//! The text of the file: parsed, read into the mirror, and the lines of its keys.
//!
//! A reading does not end at the first fault: the place is noted, passed over, and the
//! document is read again, so that one run names every unknown key and every wrong type.

use std::collections::HashSet;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::de::{Fault, Node, What, root_value};
use super::hints;
use super::place::{Place, Step};
use super::raw;
use super::report::{Problem, Report};

/// Faults after which a reading gives up: the file is of another program.
const MOST_FAULTS: usize = 50;

/// A parsed document.
pub(super) struct Source<'t> {
    lines: Lines,
    root: DeValue<'t>,
}

impl<'t> Source<'t> {
    /// Parses the text, or says every place where it is no TOML.
    pub(super) fn parse(text: &'t str) -> Result<Self, Vec<Problem>> {
        let lines = Lines::of(text);
        let (root, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(Self { lines, root: root_value(root) });
        }
        // Not the error's own Display: it shows the line of the file.
        let problem = |error: &toml::de::Error| Problem {
            line: error.span().map(|span| lines.at(span.start)),
            key: String::new(),
            message: format!("this is not TOML: {}", error.message()),
        };
        Err(errors.iter().map(problem).collect())
    }

    /// Reads the mirror; what does not fit is left out of it and reported.
    pub(super) fn read(&self, report: &mut Report) -> raw::File {
        let mut skip = HashSet::new();
        for _ in 0..MOST_FAULTS {
            let fault = match raw::File::deserialize(Node::root(&self.root, &skip)) {
                Ok(file) => return file,
                Err(fault) => fault,
            };
            report.error(&fault.place, message(&fault));
            // A list without one of its elements would be another list: leave all of it out.
            let place = match fault.place.steps().last() {
                Some(Step::Index(_)) => fault.place.parent(),
                Some(Step::Key(_)) | None => fault.place,
            };
            if !skip.insert(place) {
                break;
            }
        }
        report.error(&Place::root(), "reading stopped here: too many keys do not fit");
        raw::File::default()
    }

    /// The line of a key, or of the nearest thing around it that the file has.
    pub(super) fn line_of(&self, place: &Place) -> Option<usize> {
        let mut line = None;
        let mut value = &self.root;
        for step in place.steps() {
            let (at, next) = match (step, value) {
                (Step::Key(key), DeValue::Table(table)) => match table.get_key_value(key.as_ref()) {
                    Some((key, next)) => (key.span().start, next),
                    None => return line,
                },
                (Step::Index(index), DeValue::Array(items)) => match items.get(*index) {
                    Some(next) => (next.span().start, next),
                    None => return line,
                },
                _ => return line,
            };
            line = Some(self.lines.at(at));
            value = next.get_ref();
        }
        line
    }
}

fn message(fault: &Fault) -> String {
    match &fault.what {
        What::UnknownKey(known) => hints::unknown_key(&fault.place, known),
        What::WrongType { found, expected } => format!("{found} stands here, but {expected} is needed"),
        What::Other(message) => message.clone(),
    }
}

/// Where the lines end, so that 10,000 accounts with a warning each do not mean 10,000 walks
/// through the file.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }

    /// The line of an offset, from 1.
    fn at(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|&end| end < offset)
    }
}
