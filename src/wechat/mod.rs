//! WeChat's endpoints, one method each.
//!
//! Owns how a call is made and how its answer is sorted into the four ends of an attempt
//! ([`End`]). Guarantees: one call is at most one request (no retry, no redirect); a call that
//! may kill an older value has a connection of its own, so that no stale connection can make
//! its outcome doubtful; [`End::NeverSent`] only where that is certain; no secret and no URL in
//! any error or message. Deliberately absent: when to call, how often, and what to do with the
//! end; [`errcode`] only says what WeChat's numbers mean.

mod answer;
pub mod checkup;
pub mod errcode;
pub mod exchange;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use url::Url;

use crate::model::{AppId, CallMode, ErrCode, Kind};
use crate::secret::Secret;

pub use answer::{End, Issued, Refusal, Trouble, TroubleKind};
pub use exchange::{ExchangeFailure, Exchanged, Flow, MiniProgramUser, WebUser};
use wire::{Connection, Unanswered, Wire};

/// How WeChat is reached.
#[derive(Clone)]
pub struct Settings {
    /// Scheme and host of the API, without a path.
    pub api_base: Url,
    /// Limit for DNS, TCP and TLS together. Below `timeout`, so that a call that was never
    /// sent is known as such.
    pub connect_timeout: Duration,
    /// Limit for one whole call.
    pub timeout: Duration,
    /// An HTTP proxy, if WeChat is reached through one. The environment's is never used.
    pub proxy: Option<Url>,
}

/// Hides the proxy's address, which may carry a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { api_base, connect_timeout, timeout, proxy } = self;
        f.debug_struct("Settings")
            .field("api_base", &api_base.origin().ascii_serialization())
            .field("connect_timeout", connect_timeout)
            .field("timeout", timeout)
            .field("proxy", &proxy.as_ref().map(|url| url.origin().ascii_serialization()))
            .finish()
    }
}

/// The client of WeChat's API. Clones share one connection pool.
#[derive(Clone)]
pub struct WeChat(Arc<Inner>);

struct Inner {
    api_base: Url,
    timeout: Duration,
    wire: Wire,
}

/// What a probe found out about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// WeChat accepted the token.
    Alive,
    /// WeChat said that the token is dead: 40001, 40014 or 42001.
    Dead(ErrCode),
    /// No verdict: there was no usable answer, or WeChat was busy ([`TroubleKind::Busy`], -1).
    Silent(Trouble),
    /// No verdict: WeChat refused for a reason that says nothing about the token.
    Other(Refusal),
}

/// Why the client cannot be built. The settings must be changed.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Not an address of an API.
    #[error("the base of WeChat's API must be an http:// or https:// URL with a host")]
    ApiBase,
    /// Not an address of a proxy. Does not show it: it may carry a password.
    #[error("the proxy must be an http:// or https:// URL with a host")]
    Proxy,
    /// The HTTP client, most often because no CA certificates are installed.
    #[error("the HTTPS client cannot be set up (is the package ca-certificates installed?)")]
    Client(#[source] reqwest::Error),
}

