//! Why the daemon does not start, and why it ended although nobody asked it to.

use std::io;
use std::path::PathBuf;

use crate::grpc;
use crate::ledger::{LedgerError, seal};
use crate::mirror::LayoutError;
use crate::process::sockets::SocketError;
use crate::wechat;

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file of seal keys cannot be used.
    #[error("the seal keys cannot be used")]
    SealKeys(#[source] seal::KeysError),
    /// The ledger cannot be used.
    #[error("the ledger in {dir} cannot be used")]
    Ledger {
        /// The state directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: LedgerError,
    },
    /// A gRPC listener cannot be bound.
    #[error("the gRPC face cannot listen")]
    Grpc(#[source] grpc::BindError),
    /// The gRPC settings do not fit together.
    #[error("the gRPC face cannot be built")]
    GrpcSettings(#[source] grpc::SettingsError),
    /// A socket cannot be bound, or was passed and cannot be used.
    #[error(transparent)]
    Sockets(#[from] SocketError),
    /// The runtime cannot watch a socket.
    #[error("a listening socket cannot be watched")]
    Watch(#[source] io::Error),
    /// A memcached layout cannot hold the accounts.
    #[error("the memcached mirror cannot hold these accounts")]
    Layout(#[source] LayoutError),
    /// WeChat's client cannot be built.
    #[error("WeChat's client cannot be built")]
    WeChat(#[source] wechat::SetupError),
}

impl StartError {
    /// Whether the configuration, or a file that it names, must be changed: exit code 2.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::SealKeys(_) | Self::GrpcSettings(_) | Self::Layout(_) | Self::WeChat(_) => true,
            Self::Ledger { source, .. } => {
                matches!(source, LedgerError::SealKeyMissing(_) | LedgerError::SealKeyWrong(_))
            }
            Self::Sockets(source) => source.is_configuration(),
            Self::Grpc(_) | Self::Watch(_) => false,
        }
    }
}

/// Why the daemon ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A part ended or panicked.
    #[error("the part `{0}` ended by itself; this is a defect, please report the log")]
    Part(String),
    /// The attempts under way did not end within the grace.
    #[error("stopped before every attempt had ended; the next start will know what was under way")]
    Grace,
}
