//! Why the business services do not start, and why they ended although nobody asked them to.

use std::io;
use std::path::PathBuf;

use super::business::BusinessError;
use super::jssdk::JssdkError;
use super::messages::MessagesError;
use super::oauth::OAuthError;

/// Why the services do not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// The message service cannot be built.
    #[error(transparent)]
    Messages(#[from] MessagesError),
    /// The login service cannot be built.
    #[error(transparent)]
    OAuth(#[from] OAuthError),
    /// The JS-SDK service cannot be built.
    #[error(transparent)]
    Jssdk(#[from] JssdkError),
    /// The service of menus and QR codes cannot be built.
    #[error(transparent)]
    Business(#[from] BusinessError),
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
    /// The runtime cannot watch a socket.
    #[error("a listening socket cannot be watched")]
    Watch(#[source] io::Error),
    /// A part is gone.
    #[error("the part `{0}` ended by itself; this is a defect, please report the log")]
    Part(String),
    /// Something was still under way when the grace was over.
    #[error("stopped before everything under way had been done; the log says how much was left")]
    Grace,
}

impl ServicesError {
    /// Whether the configuration, or a file that it names, must be changed: exit code 2.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Messages(source) => source.is_configuration(),
            Self::OAuth(source) => source.is_configuration(),
            Self::Jssdk(source) => source.is_configuration(),
            Self::Business(source) => source.is_configuration(),
            Self::OwnLog { .. } | Self::Watch(_) | Self::Part(_) | Self::Grace => false,
        }
    }
}
