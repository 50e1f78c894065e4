//! Why the service could not be started, stopped or reloaded, and the exit code.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::daemon::{RunError, StartError};
use crate::process::detach::DetachError;
use crate::process::hardening::HardeningError;
use crate::process::pid_file::PidFileError;
use crate::process::privileges::PrivilegeError;
use crate::process::service_sockets::ServiceSocketError;
use crate::process::sockets::SocketError;
use crate::telemetry::TelemetryError;

use super::services::ServicesError;

const FAILED: u8 = 1;
/// Wrong usage or configuration.
const CONFIGURATION: u8 = 2;

/// Why an order could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The kernel refused to protect the process.
    #[error(transparent)]
    Hardening(#[from] HardeningError),
    /// There is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The daemon's user cannot read what root can.
    #[error(
        "root can read the configuration, but the daemon's user `{user}` ([daemon] user) cannot, and would fail at the next reload"
    )]
    Again {
        /// Who.
        user: String,
        /// What is in the way.
        source: ConfigError,
    },
    /// The daemon's user cannot use the state directory.
    #[error("the daemon's user `{user}` ([daemon] user) cannot write to {}: run `chown -R {user}: {}`", path.display(), dir.display())]
    NotTheirs {
        /// Who.
        user: String,
        /// The file or directory.
        path: PathBuf,
        /// The state directory.
        dir: PathBuf,
    },
    /// The process cannot become the configured user.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// There are no sockets.
    #[error(transparent)]
    Sockets(#[from] SocketError),
    /// There are no sockets for the business services.
    #[error(transparent)]
    ServiceSockets(#[from] ServiceSocketError),
    /// The business services do not start, or ended.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// The pid file.
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    /// The terminal cannot be left.
    #[error(transparent)]
    Detach(#[from] DetachError),
    /// The log.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// What a detached daemon writes besides its log has no place.
    #[error("{} cannot be written: let the daemon's user write to it and to its directory (chown), or name another log in [daemon.log] file", path.display())]
    Output {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused something small.
    #[error("{what} failed")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The daemon cannot be built.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The daemon ended.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Said by the detached daemon.
    #[error("{text}")]
    Daemon {
        /// Its words.
        text: String,
        /// Its exit code.
        code: u8,
    },
    /// Something did not come about; says what and what to do.
    #[error("{0}")]
    Failed(String),
    /// The configuration is wrong, and that has been said.
    #[error("{0}")]
    Checked(&'static str),
}

impl LaunchError {
    /// 1 failed, 2 wrong configuration.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Again { .. }
            | Self::Checked(_)
            | Self::Telemetry(TelemetryError::Filter) => CONFIGURATION,
            Self::Sockets(source) if source.is_configuration() => CONFIGURATION,
            Self::ServiceSockets(source) if source.is_configuration() => CONFIGURATION,
            Self::Services(source) if source.is_configuration() => CONFIGURATION,
            Self::Start(source) if source.is_configuration() => CONFIGURATION,
            Self::Privileges(source) if source.is_configuration() => CONFIGURATION,
            Self::Daemon { code, .. } => *code,
            Self::Hardening(_)
            | Self::NotTheirs { .. }
            | Self::Privileges(_)
            | Self::Sockets(_)
            | Self::ServiceSockets(_)
            | Self::Services(_)
            | Self::PidFile(_)
            | Self::Detach(_)
            | Self::Telemetry(_)
            | Self::Output { .. }
            | Self::System { .. }
            | Self::Start(_)
            | Self::Run(_)
            | Self::Failed(_) => FAILED,
        }
    }

    /// For a step that needs no variant of its own.
    pub(super) fn system(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
