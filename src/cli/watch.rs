//! `watch`: a line for each change, for as long as somebody reads it.
//!
//! A stream that breaks is opened again with what is known, and only what changed meanwhile is
//! printed. What no waiting mends (a wrong token, no right) ends the command.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::access::Action;
use crate::client::{Code, Error, Event, Token};
use crate::clock::{Clock, WallTime};
use crate::config::Environment;
use crate::model::{AppId, Generation, Key, Kind};
use crate::pb;
use crate::pb::WithdrawnReason;

use super::connection::{Connection, Session};
use super::document::{ProblemDocument, TokenDocument, Values, seconds};
use super::error::CliError;
use super::output::{Form, Output, Tone, note};
use super::target::Many;
use super::words;

/// Between two tries to open the stream again: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// What `watch` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Many,
    /// Print the values themselves
    #[arg(long)]
    show_values: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(args: Args, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { which, show_values, connection } = args;
    let session = connection.open(Action::Read, env).await?;
    let values = if show_values { Values::Shown } else { Values::Hidden };
    let mut printer = Printer { out, values, which, clock: Clock::system(), seen: BTreeMap::new() };
    let keys = printer.keys();
    let mut wait = AGAIN.0;
    let mut connected = Connected::Never;
    loop {
        let broke = match stream(&session, &keys, &mut printer, &mut connected).await? {
            Broke::At(error) if is_final(&error) || connected == Connected::Never => {
                return Err(session.failed(Action::Read)(error));
            }
            Broke::At(error) => error.to_string(),
            Broke::Closed => "the daemon closed the stream".to_owned(),
        };
        if connected == Connected::Now {
            connected = Connected::Before;
            wait = AGAIN.0;
            note(&format!("watch: {}; trying again", words::plain(&broke)));
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(AGAIN.1);
    }
}

/// Whether the daemon has been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connected {
    /// Not yet: a failure is the answer to the command.
    Never,
    /// The stream is open.
    Now,
    /// It was, and broke.
    Before,
}

/// How a stream ended.
enum Broke {
    At(Error),
    Closed,
}

/// One stream, until it ends; an error here is one of printing.
async fn stream(
    session: &Session,
    keys: &[Key],
    printer: &mut Printer,
    connected: &mut Connected,
) -> Result<Broke, CliError> {
    let mut watch = match session.client.watch(keys, &printer.known()).await {
        Ok(watch) => watch,
        Err(error) => return Ok(Broke::At(error)),
    };
    let mut again = *connected == Connected::Before;
    loop {
        match watch.next().await {
            Ok(Some(event)) => {
                *connected = Connected::Now;
                if std::mem::take(&mut again) {
                    note("watch: connected again");
                }
                printer.print(&event)?;
            }
            Ok(None) => return Ok(Broke::Closed),
            Err(error) => return Ok(Broke::At(error)),
        }
    }
}

fn is_final(error: &Error) -> bool {
    let known = [
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::InvalidArgument,
        Code::NotFound,
        Code::OutOfRange,
        Code::Unimplemented,
    ];
    error.code().is_some_and(|code| known.contains(&code))
}

struct Printer {
    out: Output,
    values: Values,
    which: Many,
    clock: Clock,
    /// What was printed last of each key.
    seen: BTreeMap<Key, Seen>,
}

/// What makes a message news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Token { generation: Generation, state: pb::TokenState, reason: pb::DegradedReason, ends: i64 },
    Withdrawn { reason: WithdrawnReason, errcode: Option<i64> },
}

