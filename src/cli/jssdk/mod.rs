//! `jssdk`: tools for whoever writes pages or runs the JS-SDK service.

use std::path::Path;

use crate::config::Environment;

use super::error::CliError;
use super::output::Output;

mod account;
mod check;
mod service;
mod shown;

/// What can be done about the JS-SDK.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Explain an `invalid signature`: say what was signed in place of the page's URL
    Check(Box<check::Args>),
}

pub(super) async fn run(
    command: Command,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    match command {
        Command::Check(args) => check::run(*args, config, out, env).await,
    }
}
