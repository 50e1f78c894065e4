//! Who is calling, and what may they do.
//!
//! Guarantees that every rpc of the service, streams included, is made by a known client:
//! [`Gate`] stands before the service as an interceptor, so no rpc can forget it. It reads
//! an immutable table through an `ArcSwap`: no lock, one hash, one look-up.
//!
//! A bearer token is looked up by its SHA-256. How long a look-up takes depends on the hash
//! alone, and who does not know a token cannot choose its hash's prefix; so timing leaks
//! nothing of use, and no comparison in constant time is needed.
//!
//! Order: a bearer token, if one was sent, decides; else the uid of a Unix socket's peer;
//! else the names in the client certificate (URI, DNS, common name, in this order).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;

use crate::clock::{Clock, WallTime};
use crate::model::Kind;
use crate::telemetry::metrics;

use super::errors::Failure;
use super::peer::Peer;
use super::settings::{Action, Client, Identity, Scope};

/// Longest bearer token that is hashed at all, in bytes. Ours have 43.
const MAX_TOKEN: usize = 512;

/// Two clients that claim the same identity.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("clients {first:?} and {second:?} have the same {what}, so a caller could be either")]
pub struct SharedIdentity {
    /// The client that was listed first.
    pub first: String,
    /// The other one.
    pub second: String,
    /// Which identity, in words.
    pub what: &'static str,
}

/// The clients by what proves them. Immutable; a reload makes a new one.
#[derive(Debug, Default)]
pub(super) struct Table {
    tokens: HashMap<[u8; 32], Arc<Client>>,
    names: HashMap<String, Arc<Client>>,
    uids: HashMap<u32, Arc<Client>>,
}

impl Table {
    pub(super) fn new(clients: &[Client]) -> Result<Self, SharedIdentity> {
        let mut table = Self::default();
        for client in clients {
            let client = Arc::new(client.clone());
            for identity in &client.identities {
                let (what, older) = match identity {
                    Identity::TokenSha256(hash) => ("token hash", table.tokens.insert(*hash, client.clone())),
                    Identity::Certificate(name) => {
                        ("certificate name", table.names.insert(name.clone(), client.clone()))
                    }
                    Identity::Uid(uid) => ("uid", table.uids.insert(*uid, client.clone())),
                };
                if let Some(older) = older.filter(|older| older.name != client.name) {
                    return Err(SharedIdentity {
                        first: older.name.clone(),
                        second: client.name.clone(),
                        what,
                    });
                }
            }
        }
        Ok(table)
    }

    fn find(&self, proof: &Proof) -> Option<Arc<Client>> {
        match proof {
            Proof::Token(hash) => self.tokens.get(hash).cloned(),
            Proof::Uid(uid) => self.uids.get(uid).cloned(),
            Proof::Names(names) => names.iter().find_map(|name| self.names.get(name)).cloned(),
        }
    }
}

/// What a caller showed. Kept for as long as its stream is open, to be looked up again.
#[derive(Clone)]
enum Proof {
    Token([u8; 32]),
    Uid(u32),
    Names(Arc<[String]>),
}

/// A known caller. Travels in the request's extensions.
#[derive(Clone)]
pub(super) struct Caller {
    client: Arc<Client>,
    proof: Proof,
}

impl Caller {
    /// Its name in logs.
    pub(super) fn name(&self) -> &str {
        &self.client.name
    }

    /// Whether it may do this with this key.
    pub(super) fn may(&self, action: Action, appid: &str, kind: Kind) -> bool {
        let kinds = match &self.client.grants.kinds {
            Scope::All => true,
            Scope::Only(kinds) => kinds.contains(&kind),
        };
        kinds && self.may_on_account(action, appid)
    }

    /// Whether it may do this with this account, for actions that are about no credential.
    pub(super) fn may_on_account(&self, action: Action, appid: &str) -> bool {
        let accounts = match &self.client.grants.accounts {
            Scope::All => true,
            Scope::Only(accounts) => accounts.contains(appid),
        };
        accounts && self.may_anywhere(action)
    }

    /// Whether it has the action at all.
    pub(super) fn may_anywhere(&self, action: Action) -> bool {
        self.client.grants.actions.contains(&action)
    }
}

/// Finds the caller of each request. Cheap to clone.
#[derive(Clone)]
pub(super) struct Gate {
    table: Arc<ArcSwap<Table>>,
    epoch: Arc<watch::Sender<u64>>,
    clock: Clock,
}

impl Gate {
    pub(super) fn new(table: Table, clock: Clock) -> Self {
        let epoch = watch::Sender::new(0);
        Self { table: Arc::new(ArcSwap::from_pointee(table)), epoch: Arc::new(epoch), clock }
    }

