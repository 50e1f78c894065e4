//! From an address and credentials to a connection.

use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::secret::Secret;

use super::error::Error;

/// For DNS, TCP and TLS together; the daemon is near.
const CONNECT: Duration = Duration::from_secs(5);
/// As the daemon's own: silence for so long is asked about, and may take so long to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// What a client shows to the daemon. Empty is right for a Unix socket, where the uid counts.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The bearer token.
    pub token: Option<Secret>,
    /// PEM of the authority that signed the daemon's certificate. Needed for `https://`.
    pub ca: Option<Vec<u8>>,
    /// PEM of a client certificate with its chain, and of its private key.
    pub identity: Option<(Vec<u8>, Secret)>,
    /// The name in the daemon's certificate, if it is not the host of the address.
    pub server_name: Option<String>,
}

/// Why an address or a credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Neither of the forms.
    #[error("an address is http://HOST:PORT, https://HOST:PORT or unix:/PATH")]
    Form,
    /// There would be nobody to trust.
    #[error("an https:// address needs the PEM of the authority that signed the daemon's certificate")]
    NoAuthority,
    /// The token has characters that no token has.
    #[error("the bearer token has blanks, line ends or other characters that cannot be sent")]
    Token,
    /// The PEM texts are not usable.
    #[error("the TLS files cannot be used")]
    Tls(#[source] tonic::transport::Error),
}

/// Adds the bearer token to each request.
#[derive(Clone, Debug)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

enum Target {
    Tcp(Endpoint),
    Unix(Endpoint, PathBuf),
}

pub(super) async fn eager(addr: &str, credentials: Credentials) -> Result<(Channel, Bearer), Error> {
    let bearer = bearer(&credentials)?;
    let channel = match target(addr, credentials)? {
        Target::Tcp(endpoint) => endpoint.connect().await,
        Target::Unix(endpoint, path) => endpoint.connect_with_connector(dial(path)).await,
    };
    Ok((channel.map_err(Error::Connect)?, bearer))
}

pub(super) fn lazy(addr: &str, credentials: Credentials) -> Result<(Channel, Bearer), Error> {
    let bearer = bearer(&credentials)?;
    let channel = match target(addr, credentials)? {
        Target::Tcp(endpoint) => endpoint.connect_lazy(),
        Target::Unix(endpoint, path) => endpoint.connect_with_connector_lazy(dial(path)),
    };
    Ok((channel, bearer))
}

fn dial(
    path: PathBuf,
) -> impl tower::Service<
    http::Uri,
    Response = TokioIo<UnixStream>,
    Error = std::io::Error,
    Future = impl Future<Output = std::io::Result<TokioIo<UnixStream>>> + Send,
> + Send
+ 'static {
    tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    })
}

fn target(addr: &str, credentials: Credentials) -> Result<Target, AddressError> {
    if let Some(path) = addr.strip_prefix("unix:") {
        if path.is_empty() {
            return Err(AddressError::Form);
        }
        // The URI is only what HTTP/2 needs to have; it leads nowhere.
        return Ok(Target::Unix(tuned(Endpoint::from_static("http://localhost")), path.into()));
    }
    let uri = if addr.contains("://") { addr.to_owned() } else { format!("http://{addr}") };
    let endpoint = tuned(Endpoint::from_shared(uri).map_err(|_| AddressError::Form)?);
    match endpoint.uri().scheme_str() {
        Some("http") => Ok(Target::Tcp(endpoint)),
        Some("https") => {
            let tls = tls(credentials)?;
            endpoint.tls_config(tls).map(Target::Tcp).map_err(AddressError::Tls)
        }
        Some(_) | None => Err(AddressError::Form),
    }
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    let (interval, answer) = KEEP_ALIVE;
    endpoint
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(interval)
        .keep_alive_timeout(answer)
        .keep_alive_while_idle(true)
}

fn tls(credentials: Credentials) -> Result<ClientTlsConfig, AddressError> {
    let Credentials { token: _, ca, identity, server_name } = credentials;
    let ca = ca.ok_or(AddressError::NoAuthority)?;
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    if let Some((cert, key)) = identity {
        tls = tls.identity(Identity::from_pem(cert, key.expose()));
    }
    if let Some(name) = server_name {
        tls = tls.domain_name(name);
    }
    Ok(tls)
}

pub(super) fn bearer(credentials: &Credentials) -> Result<Bearer, AddressError> {
    let Some(token) = &credentials.token else {
        return Ok(Bearer(None));
    };
    let token = token.expose();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(AddressError::Token);
    }
    let header = format!("Bearer {token}").parse::<MetadataValue<Ascii>>();
    let mut header = header.map_err(|_| AddressError::Token)?;
    // Keeps it out of HTTP/2's header table and of Debug.
    header.set_sensitive(true);
    Ok(Bearer(Some(header)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_no_known_form_is_refused() {
        for bad in ["", "unix:", "ftp://a:1", "http://", "a b"] {
            assert!(matches!(target(bad, Credentials::default()), Err(AddressError::Form)), "{bad:?}");
        }
        let https = target("https://a:1", Credentials::default());
        assert!(matches!(https, Err(AddressError::NoAuthority)));
        assert!(matches!(target("127.0.0.1:7780", Credentials::default()), Ok(Target::Tcp(_))));
        assert!(matches!(target("unix:/run/x", Credentials::default()), Ok(Target::Unix(..))));
    }

    #[test]
    fn token_is_not_shown_and_one_with_a_line_end_is_refused() {
        let with = |token: &str| Credentials { token: Some(token.into()), ..Credentials::default() };
        let shown = format!("{:?} {:?}", bearer(&with("s3cr3t")).unwrap(), with("s3cr3t"));
        assert!(!shown.contains("s3cr3t"), "{shown}");
        assert!(matches!(bearer(&with("s3cr3t\n")), Err(AddressError::Token)));
    }
}
