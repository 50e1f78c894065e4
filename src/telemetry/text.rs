//! Prometheus' text format (0.0.4), written by hand for what is looked up at a scrape.
//!
//! A family's samples stand together below its HELP and TYPE, as the format wants it. Nothing
//! is parsed and little is formatted: with 20,000 keys a page has 140,000 lines.

use std::fmt::Write as _;

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
}

/// A family of series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name, with unit and suffix by Prometheus' conventions.
    pub name: &'static str,
    /// What it is.
    pub of: Type,
    /// One sentence, in plain text without line breaks or backslashes.
    pub help: &'static str,
}

/// A sample's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A number of things.
    Count(u64),
    /// An instant or a span in milliseconds, put out in seconds.
    Millis(i64),
    /// Anything else.
    Number(f64),
}

/// A page that is being written.
#[derive(Debug, Default)]
pub struct Text(String);

/// Label names and values as they stand between a name and a value, braces included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(String);

impl Labels {
    /// Of these pairs; values may be any text.
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        Self::write(&mut text, pairs);
        Self(text)
    }

    /// Appends the same to a text: for many of them in one allocation.
    pub fn write(text: &mut String, pairs: &[(&str, &str)]) {
        for (index, (name, value)) in pairs.iter().enumerate() {
            text.push(if index == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            escape(text, value);
            text.push('"');
        }
        if !pairs.is_empty() {
            text.push('}');
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Text {
    /// Goes on after a text that is a page already, with room for so many bytes more.
    pub fn after(mut page: String, room: usize) -> Self {
        page.reserve(room);
        Self(page)
    }

    /// Begins a family.
    pub fn begin(&mut self, family: &Family) {
        let of = match family.of {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
        };
        for part in ["# HELP ", family.name, " ", family.help, "\n# TYPE ", family.name, " ", of, "\n"] {
            self.0.push_str(part);
        }
    }

    /// A sample of the family that was begun last.
    pub fn sample(&mut self, family: &Family, labels: &str, value: Value) {
        self.part(family, "", labels, value);
    }

    /// A sample of a part of it: `_bucket`, `_sum`, `_count`.
    pub fn part(&mut self, family: &Family, suffix: &str, labels: &str, value: Value) {
        for part in [family.name, suffix, labels, " "] {
            self.0.push_str(part);
        }
        // Writing to a `String` cannot fail.
        let _ = match value {
            Value::Count(count) => write!(self.0, "{count}"),
            Value::Millis(millis) if millis >= 0 => {
                write!(self.0, "{}.{:03}", millis / 1_000, millis % 1_000)
            }
            #[expect(clippy::cast_precision_loss, reason = "instants are far below 2^53 ms")]
            Value::Millis(millis) => write!(self.0, "{}", millis as f64 / 1_000.0),
            Value::Number(number) => write!(self.0, "{number}"),
        };
        self.0.push('\n');
    }

    /// A family of one sample.
    pub fn single(&mut self, family: &Family, value: Value) {
        self.begin(family);
        self.sample(family, "", value);
    }

    /// The page.
    pub fn finish(self) -> String {
        self.0
    }
}

/// A label's value between its quotes.
fn escape(text: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            letter => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: Family = Family { name: "a_seconds", of: Type::Gauge, help: "An a." };

    #[test]
    fn a_label_may_hold_any_text() {
        // What somebody writes into the configuration must not add a series, or break the page.
        let labels = Labels::of(&[("server", "a\"} 1\nup \\ 中"), ("kind", "x")]);
        assert_eq!(labels.as_str(), r#"{server="a\"} 1\nup \\ 中",kind="x"}"#);
        assert_eq!(Labels::of(&[]).as_str(), "");
    }

    #[test]
    fn values_are_seconds_with_all_their_milliseconds() {
        let mut text = Text::default();
        text.begin(&FAMILY);
        for value in [
            Value::Millis(1_700_000_000_007),
            Value::Millis(-1_500),
            Value::Count(u64::MAX),
            Value::Number(0.25),
        ] {
            text.sample(&FAMILY, "", value);
        }
        let expected = "# HELP a_seconds An a.\n# TYPE a_seconds gauge\na_seconds 1700000000.007\na_seconds -1.5\n\
                        a_seconds 18446744073709551615\na_seconds 0.25\n";
        assert_eq!(text.finish(), expected);
    }
}
