//! How a caller's proof is carried over gRPC.
//!
//! Guarantees that every rpc of the service, streams included, is made by a known client:
//! [`Doorman`] stands before the service as an interceptor, so no rpc can forget it.
//!
//! Order: a bearer token, if one was sent, decides; else the uid of a Unix socket's peer;
//! else the names in the client certificate (URI, DNS, common name, in this order).

use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;

use crate::access::{Caller, Gate, Origin, Proof, Refused};
use crate::audit::{Act, Recorder};
use crate::telemetry::metrics;

use super::errors::Failure;
use super::peer::Peer;

/// Puts the caller of each request into its extensions, or refuses it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Doorman {
    pub(super) gate: Gate,
    pub(super) audit: Recorder,
}

impl Interceptor for Doorman {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        let peer = request.extensions().get::<Peer>();
        let origin = peer.map_or(Origin::Unknown, Peer::origin);
        match identify(&self.gate, request.metadata(), peer) {
            Ok(caller) => {
                request.extensions_mut().insert(caller.from_origin(origin));
                Ok(request)
            }
            Err(refused) => {
                tracing::debug!(peer = ?peer, reason = %refused, "a caller was refused: {refused}");
                metrics::call_refused(match refused {
                    Refused::Ended { .. } => metrics::Refusal::Expired,
                    Refused::Nothing | Refused::NotBearer | Refused::Unknown => {
                        metrics::Refusal::Unauthenticated
                    }
                });
                self.audit.refused(origin, Act::Refused, refused.into());
                Err(Failure::Unauthenticated(refused).into())
            }
        }
    }
}

fn identify(gate: &Gate, metadata: &MetadataMap, peer: Option<&Peer>) -> Result<Caller, Refused> {
    let proof = match (metadata.get("authorization"), peer) {
        (Some(value), _) => bearer(value.as_bytes()).ok_or(Refused::NotBearer)?,
        (None, Some(Peer::Unix { uid: Some(uid) })) => Proof::Uid(*uid),
        (None, Some(Peer::Tcp { names, .. })) if !names.is_empty() => Proof::Names(names.clone()),
        (None, _) => return Err(Refused::Nothing),
    };
    gate.admit(proof)
}

/// The proof in `Bearer TOKEN`.
fn bearer(header: &[u8]) -> Option<Proof> {
    let (scheme, token) = header.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    Proof::token(token)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn bearer_header_is_read_with_any_case_and_nothing_else_is() {
        let expected: [u8; 32] = Sha256::digest(b"t0ken").into();
        let bearer = |header: &[u8]| match bearer(header) {
            Some(Proof::Token(hash)) => Some(hash),
            Some(Proof::Uid(_) | Proof::Names(_)) | None => None,
        };
        assert_eq!(bearer(b"Bearer t0ken"), Some(expected));
        assert_eq!(bearer(b"bearer t0ken"), Some(expected));
        for bad in ["", "Bearer", "Bearer ", "Basic t0ken", "Bearer\tt0ken"] {
            assert_eq!(bearer(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(bearer(format!("Bearer {}", "x".repeat(513)).as_bytes()), None);
    }
}
