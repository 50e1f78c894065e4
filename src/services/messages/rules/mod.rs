//! A bot without a program: rules.toml says what is answered to what.
//!
//! The file is read as a whole or not at all; [`Book`] is one version of it. [`Rules`] answers
//! by the version of the moment, and a message is judged by one version from start to end. A
//! [`Watcher`] takes over what changes on the disk; a bad new file leaves the old rules at work.
//!
//! Rules are asked in the order of the file. The first that holds and can answer ends it; with
//! `continue` those behind it see the message, too, and the first reply is the one that counts.
//! A rule that cannot answer (a field is missing, a program is down) leaves it to the next. Only a
//! program whose answer may count is waited for; any other is told [`Beside`].
//!
//! Deliberately absent: state. A rule knows the message and the hour; who needs to know more
//! about a user forwards to a program.

mod action;
mod beside;
mod book;
mod condition;
mod hours;
mod language;
mod load;
mod source;
mod template;
mod text;
mod watch;
mod when;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;

use crate::clock::Clock;
use crate::services::messages::handler::{Handled, HandlerError, Incoming, MessageHandler};
use crate::services::messages::reply::Answer;

use action::Action;
use book::Rule;
use watch::Sight;

pub use beside::Beside;
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

/// How many problems a message lists: a file that is none at all has one in each line.
const LISTED: usize = 50;

/// Problems, one to a line, each on a line of its own.
struct Listed<'a>(&'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(LISTED).try_for_each(|problem| write!(f, "\n  {problem}"))?;
        match self.0.len().checked_sub(LISTED) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\n  and {more} more"),
        }
    }
}

/// Answers by the rules of a file. Cheap to clone.
#[derive(Clone)]
pub struct Rules(Arc<Shared>);

struct Shared {
    path: PathBuf,
    forwards: Forwards,
    beside: Beside,
    clock: Clock,
    current: ArcSwap<Book>,
}

impl Rules {
    /// Reads a file; its oddities are logged. Reads the disk, once. `beside` outlives the rules.
    ///
    /// # Errors
    /// It cannot be read, or something is wrong with it: an administrator must mend it.
    pub fn open(
        path: impl Into<PathBuf>,
        forwards: Forwards,
        beside: Beside,
        clock: Clock,
    ) -> Result<(Self, Watcher), RulesError> {
        let path = path.into();
        let seen = Sight::of(&path);
        // One that is still being written must be looked at again, whatever its times say.
        let seen = (!seen.is_young(clock.wall())).then_some(seen);
        let (book, warnings) = Book::read(&path, &names(&forwards))?;
        watch::tell(&path, &warnings);
        let shared = Shared { path, forwards, beside, clock, current: ArcSwap::from_pointee(book) };
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

    /// The answer of a program to a message; `None` if it has none, or failed.
    async fn ask(&self, program: &str, rule: &Rule, incoming: &Incoming) -> Option<Answer> {
        // Checked when the file was read: names and programs come and go together.
        let program = self.0.forwards.get(program)?;
        match hand(&**program, incoming).await {
            Ok(Handled::Answer(answer) | Handled::AnswerOf(answer, _)) => Some(answer),
            // It leaves the answer to the next rule.
            Ok(Handled::Pass) => None,
            Err(error) => {
                failed(rule, incoming, &chain(&error));
                None
            }
        }
    }

    /// Tells a program of a message and goes on.
    fn tell(&self, program: &str, book: &Arc<Book>, nth: usize, incoming: &Incoming) {
        let Some(program) = self.0.forwards.get(program).cloned() else { return };
        let (own, message) = (Arc::clone(book), incoming.clone());
        let telling = async move {
            if let Err(error) = hand(&*program, &message).await
                && let Some(rule) = own.rules.get(nth)
            {
                not_told(rule, &message, &chain(&error));
            }
        };
        if let (Err(full), Some(rule)) = (self.0.beside.tell(telling), book.rules.get(nth)) {
            not_told(rule, incoming, &full.to_string());
        }
    }
}

/// Hands a message to a program.
async fn hand(program: &dyn MessageHandler, incoming: &Incoming) -> Result<Handled, HandlerError> {
    if program.matches(incoming) {
        program.handle(incoming).await
    } else {
        program.handle_not_match(incoming).await
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
        for (nth, rule) in book.rules.iter().chain(&book.fallback).enumerate() {
            if rule.is_fallback() && answer.is_some() {
                break;
            }
            if rule.missed(&facts).is_some() {
                continue;
            }
            tracing::debug!(trace = &*incoming.trace.0, "{} fires", rule.name);
            let said = match &rule.action {
                Action::Forward(program) if answer.is_some() || rule.then == Then::GoOn => {
                    self.tell(program, &book, nth, incoming);
                    None
                }
                Action::Forward(program) => self.ask(program, rule, incoming).await,
                Action::Reply(_) if answer.is_some() => None,
                Action::Reply(form) => match book.fill(rule, form, &facts, now) {
                    Ok(said) => Some(said),
                    Err(error) => {
                        failed(rule, incoming, &error.to_string());
                        None
                    }
                },
            };
            if let Some(said) = said {
                answer = Some((said, rule));
            }
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

/// The same of a program whose answer would not have counted.
fn not_told(rule: &Rule, incoming: &Incoming, why: &str) {
    let trace = &*incoming.trace.0;
    if rule.fails_loudly() {
        tracing::warn!(
            trace,
            "{} (line {}) may not have told its program of a message, which is answered all the same: {why}",
            rule.name,
            rule.line
        );
    } else {
        tracing::debug!(
            trace,
            "{} (line {}) may not have told its program again: {why}",
            rule.name,
            rule.line
        );
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
