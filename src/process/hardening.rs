//! What keeps the process's memory and files from other users and from disks (S7).
//!
//! Called once, first thing, before a secret is read or a file is made. Nothing here needs a
//! privilege. Deliberately absent: dropping root (the unit file's `User=` does it before we
//! run) and locking memory (a container may not, and the swap belongs to the operator).

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Why the process could not be protected.
#[derive(Debug, thiserror::Error)]
pub enum HardeningError {
    /// The kernel refused PR_SET_DUMPABLE.
    #[error("the process cannot be made undumpable")]
    Dumpable(#[source] std::io::Error),
    /// The kernel refused RLIMIT_CORE.
    #[error("core files cannot be turned off")]
    CoreLimit(#[source] std::io::Error),
}

/// Raises the limit of open files to the most that the process may have: each caller's connection
/// is one, and a daemon without a free one can reach neither WeChat nor its ledger.
///
/// # Errors
/// The kernel refused; the daemon can run on with what it has.
pub fn raise_open_files() -> std::io::Result<()> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    Ok(rustix::process::setrlimit(Resource::Nofile, raised)?)
}

/// Makes the process undumpable (no core file, no debugger or /proc reader of the same user),
/// turns core files off, and lets every file that it makes belong to its user alone.
///
/// # Errors
/// The kernel refused, as only a broken sandbox makes it; the caller decides whether to go on.
pub fn harden() -> Result<(), HardeningError> {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| HardeningError::Dumpable(error.into()))?;
    // Both limits: a child could raise the soft one again.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).map_err(|error| HardeningError::CoreLimit(error.into()))
}
