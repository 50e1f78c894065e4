//! One POST, one answer, within a time and a size.
//!
//! Errors of the HTTP library are reduced to a [`Failure`] here and dropped, because their text
//! carries the URL, and a URL may carry a key.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Response, redirect, retry};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::failure::Failure;

/// The longest answer that is read. Eight articles of the longest texts are a tenth of it.
const MAX_BODY: usize = 64 * 1024;
/// How long a connection may take: a second SYN is sent after one second, a third after three.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an idle connection is kept. Shorter than what the usual servers allow (Node.js and
/// uvicorn: 5 s), because one that they close while it is written to costs a message.
const IDLE: Duration = Duration::from_secs(4);

/// The way to one program.
pub(super) struct Wire {
    client: Client,
    url: Url,
    timeout: Duration,
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    /// Compressed, though nobody asked for it.
    pub(super) encoded: bool,
    pub(super) body: Vec<u8>,
}

impl Wire {
    pub(super) fn new(url: Url, timeout: Duration, connections: usize) -> Result<Self, reqwest::Error> {
        // Fails if one is installed already, and then that one is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = Client::builder()
            .user_agent(concat!("zhongkong/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(connections)
            .pool_idle_timeout(IDLE)
            .http1_only()
            .referer(false)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy();
        if url.scheme() == "http" {
            // Without TLS a machine without CA certificates will do.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self { client: builder.build().map_err(reqwest::Error::without_url)?, url, timeout })
    }

    /// Sends once and reads the answer, by the deadline. Dropped midway, the request may have
    /// been sent.
    pub(super) async fn post(
        &self,
        headers: HeaderMap,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let request = self.client.post(self.url.clone()).headers(headers).body(body).send();
        let sent = timeout_at(deadline, request).await.map_err(|_| Failure::TimedOut(self.timeout))?;
        let response = sent.map_err(|error| unanswered(&error))?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let status = response.status().as_u16();
        let content_type = header(CONTENT_TYPE).map(str::to_owned);
        let encoded = header(CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
        let body = timeout_at(deadline, read(response)).await;
        let body = body.map_err(|_| Failure::UnfinishedInTime(self.timeout))??;
        Ok(Answer { status, content_type, encoded, body })
    }
}

/// The limit only: a URL may carry a key.
impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| Failure::Torn)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Failure::TooLarge(MAX_BODY));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Sorts the failure of a request that got no answer.
fn unanswered(error: &reqwest::Error) -> Failure {
    if !error.is_connect() {
        return Failure::Torn;
    }
    if error.is_dns() {
        return Failure::UnknownHost;
    }
    if error.is_timeout() {
        return Failure::ConnectTimedOut(CONNECT);
    }
    match cause(error) {
        Some(Cause::Tls) => Failure::Tls,
        Some(Cause::Refused) => Failure::NobodyListens,
        None => Failure::Unreachable,
    }
}

/// Where a connection failed, for the wording only.
enum Cause {
    Refused,
    Tls,
}

fn cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    if error.is::<rustls::Error>() {
        return Some(Cause::Tls);
    }
    let Some(io) = error.downcast_ref::<io::Error>() else {
        return error.source().and_then(cause);
    };
    match io.kind() {
        io::ErrorKind::ConnectionRefused => Some(Cause::Refused),
        // A handshake that the peer cuts off; a TCP connect never ends so.
        io::ErrorKind::UnexpectedEof => Some(Cause::Tls),
        // What an io::Error wraps is not its source (that is the wrapped one's source).
        _ => io.get_ref().and_then(|inner| cause(inner)),
    }
}
