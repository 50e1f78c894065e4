//! The command line: what may be typed, and what comes of it.
//!
//! One file per group of commands; the client commands speak to the daemon through
//! [`client`](crate::client) as any other program does. Results go to stdout, for people or
//! (`--json`) as documents whose fields stay ([`document`]); what fails goes to stderr with what
//! to do about it ([`Failed`]). A closed pipe is a reader who has seen enough: success.
//!
//! Deliberately absent: running the daemon. [`Cli::dispatch`] says first whether that is wanted,
//! because the daemon must have detached before there is a runtime for the other commands.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{Environment, ServiceSet};
use crate::daemon::demo;
use crate::launch::Order;

mod account;
mod audit;
mod confirm;
mod connection;
mod doctor;
mod document;
mod error;
pub mod explain;
mod failed;
mod get;
mod jssdk;
mod launch;
mod layout;
mod ledger;
mod man;
mod menu;
mod messages;
mod oauth;
mod output;
mod pause;
mod qrcode;
mod refresh;
mod serve;
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
    typed: Typed,
}

#[derive(Debug, Subcommand)]
enum Typed {
    /// Run the daemon in the foreground
    Run,
    /// Start the daemon in the background and wait until it is ready (without systemd)
    Start(launch::StartArgs),
    /// Stop the daemon that `start` started, and wait for its end; success if none runs
    Stop(launch::StopArgs),
    /// Check the configuration, then stop and start the daemon
    Restart(launch::RestartArgs),
    /// Check the configuration, then have the daemon that `start` started read it again
    Reload(launch::ReloadArgs),
    /// Try it: a simulated WeChat, the daemon and the business services in one process, on loopback,
    /// nothing left behind
    Demo(Demo),
    #[command(flatten)]
    Command(Command),
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run business services in the foreground: messages answers what users send to accounts,
    /// oauth logs people in
    Serve(serve::Args),
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
    /// Show who did what, from where, when
    Audit(audit::Args),
    /// Say whether the configuration is right, and what is wrong with it
    CheckConfig,
    /// Look at everything that the daemon needs, and say what is wrong and what to do
    Doctor(doctor::Args),
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
    /// The account's menu as a file: check, show, compare, push, pull
    #[command(subcommand)]
    Menu(Box<menu::Command>),
    /// The account's parametric QR codes: make, keep, count, draw
    #[command(subcommand)]
    Qrcode(Box<qrcode::Command>),
    /// Try callbacks for messages
    #[command(subcommand)]
    Messages(messages::Command),
    /// The login service's users and keys: run it as the service's user
    #[command(subcommand, name = "oauth")]
    OAuth(oauth::Command),
    /// Find out why a page's signature is invalid
    #[command(subcommand)]
    Jssdk(jssdk::Command),
}

#[derive(Debug, Args)]
struct Demo {
    /// How long a simulated token lives: short, so that rotation is seen
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = words::parse_span)]
    life: Duration,
    /// Use free ports instead of 7780, 7781, 7770, 7790 and 7791
    #[arg(long)]
    free_ports: bool,
}

/// Who does what was typed.
#[derive(Debug)]
pub enum Dispatch {
    /// [`launch::run`](crate::launch::run), which needs a process with one thread.
    Launch {
        /// What to do.
        order: Order,
        /// The configuration.
        config: PathBuf,
    },
    /// [`demo::run`].
    Demo(demo::Settings),
    /// [`run`].
    Command(Asked),
}

/// A command that is not the daemon.
#[derive(Debug)]
pub struct Asked {
    config: PathBuf,
    json: bool,
    command: Command,
}

impl Cli {
    /// Sorts what was typed by who does it.
    pub fn dispatch(self) -> Dispatch {
        let Self { config, json, typed } = self;
        let order = match typed {
            Typed::Run => Order::Run,
            Typed::Start(args) => args.into(),
            Typed::Stop(args) => args.into(),
            Typed::Restart(args) => args.into(),
            Typed::Reload(args) => args.into(),
            Typed::Demo(Demo { life, free_ports }) => {
                let ports = if free_ports { demo::Ports::Free } else { demo::Ports::Documented };
                return Dispatch::Demo(demo::Settings { life, ports });
            }
            Typed::Command(command) => match command.services_to_run() {
                Some(wanted) => Order::Serve(wanted),
                None => return Dispatch::Command(Asked { config, json, command }),
            },
        };
        Dispatch::Launch { order, config }
    }
}

impl Command {
    /// What `serve` is to run, which no other command does.
    fn services_to_run(&self) -> Option<ServiceSet> {
        if let Self::Serve(args) = self { args.runs() } else { None }
    }
}

/// Does what was asked. Must be called within a runtime.
pub async fn run(asked: Asked, env: &Environment) -> Result<ExitCode, Failed> {
    let Asked { config, json, command } = asked;
    let form = if json { Form::Json } else { Form::Human };
    let out = Output::new(form, env);
    let done = match command {
        // Whatever else `serve` is, it was dispatched before there was a runtime.
        Command::Serve(args) => serve::check(&args, &config, out, env),
        Command::Status(args) => status::run(args, out, env).await,
        Command::Get(args) => get::run(args, out, env).await,
        Command::Refresh(args) => refresh::run(args, out, env).await,
        Command::Watch(args) => watch::run(args, out, env).await,
        Command::Explain(args) => explain::run(args, out, env).await,
        Command::Pause(args) => pause::pause(args, out, env).await,
        Command::Resume(args) => pause::resume(args, out, env).await,
        Command::Audit(args) => audit::run(args, out, env).await,
        Command::CheckConfig => setup::check_config(&config, out, env),
        Command::Doctor(args) => doctor::run(args, &config, out, env).await,
        Command::Simulate(args) => simulate::run(args, out).await,
        Command::NewClient(args) => setup::new_client(&args, out),
        Command::Completions(args) => setup::completions(&args, out),
        Command::Man(args) => man::run(&args, out),
        Command::Ledger(command) => ledger::run(command, &config, out, env).await,
        Command::Menu(command) => menu::run(*command, &config, out, env).await,
        Command::Qrcode(command) => qrcode::run(*command, &config, out, env).await,
        Command::Messages(command) => messages::run(command, &config, out, env).await,
        Command::OAuth(command) => oauth::run(command, &config, out, env).await,
        Command::Jssdk(command) => jssdk::run(command, &config, out, env).await,
    };
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(CliError::Stdout(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        Err(CliError::Told(code)) => Ok(ExitCode::from(code)),
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
