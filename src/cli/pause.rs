//! `pause` and `resume`.

use std::time::Duration;

use serde::Serialize;

use crate::access::Action;
use crate::client::Target;
use crate::clock::{Clock, WallTime};
use crate::config::Environment;
use crate::model::Key;
use crate::pb;

use super::connection::Connection;
use super::document::KeyDocument;
use super::error::CliError;
use super::output::Output;
use super::target::OneOrAll;
use super::words;

/// What `pause` takes.
#[derive(Debug, clap::Args)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    which: OneOrAll,
    /// For how long; 30d at most
    #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = words::parse_span)]
    span: Duration,
    #[command(flatten)]
    connection: Connection,
}

/// What `resume` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    which: OneOrAll,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Serialize)]
struct Document {
    keys: Vec<KeyDocument>,
}

pub(super) async fn pause(args: PauseArgs, out: Output, env: &Environment) -> Result<(), CliError> {
    let PauseArgs { which, span, connection } = args;
    let session = connection.open(Action::Admin, env).await?;
    let now = Clock::system().wall();
    let until = WallTime(now.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)));
    let keys =
        session.client.pause(target(which), Some(until)).await.map_err(session.failed(Action::Admin))?;
    print(out, &keys, |key| paused(key, now))
}

pub(super) async fn resume(args: ResumeArgs, out: Output, env: &Environment) -> Result<(), CliError> {
    let ResumeArgs { which, connection } = args;
    let session = connection.open(Action::Admin, env).await?;
    let keys = session.client.resume(target(which)).await.map_err(session.failed(Action::Admin))?;
    print(out, &keys, |key| {
        format!("Resumed: the {} of {} is fetched again when it is due.", words::kind(key.kind()), key.appid)
    })
}

fn target(which: OneOrAll) -> Target {
    let OneOrAll { appid, kind } = which;
    match kind {
        Some(kind) => Target::Key(Key::new(appid, kind)),
        None => Target::Account(appid),
    }
}

fn print(
    out: Output,
    keys: &[pb::KeyStatus],
    line: impl Fn(&pb::KeyStatus) -> String,
) -> Result<(), CliError> {
    let document = Document { keys: keys.iter().map(KeyDocument::from).collect() };
    out.result(&document, |_| keys.iter().map(|key| line(key) + "\n").collect())
}

fn paused(key: &pb::KeyStatus, now: WallTime) -> String {
    let what = format!("the {} of {}", words::kind(key.kind()), words::plain(&key.appid));
    let end = key.hold.as_ref().and_then(|hold| hold.until).map(words::wall);
    let end = end.map_or_else(|| "later".to_owned(), |end| words::until(now, end));
    let value = match key.remaining.and_then(|span| Duration::try_from(span).ok()) {
        Some(left) => format!("its value is served for another {}", words::span(left)),
        None => "it has no value to serve".to_owned(),
    };
    format!("Paused: {what} is not fetched until the pause ends {end}; {value}.")
}
