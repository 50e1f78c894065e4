//! The daemon as a service of this machine: `run`, `start`, `stop`, `restart`, `reload`.
//!
//! Everything here happens in one thread and without a runtime until the process has left the
//! terminal, has its sockets, and is its user ([`serve`]):
//!
//! ```text
//! harden → configuration → [start: pid file, detach] → TCP sockets → give up root →
//! configuration again, as that user → log → runtime → daemon
//! ```
//!
//! The business services go the same way, without the pid file and root ([`services`]).
//!
//! `start` returns when the daemon is ready, or with the daemon's own error ([`report`]). The
//! other commands find it by its pid file and speak to it by signals ([`control`]).

use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::chain;
use crate::config::{Environment, ServiceSet};

mod control;
mod error;
mod note;
mod report;
mod serve;
pub mod services;
mod start;

pub use error::LaunchError;
pub use serve::check_as_user;

/// What an operator wants of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Be the daemon, in the foreground.
    Run,
    /// Be these business services, in the foreground.
    Serve(ServiceSet),
    /// Detach a daemon and wait until it is ready, this long.
    Start(Duration),
    /// End the daemon.
    Stop(Stop),
    /// Check the configuration, end the daemon, and start it; the span is for the start.
    Restart(Stop, Duration),
    /// Check the configuration, have the daemon read it, and wait for what comes of it.
    Reload(Duration),
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// How long to wait for the end; by default the configured grace and a little more.
    pub wait: Option<Duration>,
    /// Whether attempts under way are finished.
    pub urgency: Urgency,
}

/// Whether attempts under way are finished before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// They are.
    Grace,
    /// They are cut off; the next start knows what was under way.
    Now,
}

/// Does what was wanted. Must be called while the process has one thread.
pub fn run(order: Order, config: PathBuf, env: Environment) -> ExitCode {
    // Detaching changes the directory; a relative path would then mean another file.
    let config = std::path::absolute(&config).unwrap_or(config);
    let done = match order {
        Order::Run => return told(serve::foreground(config, env)),
        Order::Serve(wanted) => return told(services::foreground(config, env, wanted)),
        Order::Start(wait) => start::start(config, env, wait),
        Order::Stop(stop) => control::stop(&config, stop),
        Order::Restart(stop, wait) => control::restart(config, env, stop, wait),
        Order::Reload(wait) => control::reload(&config, wait),
    };
    told(done.map(|text| {
        // Nobody is left to tell if stdout is closed.
        let _ = writeln!(io::stdout().lock(), "{text}");
    }))
}

fn told(done: Result<(), LaunchError>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            remark(&format!("zhongkong: {}", chain(&error as &dyn Error)));
            ExitCode::from(error.exit_code())
        }
    }
}

/// A line for the operator.
fn remark(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
