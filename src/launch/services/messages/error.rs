//! Why the message service cannot be built.

use crate::client;
use crate::services::messages::door::TableError;
use crate::services::messages::forward::ForwardError;
use crate::services::messages::log::LogError;
use crate::services::messages::rules::RulesError;
use crate::services::wechat_api::SetupError;

/// Why the message service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum MessagesError {
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
    /// The message log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// WeChat's client.
    #[error("late answers cannot be sent")]
    Api(#[from] SetupError),
    /// The daemon's address or what it is shown.
    #[error("[messages] daemon, or what it is shown, cannot be used")]
    Daemon(#[from] client::Error),
}

impl MessagesError {
    /// Whether the configuration, or a file that it names, must be changed.
    pub(in crate::launch::services) fn is_configuration(&self) -> bool {
        match self {
            Self::Table(_) | Self::Forward { .. } | Self::Rules(_) | Self::Api(_) | Self::Daemon(_) => true,
            Self::Log(_) => false,
        }
    }
}
