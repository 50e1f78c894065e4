//! How a text is compared: whole, its beginning, a part of it, a regular expression.
//!
//! The `regex` crate takes time in proportion to the text whatever the expression is, so nobody
//! can write a message that keeps a core busy.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

use super::words::{Collected, Found, Word, Words};

/// Most memory that one compiled expression takes, in bytes: `\w{100}` fits, a bomb does not.
const MOST_REGEX: usize = 1 << 20;

/// A text of a message, lower-cased and searched once if anybody asks.
pub(super) struct Subject<'a> {
    text: &'a str,
    lower: OnceLock<String>,
    /// What is searched for in one pass, if it is.
    words: Option<&'a Words>,
    found: OnceLock<Found>,
    found_in_lower: OnceLock<Found>,
}

impl<'a> Subject<'a> {
    /// A text that few ask about.
    pub(super) fn new(text: &'a str) -> Self {
        let (found, found_in_lower) = (OnceLock::new(), OnceLock::new());
        Self { text, lower: OnceLock::new(), words: None, found, found_in_lower }
    }

    /// A text in which any rule may look for its words, which are these.
    pub(super) fn searched(text: &'a str, words: &'a Words) -> Self {
        Self { words: Some(words), ..Self::new(text) }
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    fn lower(&self) -> &str {
        self.lower.get_or_init(|| self.text.to_lowercase())
    }

    fn in_case(&self, case: Case) -> &str {
        match case {
            Case::Counts => self.text,
            Case::Ignored => self.lower(),
        }
    }

    fn contains(&self, case: Case, word: &Word) -> bool {
        let search = self.words.and_then(|words| words.of(case));
        let (Some(search), Some(number)) = (search, word.number()) else {
            return self.in_case(case).contains(&*word.text);
        };
        let found = match case {
            Case::Counts => &self.found,
            Case::Ignored => &self.found_in_lower,
        };
        found.get_or_init(|| search.within(self.in_case(case))).has(number)
    }
}

/// Whether capitals count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// They do.
    Counts,
    /// They do not.
    Ignored,
}

/// What a text must be. All forms that are given must hold; within a form any word will do.
#[derive(Debug)]
pub(super) struct TextTest {
    case: Case,
    forms: Vec<Form>,
    /// Whether there must be such a text at all.
    pub(super) presence: Presence,
}

/// Whether there is such a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// There is, and the forms are about it.
    Needed,
    /// There must be none.
    Forbidden,
}

#[derive(Debug)]
enum Form {
    Is(Vec<Box<str>>),
    Prefix(Vec<Box<str>>),
    Contains(Vec<Word>),
    Regex(Vec<Regex>),
}

impl TextTest {
    /// A test that every text passes.
    pub(super) fn new(case: Case, presence: Presence) -> Self {
        Self { case, forms: Vec::new(), presence }
    }

    pub(super) fn is(&mut self, words: &[&str]) {
        let words = self.words(words);
        self.forms.push(Form::Is(words));
    }

    pub(super) fn prefix(&mut self, words: &[&str]) {
        let words = self.words(words);
        self.forms.push(Form::Prefix(words));
    }

    pub(super) fn contains(&mut self, words: &[&str]) {
        let words = self.words(words).into_iter().map(Word::new).collect();
        self.forms.push(Form::Contains(words));
    }

    /// Has the words that a text may contain looked for with those of all rules.
    pub(super) fn collect(&mut self, collected: &mut Collected) {
        for form in &mut self.forms {
            match form {
                Form::Contains(words) => words.iter_mut().for_each(|word| collected.add(self.case, word)),
                Form::Is(_) | Form::Prefix(_) | Form::Regex(_) => {}
            }
        }
    }

    /// # Errors
    /// One of them is no expression, or too big: a sentence about it.
    pub(super) fn regex(&mut self, expressions: &[&str]) -> Result<(), String> {
        let compiled = |expression: &&str| {
            RegexBuilder::new(expression)
                .case_insensitive(self.case == Case::Ignored)
                .size_limit(MOST_REGEX)
                .dfa_size_limit(MOST_REGEX)
                .build()
                .map_err(|error| why(&error))
        };
        let all: Result<Vec<_>, _> = expressions.iter().map(compiled).collect();
        self.forms.push(Form::Regex(all?));
        Ok(())
    }

    /// Whether no form was given.
    pub(super) fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    fn words(&self, words: &[&str]) -> Vec<Box<str>> {
        let fold = |word: &&str| match self.case {
            Case::Counts => Box::from(*word),
            Case::Ignored => word.to_lowercase().into(),
        };
        words.iter().map(fold).collect()
    }

    /// Whether a text that is there passes.
    pub(super) fn accepts(&self, subject: &Subject<'_>) -> bool {
        let text = || subject.in_case(self.case);
        self.forms.iter().all(|form| match form {
            Form::Is(words) => words.iter().any(|word| **word == *text()),
            Form::Prefix(words) => words.iter().any(|word| text().starts_with(&**word)),
            Form::Contains(words) => words.iter().any(|word| subject.contains(self.case, word)),
            Form::Regex(all) => all.iter().any(|regex| regex.is_match(subject.text)),
        })
    }

    /// What the first expression that fits has captured: number, name, text.
    pub(super) fn captures(&self, text: &str, mut found: impl FnMut(usize, Option<&str>, &str)) {
        for form in &self.forms {
            let Form::Regex(all) = form else { continue };
            let Some((regex, captures)) = all.iter().find_map(|regex| Some((regex, regex.captures(text)?)))
            else {
                continue;
            };
            for ((number, name), group) in regex.capture_names().enumerate().zip(captures.iter()) {
                // A group that took no part is an empty text: templates are strict about names.
                found(number, name, group.map_or("", |group| group.as_str()));
            }
        }
    }
}

/// regex's own error shows the expression over several lines; its last one is the sentence.
fn why(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("this regular expression is too big (over {limit} bytes compiled): use smaller counts")
        }
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            format!("this is no regular expression: {}", last.strip_prefix("error: ").unwrap_or(last))
        }
    }
}
