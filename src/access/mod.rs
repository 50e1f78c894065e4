//! Who may do what: clients, their proofs, their grants, and the [`Gate`] that knows them.
//!
//! Both faces of the daemon ask here, so that a token means the same on gRPC and on the status
//! page, and a reload changes both at once. Deliberately absent: any protocol. How a proof is
//! carried (metadata, certificate, socket, form) is the face's business.

use std::collections::BTreeSet;

use crate::clock::WallTime;
use crate::model::{AppId, Kind};

mod gate;
mod origin;

pub use gate::{Caller, Gate, Proof, Refused, SharedIdentity, Table};
pub use origin::Origin;

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
    /// Pause and resume keys, and see who did what with them.
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
