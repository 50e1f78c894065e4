//! One version of the rules: asked in the order of the file, and the same from a message's first
//! rule to its last, whatever happens to the file meanwhile.

use std::fmt;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest as _, Sha256};

use crate::clock::WallTime;
use crate::services::messages::account::Account;
use crate::services::messages::message::Message;
use crate::services::messages::reply::Answer;

use super::RulesError;
use super::action::{Action, Form};
use super::condition::{Condition, Facts};
use super::hours::Zone;
use super::load::load;
use super::source::{Problem, nearest};
use super::template::{Context, RenderError, Templates};
use super::words::{Collected, Words};

/// Biggest rules file, in bytes. A thousand rules with long texts have half of it.
const BIGGEST: u64 = 4 << 20;
/// How often a rule's failure is warned of; a user could repeat it at will.
const WARNED: u32 = 3;

/// Which business programs a rule may hand a message to.
pub enum Names<'a> {
    /// These.
    These(Vec<&'a str>),
    /// Whatever the file says: it is only tried out.
    Any,
}

impl Names<'_> {
    /// Says that there is no such program, and which there are.
    pub(super) fn know(&self, name: &str) -> Result<(), String> {
        let Self::These(known) = self else { return Ok(()) };
        if known.contains(&name) {
            return Ok(());
        }
        let have = match (known.is_empty(), nearest(name, known)) {
            (true, _) => "config.toml has no [[messages.forward]]".to_owned(),
            (false, Some(near)) => format!("did you mean \"{near}\"? There are {}", known.join(", ")),
            (false, None) => format!("config.toml has {}", known.join(", ")),
        };
        Err(format!("there is no program \"{name}\": {have}"))
    }
}

/// Which part of the file a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A `[[rule]]`.
    Rule,
    /// The `[fallback]`.
    Fallback,
}

/// What comes after a rule that has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing: the default.
    Stop,
    /// The rules behind it see the message, too; the first answer is the one that is sent.
    GoOn,
}

/// A rule, ready to be asked.
pub(super) struct Rule {
    /// For logs: `rule 3 "hours"`.
    pub(super) name: Box<str>,
    /// For the message log: `rules: hours`, or `rules: tell the CRM, forward: crm`.
    pub(super) answers_as: Arc<str>,
    /// Its own name, if it has one.
    pub(super) called: Option<Box<str>>,
    pub(super) part: Part,
    pub(super) line: usize,
    pub(super) conditions: Vec<Condition>,
    pub(super) action: Action,
    pub(super) then: Then,
    pub(super) failures: AtomicU32,
}

impl Rule {
    /// The first condition that does not hold.
    pub(super) fn missed(&self, facts: &Facts<'_>) -> Option<&Condition> {
        self.conditions.iter().find(|condition| !condition.holds(facts))
    }

    /// Whether it is for what nothing before it has answered.
    pub(super) fn is_fallback(&self) -> bool {
        self.part == Part::Fallback
    }

    /// Whether this failure should be seen by an operator.
    pub(super) fn fails_loudly(&self) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed) < WARNED
    }
}

/// A rules file, read.
pub struct Book {
    pub(super) rules: Vec<Rule>,
    pub(super) fallback: Option<Rule>,
    /// What the conditions look for in texts, all together.
    words: Words,
    zone: Zone,
    templates: Templates,
    /// Of the text that it was made from.
    digest: Digest,
}

/// Tells one text from another.
pub(super) type Digest = [u8; 32];

/// What a rule would do with a message.
#[derive(Debug)]
pub enum Verdict {
    /// It does not fire.
    Missed(
        /// Why.
        String,
    ),
    /// It fires and cannot answer: the next one is asked.
    Failed(RenderError),
    /// It answers.
    Replies(Answer),
    /// It would answer, but an earlier rule has done so.
    TooLate,
    /// It hands the message to this program, whose answer, if any, counts.
    Forwards(String),
    /// It tells this program of the message; what that answers does not count.
    Tells(String),
}

/// A rule that was asked.
#[derive(Debug)]
pub struct Step {
    /// `rule 3 "hours"`.
    pub rule: String,
    /// Where it begins in the file.
    pub line: usize,
    /// What it says.
    pub verdict: Verdict,
    /// What its expressions have captured: number or name, text.
    pub captures: Vec<(String, String)>,
    /// What comes after it.
    pub then: Then,
}

impl Book {
    pub(super) fn new(
        mut rules: Vec<Rule>,
        mut fallback: Option<Rule>,
        zone: Zone,
        templates: Templates,
    ) -> Self {
        let mut words = Collected::default();
        let all = rules.iter_mut().chain(&mut fallback);
        all.flat_map(|rule| &mut rule.conditions).for_each(|condition| condition.collect(&mut words));
        Self { rules, fallback, words: words.build(), zone, templates, digest: Digest::default() }
    }

