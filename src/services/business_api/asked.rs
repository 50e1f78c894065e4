//! What a request says: parameters of its path and query, and its JSON.
//!
//! A parameter that there is not is refused, as a key of the configuration is: it was meant.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::documents::Found;
use super::problem::Problem;

/// Longest text of a person's, in characters.
const LONGEST_TEXT: usize = 500;

/// The parameters of a query, each at most once.
#[derive(Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Those of this query, of which only these may be there.
    pub(super) fn read(query: &str, known: &[&str]) -> Result<Self, Problem> {
        let mut found = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) {
                let rule = match known {
                    [] => "this address takes no parameters".to_owned(),
                    known => format!("this address takes no such parameter: it has {}", known.join(", ")),
                };
                return Err(Problem::all_of("the query is wrong", vec![Found::new(name, rule)]));
            }
            if found.insert(name.clone(), value).is_some() {
                let rule = "it is there twice";
                return Err(Problem::all_of("the query is wrong", vec![Found::new(name, rule)]));
            }
        }
        Ok(Self(found))
    }

    /// A parameter as it is.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter as a number in this range.
    pub(super) fn number<N: FromStr + PartialOrd + Copy + std::fmt::Display>(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<N>,
        otherwise: N,
    ) -> Result<N, Problem> {
        let Some(text) = self.get(name) else { return Ok(otherwise) };
        text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let rule = format!("a whole number from {} to {} is needed", range.start(), range.end());
            Problem::all_of("the query is wrong", vec![Found::new(name, rule)])
        })
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant);
        found.map(Some).ok_or_else(|| {
            let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            Problem::all_of("the query is wrong", vec![Found::new(name, format!("it is one of {known}"))])
        })
    }

    /// A person's words.
    pub(super) fn text(&self, name: &str) -> Result<&str, Problem> {
        text(name, self.get(name).unwrap_or_default())
    }
}

/// A person's words, as they can be kept and shown on one line.
pub(super) fn text<'t>(place: &str, text: &'t str) -> Result<&'t str, Problem> {
    let rule = if text.chars().any(char::is_control) {
        "it has a line end or another control character in it: remove it".to_owned()
    } else if text.chars().count() > LONGEST_TEXT {
        format!("it has over {LONGEST_TEXT} characters")
    } else {
        return Ok(text);
    };
    Err(Problem::all_of("a text is wrong", vec![Found::new(place, rule)]))
}

fn decoded(text: &str) -> Result<String, Problem> {
    let plain = text.replace('+', " ");
    let decoded = percent_decode_str(&plain).decode_utf8();
    decoded
        .map(Cow::into_owned)
        .map_err(|_| Problem::unreadable("not_text", "the query is not UTF-8: percent-encode UTF-8"))
}

/// A document of this form.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let text = str::from_utf8(body).map_err(|_| not_text())?;
    serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => Problem::invalid(format!("the body is JSON of another form: {error}")),
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::unreadable("not_json", format!("the body is not JSON: {error}"))
        }
    })
}

/// A body in another encoding.
pub(super) fn not_text() -> Problem {
    Problem::unreadable("not_text", "the body is not UTF-8: send it as UTF-8")
}
