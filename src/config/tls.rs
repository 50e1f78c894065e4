//! `[grpc.tls]`, and the certificates that services show: the files are read and tried here, so
//! that a wrong one is a configuration error and not a listener that refuses every caller, or is
//! refused. Those of the listener are read again on reload.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::grpc::settings::Tls;
use crate::secret::Secret;

use super::context::Context;
use super::place::Place;
use super::raw;
use super::secrets::{Privacy, read};

/// Validates the section and reads its files.
pub(super) fn check(raw: raw::Tls, table: &Place, cx: &mut Context<'_>) -> Option<Tls> {
    let raw::Tls { cert, key, client_ca } = raw;
    for (name, given) in [("cert", cert.is_some()), ("key", key.is_some())] {
        if !given {
            cx.report.missing(table, &[name], format!("TLS needs a {name}: name its PEM file"));
        }
    }
    let pair = pair([cert.as_deref(), key.as_deref()], table, cx);
    let client_ca = match client_ca {
        Some(path) => Some(certificates(&table.key("client_ca"), &path, cx)?.0),
        None => None,
    };
    let (cert, key) = pair?;
    Some(Tls { cert, key, client_ca })
}

/// A certificate and its private key, from the files that `cert` and `key` of the table name; each is
/// looked at, also if the other is missing.
pub(super) fn pair(
    [cert, key]: [Option<&str>; 2],
    table: &Place,
    cx: &mut Context<'_>,
) -> Option<(Vec<u8>, Secret)> {
    let cert = cert.and_then(|path| certificates(&table.key("cert"), path, cx));
    let place = table.key("key");
    let key = key.and_then(|path| {
        let path = cx.path(path);
        let text = read(&place, &path, Privacy::Owner, cx)?;
        let Ok(der) = PrivateKeyDer::from_pem_slice(text.as_bytes()) else {
            cx.report.error(&place, format!("{} holds no private key in PEM form", path.display()));
            return None;
        };
        Some((Secret::from(text.as_str()), der))
    });
    let ((cert, chain), (key, der)) = (cert?, key?);
    if CertifiedKey::from_der(chain, der, &Arc::new(ring::default_provider())).is_err() {
        cx.report.error(&place, "this is not the key of the certificate in cert");
    }
    Some((cert, key))
}

type Chain = Vec<CertificateDer<'static>>;

fn certificates(place: &Place, path: &str, cx: &mut Context<'_>) -> Option<(Vec<u8>, Chain)> {
    let path = cx.path(path);
    let text = read(place, &path, Privacy::Public, cx)?;
    match CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Chain, _>>() {
        Ok(chain) if !chain.is_empty() => Some((text.as_bytes().to_vec(), chain)),
        Ok(_) | Err(_) => {
            cx.report.error(place, format!("{} holds no certificate in PEM form", path.display()));
            None
        }
    }
}
