//! One request, one answer: the HTTP under every business call.
//!
//! Guarantees one request per call, a bounded time and a bounded body. Errors of the HTTP library
//! are reduced to a kind here and dropped, because their text carries the URL and the URL carries
//! the token.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Proxy, RequestBuilder, Response, StatusCode, redirect, retry};
use url::Url;

use crate::secret::Secret;

use super::Settings;
use super::answer::{self, Answer};
use super::error::{ApiError, LostKind, SetupError, UnsentKind};

/// Longest answer that is read. The longest that WeChat sends to such calls are menus and lists
/// of ten thousand openids, 300 KiB.
const MAX_BODY: usize = 1024 * 1024;
/// How long an idle connection is kept. Short: one that a middlebox forgot costs an answer.
const IDLE: Duration = Duration::from_secs(15);
/// How many idle connections are kept to WeChat.
const MAX_IDLE: usize = 8;

/// A call, without its token.
pub(super) enum Request<'a> {
    /// With parameters.
    Get { path: &'a str, query: &'a [(&'a str, &'a str)] },
    /// With a JSON body.
    Post { path: &'a str, body: &'a [u8] },
}

/// The connections to WeChat.
pub(super) struct Wire {
    client: Client,
    api_base: Url,
}

impl Wire {
    pub(super) fn new(settings: &Settings) -> Result<Self, SetupError> {
        let Settings { api_base, connect_timeout, timeout, proxy, daemon: _ } = settings;
        if !matches!(api_base.scheme(), "http" | "https") || !api_base.has_host() {
            return Err(SetupError::ApiBase);
        }
        // Fails if one is installed already, and then that one is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = Client::builder()
            .user_agent(concat!("zhongkong/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(*connect_timeout)
            .timeout(*timeout)
            .pool_max_idle_per_host(MAX_IDLE)
            .pool_idle_timeout(IDLE)
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
        let client = builder.build().map_err(|error| SetupError::Client(error.without_url()))?;
        Ok(Self { client, api_base: api_base.clone() })
    }

    /// Makes the call once. Dropped midway, it may have been sent.
    pub(super) async fn call(&self, request: &Request<'_>, token: &Secret) -> Result<Answer, ApiError> {
        let response = self.built(request, token).send().await.map_err(|error| unanswered(&error))?;
        if response.status() != StatusCode::OK {
            return Err(ApiError::Lost(LostKind::Status(response.status().as_u16())));
        }
        let body = body(response).await.map_err(ApiError::Lost)?;
        answer::read(&body, token).map_err(ApiError::Lost)
    }

    /// Fetches a picture. No token goes there.
    pub(super) async fn picture(
        &self,
        base: &Url,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<(Vec<u8>, String), ApiError> {
        let mut url = base.clone();
        url.set_path(path);
        url.query_pairs_mut().clear().extend_pairs(query);
        let response = self.client.get(url).send().await.map_err(|error| unanswered(&error))?;
        if response.status() != StatusCode::OK {
            return Err(ApiError::Lost(LostKind::Status(response.status().as_u16())));
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or_default().to_owned();
        Ok((body(response).await.map_err(ApiError::Lost)?, kind))
    }

    fn built(&self, request: &Request<'_>, token: &Secret) -> RequestBuilder {
        let with_token = ("access_token", token.expose());
        match *request {
            Request::Get { path, query } => {
                let mut url = self.url(path, with_token);
                url.query_pairs_mut().extend_pairs(query);
                self.client.get(url)
            }
            Request::Post { path, body } => {
                let json = HeaderValue::from_static("application/json; charset=utf-8");
                self.client.post(self.url(path, with_token)).header(CONTENT_TYPE, json).body(body.to_vec())
            }
        }
    }

    /// Carries the token: it goes to the wire and nowhere else.
    fn url(&self, path: &str, (name, token): (&str, &str)) -> Url {
        let mut url = self.api_base.clone();
        url.set_path(path);
        url.set_fragment(None);
        url.set_query(None);
        url.query_pairs_mut().append_pair(name, token);
        url
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, LostKind> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BODY => return Err(LostKind::TooLarge),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(LostKind::TimedOut),
            Err(_) => return Err(LostKind::Torn),
        }
    }
}

/// Sorts the failure of a request that got no answer. "Not sent" only where that is certain.
fn unanswered(error: &reqwest::Error) -> ApiError {
    if error.is_builder() {
        return ApiError::NotSent(UnsentKind::Unsendable);
    }
    if error.is_connect() {
        return ApiError::NotSent(if error.is_dns() {
            UnsentKind::Dns
        } else if error.is_timeout() {
            UnsentKind::ConnectTimedOut
        } else {
            UnsentKind::Connect
        });
    }
    ApiError::Lost(if error.is_timeout() { LostKind::TimedOut } else { LostKind::Torn })
}
