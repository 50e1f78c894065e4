//! `messages`: tools for whoever writes or runs the message service.

use super::error::CliError;
use super::output::Output;

mod test;

/// What can be done about messages.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Say which rule of a rules file a message meets, and what it is answered; sends nothing
    Test(test::Args),
}

pub(super) fn run(command: Command, out: Output) -> Result<(), CliError> {
    match command {
        Command::Test(args) => test::run(&args, out),
    }
}
