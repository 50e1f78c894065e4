//! Why the JS-SDK service cannot be built.

use crate::client;
use crate::services::jssdk::door::TableError;
use crate::services::jssdk::pages::PagesError;

/// Why the JS-SDK service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum JssdkError {
    /// Two accounts have one path.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The templates.
    #[error(transparent)]
    Pages(#[from] PagesError),
    /// The daemon's address or what it is shown.
    #[error("[jssdk] daemon, or what it is shown, cannot be used")]
    Daemon(#[from] client::Error),
}

impl JssdkError {
    /// Whether the configuration, or a file that it names, must be changed.
    pub(in crate::launch::services) fn is_configuration(&self) -> bool {
        match self {
            Self::Table(_) | Self::Pages(_) | Self::Daemon(_) => true,
        }
    }
}
