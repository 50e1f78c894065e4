//! `audit`: who did what, from where, when; newest first.
//!
//! One row a line, for `grep`. What programs do all day is added up per hour by the daemon, so
//! a row of theirs has a count and the span from its first to its last.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::time::Duration;

use crate::access::Action;
use crate::clock::{Clock, WallTime};
use crate::config::Environment;
use crate::ledger::AuditAction;
use crate::model::{AppId, Kind};
use crate::pb;

use super::connection::{Connection, Session};
use super::error::CliError;
use super::output::{Colour, Output, Tone};
use super::status::kind_out;
use super::target::kind_parser;
use super::words;

/// Rows per page: the most that the daemon gives.
const PAGE: usize = 500;
/// A screen or two.
const LIMIT: usize = 100;

/// What `audit` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only what this client did; `-` for callers who were let in nowhere
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    client: Option<String>,
    /// Only what was done with this account, configured or not
    #[arg(long, value_name = "APPID")]
    account: Option<AppId>,
    /// Only what was done with this kind of credential
    #[arg(long, value_name = "KIND", value_parser = kind_parser())]
    kind: Option<Kind>,
    /// Only this action; may be repeated: read, watch, sign, status, audit, exchange, complain,
    /// force, leak, pause, resume, sign_in, sign_out, refused, lost
    #[arg(long = "action", value_name = "ACTION", hide_possible_values = true)]
    actions: Vec<AuditAction>,
    /// Only what went on during this span until now, for example 1h
    #[arg(long, value_name = "DURATION", value_parser = words::parse_span)]
    since: Option<Duration>,
    /// How many rows at most, the newest ones; 0 for all
    #[arg(long, value_name = "ROWS", default_value_t = LIMIT)]
    limit: usize,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Serialize)]
struct Document {
    server_time: String,
    entries: Vec<Entry>,
    /// Whether there are older ones beyond the limit.
    more: bool,
}

#[derive(Serialize)]
struct Entry {
    id: u64,
    client: String,
    origin: String,
    action: String,
    appid: Option<String>,
    kind: Option<&'static str>,
    outcome: String,
    fingerprint: Option<String>,
    generation: Option<u64>,
    count: u64,
    first_at: Option<String>,
    last_at: Option<String>,
}

struct Found {
    entries: Vec<pb::AuditEntry>,
    now: WallTime,
    more: bool,
}

pub(super) async fn run(args: Args, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { client, account, kind, actions, since, limit, connection } = args;
    let session = connection.open(Action::Admin, env).await?;
    let asked = pb::ListAuditRequest {
        client: client.unwrap_or_default(),
        appid: account.map(|appid| appid.to_string()).unwrap_or_default(),
        kind: kind.map_or(0, |kind| kind_out(kind).into()),
        actions: actions.into_iter().map(|action| action_out(action).into()).collect(),
        since: since.map(|span| stamp(ago(Clock::system().wall(), span))),
        ..pb::ListAuditRequest::default()
    };
    let limit = if limit == 0 { usize::MAX } else { limit };
    let Found { entries, now, more } = list(&session, asked, limit).await?;
    let document =
        Document { server_time: now.to_string(), entries: entries.iter().map(document).collect(), more };
    out.result(&document, |colour| page(&entries, more, colour))
}

async fn list(session: &Session, mut asked: pb::ListAuditRequest, limit: usize) -> Result<Found, CliError> {
    let mut found = Found { entries: Vec::new(), now: Clock::system().wall(), more: false };
    loop {
        // One more than is shown: whether there is more is to be said.
        let wanted = limit.saturating_sub(found.entries.len()).saturating_add(1).min(PAGE);
        asked.page_size = i32::try_from(wanted).unwrap_or(i32::MAX);
        let page = session.client.audit_page(asked.clone()).await.map_err(session.failed(Action::Admin))?;
        found.now = page.server_time.map_or(found.now, words::wall);
        found.entries.extend(page.entries);
        if found.entries.len() > limit {
            found.entries.truncate(limit);
            found.more = true;
            return Ok(found);
        }
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        asked.page_token = page.next_page_token;
    }
}

