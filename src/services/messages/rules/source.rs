//! The text of a rules file: its tables key by key, with everything that is wrong in it.
//!
//! A reading never stops at a mistake: what does not fit is noted with its line and read as if it
//! were not there. A key that nobody asks for is unknown, and is told the nearest one.

use std::cell::RefCell;
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How alike two words must be (0 … 1, Jaro-Winkler) for one to be proposed for the other.
const ALIKE: f64 = 0.8;

/// One thing that is wrong, or odd, in a rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line in the file, from 1.
    pub line: usize,
    /// The rule and the key, `rule 2 "hours": when.time`; empty for the file as a whole.
    pub place: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)
    }
}

/// What was found so far, and where the lines end.
pub(super) struct Report {
    ends: Vec<usize>,
    errors: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Report {
    pub(super) fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Self { ends, errors: RefCell::default(), warnings: RefCell::default() }
    }

    /// The document, if it is TOML; every place where it is not is noted.
    pub(super) fn parse<'t>(&self, text: &'t str) -> Option<DeTable<'t>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            self.error(at, "", format!("this is not TOML: {}", error.message()));
        }
        errors.is_empty().then(|| root.into_inner())
    }

    pub(super) fn error(&self, at: usize, place: &str, message: impl Into<String>) {
        self.errors.borrow_mut().push(self.problem(at, place, message.into()));
    }

    pub(super) fn warn(&self, at: usize, place: &str, message: impl Into<String>) {
        self.warnings.borrow_mut().push(self.problem(at, place, message.into()));
    }

    fn problem(&self, at: usize, place: &str, message: String) -> Problem {
        Problem { line: self.line(at), place: place.to_owned(), message }
    }

    /// The line of an offset, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.ends.partition_point(|&end| end < at)
    }

    /// Errors and warnings, in the order of the file.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        let sorted = |found: RefCell<Vec<Problem>>| {
            let mut found = found.into_inner();
            found.sort_by_key(|problem| problem.line);
            found
        };
        (sorted(self.errors), sorted(self.warnings))
    }
}

/// A table that is being read.
pub(super) struct Table<'a> {
    report: &'a Report,
    table: &'a DeTable<'a>,
    /// Where it begins in the text.
    pub(super) at: usize,
    /// What stands before its keys in a message: `rule 2 "hours": when.`.
    prefix: String,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    pub(super) fn root(report: &'a Report, table: &'a DeTable<'a>) -> Self {
        Self { report, table, at: 0, prefix: String::new(), asked: RefCell::default() }
    }

    /// The same table with another prefix.
    pub(super) fn called(mut self, prefix: String) -> Self {
        self.prefix = prefix;
        self
    }

    /// The value of a key. Keys that are never asked for are unknown.
    pub(super) fn get(&self, key: &'static str) -> Option<Item<'a>> {
        self.asked.borrow_mut().push(key);
        let (own, value) = self.table.get_key_value(key)?;
        Some(self.item(own, value))
    }

    /// Every key with its value: for tables whose keys are the writer's. None is unknown then.
    pub(super) fn entries(&self) -> Vec<(&'a str, Item<'a>)> {
        self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), self.item(key, value))).collect()
    }

    fn item(&self, key: &'a Spanned<std::borrow::Cow<'a, str>>, value: &'a Spanned<DeValue<'a>>) -> Item<'a> {
        let place = format!("{}{}", self.prefix, key.get_ref());
        Item { report: self.report, at: key.span().start, place, value: value.get_ref() }
    }

    /// Says that something of the whole table is wrong.
    pub(super) fn error(&self, message: impl Into<String>) {
        self.report.error(self.at, self.place(), message);
    }

    /// Says that something of the whole table is odd.
    pub(super) fn warn(&self, message: impl Into<String>) {
        self.report.warn(self.at, self.place(), message);
    }

    fn place(&self) -> &str {
        self.prefix.trim_end_matches(['.', ' ', ':'])
    }

    /// Reports the keys that nobody asked for. `hint` knows words of other files.
    pub(super) fn finish(self, hint: impl Fn(&str) -> Option<&'static str>) {
        let asked = self.asked.borrow();
        for (key, value) in self.table {
            let word = key.get_ref().as_ref();
            if asked.contains(&word) {
                continue;
            }
            let advice = match (hint(word), nearest(word, &asked)) {
                (Some(hint), _) => hint.to_owned(),
                (None, Some(near)) => format!("did you mean {near}?"),
                (None, None) => format!("here stand {}", asked.join(", ")),
            };
            self.item(key, value).error(format!("there is no such key: {advice}"));
        }
    }
}

/// A value with its key.
pub(super) struct Item<'a> {
    report: &'a Report,
    /// Where its key stands in the text.
    pub(super) at: usize,
    /// Rule and key for a message.
    pub(super) place: String,
    value: &'a DeValue<'a>,
}

impl<'a> Item<'a> {
    pub(super) fn error(&self, message: impl Into<String>) {
        self.report.error(self.at, &self.place, message);
    }

    pub(super) fn warn(&self, message: impl Into<String>) {
        self.report.warn(self.at, &self.place, message);
    }

    /// Says that a value of another type stands here.
    pub(super) fn needs(&self, what: &str) {
        let found = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time without quotes",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.error(format!("{found} stands here, but {what} is needed"));
    }

    /// Whether it is a text.
    pub(super) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    /// Whether it is a table.
    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.needs("text");
        }
        text
    }

    /// A text, or a list of some.
    pub(super) fn texts(&self) -> Vec<&'a str> {
        if let DeValue::String(text) = self.value {
            return vec![text];
        }
        let Some(list) = self.value.as_array() else {
            self.needs("text or a list of texts");
            return Vec::new();
        };
        if list.is_empty() {
            self.error("an empty list holds for nothing: name something, or leave the key out");
        }
        let all: Option<Vec<&str>> = list.iter().map(|item| item.get_ref().as_str()).collect();
        if all.is_none() {
            self.error("every element of the list must be text, in quotes");
        }
        all.unwrap_or_default()
    }

    pub(super) fn yes(&self) -> Option<bool> {
        let yes = self.value.as_bool();
        if yes.is_none() {
            self.needs("true or false");
        }
        yes
    }

    /// A flag that says something only when it is set.
    pub(super) fn set(&self) -> bool {
        match self.yes() {
            Some(false) => {
                self.error("only true says something here: leave the key out instead");
                false
            }
            Some(true) => true,
            None => false,
        }
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        let Some(table) = self.value.as_table() else {
            self.needs("a table");
            return None;
        };
        Some(self.inner(table, self.at, format!("{}.", self.place)))
    }

    /// A list of tables.
    pub(super) fn tables(&self) -> Vec<Table<'a>> {
        let Some(list) = self.value.as_array() else {
            self.needs("a list of tables");
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (nth, item) in list.iter().enumerate() {
            let at = item.span().start;
            match item.get_ref().as_table() {
                Some(table) => tables.push(self.inner(table, at, format!("{}[{nth}].", self.place))),
                None => self.report.error(at, &self.place, "every element of the list must be a table"),
            }
        }
        tables
    }

    fn inner(&self, table: &'a DeTable<'a>, at: usize, prefix: String) -> Table<'a> {
        Table { report: self.report, table, at, prefix, asked: RefCell::default() }
    }
}

/// The known word that is most like this one, if any is.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_ascii_lowercase();
    let alike = known.iter().map(|known| (strsim::jaro_winkler(&word, &known.to_ascii_lowercase()), *known));
    alike.filter(|(alike, _)| *alike >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}