    /// The same for books of the same text.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Reads a file, with what is odd in it.
    ///
    /// # Errors
    /// It cannot be read, or breaks rules: all that could be found.
    pub fn read(path: &Path, names: &Names<'_>) -> Result<(Self, Vec<Problem>), RulesError> {
        let unreadable = |source| RulesError::Unreadable { path: path.to_owned(), source };
        let invalid = |problems| RulesError::Invalid { path: path.to_owned(), problems };
        let mut text = Vec::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(BIGGEST + 1).read_to_end(&mut text).map_err(unreadable)?;
        if text.len() as u64 > BIGGEST {
            let what = format!("it has more than {} MiB", BIGGEST >> 20);
            return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, what)));
        }
        Self::parse(decoded(&text).map_err(|problem| invalid(vec![problem]))?, names).map_err(invalid)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the file.
    pub fn parse(text: &str, names: &Names<'_>) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let (mut book, warnings) = load(text, names)?;
        book.digest = Sha256::digest(text).into();
        Ok((book, warnings))
    }

    /// How many rules there are, without the fallback.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the rules are called, each with its line, in the order of the file; the fallback last.
    pub fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        self.rules.iter().chain(&self.fallback).map(|rule| (rule.line, &*rule.name))
    }

    /// An instant as somebody in the file's zone writes it: `09:30` (of today), `2026-11-20 09:30`,
    /// or with an offset of its own, `2026-11-20T09:30:00+08:00`.
    pub fn instant(&self, text: &str, now: WallTime) -> Option<WallTime> {
        self.zone.instant(text, now)
    }

    pub(super) fn facts<'a>(
        &'a self,
        account: &'a Account,
        message: &'a Message,
        now: WallTime,
    ) -> Facts<'a> {
        Facts::new(account, message, self.zone.local(now), &self.words)
    }

    fn context(&self, rule: &Rule, facts: &Facts<'_>, now: WallTime) -> Context {
        Context::new(facts, &rule.conditions, now, self.zone)
    }

    /// What a rule that fires answers.
    pub(super) fn fill(
        &self,
        rule: &Rule,
        form: &Form,
        facts: &Facts<'_>,
        now: WallTime,
    ) -> Result<Answer, RenderError> {
        form.fill(&self.templates, || self.context(rule, facts, now))
    }

    /// What would happen to a message, rule by rule, up to the one that ends it. A program that
    /// it would be handed to is not asked, and taken to answer.
    pub fn preview(&self, account: &Account, message: &Message, now: WallTime) -> Vec<Step> {
        let facts = self.facts(account, message, now);
        let mut steps = Vec::new();
        let mut answered = false;
        for rule in self.rules.iter().chain(&self.fallback) {
            if rule.is_fallback() && answered {
                break;
            }
            let missed = rule.missed(&facts);
            let captures = match missed {
                None => self.context(rule, &facts, now).captures(),
                Some(_) => Vec::new(),
            };
            let verdict = match (missed, &rule.action) {
                (Some(condition), _) => Verdict::Missed(condition.miss(&facts)),
                (None, Action::Forward(name)) if answered || rule.then == Then::GoOn => {
                    Verdict::Tells(name.to_string())
                }
                (None, Action::Forward(name)) => Verdict::Forwards(name.to_string()),
                (None, Action::Reply(_)) if answered => Verdict::TooLate,
                (None, Action::Reply(form)) => match self.fill(rule, form, &facts, now) {
                    Ok(answer) => Verdict::Replies(answer),
                    Err(error) => Verdict::Failed(error),
                },
            };
            let ends = match &verdict {
                Verdict::Missed(_) | Verdict::Failed(_) => false,
                Verdict::Replies(_) => {
                    answered = true;
                    true
                }
                Verdict::TooLate | Verdict::Forwards(_) | Verdict::Tells(_) => true,
            };
            let (line, then) = (rule.line, rule.then);
            steps.push(Step { rule: rule.name.to_string(), line, verdict, captures, then });
            if ends && rule.then == Then::Stop {
                break;
            }
        }
        steps
    }
}

/// The text of a file as an editor shows it.
fn decoded(file: &[u8]) -> Result<&str, Problem> {
    let problem = |line, message: &str| Problem { line, place: String::new(), message: message.to_owned() };
    let text = std::str::from_utf8(file).map_err(|error| {
        let before = file.iter().take(error.valid_up_to());
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        problem(line, "this is not UTF-8 (perhaps GBK): save the file as UTF-8")
    })?;
    // Windows' editors begin a file with a mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        // What a full disk, or an editor that is not done, leaves.
        return Err(problem(1, "the file is empty: if there are to be no rules, say so in a comment"));
    }
    Ok(text)
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fallback = if self.fallback.is_some() { "with" } else { "without" };
        write!(f, "Book({} rules, {fallback} fallback)", self.rules.len())
    }
}
