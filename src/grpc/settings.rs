//! What the gRPC face needs to know: where it listens and who may call.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::clock::WallTime;
use crate::model::{AppId, Kind};
use crate::secret::Secret;

/// What the gRPC face needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// TLS of the TCP listeners; `None` is plain text.
    pub tls: Option<Tls>,
    /// Who may call.
    pub clients: Vec<Client>,
}

/// One listening address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `host:port`.
    Tcp(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
}

/// PEM texts, read from the configured files.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate chain.
    pub cert: Vec<u8>,
    /// Its private key.
    pub key: Secret,
    /// Callers may present a certificate that this authority signed.
    pub client_ca: Option<Vec<u8>>,
}

/// One caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name in logs and in the audit.
    pub name: String,
    /// How it proves who it is; any one suffices.
    pub identities: Vec<Identity>,
    /// What it may do.
    pub grants: Grants,
    /// The end of its access.
    pub not_after: Option<WallTime>,
}

/// One proof of who a caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// SHA-256 of its bearer token.
    TokenSha256([u8; 32]),
    /// A name in its certificate: common name, or a DNS or URI subject alternative name.
    Certificate(String),
    /// The uid of its process, on a Unix socket.
    Uid(u32),
}

/// What a caller may do: an action is allowed on a key if all three sets have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// On which accounts.
    pub accounts: Scope<AppId>,
    /// On which kinds.
    pub kinds: Scope<Kind>,
    /// Which actions.
    pub actions: BTreeSet<Action>,
}

/// All, or the named ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope<T: Ord> {
    /// `["*"]`.
    All,
    /// These.
    Only(BTreeSet<T>),
}

/// One thing that a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Read values.
    Read,
    /// Report a value as dead.
    Complain,
    /// Refresh without proof.
    Force,
    /// Have a JS-SDK signature made.
    Sign,
    /// Exchange login codes.
    Exchange,
    /// See the status of keys.
    Status,
    /// Pause and resume keys.
    Admin,
}

impl Action {
    /// The action's name in the configuration and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Complain => "complain",
            Self::Force => "force",
            Self::Sign => "sign",
            Self::Exchange => "exchange",
            Self::Status => "status",
            Self::Admin => "admin",
        }
    }
}
