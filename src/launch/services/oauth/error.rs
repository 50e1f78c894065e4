//! Why the login service cannot be built.

use crate::client;
use crate::services::database::DatabaseError;
use crate::services::wechat_api::SetupError;

/// Why the login service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// The database cannot be used, and waiting does not help.
    #[error("the database of [oauth] cannot be used")]
    Database(#[from] DatabaseError),
    /// WeChat's client.
    #[error("profiles cannot be fetched")]
    Api(#[from] SetupError),
    /// The daemon's address or what it is shown.
    #[error("[oauth] daemon, or what it is shown, cannot be used")]
    Daemon(#[from] client::Error),
}

impl OAuthError {
    /// Whether the configuration, or a file that it names, must be changed.
    pub(in crate::launch::services) fn is_configuration(&self) -> bool {
        match self {
            Self::Api(_) | Self::Daemon(_) => true,
            Self::Database(_) => false,
        }
    }
}
