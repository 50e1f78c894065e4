//! Finds the caller who showed a proof, and says what it may do.
//!
//! The table of clients is immutable and replaced as a whole by a reload: no lock, one hash,
//! one look-up. Who keeps a [`Caller`] for longer than a request looks it up again
//! ([`Gate::recheck`]) whenever [`Gate::epoch`] moves.
//!
//! A bearer token is looked up by its SHA-256. How long a look-up takes depends on the hash
//! alone, and who does not know a token cannot choose its hash's prefix; so timing leaks
//! nothing of use, and no comparison in constant time is needed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::clock::{Clock, WallTime};
use crate::model::Kind;

use super::{Action, Client, Identity, Origin, Scope};

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
pub struct Table {
    tokens: HashMap<[u8; 32], Known>,
    names: HashMap<String, Known>,
    uids: HashMap<u32, Known>,
}

/// A client, and its name once more to be shared by what is noted about it.
#[derive(Clone, Debug)]
struct Known {
    client: Arc<Client>,
    name: Arc<str>,
}

impl Table {
    /// Indexes the clients by what proves them.
    ///
    /// # Errors
    /// Two clients have the same proof.
    pub fn new(clients: &[Client]) -> Result<Self, SharedIdentity> {
        let mut table = Self::default();
        for client in clients {
            let known = Known { name: client.name.as_str().into(), client: Arc::new(client.clone()) };
            for identity in &client.identities {
                let (what, older) = match identity {
                    Identity::TokenSha256(hash) => ("token hash", table.tokens.insert(*hash, known.clone())),
                    Identity::Certificate(name) => {
                        ("certificate name", table.names.insert(name.clone(), known.clone()))
                    }
                    Identity::Uid(uid) => ("uid", table.uids.insert(*uid, known.clone())),
                };
                if let Some(older) = older.filter(|older| older.name != known.name) {
                    return Err(SharedIdentity {
                        first: older.client.name.clone(),
                        second: client.name.clone(),
                        what,
                    });
                }
            }
        }
        Ok(table)
    }

    fn find(&self, proof: &Proof) -> Option<Known> {
        match proof {
            Proof::Token(hash) => self.tokens.get(hash).cloned(),
            Proof::Uid(uid) => self.uids.get(uid).cloned(),
            Proof::Names(names) => names.iter().find_map(|name| self.names.get(name)).cloned(),
        }
    }
}

/// What a caller showed. Kept for as long as its stream is open, to be looked up again.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The SHA-256 of a bearer token.
    Token([u8; 32]),
    /// The uid of a Unix socket's peer.
    Uid(u32),
    /// The names in a verified certificate, the most exact kind first.
    Names(Arc<[String]>),
}

impl Proof {
    /// The proof that a bearer token is; `None` if it is empty or longer than any of ours.
    pub fn token(token: &[u8]) -> Option<Self> {
        (1..=MAX_TOKEN).contains(&token.len()).then(|| Self::Token(Sha256::digest(token).into()))
    }
}

/// A known caller. Travels in the request's extensions.
#[derive(Clone)]
pub struct Caller {
    client: Arc<Client>,
    name: Arc<str>,
    proof: Proof,
    origin: Origin,
}

impl Caller {
    /// Its name in logs.
    pub fn name(&self) -> &str {
        &self.client.name
    }

    /// Its name, to be kept.
    pub fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// From where it calls.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The same caller, known to call from there.
    #[must_use]
    pub fn from_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Whether it may do this with this key.
    pub fn may(&self, action: Action, appid: &str, kind: Kind) -> bool {
        let kinds = match &self.client.grants.kinds {
            Scope::All => true,
            Scope::Only(kinds) => kinds.contains(&kind),
        };
        kinds && self.may_on_account(action, appid)
    }

    /// Whether it may do this with this account, for actions that are about no credential.
    pub fn may_on_account(&self, action: Action, appid: &str) -> bool {
        let accounts = match &self.client.grants.accounts {
            Scope::All => true,
            Scope::Only(accounts) => accounts.contains(appid),
        };
        accounts && self.may_anywhere(action)
    }

    /// Whether it may do this with every account and kind, also with those to come.
    pub fn may_everywhere(&self, action: Action) -> bool {
        let grants = &self.client.grants;
        grants.accounts == Scope::All && grants.kinds == Scope::All && self.may_anywhere(action)
    }

    /// Whether it has the action at all.
    pub fn may_anywhere(&self, action: Action) -> bool {
        self.client.grants.actions.contains(&action)
    }
}

/// Finds the caller of each request. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    table: Arc<ArcSwap<Table>>,
    epoch: Arc<watch::Sender<u64>>,
    clock: Clock,
}

impl Gate {
    /// Knows the clients of a table; `clock` decides about their `not_after`.
    pub fn new(table: Table, clock: Clock) -> Self {
        let epoch = watch::Sender::new(0);
        Self { table: Arc::new(ArcSwap::from_pointee(table)), epoch: Arc::new(epoch), clock }
    }

    /// Replaces the clients, and has every open stream look at its caller again.
    pub fn replace(&self, table: Table) {
        self.table.store(Arc::new(table));
        self.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// Changes with every replacement of the clients.
    pub fn epoch(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// Looks a caller up again, by what it showed when its stream began.
    pub fn recheck(&self, caller: &Caller) -> Result<Caller, Refused> {
        Ok(self.admit(caller.proof.clone())?.from_origin(caller.origin))
    }

    /// The caller who showed this proof. From where it calls is said by whoever knows
    /// ([`Caller::from_origin`]).
    pub fn admit(&self, proof: Proof) -> Result<Caller, Refused> {
        let Known { client, name } = self.table.load().find(&proof).ok_or(Refused::Unknown)?;
        match client.not_after {
            Some(end) if self.clock.wall() >= end => Err(Refused::Ended { end }),
            Some(_) | None => Ok(Caller { client, name, proof, origin: Origin::Unknown }),
        }
    }
}

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
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
    use crate::access::Grants;

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
        let clock = Clock::manual(WallTime(0), crate::clock::BootTime(0), "boot");
        let table = Table::new(&[client("web", Identity::Uid(1))]).unwrap();
        let caller = Gate::new(table, clock).admit(Proof::Uid(1)).unwrap();
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
}
