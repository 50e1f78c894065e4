//! TLS of the TCP listeners, made from PEM texts.
//!
//! The certificate and the key are parsed and matched here, so a wrong file is an error at
//! start or reload and never at a handshake. A client certificate is asked for if there is
//! a `client_ca`; a caller without one may still send a bearer token.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::settings::Tls;

/// Why the TLS settings cannot be used. Never holds any of the key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM, or no certificate in it.
    #[error("tls.cert holds no certificate in PEM form")]
    Cert,
    /// Not PEM, or no private key in it.
    #[error("tls.key holds no private key in PEM form")]
    Key,
    /// Not PEM, or no certificate in it.
    #[error("tls.client_ca holds no usable certificate in PEM form")]
    ClientCa,
    /// They do not belong together, or use something outdated.
    #[error("tls.cert and tls.key cannot be used together")]
    Pair(#[source] rustls::Error),
}

/// What makes TLS sessions out of connections.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    let Tls { cert, key, client_ca } = tls;
    let chain = certificates(cert).ok_or(TlsError::Cert)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| TlsError::Key)?;
    // Named here: the process has no default provider, and tests run several daemons in one.
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(pem).ok_or(TlsError::ClientCa)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|_| TlsError::ClientCa)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!chain.is_empty()).then_some(chain)
}