impl WeChat {
    /// A client with these settings. Opens no connection.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        let api_base = settings.api_base.clone();
        if !matches!(api_base.scheme(), "http" | "https") || !api_base.has_host() {
            return Err(SetupError::ApiBase);
        }
        let wire = Wire::new(settings)?;
        Ok(Self(Arc::new(Inner { api_base, timeout: settings.timeout, wire })))
    }

    /// The limit of one whole call.
    pub fn call_timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Asks for an access token; `mode` says at which endpoint and in which form.
    ///
    /// Not cancel-safe in effect: a dropped call may have issued a token. [`CallMode::Ticket`]
    /// is no token call and is answered with `NeverSent`.
    pub async fn fetch_token(&self, mode: CallMode, appid: &AppId, secret: &Secret) -> End {
        let client = &self.0.wire;
        let stable = |force_refresh: bool| {
            json!({
                "grant_type": "client_credential",
                "appid": appid.as_str(),
                "secret": secret.expose(),
                "force_refresh": force_refresh,
            })
        };
        let answer = match mode {
            CallMode::Classic => {
                let query = [
                    ("grant_type", "client_credential"),
                    ("appid", appid.as_str()),
                    ("secret", secret.expose()),
                ];
                client.get(Connection::Fresh, self.url("/cgi-bin/token", &query)).await
            }
            CallMode::Stable => {
                let url = self.url("/cgi-bin/stable_token", &[]);
                client.post(Connection::Pooled, url, &stable(false)).await
            }
            CallMode::StableForced => {
                let url = self.url("/cgi-bin/stable_token", &[]);
                client.post(Connection::Fresh, url, &stable(true)).await
            }
            CallMode::Ticket => Err(Unanswered::NeverSent(TroubleKind::Unsendable.into())),
        };
        end(answer, "access_token", secret)
    }

    /// Asks for a ticket with the account's access token. Asking again is harmless.
    ///
    /// [`Kind::AccessToken`] is no ticket and is answered with `NeverSent`.
    pub async fn fetch_ticket(&self, kind: Kind, token: &Secret) -> End {
        let ticket = match kind {
            Kind::JsapiTicket => "jsapi",
            Kind::WxCardTicket => "wx_card",
            Kind::AccessToken => return End::NeverSent(TroubleKind::Unsendable.into()),
        };
        let query = [("access_token", token.expose()), ("type", ticket)];
        let url = self.url("/cgi-bin/ticket/getticket", &query);
        end(self.0.wire.get(Connection::Pooled, url).await, "ticket", token)
    }

    /// Asks WeChat whether it accepts this token, by a call without an effect (`get_api_domain_ip`).
    pub async fn probe(&self, token: &Secret) -> Probe {
        let url = self.url("/cgi-bin/get_api_domain_ip", &[("access_token", token.expose())]);
        match self.0.wire.get(Connection::Pooled, url).await {
            Ok(body) => answer::probe(&body, token),
            Err(Unanswered::NeverSent(trouble) | Unanswered::Unknown(trouble)) => Probe::Silent(trouble),
        }
    }

    /// Exchanges the code of a user's authorization or login. A code works once.
    ///
    /// # Errors
    /// After [`ExchangeFailure::Refused`] and [`ExchangeFailure::Unknown`] the user needs a new
    /// code; after [`ExchangeFailure::NeverSent`] the same one may be tried again.
    pub async fn exchange_code(
        &self,
        flow: Flow,
        appid: &AppId,
        secret: &Secret,
        code: &Secret,
    ) -> Result<Exchanged, ExchangeFailure> {
        let (path, name) = match flow {
            Flow::Web => ("/sns/oauth2/access_token", "code"),
            Flow::MiniProgram => ("/sns/jscode2session", "js_code"),
        };
        let query = [
            ("appid", appid.as_str()),
            ("secret", secret.expose()),
            (name, code.expose()),
            ("grant_type", "authorization_code"),
        ];
        match self.0.wire.get(Connection::Pooled, self.url(path, &query)).await {
            Ok(body) => exchange::read(flow, &body, &[secret, code]),
            Err(Unanswered::NeverSent(trouble)) => Err(ExchangeFailure::NeverSent(trouble)),
            Err(Unanswered::Unknown(trouble)) => Err(ExchangeFailure::Unknown(trouble)),
        }
    }

    /// The URL of an endpoint. It carries secrets: it goes to the wire and nowhere else.
    fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.0.api_base.clone();
        url.set_path(path);
        url.set_fragment(None);
        url.set_query(None);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

/// The name only: the rest is addresses and pools.
impl fmt::Debug for WeChat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeChat").finish_non_exhaustive()
    }
}

/// The end of an attempt whose call was answered, or not.
fn end(answer: Result<Vec<u8>, Unanswered>, field: &'static str, hidden: &Secret) -> End {
    match answer {
        Ok(body) => answer::issued(&body, field, hidden),
        Err(Unanswered::NeverSent(trouble)) => End::NeverSent(trouble),
        Err(Unanswered::Unknown(trouble)) => End::Unknown(trouble),
    }
}
