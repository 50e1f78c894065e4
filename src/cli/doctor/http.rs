//! One GET for a check: no proxy, no redirect, bounded, and the certificate that was shown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, redirect, retry};
use url::Url;

use crate::clock::{Clock, WallTime};

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) took: Duration,
    /// The end of the certificate, of https.
    pub(super) cert_ends: Option<WallTime>,
}

/// Why nothing came. No URL and no words of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GetError {
    #[error("its name has no address")]
    Dns,
    #[error("no connection")]
    Connect,
    #[error("no connection with TLS: is the certificate good, with its chain, and for this name?")]
    Tls,
    #[error("no answer within the time")]
    Slow,
    #[error("the answer is not HTTP, or broke off")]
    Torn,
    #[error("no HTTP client can be made here")]
    Client,
}

/// Asks once, and reads at most `most` bytes of the answer.
pub(super) async fn get(url: Url, limit: Duration, most: usize, clock: &Clock) -> Result<Answer, GetError> {
    // Fails if one is installed already, and then that one is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let secure = url.scheme() == "https";
    let mut builder = Client::builder()
        .user_agent(concat!("zhongkong-doctor/", env!("CARGO_PKG_VERSION")))
        .timeout(limit)
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .tls_info(true)
        .no_proxy();
    if !secure {
        // Without TLS a machine without CA certificates will do.
        builder = builder.tls_certs_only([]);
    }
    let client = builder.build().map_err(|_| GetError::Client)?;
    let start = clock.boot();
    let mut response = client.get(url).send().await.map_err(|error| sort(&error, secure))?;
    let status = response.status().as_u16();
    let shown = response.extensions().get::<reqwest::tls::TlsInfo>();
    let cert_ends = shown.and_then(|info| info.peer_certificate()).and_then(ends);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| sort(&error, secure))? {
        body.extend_from_slice(&chunk);
        if body.len() > most {
            break;
        }
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer { status, body, took: clock.boot().since(start), cert_ends })
}

fn sort(error: &reqwest::Error, secure: bool) -> GetError {
    if error.is_timeout() {
        GetError::Slow
    } else if error.is_dns() {
        GetError::Dns
    } else if error.is_connect() && secure && !refused(error) {
        GetError::Tls
    } else if error.is_connect() {
        GetError::Connect
    } else {
        GetError::Torn
    }
}

/// Whether TCP failed, so that TLS was never tried.
fn refused(error: &reqwest::Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return io.raw_os_error().is_some();
        }
        next = cause.source();
    }
    false
}

/// The end of a certificate in DER.
pub(super) fn ends(der: &[u8]) -> Option<WallTime> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(WallTime(certificate.validity().not_after.timestamp().saturating_mul(1_000)))
}

/// Where a listener is reached from its own machine.
pub(super) fn near(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}
