//! The executable: parse, log, run, say what went wrong, exit.
//!
//! Exit codes: 0 ok, 1 failed, 2 wrong usage or configuration.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use zhongkong::cli::{self, Cli, Dispatch, RunArgs};
use zhongkong::clock::Clock;
use zhongkong::config::{Config, Environment};
use zhongkong::daemon::{Daemon, RunError, Store, demo};
use zhongkong::process::hardening::{harden, raise_open_files};
use zhongkong::process::signals::Intents;
use zhongkong::telemetry::{self, metrics};

/// Failed.
const FAILED: u8 = 1;
/// Wrong usage or configuration.
const CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return say(&error, FAILED),
    };
    let env = Environment::of_process();
    let code = match runtime.block_on(cli::run(cli, &env)) {
        Ok(Dispatch::Done(code)) => code,
        Ok(Dispatch::Run(args)) => runtime.block_on(run(args, env)),
        Ok(Dispatch::Demo(args)) => runtime.block_on(demonstrate(args)),
        Err(failed) => {
            print_error(&failed.to_string());
            failed.exit_code()
        }
    };
    // A blocking read of a config file must not hold up an end "at once".
    runtime.shutdown_background();
    code
}

/// `zhongkong run`.
async fn run(RunArgs { config: path }: RunArgs, env: Environment) -> ExitCode {
    // Before any secret is read: no core dump, no debugger, no file that others can read.
    if let Err(error) = harden() {
        return say(&error, FAILED);
    }
    let loaded = match Config::load(&path, &env) {
        Ok(loaded) => loaded,
        Err(error) => return say(&error, CONFIGURATION),
    };
    // Held to the end: its last lines are written when it goes.
    let _log = match telemetry::init(&loaded.config.daemon.log) {
        Ok(guard) => guard,
        Err(error) => return say(&error, CONFIGURATION),
    };
    for warning in &loaded.warnings {
        tracing::warn!("configuration: {warning}");
    }
    if let Err(error) = raise_open_files() {
        tracing::warn!(%error, "the limit of open files stays as it is: {error}");
    }
    // Before the daemon is built: a TERM while a big ledger is read is a stop, not a kill.
    let mut intents = match Intents::install() {
        Ok(intents) => intents,
        Err(error) => return say(&error, FAILED),
    };
    let counters = match metrics::install() {
        Ok(counters) => counters,
        Err(error) => return say(&error, FAILED),
    };
    let daemon = match Daemon::build(loaded.config, Clock::system(), Store::File, counters).await {
        Ok(daemon) => daemon,
        Err(error) => {
            return say(&error, if error.is_configuration() { CONFIGURATION } else { FAILED });
        }
    };
    let load = move || Config::load(&PathBuf::clone(&path), &env);
    match daemon.run(async || intents.next().await, load).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ (RunError::Grace | RunError::Part(_))) => say(&error, FAILED),
    }
}

/// `zhongkong demo`.
async fn demonstrate(settings: demo::Settings) -> ExitCode {
    let installed = metrics::install().map_err(|error| Box::new(error) as Box<dyn Error>);
    let started = async {
        let counters = installed?;
        let mut intents = Intents::install()?;
        demo::run(settings, counters, async || intents.next().await).await?;
        Ok::<(), Box<dyn Error>>(())
    };
    match started.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => say(&*error, FAILED),
    }
}

/// Prints an error with its causes, and gives the exit code.
fn say(error: &dyn Error, code: u8) -> ExitCode {
    print_error(&format!("zhongkong: {}", cli::chain(error)));
    ExitCode::from(code)
}

fn print_error(text: &str) {
    use std::io::Write;
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