impl Seen {
    /// Whether it tells a reader the same.
    fn says(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Token { generation, state, reason, ends },
                Self::Token { generation: generation2, state: state2, reason: reason2, ends: ends2 },
            ) => {
                // An end is counted on another clock and written as wall time: a second is rounding.
                (generation, state, reason) == (generation2, state2, reason2) && ends.abs_diff(*ends2) <= 1
            }
            (Self::Withdrawn { .. }, Self::Withdrawn { .. }) => self == other,
            (Self::Token { .. }, Self::Withdrawn { .. }) | (Self::Withdrawn { .. }, Self::Token { .. }) => {
                false
            }
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Document {
    Token {
        time: String,
        #[serde(flatten)]
        token: TokenDocument,
    },
    Withdrawn {
        time: String,
        appid: String,
        kind: &'static str,
        reason: String,
        retry_after_seconds: Option<f64>,
        problem: Option<ProblemDocument>,
    },
    SnapshotComplete {
        time: String,
    },
}

impl Printer {
    /// What to ask for. With accounts named, each of their kinds; else all, and what is not
    /// wanted is not printed.
    fn keys(&self) -> Vec<Key> {
        let kinds: &[Kind] = if self.which.kinds.is_empty() { &Kind::ALL } else { &self.which.kinds };
        let of = |appid: &AppId| kinds.iter().map(|kind| Key::new(appid.clone(), *kind)).collect::<Vec<_>>();
        let mut keys: Vec<_> = self.which.appids.iter().flat_map(of).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    fn known(&self) -> Vec<(Key, Generation)> {
        let generation = |seen: &Seen| match seen {
            Seen::Token { generation, .. } => Some(*generation),
            Seen::Withdrawn { .. } => None,
        };
        self.seen.iter().filter_map(|(key, seen)| Some((key.clone(), generation(seen)?))).collect()
    }

    fn print(&mut self, event: &Event) -> Result<(), CliError> {
        match event {
            Event::Token(token) => {
                let seen = Seen::Token {
                    generation: token.generation,
                    state: token.state,
                    reason: token.degraded_reason,
                    ends: token.expires_at.seconds(),
                };
                if !self.is_news(&token.key, seen) {
                    return Ok(());
                }
                let now = self.clock.wall();
                match self.out.form {
                    Form::Human => self.out.text(&self.token_line(token, now)),
                    Form::Json => self.out.document(&Document::Token {
                        time: now.to_string(),
                        token: TokenDocument::new(token, self.values),
                    }),
                }
            }
            Event::Withdrawn { key, reason, retry_after, problem } => {
                let errcode = problem.as_ref().and_then(|problem| problem.errcode);
                let absent = self.is_only_absent(key, *reason);
                if !self.is_news(key, Seen::Withdrawn { reason: *reason, errcode }) || absent {
                    return Ok(());
                }
                let now = self.clock.wall();
                match self.out.form {
                    Form::Human => self.out.text(&self.withdrawn_line(key, *reason, problem.as_ref(), now)),
                    Form::Json => self.out.document(&Document::Withdrawn {
                        time: now.to_string(),
                        appid: key.appid.to_string(),
                        kind: key.kind.as_str(),
                        reason: words::name(reason.as_str_name(), "WITHDRAWN_REASON_"),
                        retry_after_seconds: retry_after.map(seconds),
                        problem: problem.as_ref().map(ProblemDocument::from),
                    }),
                }
            }
            Event::SnapshotComplete => match self.out.form {
                Form::Human => Ok(()),
                Form::Json => {
                    self.out.document(&Document::SnapshotComplete { time: self.clock.wall().to_string() })
                }
            },
            Event::Heartbeat { .. } => Ok(()),
        }
    }

    /// Notes what is said of a key; false if it was said before, or is not asked for.
    fn is_news(&mut self, key: &Key, seen: Seen) -> bool {
        if !self.which.has(key) {
            return false;
        }
        let before = self.seen.insert(key.clone(), seen);
        before.is_none_or(|before| !before.says(&seen))
    }

    /// A kind that the account never had here, and that nobody named.
    fn is_only_absent(&self, key: &Key, reason: WithdrawnReason) -> bool {
        let absent = matches!(reason, WithdrawnReason::NotFound | WithdrawnReason::Forbidden);
        absent && !self.seen.contains_key(key) && self.which.kinds.is_empty() && key.kind != Kind::AccessToken
    }

    fn token_line(&self, token: &Token, now: WallTime) -> String {
        let state = words::state(token.state);
        let tone = match token.state {
            pb::TokenState::Fresh | pb::TokenState::Refreshing => Tone::Good,
            pb::TokenState::Degraded | pb::TokenState::Unspecified => Tone::Doubtful,
            pb::TokenState::NoValue => Tone::Bad,
        };
        let state = self.out.colour.paint(tone, &format!("{state:<10}"));
        let left = words::span(token.remaining);
        let mut line = format!(
            "{}  generation {}  {}  {left} left",
            head(&token.key, &state, now),
            token.generation,
            token.fingerprint
        );
        if token.degraded_reason != pb::DegradedReason::Unspecified {
            let reason = words::name(token.degraded_reason.as_str_name(), "DEGRADED_REASON_");
            line.push_str("  (");
            line.push_str(&reason);
            line.push(')');
        }
        if let (Values::Shown, Some(value)) = (self.values, &token.value) {
            line.push_str("  ");
            line.push_str(value.expose());
        }
        line
    }

    fn withdrawn_line(
        &self,
        key: &Key,
        reason: WithdrawnReason,
        problem: Option<&pb::Problem>,
        now: WallTime,
    ) -> String {
        let state = self.out.colour.paint(Tone::Bad, &format!("{:<10}", "NO VALUE"));
        let why = match reason {
            WithdrawnReason::Unspecified => "for a reason that this version does not know",
            WithdrawnReason::Forbidden => "this client may not read it",
            WithdrawnReason::NotFound => "it is not configured",
            WithdrawnReason::Expired => "the last one reached its end",
            WithdrawnReason::Unavailable => "it comes by itself",
            WithdrawnReason::NeedsOperator => "an operator must act",
            WithdrawnReason::Exhausted => "the calls are used up",
            WithdrawnReason::Paused => "paused by an operator",
        };
        let mut line = format!("{}  {why}", head(key, &state, now));
        if let Some(problem) = problem {
            line.push_str(": ");
            line.push_str(&words::plain(&problem.meaning));
            if let Some(errcode) = problem.errcode {
                let _ = write!(line, " (errcode {errcode})");
            }
        }
        line
    }
}

/// Time, account, kind and state, in columns.
fn head(key: &Key, state: &str, now: WallTime) -> String {
    let time = WallTime(now.seconds() * 1_000).to_string().replace(".000", "");
    format!("{time}  {}  {:<14}  {state}", key.appid, key.kind.as_str())
}
