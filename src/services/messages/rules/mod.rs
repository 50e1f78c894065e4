//! A bot without a program: rules.toml says what is answered to what.
//!
//! The file is read as a whole or not at all; [`Book`] is one version of it. [`Rules`] answers
//! by the version of the moment, and a message is judged by one version from start to end. A
//! [`Watcher`] takes over what changes on the disk; a bad new file leaves the old rules at work.
//!
//! Rules are asked in the order of the file. The first that holds and can answer ends it; with
//! `continue` those behind it see the message, too, and the first answer is the one that counts.
//! A rule that cannot answer (a field is missing, a program is down) leaves it to the next.
//!
//! Deliberately absent: state. A rule knows the message and the hour; who needs to know more
//! about a user forwards to a program.

mod action;
mod book;
mod condition;
mod hours;
mod load;
mod source;
mod template;
mod text;
mod watch;
mod when;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;

use crate::clock::{Clock, WallTime};
use crate::services::messages::handler::{Handled, HandlerError, Incoming, MessageHandler};
use crate::services::messages::reply::Answer;

use action::Action;
use book::Rule;
use condition::Facts;
use watch::Identity;

pub use book::{Book, Names, Step, Then, Verdict};
pub use source::Problem;
pub use template::RenderError;
pub use watch::{Looked, Watcher};

/// The business programs that rules may hand messages to, by name.
pub type Forwards = BTreeMap<String, Arc<dyn MessageHandler>>;

/// Why there are no rules.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The file cannot be read.
    #[error("the rules file {} cannot be read", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file breaks rules: every one that could be found in one reading.
    #[error("the rules file {} is not valid{}", path.display(), Listed(problems))]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// In the order of the file, never empty.
        problems: Vec<Problem>,
    },
}

/// Problems, one to a line, each on a line of its own.
struct Listed<'a>(&'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// Answers by the rules of a file. Cheap to clone.
#[derive(Clone)]
pub struct Rules(Arc<Shared>);

struct Shared {
    path: PathBuf,
    forwards: Forwards,
    clock: Clock,
    current: ArcSwap<Book>,
}

impl Rules {
    /// Reads a file; its oddities are logged. Reads the disk, once.
    ///
    /// # Errors
    /// It cannot be read, or something is wrong with it: an administrator must mend it.
    pub fn open(
        path: impl Into<PathBuf>,
        forwards: Forwards,
        clock: Clock,
    ) -> Result<(Self, Watcher), RulesError> {
        let path = path.into();
        let seen = Identity::of(&path);
        let (book, warnings) = Book::read(&path, &names(&forwards))?;
        watch::tell(&path, &warnings);
        let shared = Shared { path, forwards, clock, current: ArcSwap::from_pointee(book) };
        let rules = Self(Arc::new(shared));
        Ok((rules.clone(), Watcher::new(rules, seen)))
    }

    /// Reads the file again, now. The rules stay as they are if it is bad. Blocks for the disk.
    ///
    /// # Errors
    /// It cannot be read, or something is wrong with it.
    pub fn reload(&self) -> Result<usize, RulesError> {
        self.read().map(|read| self.take_over(read))
    }

    fn read(&self) -> Result<(Book, Vec<Problem>), RulesError> {
        Book::read(&self.0.path, &names(&self.0.forwards))
    }

    /// Lets what was read be in force from now on. Returns how many rules that is.
    fn take_over(&self, (book, warnings): (Book, Vec<Problem>)) -> usize {
        watch::tell(&self.0.path, &warnings);
        let count = book.len();
        self.0.current.store(Arc::new(book));
        count
    }

    /// The version that the next message is judged by.
    pub fn book(&self) -> Arc<Book> {
        self.0.current.load_full()
    }

    /// The answer of a rule that holds for the message; `None` if it has none, or failed.
    async fn ask(
        &self,
        book: &Book,
        rule: &Rule,
        incoming: &Incoming,
        facts: &Facts<'_>,
        now: WallTime,
    ) -> Option<Answer> {
        let name = match &rule.action {
            Action::Reply(form) => {
                return match book.fill(rule, form, facts, now) {
                    Ok(answer) => Some(answer),
                    Err(error) => {
                        failed(rule, incoming, &error.to_string());
                        None
                    }
                };
            }
            Action::Forward(name) => name,
        };
        // Checked when the file was read: names and programs come and go together.
        let program = self.0.forwards.get(&**name)?;
        let handled = if program.matches(incoming) {
            program.handle(incoming).await
        } else {
            program.handle_not_match(incoming).await
        };
        match handled {
            Ok(Handled::Answer(answer) | Handled::AnswerOf(answer, _)) => Some(answer),
            Ok(Handled::Pass) => None,
            Err(error) => {
                failed(rule, incoming, &chain(&error));
                None
            }
        }
    }
}

#[async_trait]
impl MessageHandler for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    /// Always: whether a rule holds is decided once, by the version that then answers.
    fn matches(&self, _: &Incoming) -> bool {
        true
    }

    async fn handle(&self, incoming: &Incoming) -> Result<Handled, HandlerError> {
        let book = self.book();
        let now = self.0.clock.wall();
        let facts = book.facts(&incoming.account, &incoming.message, now);
        let mut answer: Option<(Answer, &Rule)> = None;
        for rule in book.rules.iter().chain(&book.fallback) {
            if rule.is_fallback() && answer.is_some() {
                break;
            }
            if rule.missed(&facts).is_some() {
                continue;
            }
            tracing::debug!(trace = &*incoming.trace.0, "{} fires", rule.name);
            let late = answer.is_some() && matches!(rule.action, Action::Reply(_));
            if !late && let Some(said) = self.ask(&book, rule, incoming, &facts, now).await {
                answer.get_or_insert((said, rule));
            }
            // A program that has left the answer to others leaves it to the next rule.
            if answer.is_some() && rule.then == Then::Stop {
                break;
            }
        }
        Ok(answer.map_or(Handled::Pass, |(answer, rule)| Handled::AnswerOf(answer, rule.answers_as.clone())))
    }
}

/// Says that a rule could not do what it is there for. Users can bring that about as often as
/// they like, so it is soon said to developers only.
fn failed(rule: &Rule, incoming: &Incoming, why: &str) {
    let trace = &*incoming.trace.0;
    if rule.fails_loudly() {
        tracing::warn!(
            trace,
            "{} (line {}) could not answer, and the next one is asked: {why}",
            rule.name,
            rule.line
        );
    } else {
        tracing::debug!(trace, "{} (line {}) could not answer again: {why}", rule.name, rule.line);
    }
}

fn names(forwards: &Forwards) -> Names<'_> {
    Names::These(forwards.keys().map(String::as_str).collect())
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rules({}, {:?})", self.0.path.display(), self.book())
    }
}
