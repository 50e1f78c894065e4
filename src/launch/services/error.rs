//! Why the business services do not start, and why they ended although nobody asked them to.

use std::io;
use std::path::PathBuf;

use crate::client;
use crate::services::messages::door::TableError;
use crate::services::messages::forward::ForwardError;
use crate::services::messages::log::LogError;
use crate::services::messages::rules::RulesError;
use crate::services::wechat_api::SetupError;

/// Why the services do not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// A Token or an EncodingAESKey cannot be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A business program cannot be called.
    #[error("messages cannot be forwarded to `{name}`")]
    Forward {
        /// Which.
        name: String,
        /// Why.
        source: ForwardError,
    },
    /// The rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The process's own log.
    #[error(
        "the log file {} cannot be written; make its directory, let the service's user write there, or change \
         serve.log.file",
        path.display()
    )]
    OwnLog {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The message log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// WeChat's client.
    #[error("late answers cannot be sent")]
    Api(#[from] SetupError),
    /// The daemon's address or what it is shown.
    #[error("[messages] daemon, or what it is shown, cannot be used")]
    Daemon(#[from] client::Error),
    /// The runtime cannot watch a socket.
    #[error("a listening socket cannot be watched")]
    Watch(#[source] io::Error),
    /// A part is gone.
    #[error("the part `{0}` ended by itself; this is a defect, please report the log")]
    Part(String),
    /// Messages were still handled when the grace was over.
    #[error("stopped before every message had been answered; the log says how many")]
    Grace,
}

impl ServicesError {
    /// Whether the configuration, or a file that it names, must be changed: exit code 2.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Table(_) | Self::Forward { .. } | Self::Rules(_) | Self::Api(_) | Self::Daemon(_) => true,
            Self::OwnLog { .. } | Self::Log(_) | Self::Watch(_) | Self::Part(_) | Self::Grace => false,
        }
    }
}
