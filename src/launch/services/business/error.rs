//! Why the service of menus and QR codes cannot be built.

use crate::client;
use crate::services::database::DatabaseError;
use crate::services::wechat_api::SetupError;

/// Why the service of menus and QR codes cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BusinessError {
    /// The database cannot be used, and waiting does not help.
    #[error("the database of [business] cannot be used")]
    Database(#[from] DatabaseError),
    /// WeChat's client.
    #[error("WeChat cannot be called")]
    Api(#[from] SetupError),
    /// The daemon's address.
    #[error("[business] daemon cannot be used")]
    Daemon(#[from] client::Error),
}

impl BusinessError {
    /// Whether the configuration, or a file that it names, must be changed.
    pub(in crate::launch::services) fn is_configuration(&self) -> bool {
        match self {
            Self::Api(_) | Self::Daemon(_) => true,
            Self::Database(_) => false,
        }
    }
}
