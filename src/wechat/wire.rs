//! One request, one answer: the HTTP under every call.
//!
//! Owns the two HTTP clients and the question that the ledger depends on: was the request
//! sent? It says "never" only if no connection was established (DNS, TCP, TLS, a proxy's
//! CONNECT); every later failure is unknown. Guarantees one request per call, a bounded time
//! and a bounded body. Errors of the HTTP library are reduced to a [`TroubleKind`] here and
//! dropped, because their text carries the URL and the URL carries secrets.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderValue};
use reqwest::{Client, ClientBuilder, Proxy, RequestBuilder, Response, StatusCode, redirect, retry};
use serde_json::Value;
use url::Url;

use super::answer::{Trouble, TroubleKind};
use super::{Settings, SetupError};

/// Longest answer that is read. WeChat's longest here is a list of addresses of a few KiB; a
/// page of a proxy or a portal may have any length.
const MAX_BODY: usize = 64 * 1024;

/// How long an idle connection is kept. Short: a connection that a middlebox forgot costs a call.
const IDLE: Duration = Duration::from_secs(15);

/// How many idle connections are kept to WeChat.
const MAX_IDLE: usize = 4;

/// Which connection a call may use.
#[derive(Clone, Copy)]
pub(super) enum Connection {
    /// One of its own: a pooled one may turn out to be closed after the request was written,
    /// and then nobody knows whether a value was issued.
    Fresh,
    /// Any: asking again is harmless.
    Pooled,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The request was certainly not sent.
    NeverSent(Trouble),
    /// The request may have been sent, received and acted on.
    Unknown(Trouble),
}

/// An answer as it came.
pub(super) struct Look {
    pub(super) status: u16,
    /// The header of that name.
    pub(super) date: Option<String>,
    pub(super) body: Vec<u8>,
}

/// The two clients.
pub(super) struct Wire {
    fresh: Client,
    pooled: Client,
}

impl Wire {
    pub(super) fn new(settings: &Settings) -> Result<Self, SetupError> {
        // Fails if one is installed already, and then that one is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let fresh = builder(settings)?.pool_max_idle_per_host(0);
        let pooled = builder(settings)?.pool_max_idle_per_host(MAX_IDLE).pool_idle_timeout(IDLE);
        let build =
            |builder: ClientBuilder| builder.build().map_err(|error| SetupError::Client(error.without_url()));
        Ok(Self { fresh: build(fresh)?, pooled: build(pooled)? })
    }

    /// The body of the answer to a GET, if it came whole and with status 200.
    pub(super) async fn get(&self, connection: Connection, url: Url) -> Result<Vec<u8>, Unanswered> {
        answer(self.client(connection).get(url)).await
    }

    /// The answer to a GET, whatever its status.
    pub(super) async fn look(&self, url: Url) -> Result<Look, Unanswered> {
        let response = self.fresh.get(url).send().await.map_err(|error| unsent_or_unknown(&error))?;
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        Ok(Look { status, date, body: body(response).await? })
    }

    /// The same for a POST of JSON. The text is UTF-8 as it is: WeChat refuses `\u` escapes.
    pub(super) async fn post(
        &self,
        connection: Connection,
        url: Url,
        body: &Value,
    ) -> Result<Vec<u8>, Unanswered> {
        let json = HeaderValue::from_static("application/json");
        answer(self.client(connection).post(url).header(CONTENT_TYPE, json).body(body.to_string())).await
    }

    fn client(&self, connection: Connection) -> &Client {
        match connection {
            Connection::Fresh => &self.fresh,
            Connection::Pooled => &self.pooled,
        }
    }
}

/// What both clients have in common.
fn builder(settings: &Settings) -> Result<ClientBuilder, SetupError> {
    let Settings { api_base, connect_timeout, timeout, proxy } = settings;
    let mut builder = Client::builder()
        .user_agent(concat!("zhongkong/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(*connect_timeout)
        .timeout(*timeout)
        .http1_only()
        .referer(false)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy();
    let mut tls = api_base.scheme() == "https";
    if let Some(proxy) = proxy {
        if !matches!(proxy.scheme(), "http" | "https") || !proxy.has_host() {
            return Err(SetupError::Proxy);
        }
        tls |= proxy.scheme() == "https";
        builder = builder.proxy(Proxy::all(proxy.clone()).map_err(|_| SetupError::Proxy)?);
    }
    if !tls {
        // Without TLS (the simulator) a machine without CA certificates will do.
        builder = builder.tls_certs_only([]);
    }
    Ok(builder)
}

/// Sends the request and reads the answer. Dropped midway, the request may have been sent.
async fn answer(request: RequestBuilder) -> Result<Vec<u8>, Unanswered> {
    let unknown = |kind: TroubleKind| Unanswered::Unknown(kind.into());
    let response = request.send().await.map_err(|error| unsent_or_unknown(&error))?;
    if response.status() != StatusCode::OK {
        return Err(unknown(TroubleKind::HttpStatus(response.status().as_u16())));
    }
    body(response).await
}

async fn body(mut response: Response) -> Result<Vec<u8>, Unanswered> {
    let unknown = |kind: TroubleKind| Unanswered::Unknown(kind.into());
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BODY => {
                return Err(unknown(TroubleKind::TooLarge));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(unknown(TroubleKind::TimedOut)),
            Err(_) => return Err(unknown(TroubleKind::Torn)),
        }
    }
}

/// Sorts the failure of a request that got no answer.
fn unsent_or_unknown(error: &reqwest::Error) -> Unanswered {
    if error.is_builder() {
        return Unanswered::NeverSent(TroubleKind::Unsendable.into());
    }
    if error.is_connect() {
        let kind = if error.is_dns() {
            TroubleKind::Dns
        } else if error.is_timeout() {
            TroubleKind::ConnectTimedOut
        } else if broke_in_tls(error) {
            TroubleKind::Tls
        } else {
            TroubleKind::Connect
        };
        return Unanswered::NeverSent(kind.into());
    }
    let kind = if error.is_timeout() { TroubleKind::TimedOut } else { TroubleKind::Torn };
    Unanswered::Unknown(kind.into())
}

/// Whether a connection failed in its TLS handshake, for the wording only.
fn broke_in_tls(error: &(dyn Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    let Some(io) = error.downcast_ref::<io::Error>() else {
        return error.source().is_some_and(broke_in_tls);
    };
    // A handshake that the peer cuts off is an end of file; a TCP connect never is. What an
    // io::Error wraps is not its source (that is the wrapped one's source), so it is opened here.
    io.kind() == io::ErrorKind::UnexpectedEof || io.get_ref().is_some_and(|inner| broke_in_tls(inner))
}
