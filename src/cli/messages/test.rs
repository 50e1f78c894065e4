//! `messages test`: what the rules of a file make of a message.
//!
//! The same code as in the service judges and answers, and nothing is sent: a program that a rule
//! would hand the message to is named. Exit codes: 0 something answers, 1 nothing does or the
//! reply is none that WeChat takes, 2 the file or the message is wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::clock::{Clock, WallTime};
use crate::model::AppId;
use crate::services::messages::account::Account;
use crate::services::messages::fields::{Fields, Format};
use crate::services::messages::message::Message;
use crate::services::messages::reply::{self, Answer};
use crate::services::messages::rules::{Book, Names, Step, Then, Verdict};

use super::super::error::CliError;
use super::super::output::{Colour, Output, Tone, note};

/// Longest message that is read, in bytes. WeChat's have some kilobytes.
const LONGEST: u64 = 1 << 20;

/// What `messages test` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The rules file
    rules: PathBuf,
    /// The message as WeChat pushes it, decrypted: a file with XML or JSON, - for stdin
    message: PathBuf,
    /// Whose message it is, for rules with `account`: the account's path in the callback, and its appid
    #[arg(long, value_name = "PATH[:APPID]", default_value = "none", value_parser = parse_account)]
    account: Account,
    /// When it is answered, for rules with `time` or `days`: 09:30 (today), "2026-11-20 09:30" in
    /// the file's zone, or 2026-11-20T09:30:00+08:00
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

fn parse_account(text: &str) -> Result<Account, String> {
    let (path, appid) = text.split_once(':').unwrap_or((text, text));
    let appid: AppId = appid.parse().map_err(|_| format!("{appid:?} is no appid"))?;
    Ok(Account { appid, path: path.to_owned() })
}

/// What came of it.
#[derive(Serialize)]
struct Document {
    /// Whether a rule answers, or hands the message to a program for an answer.
    fired: bool,
    /// Those that were asked, in their order.
    rules: Vec<RuleDocument>,
    /// `reply`, `success`, `empty`; null if no rule answers.
    answer: Option<&'static str>,
    /// What goes to WeChat, before it is encrypted.
    body: Option<String>,
    /// The program that is asked for the answer, if a rule hands the message over.
    forwarded_to: Option<String>,
    /// Programs that are told of the message; what they answer does not count.
    told: Vec<String>,
    /// Why WeChat would not take the reply.
    unfit: Option<String>,
}

#[derive(Serialize)]
struct RuleDocument {
    rule: String,
    line: usize,
    /// `missed`, `failed`, `replies`, `too_late`, `forwards`, `tells`.
    verdict: &'static str,
    why: Option<String>,
    captures: BTreeMap<String, String>,
    #[serde(rename = "continue")]
    goes_on: bool,
}

pub(in crate::cli) fn run(args: &Args, out: Output) -> Result<(), CliError> {
    let Args { rules, message, account, at } = args;
    let (book, warnings) = Book::read(rules, &Names::Any)?;
    for warning in warnings {
        note(&format!("warning: {}: {warning}", rules.display()));
    }
    let (message, format) = read(message)?;
    let now = Clock::system().wall();
    let now = match at {
        None => now,
        Some(text) => book.instant(text, now).ok_or_else(|| {
            CliError::Usage(format!(
                "\"{text}\" is no time: write --at 09:30, --at \"2026-11-20 09:30\" or --at 2026-11-20T09:30:00+08:00"
            ))
        })?,
    };
    let steps = book.preview(account, &message, now);
    let document = Document::new(&steps, &message, now, format);
    let answered = document.fired && document.unfit.is_none();
    out.result(&document, |colour| document.text(colour))?;
    if answered { Ok(()) } else { Err(CliError::TOLD_FAILED) }
}

/// The message and the format that it, and so the reply, is in.
fn read(path: &Path) -> Result<(Message, Format), CliError> {
    let unfit = |why: String| CliError::File { path: path.to_owned(), why };
    let mut text = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LONGEST).read_to_end(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut text))
    };
    read.map_err(|error| unfit(error.to_string()))?;
    let format = Format::of(&text).unwrap_or(Format::Xml);
    let fields = Fields::parse(format, &text).map_err(|error| unfit(crate::cli::chain(&error)))?;
    if fields.get("Encrypt").is_some() && fields.get("MsgType").is_none() {
        return Err(unfit("it is encrypted; this needs the message that is within".to_owned()));
    }
    let message = Message::read(fields).map_err(|error| unfit(error.to_string()))?;
    Ok((message, format))
}

