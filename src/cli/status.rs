//! `status`: one row for each credential, and below the table what there is to do.
//!
//! The table is as wide as its content (some 100 columns), never wrapped: a row is a line, for
//! `grep`. Sentences stand below it, once for all the keys that they are about.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::access::Action;
use crate::clock::{Clock, WallTime};
use crate::config::Environment;
use crate::model::Kind;
use crate::pb;
use crate::pb::{HoldReason, ProblemClass, TokenState};

use super::connection::{Connection, Session};
use super::document::KeyDocument;
use super::error::CliError;
use super::explain::remarks;
use super::output::{Colour, Output, Tone};
use super::target::Many;
use super::words;

/// Keys named in one sentence below the table.
const NAMED: usize = 3;
/// Keys per page: the most that the daemon gives.
const PAGE: i32 = 500;

/// What `status` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Many,
    /// Only what is degraded, has no value, is paused, waits or fails
    #[arg(long)]
    problems: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Keys as the daemon listed them, and when that was.
pub(super) struct Listed {
    pub(super) keys: Vec<pb::KeyStatus>,
    pub(super) now: WallTime,
}

#[derive(Serialize)]
struct Document {
    server_time: String,
    keys: Vec<KeyDocument>,
    summary: Summary,
}

pub(super) async fn run(args: Args, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { which, problems, connection } = args;
    let session = connection.open(Action::Status, env).await?;
    let asked = pb::ListStatusRequest {
        appids: which.appids.iter().map(ToString::to_string).collect(),
        kinds: which.kinds.iter().map(|kind| kind_out(*kind).into()).collect(),
        only_problems: problems,
        ..Default::default()
    };
    let Listed { keys, now } = list(&session, asked).await?;
    let document = Document {
        server_time: now.to_string(),
        keys: keys.iter().map(KeyDocument::from).collect(),
        summary: Summary::of(&keys),
    };
    out.result(&document, |colour| {
        if keys.is_empty() {
            return if problems { "No problems." } else { NOTHING }.to_owned();
        }
        page(&keys, now, colour)
    })
}

const NOTHING: &str = "No credential is configured, or none that this client may see.";

/// Every page of a list.
pub(super) async fn list(session: &Session, mut asked: pb::ListStatusRequest) -> Result<Listed, CliError> {
    asked.page_size = PAGE;
    let mut keys = Vec::new();
    loop {
        let page = session.client.status_page(asked.clone()).await.map_err(session.failed(Action::Status))?;
        keys.extend(page.keys);
        if page.next_page_token.is_empty() {
            let now = page.server_time.map_or_else(|| Clock::system().wall(), words::wall);
            return Ok(Listed { keys, now });
        }
        asked.page_token = page.next_page_token;
    }
}

pub(super) fn kind_out(kind: Kind) -> pb::Kind {
    match kind {
        Kind::AccessToken => pb::Kind::AccessToken,
        Kind::JsapiTicket => pb::Kind::JsapiTicket,
        Kind::WxCardTicket => pb::Kind::WxCardTicket,
    }
}

/// The page for people: table, what to do, summary.
pub fn page(keys: &[pb::KeyStatus], now: WallTime, colour: Colour) -> String {
    let mut page = table(keys, now, colour);
    for remark in told_once(keys, now) {
        page.push('\n');
        page.push_str(&remark);
    }
    page.push('\n');
    page.push_str(&Summary::of(keys).sentence());
    page.push('\n');
    page
}

/// Marks of no width around a state, replaced by its colour once the columns are aligned.
const MARKS: [(char, Tone); 3] =
    [('\u{2061}', Tone::Good), ('\u{2062}', Tone::Doubtful), ('\u{2063}', Tone::Bad)];

