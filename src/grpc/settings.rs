//! What the gRPC face needs to know: where it listens and who may call.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::access::Client;
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
