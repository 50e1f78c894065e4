//! `get`: the value, and nothing else, for scripts.

use std::time::Duration;

use crate::access::Action;
use crate::client::Error;
use crate::config::Environment;

use super::connection::Connection;
use super::document::{TokenDocument, Values};
use super::error::CliError;
use super::output::{Form, Output};
use super::target::One;
use super::words;

/// Longest wait that the daemon grants.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What `get` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: One,
    /// Wait so long for a value while there is none; 30s at most
    #[arg(long, value_name = "DURATION", value_parser = parse_wait)]
    wait: Option<Duration>,
    #[command(flatten)]
    connection: Connection,
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    let wait = words::parse_span(text)?;
    if wait > LONGEST_WAIT {
        return Err(format!("the daemon lets nobody wait longer than {}", words::span(LONGEST_WAIT)));
    }
    Ok(wait)
}

pub(super) async fn run(args: Args, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { which, wait, connection } = args;
    let session = connection.open(Action::Read, env).await?;
    let failed = session.failed(Action::Read);
    let token = session.client.get(&which.key(), wait.unwrap_or_default()).await.map_err(&failed)?;
    match out.form {
        Form::Human => match &token.value {
            Some(value) => out.text(value.expose()),
            None => Err(failed(Error::Answer { field: "value" })),
        },
        Form::Json => out.document(&TokenDocument::new(&token, Values::Shown)),
    }
}