impl Document {
    fn new(steps: &[Step], message: &Message, now: WallTime, format: Format) -> Self {
        let mut document = Self {
            fired: false,
            rules: steps.iter().map(RuleDocument::new).collect(),
            answer: None,
            body: None,
            forwarded_to: None,
            told: Vec::new(),
            unfit: None,
        };
        for step in steps {
            let answer = match &step.verdict {
                Verdict::Missed(_) | Verdict::Failed(_) | Verdict::TooLate => continue,
                Verdict::Forwards(name) => {
                    document.fired = true;
                    document.forwarded_to = Some(name.clone());
                    continue;
                }
                Verdict::Tells(name) => {
                    document.told.push(name.clone());
                    continue;
                }
                Verdict::Replies(answer) => answer,
            };
            document.fired = true;
            let (kind, body) = match answer {
                Answer::Success => ("success", "success".to_owned()),
                Answer::Empty => ("empty", String::new()),
                Answer::Reply(reply) => match reply::passive(message, reply, now, format) {
                    Ok(body) => ("reply", body),
                    Err(error) => {
                        document.unfit = Some(crate::cli::chain(&error));
                        continue;
                    }
                },
            };
            document.answer = Some(kind);
            document.body = Some(body);
        }
        document
    }

    fn text(&self, colour: Colour) -> String {
        let mut text = String::new();
        for rule in &self.rules {
            rule.write(&mut text, colour);
        }
        let mut line = |words: &str| {
            text.push_str(words);
            text.push('\n');
        };
        if let Some(why) = &self.unfit {
            line(&colour.paint(Tone::Bad, &format!("WeChat would not take this reply: {why}")));
        }
        match (self.answer, &self.body, &self.forwarded_to) {
            (Some("empty"), _, _) => line("The answer has a body of length zero."),
            (Some(_), Some(body), _) => {
                line("The answer:");
                line(body);
            }
            (_, _, Some(program)) => line(&format!(
                "The answer is what \"{program}\" says; if it has none, the rules behind are asked."
            )),
            _ if self.fired => {}
            _ => {
                line("No rule answers: the message is left to the account's own forward, else acknowledged.");
            }
        }
        text
    }
}

impl RuleDocument {
    fn new(step: &Step) -> Self {
        let Step { rule, line, verdict, captures, then } = step;
        let (verdict, why) = match verdict {
            Verdict::Missed(why) => ("missed", Some(why.clone())),
            Verdict::Failed(error) => ("failed", Some(error.in_full())),
            Verdict::Replies(_) => ("replies", None),
            Verdict::TooLate => ("too_late", None),
            Verdict::Forwards(name) => ("forwards", Some(name.clone())),
            Verdict::Tells(name) => ("tells", Some(name.clone())),
        };
        Self {
            rule: rule.clone(),
            line: *line,
            verdict,
            why,
            captures: captures.iter().cloned().collect(),
            goes_on: *then == Then::GoOn,
        }
    }

    fn write(&self, text: &mut String, colour: Colour) {
        let Self { rule, line, verdict, why, captures, goes_on } = self;
        let why = why.as_deref().unwrap_or_default();
        let said = match *verdict {
            "missed" => format!("no: {why}"),
            "failed" => colour.paint(Tone::Bad, &format!("fires, but {why}; the next one is asked")),
            "replies" => colour.paint(Tone::Good, "fires and answers"),
            "tells" => format!("fires and tells \"{why}\", whose answer does not count"),
            "too_late" => "fires, but an earlier rule has answered".to_owned(),
            _ => colour.paint(Tone::Good, &format!("fires and hands the message to \"{why}\"")),
        };
        let then = if *goes_on && *verdict != "missed" { "; continue = true" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{rule} (line {line}): {said}{then}");
        for (name, captured) in captures {
            let _ = writeln!(text, "  captures {name}: {captured:?}");
        }
    }
}
