//! `messages`: tools for whoever writes or runs the message service.

use std::path::Path;

use crate::config::Environment;

use super::error::CliError;
use super::output::Output;

mod account;
mod send;
mod shown;
mod test;

/// What can be done about messages.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Play WeChat: push a message to a callback, and see what the user would see
    Send(Box<send::Args>),
    /// Say which rule of a rules file a message meets, and what it is answered; sends nothing
    Test(test::Args),
}

pub(super) async fn run(
    command: Command,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    match command {
        Command::Send(args) => send::run(*args, config, out, env).await,
        Command::Test(args) => test::run(&args, out),
    }
}
