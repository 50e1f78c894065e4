//! `zhongkong serve`: the business services as a process of this machine.
//!
//! ```text
//! harden → configuration (only what is theirs) → sockets → log → runtime → build → run
//! ```
//!
//! Any of them run in one process, behind one listener. [`served`] is what the process asks of each,
//! and a module with a service's name answers for it ([`messages`], [`oauth`], [`jssdk`], [`business`]). [`run`] builds those that are
//! wanted and owns the tasks and the signals, [`files`] are what all their accounts have at the root, [`reload`] has all of them made again and swaps them,
//! [`check`](mod@check) only looks, [`link`] looks whether a service's daemon is there, [`status`]
//! tells the service manager and the admin listener. The process starts and serves without the
//! daemon.

use std::path::PathBuf;

use crate::config::serve::LoadedServe;
use crate::config::{Environment, ServeConfig, ServiceSet};
use crate::process::hardening::{harden, raise_open_files};
use crate::process::notify::Notifier;
use crate::process::service_sockets::ServiceSockets;
use crate::process::signals::unblock;
use crate::process::sockets::Inherited;
use crate::telemetry::{self, TelemetryError};

mod admin;
pub mod business;
mod check;
mod error;
mod files;
pub mod jssdk;
mod link;
pub mod messages;
pub mod oauth;
mod reload;
mod run;
mod served;
mod status;

pub use check::{Checked, check};
pub use error::ServicesError;
pub use run::{Addresses, Services};

use super::error::LaunchError;

/// `zhongkong serve` of these services.
pub(super) fn foreground(path: PathBuf, env: Environment, wanted: ServiceSet) -> Result<(), LaunchError> {
    let told = env.clone();
    let done = serve(path, env, wanted);
    match &done {
        // What comes of services that run they tell themselves.
        Ok(()) | Err(LaunchError::Services(ServicesError::Part(_) | ServicesError::Grace)) => {}
        Err(error) => Notifier::from_env(&told).did_not_start(error),
    }
    done
}

fn serve(path: PathBuf, env: Environment, wanted: ServiceSet) -> Result<(), LaunchError> {
    // Before any secret is read: no core dump, no debugger, no file that others can read.
    harden()?;
    unblock().map_err(LaunchError::system("unblocking signals"))?;
    let LoadedServe { config, warnings } = ServeConfig::load(&path, &env, &wanted)?;
    let sockets = ServiceSockets::collect(&config.serve, Inherited::take(&env)?)?;
    // Held to the end: its last lines are written when it goes.
    let _log = telemetry::init(&config.serve.log).map_err(own_log)?;
    for warning in &warnings {
        tracing::warn!("configuration: {warning}");
    }
    if rustix::process::geteuid().is_root() {
        tracing::warn!(
            "the services run as root: give them a user of their own (User= in the unit), so that a defect here does not own \
             the machine"
        );
    }
    if let Err(error) = raise_open_files() {
        tracing::warn!(%error, "the limit of open files stays as it is: {error}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(LaunchError::system("starting the runtime"))?;
    let done = runtime.block_on(run::run(config, sockets, path, env, wanted));
    // A blocking read of a file must not hold up an end "at once".
    runtime.shutdown_background();
    done
}

/// The log file by the name that it has here.
fn own_log(error: TelemetryError) -> LaunchError {
    match error {
        TelemetryError::File { path, source } => ServicesError::OwnLog { path, source }.into(),
        TelemetryError::Filter | TelemetryError::LogsAlready | TelemetryError::CountsAlready => error.into(),
    }
}