    /// Replaces the clients, and has every open stream look at its caller again.
    pub(super) fn replace(&self, table: Table) {
        self.table.store(Arc::new(table));
        self.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// Changes with every replacement of the clients.
    pub(super) fn epoch(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// Looks a caller up again, by what it showed when its stream began.
    pub(super) fn recheck(&self, caller: &Caller) -> Result<Caller, Refused> {
        self.admit(caller.proof.clone())
    }

    fn admit(&self, proof: Proof) -> Result<Caller, Refused> {
        let client = self.table.load().find(&proof).ok_or(Refused::Unknown)?;
        match client.not_after {
            Some(end) if self.clock.wall() >= end => Err(Refused::Ended { end }),
            Some(_) | None => Ok(Caller { client, proof }),
        }
    }

    fn identify(&self, metadata: &MetadataMap, peer: Option<&Peer>) -> Result<Caller, Refused> {
        let proof = match (metadata.get("authorization"), peer) {
            (Some(value), _) => Proof::Token(bearer(value.as_bytes()).ok_or(Refused::NotBearer)?),
            (None, Some(Peer::Unix { uid: Some(uid) })) => Proof::Uid(*uid),
            (None, Some(Peer::Tcp { names, .. })) if !names.is_empty() => Proof::Names(names.clone()),
            (None, _) => return Err(Refused::Nothing),
        };
        self.admit(proof)
    }
}

impl Interceptor for Gate {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        let peer = request.extensions().get::<Peer>();
        match self.identify(request.metadata(), peer) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Ok(request)
            }
            Err(refused) => {
                tracing::debug!(peer = ?peer, reason = %refused, "a caller was refused");
                metrics::call_refused(match refused {
                    Refused::Ended { .. } => metrics::Refusal::Expired,
                    Refused::Nothing | Refused::NotBearer | Refused::Unknown => {
                        metrics::Refusal::Unauthenticated
                    }
                });
                Err(Failure::Unauthenticated(refused).into())
            }
        }
    }
}

/// The hash of the token in `Bearer TOKEN`.
fn bearer(header: &[u8]) -> Option<[u8; 32]> {
    let (scheme, token) = header.split_at_checked(7)?;
    let fits = (1..=MAX_TOKEN).contains(&token.len());
    (scheme.eq_ignore_ascii_case(b"bearer ") && fits).then(|| Sha256::digest(token).into())
}

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// No proof of any kind.
    #[error("no credentials: send `authorization: Bearer TOKEN`")]
    Nothing,
    /// A header that is not a bearer token.
    #[error("the authorization header is not of the form `Bearer TOKEN`")]
    NotBearer,
    /// Nobody is configured with this proof.
    #[error("the credentials are not known here")]
    Unknown,
    /// The client's `not_after` has passed.
    #[error("the access of these credentials ended at {end}")]
    Ended {
        /// When.
        end: WallTime,
    },
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("client", &self.client.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::settings::Grants;

    fn client(name: &str, identity: Identity) -> Client {
        Client {
            name: name.into(),
            identities: vec![identity],
            grants: Grants {
                accounts: Scope::Only(["wx1".parse().unwrap()].into()),
                kinds: Scope::Only([Kind::AccessToken].into()),
                actions: [Action::Read].into(),
            },
            not_after: None,
        }
    }

    #[test]
    fn grant_needs_account_and_kind_and_action() {
        let caller = Caller { client: Arc::new(client("web", Identity::Uid(1))), proof: Proof::Uid(1) };
        assert!(caller.may(Action::Read, "wx1", Kind::AccessToken));
        assert!(!caller.may(Action::Read, "wx2", Kind::AccessToken));
        assert!(!caller.may(Action::Read, "wx1", Kind::JsapiTicket));
        assert!(!caller.may(Action::Complain, "wx1", Kind::AccessToken));
    }

    #[test]
    fn identity_of_two_clients_is_refused_by_name() {
        let both = [client("web", Identity::Uid(7)), client("shop", Identity::Uid(7))];
        let refused = Table::new(&both).unwrap_err();
        assert_eq!((refused.first.as_str(), refused.second.as_str()), ("web", "shop"));
    }

    #[test]
    fn bearer_header_is_read_with_any_case_and_nothing_else_is() {
        let expected: [u8; 32] = Sha256::digest(b"t0ken").into();
        assert_eq!(bearer(b"Bearer t0ken"), Some(expected));
        assert_eq!(bearer(b"bearer t0ken"), Some(expected));
        for bad in ["", "Bearer", "Bearer ", "Basic t0ken", "Bearer\tt0ken"] {
            assert_eq!(bearer(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(bearer(format!("Bearer {}", "x".repeat(513)).as_bytes()), None);
    }
}