fn table(keys: &[pb::KeyStatus], now: WallTime, colour: Colour) -> String {
    let named = keys.iter().any(|key| !key.account_name.is_empty());
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut header =
        vec!["ACCOUNT", "KIND", "STATE", "GENERATION", "FINGERPRINT", "AGE", "LEFT", "NEXT", "ERROR"];
    if named {
        header.insert(1, "NAME");
    }
    table.set_header(header);
    for key in keys {
        let mut row = row(key, now);
        if named {
            row.insert(1, words::plain(&key.account_name));
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for (number, line) in table.lines().enumerate() {
        let mut line = line.trim_end().to_owned();
        if number == 0 {
            line = colour.paint(Tone::Strong, &line);
        }
        for (mark, tone) in MARKS {
            if let Some((before, rest)) = line.split_once(mark)
                && let Some((state, after)) = rest.split_once(mark)
            {
                line = format!("{before}{}{after}", colour.paint(tone, state));
            }
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn row(key: &pb::KeyStatus, now: WallTime) -> Vec<String> {
    let none = || "-".to_owned();
    let has_value = key.state() != TokenState::NoValue && !key.fingerprint.is_empty();
    let value = |text: String| if has_value { text } else { none() };
    let (mark, _) = MARKS[match tone(key) {
        Tone::Good | Tone::Strong => 0,
        Tone::Doubtful => 1,
        Tone::Bad => 2,
    }];
    let age = key.issued_at.map_or_else(none, |at| words::short_span(words::between(words::wall(at), now)));
    let left = key.remaining.and_then(|span| Duration::try_from(span).ok());
    vec![
        words::plain(&key.appid),
        words::kind(key.kind()).to_owned(),
        format!("{mark}{}{mark}", words::state(key.state())),
        value(key.generation.to_string()),
        value(words::plain(&key.fingerprint)),
        value(age),
        left.map_or_else(none, words::short_span),
        next(key, now),
        error(key),
    ]
}

/// What happens next, in a word.
fn next(key: &pb::KeyStatus, now: WallTime) -> String {
    if key.refreshing {
        return "running".to_owned();
    }
    match key.hold.as_ref().map(pb::Hold::reason) {
        Some(HoldReason::Paused) => "paused".to_owned(),
        Some(HoldReason::ParentMissing) => "waits".to_owned(),
        Some(HoldReason::Removed) => "never".to_owned(),
        Some(HoldReason::Unspecified) => "held".to_owned(),
        None => match key.next_attempt_at.map(|at| words::between(now, words::wall(at))) {
            None => "-".to_owned(),
            Some(wait) if wait.as_secs() == 0 => "now".to_owned(),
            Some(wait) => words::short_span(wait),
        },
    }
}

/// WeChat's number, or how the call failed.
fn error(key: &pb::KeyStatus) -> String {
    let Some(problem) = &key.problem else { return "-".to_owned() };
    if let Some(errcode) = problem.errcode {
        return errcode.to_string();
    }
    match (problem.class(), key.last_attempt.as_ref().map(pb::LastAttempt::result)) {
        (ProblemClass::Quota, _) => "quota".to_owned(),
        (_, Some(pb::AttemptResult::NeverSent)) => "not reached".to_owned(),
        (_, Some(pb::AttemptResult::Unknown)) => "no answer".to_owned(),
        (_, _) => "see below".to_owned(),
    }
}

fn tone(key: &pb::KeyStatus) -> Tone {
    match key.state() {
        TokenState::Fresh | TokenState::Refreshing => Tone::Good,
        TokenState::Degraded | TokenState::Unspecified => Tone::Doubtful,
        TokenState::NoValue => Tone::Bad,
    }
}

/// Why and what to do, once for all keys of which the same is true.
fn told_once(keys: &[pb::KeyStatus], now: WallTime) -> Vec<String> {
    let mut told: Vec<(String, Option<String>, Vec<String>)> = Vec::new();
    for key in keys {
        let Some(why) = remarks::short_why(key, now) else { continue };
        let todo = remarks::short_todo(key);
        let name = format!("{} {}", words::plain(&key.appid), words::kind(key.kind()));
        match told.iter_mut().find(|(other, action, _)| *other == why && *action == todo) {
            Some((_, _, names)) => names.push(name),
            None => told.push((why, todo, vec![name])),
        }
    }
    let remark = |(why, todo, names): (String, Option<String>, Vec<String>)| {
        let mut text = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        if names.len() > NAMED {
            let _ = write!(text, " and {} more", names.len() - NAMED);
        }
        text.push('\n');
        text.push_str(&remarks::indented("why", &why));
        if let Some(todo) = todo {
            text.push_str(&remarks::indented("do", &todo));
        }
        text
    };
    told.into_iter().map(remark).collect()
}

/// How many keys there are of each sort; each counts once, as the worst that is true of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// All of them.
    pub keys: usize,
    /// As they should be.
    pub fresh: usize,
    /// Good, and being renewed.
    pub refreshing: usize,
    /// Good, with a reservation.
    pub degraded: usize,
    /// Paused by an operator, with a good value.
    pub paused: usize,
    /// Without a good value, and nobody needs to act.
    pub no_value: usize,
    /// An operator must act.
    pub needs_operator: usize,
}

impl Summary {
    /// The counts of these keys.
    pub fn of(keys: &[pb::KeyStatus]) -> Self {
        let mut sum = Self { keys: keys.len(), ..Self::default() };
        for key in keys {
            let operator = key.problem.as_ref().is_some_and(|it| it.class() == ProblemClass::Operator);
            let paused = key.hold.as_ref().is_some_and(|hold| hold.reason() == HoldReason::Paused);
            *match key.state() {
                _ if operator => &mut sum.needs_operator,
                TokenState::NoValue => &mut sum.no_value,
                _ if paused => &mut sum.paused,
                TokenState::Degraded | TokenState::Unspecified => &mut sum.degraded,
                TokenState::Refreshing => &mut sum.refreshing,
                TokenState::Fresh => &mut sum.fresh,
            } += 1;
        }
        sum
    }

    pub(super) fn sentence(&self) -> String {
        let Self { keys, fresh, refreshing, degraded, paused, no_value, needs_operator } = *self;
        let needs = if needs_operator == 1 { "needs an operator" } else { "need an operator" };
        let parts = [
            (fresh, "fresh"),
            (refreshing, "refreshing"),
            (degraded, "degraded"),
            (paused, "paused"),
            (no_value, "without a value"),
            (needs_operator, needs),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        format!("{}: {}", words::count(keys, "key"), parts.join(", "))
    }
}
