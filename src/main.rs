//! The executable: parse, do it, say what went wrong, exit.
//!
//! Exit codes: 0 ok, 1 failed, 2 wrong usage or configuration. The daemon's own commands come
//! before any runtime: they detach and change the user, which only a single thread can.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use zhongkong::cli::{self, Asked, Cli, Dispatch};
use zhongkong::config::Environment;
use zhongkong::daemon::demo;
use zhongkong::launch;
use zhongkong::process::signals::Intents;
use zhongkong::telemetry::metrics;

/// Failed.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let env = Environment::of_process();
    match Cli::parse().dispatch() {
        Dispatch::Launch { order, config } => launch::run(order, config, env),
        Dispatch::Command(asked) => within_runtime(command(asked, env)),
        Dispatch::Demo(settings) => within_runtime(demonstrate(settings)),
    }
}

fn within_runtime(done: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return say(&error),
    };
    let code = runtime.block_on(done);
    // What still runs there has no more use.
    runtime.shutdown_background();
    code
}

/// A command that is not the daemon.
async fn command(asked: Asked, env: Environment) -> ExitCode {
    cli::run(asked, &env).await.unwrap_or_else(|failed| {
        print_error(&failed.to_string());
        failed.exit_code()
    })
}

/// `zhongkong demo`.
async fn demonstrate(settings: demo::Settings) -> ExitCode {
    let installed = metrics::install().map_err(|error| Box::new(error) as Box<dyn Error>);
    let started = async {
        let counters = installed?;
        let mut intents = Intents::install()?;
        // Boxed: it holds a simulator, the daemon and the services.
        Box::pin(demo::run(settings, counters, async || intents.next().await)).await?;
        Ok::<(), Box<dyn Error>>(())
    };
    match started.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => say(&*error),
    }
}

/// Prints an error with its causes.
fn say(error: &dyn Error) -> ExitCode {
    print_error(&format!("zhongkong: {}", cli::chain(error)));
    ExitCode::from(FAILED)
}

fn print_error(text: &str) {
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