fn page(entries: &[pb::AuditEntry], more: bool, colour: Colour) -> String {
    if entries.is_empty() {
        return "Nothing of that is in the audit, or nothing that this client may see.".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "WHEN (UTC)",
        "FOR",
        "CLIENT",
        "FROM",
        "ACTION",
        "ACCOUNT",
        "KIND",
        "OUTCOME",
        "COUNT",
        "VALUE",
    ]);
    for entry in entries {
        table.add_row(row(entry));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for (number, line) in table.lines().enumerate() {
        let line = line.trim_end();
        text.push_str(&if number == 0 { colour.paint(Tone::Strong, line) } else { line.to_owned() });
        text.push('\n');
    }
    let lost: u64 = entries.iter().filter(|it| it.action() == pb::AuditAction::Lost).map(|it| it.count).sum();
    if lost > 0 {
        text.push_str("Entries are missing, because the ledger did not take them: ");
        text.push_str(&lost.to_string());
        text.push_str(". See the daemon's log, and `zhongkong status`.\n");
    }
    if more {
        text.push_str("There are older ones: narrow the question, or give a larger --limit (0: all).\n");
    }
    text
}

fn row(entry: &pb::AuditEntry) -> Vec<String> {
    let none = || "-".to_owned();
    let text = |text: &str| if text.is_empty() { none() } else { words::plain(text) };
    let first = entry.first_at.map(words::wall);
    let last = entry.last_at.map(words::wall);
    let span = first.zip(last).map(|(first, last)| words::between(first, last));
    vec![
        first.map_or_else(none, |at| at.to_string()),
        span.filter(|span| span.as_secs() > 0).map_or_else(none, words::short_span),
        text(&entry.client),
        text(&entry.origin),
        action(entry),
        text(&entry.appid),
        if entry.kind == 0 { none() } else { words::kind(entry.kind()).to_owned() },
        text(&entry.outcome),
        entry.count.to_string(),
        text(&entry.fingerprint),
    ]
}

fn document(entry: &pb::AuditEntry) -> Entry {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Entry {
        id: entry.id,
        client: entry.client.clone(),
        origin: entry.origin.clone(),
        action: action(entry),
        appid: some(&entry.appid),
        kind: (entry.kind != 0).then(|| words::kind(entry.kind())),
        outcome: entry.outcome.clone(),
        fingerprint: some(&entry.fingerprint),
        generation: (entry.generation != 0).then_some(entry.generation),
        count: entry.count,
        first_at: entry.first_at.map(|at| words::wall(at).to_string()),
        last_at: entry.last_at.map(|at| words::wall(at).to_string()),
    }
}

fn action(entry: &pb::AuditEntry) -> String {
    words::name(entry.action().as_str_name(), "AUDIT_ACTION_")
}

fn action_out(action: AuditAction) -> pb::AuditAction {
    let name = format!("AUDIT_ACTION_{}", action.as_str().to_ascii_uppercase());
    // A test holds the two lists together.
    pb::AuditAction::from_str_name(&name).unwrap_or_default()
}

fn ago(now: WallTime, span: Duration) -> WallTime {
    WallTime(now.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
}

fn stamp(at: WallTime) -> prost_types::Timestamp {
    // Below 10^9.
    let nanos = i32::try_from(at.0.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
    prost_types::Timestamp { seconds: at.seconds(), nanos }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_its_number_in_the_contract() {
        for action in AuditAction::ALL {
            let number = action_out(action);
            assert_ne!(number, pb::AuditAction::Unspecified, "{action}");
            assert_eq!(words::name(number.as_str_name(), "AUDIT_ACTION_"), action.as_str());
        }
    }

    #[test]
    fn row_of_a_stranger_cannot_drive_a_terminal_and_has_no_gaps() {
        let entry = pb::AuditEntry { client: "a\x1b[2Jb".into(), count: 3, ..Default::default() };
        let row = row(&entry);
        assert!(row.iter().all(|cell| !cell.is_empty() && !cell.contains('\x1b')), "{row:?}");
    }
}
