//! What the connection itself says about a caller, read once when it is accepted.

use std::net::SocketAddr;
use std::sync::Arc;

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::access::Origin;

/// The other end of a connection. Travels in the extensions of each of its requests.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// A TCP connection.
    Tcp {
        /// From where.
        addr: Option<SocketAddr>,
        /// The names in its verified certificate, the most exact kind first.
        names: Arc<[String]>,
    },
    /// A Unix socket.
    Unix {
        /// Whose process it is, as the kernel says.
        uid: Option<u32>,
    },
}

impl Peer {
    /// From where its calls come.
    pub(super) fn origin(&self) -> Origin {
        match self {
            Self::Tcp { addr, .. } => addr.map_or(Origin::Unknown, |addr| addr.ip().into()),
            Self::Unix { uid } => uid.map_or(Origin::Unknown, Origin::Uid),
        }
    }
}

/// The names that a verified certificate carries: URIs, DNS names, then common names.
/// Nothing if it cannot be read; TLS accepted it all the same, so its owner is just unknown.
pub(super) fn names(der: &[u8]) -> Arc<[String]> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Arc::default();
    };
    let mut uris = Vec::new();
    let mut dns = Vec::new();
    if let Ok(Some(alternative)) = certificate.subject_alternative_name() {
        for name in &alternative.value.general_names {
            match name {
                GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                GeneralName::DNSName(host) => dns.push((*host).to_owned()),
                _ => {}
            }
        }
    }
    let common = certificate.subject().iter_common_name();
    let common = common.filter_map(|name| name.as_str().ok()).map(str::to_owned);
    uris.into_iter().chain(dns).chain(common).collect()
}
