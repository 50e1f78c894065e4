//! The command line: what may be typed, and what comes of it.
//!
//! One file per group of commands; the client commands speak to the daemon through
//! [`client`](crate::client) as any other program does. Results go to stdout, for people or
//! (`--json`) as documents whose fields stay ([`document`]); what fails goes to stderr with what
//! to do about it ([`Failed`]). A closed pipe is a reader who has seen enough: success.
//!
//! Deliberately absent: running the daemon. [`run`] hands `run` and `demo` back to its caller
//! ([`Dispatch`]), which owns logging and signals.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::Environment;
use crate::daemon::demo;

mod confirm;
mod connection;
mod document;
mod error;
pub mod explain;
mod failed;
mod get;
mod layout;
mod ledger;
mod man;
mod output;
mod pause;
mod refresh;
mod setup;
mod simulate;
pub mod status;
mod target;
mod watch;
mod words;

pub use failed::{Failed, chain};
pub use output::{Colour, Tone};

use error::CliError;
use output::{Form, Output};

/// What was typed.
#[derive(Debug, Parser)]
#[command(
    name = "zhongkong",
    version,
    about = "中控: holds a company's WeChat credentials; the only one that fetches them",
    after_help = "Exit codes: 0 ok, 1 failed, 2 wrong usage or configuration. Try `zhongkong demo` first."
)]
pub struct Cli {
    /// The configuration, for commands that read it
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ZHONGKONG_CONFIG",
        default_value = "/etc/zhongkong/config.toml"
    )]
    config: PathBuf,
    /// Print documents for programs instead of text for people
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground
    Run,
    /// Try it: a simulated WeChat and the daemon in one process, on loopback, nothing left behind
    Demo(Demo),
    /// Show every credential: its state, its age, what comes next, what to do
    Status(status::Args),
    /// Print the current value of a credential
    Get(get::Args),
    /// Report that a value failed, or replace it
    Refresh(refresh::Args),
    /// Print each change as it happens
    Watch(watch::Args),
    /// Explain in sentences why a credential is in its state, and what to do
    Explain(explain::Args),
    /// Stop fetching a credential for a while; its value is served to its end
    Pause(pause::PauseArgs),
    /// End a pause
    Resume(pause::ResumeArgs),
    /// Say whether the configuration is right, and what is wrong with it
    CheckConfig,
    /// Play WeChat's servers, for tests and trials
    Simulate(simulate::Args),
    /// Make a bearer token for a program, and its section of the configuration
    NewClient(setup::NewClientArgs),
    /// Print the shell's completions; for bash: zhongkong completions bash
    /// >/etc/bash_completion.d/zhongkong
    Completions(setup::CompletionsArgs),
    /// Write the manual pages, for packages
    #[command(hide = true)]
    Man(man::Args),
    /// The daemon's durable file
    #[command(subcommand)]
    Ledger(ledger::Command),
}

#[derive(Debug, Args)]
struct Demo {
    /// How long a simulated token lives: short, so that rotation is seen
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = words::parse_span)]
    life: Duration,
    /// Use free ports instead of 7780, 7781 and 7770
    #[arg(long)]
    free_ports: bool,
}

/// What is left to do for the caller of [`run`].
#[derive(Debug)]
pub enum Dispatch {
    /// Run the daemon.
    Run(RunArgs),
    /// Run the demo.
    Demo(demo::Settings),
    /// Nothing but to exit.
    Done(ExitCode),
}

/// How to run the daemon.
#[derive(Debug)]
pub struct RunArgs {
    /// The configuration.
    pub config: PathBuf,
}

/// Does what was typed. Must be called within a runtime.
pub async fn run(cli: Cli, env: &Environment) -> Result<Dispatch, Failed> {
    let Cli { config, json, command } = cli;
    let form = if json { Form::Json } else { Form::Human };
    let out = Output::new(form, env);
    let done = match command {
        Command::Run => return Ok(Dispatch::Run(RunArgs { config })),
        Command::Demo(Demo { life, free_ports }) => {
            let ports = if free_ports { demo::Ports::Free } else { demo::Ports::Documented };
            return Ok(Dispatch::Demo(demo::Settings { life, ports }));
        }
        Command::Status(args) => status::run(args, out, env).await,
        Command::Get(args) => get::run(args, out, env).await,
        Command::Refresh(args) => refresh::run(args, out, env).await,
        Command::Watch(args) => watch::run(args, out, env).await,
        Command::Explain(args) => explain::run(args, out, env).await,
        Command::Pause(args) => pause::pause(args, out, env).await,
        Command::Resume(args) => pause::resume(args, out, env).await,
        Command::CheckConfig => setup::check_config(&config, out, env),
        Command::Simulate(args) => simulate::run(args, out).await,
        Command::NewClient(args) => setup::new_client(&args, out),
        Command::Completions(args) => setup::completions(&args, out),
        Command::Man(args) => man::run(&args, out),
        Command::Ledger(command) => ledger::run(command, &config, out, env).await,
    };
    match done {
        Ok(()) => Ok(Dispatch::Done(ExitCode::SUCCESS)),
        Err(CliError::Stdout(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Ok(Dispatch::Done(ExitCode::SUCCESS))
        }
        Err(CliError::Told(code)) => Ok(Dispatch::Done(ExitCode::from(code))),
        Err(error) => Err(Failed::new(&error, form)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definitions_of_all_commands_fit_together() {
        Cli::command().debug_assert();
    }
}
