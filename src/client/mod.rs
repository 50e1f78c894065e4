//! The client of the daemon: get, complain, watch and the rest of the contract.
//!
//! Speaks the contract and knows nothing of the daemon's inside, so it is what a service in
//! another process uses. One [`Client`] is one connection that reconnects by itself; it is
//! cheap to clone, and clones share the connection. What the daemon refuses comes as
//! [`Error::Refused`] with everything that it said about it.
//!
//! Absent on purpose: retries. Whether to ask again, and when, is in the error.

pub mod cache;
mod connect;
mod error;
mod token;
mod watch;

use std::time::Duration;

use tonic::Request;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::clock::WallTime;
use crate::model::{AppId, ErrCode, Fingerprint, Generation, Key, Kind};
use crate::pb;
use crate::pb::token_control_client::TokenControlClient;
use crate::secret::Secret;

pub use connect::{AddressError, Credentials};
pub use error::{Code, Error, Refusal};
pub use token::Token;
pub use watch::{Event, Watch};

/// What a code was exchanged for, and the user of a page's.
pub use crate::pb::{WebLogin, exchange_code_response::Result as Exchanged};

use connect::Bearer;
use error::answered;

/// For calls that the daemon answers by itself.
const QUICK: Duration = Duration::from_secs(10);
/// Longest wait that the daemon grants to a `get`.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// For calls that wait for WeChat; the daemon's own limit is 60 s.
const LONG: Duration = Duration::from_secs(65);

type Stub = TokenControlClient<InterceptedService<Channel, Bearer>>;

/// A connection to the daemon.
#[derive(Clone, Debug)]
pub struct Client {
    stub: Stub,
    channel: Channel,
}

/// What a complaint or a forced refresh led to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What happened.
    pub outcome: pb::Outcome,
    /// The value to use from now on.
    pub token: Token,
}

/// Why a value is to be replaced without proof that it is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// An operator wants a new one.
    Once,
    /// It leaked, and must be dead as soon as possible.
    Leaked,
}

/// What to pause or resume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One key.
    Key(Key),
    /// Every key of an account.
    Account(AppId),
}

/// Which login a code comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// A web page in WeChat.
    Web,
    /// A mini program.
    MiniProgram,
}

impl Client {
    /// Connects to `http://host:port`, `https://host:port`, `unix:/path` or `host:port`
    /// (plain text). Fails if nobody answers there.
    pub async fn connect(addr: &str, credentials: Credentials) -> Result<Self, Error> {
        let (channel, bearer) = connect::eager(addr, credentials).await?;
        Ok(Self::over(channel, bearer))
    }

    /// The same without waiting: the first call connects. Must be called within a runtime.
    pub fn lazy(addr: &str, credentials: Credentials) -> Result<Self, Error> {
        let (channel, bearer) = connect::lazy(addr, credentials)?;
        Ok(Self::over(channel, bearer))
    }

    fn over(channel: Channel, bearer: Bearer) -> Self {
        Self { stub: TokenControlClient::with_interceptor(channel.clone(), bearer), channel }
    }

    /// Another caller over the same connection: the one with this bearer token, and with nothing
    /// else that this client shows in each call. For a program that asks in its callers' names.
    ///
    /// # Errors
    /// It is no token, and nothing was sent.
    pub fn with_token(&self, token: Secret) -> Result<Self, Error> {
        let credentials = Credentials { token: Some(token), ..Credentials::default() };
        Ok(Self::over(self.channel.clone(), connect::bearer(&credentials)?))
    }

    /// Whether the daemon is there and serves, which it tells everybody.
    pub async fn serving(&self) -> Result<bool, Error> {
        let asked = limited(HealthCheckRequest::default(), QUICK);
        let answer = HealthClient::new(self.channel.clone()).check(asked).await?.into_inner();
        Ok(answer.status() == ServingStatus::Serving)
    }

    /// The current value; waits for one up to `max_wait` (at most 30 s) while there is none.
    pub async fn get(&self, key: &Key, max_wait: Duration) -> Result<Token, Error> {
        let max_wait = max_wait.min(MAX_WAIT);
        let asked = pb::GetTokenRequest {
            appid: key.appid.as_str().to_owned(),
            kind: kind(key.kind),
            max_wait: Some(span(max_wait)),
        };
        let answer = self.stub.clone().get_token(limited(asked, max_wait + QUICK)).await?;
        token::read(answered("token", answer.into_inner().token)?)
    }

    /// Reports that the value with this fingerprint failed with `errcode` (0: not known),
    /// and waits for the verdict.
    pub async fn complain(
        &self,
        key: &Key,
        seen: Option<Fingerprint>,
        errcode: ErrCode,
    ) -> Result<Answer, Error> {
        self.refresh(pb::ForceRefreshRequest {
            appid: key.appid.as_str().to_owned(),
            kind: kind(key.kind),
            seen_fingerprint: seen.map(|seen| seen.to_string()).unwrap_or_default(),
            errcode: errcode.0,
            force: false,
            leaked: false,
        })
        .await
    }

    /// Replaces the value without proof.
    pub async fn force(&self, key: &Key, force: Force) -> Result<Answer, Error> {
        self.refresh(pb::ForceRefreshRequest {
            appid: key.appid.as_str().to_owned(),
            kind: kind(key.kind),
            seen_fingerprint: String::new(),
            errcode: 0,
            force: true,
            leaked: force == Force::Leaked,
        })
        .await
    }

    async fn refresh(&self, asked: pb::ForceRefreshRequest) -> Result<Answer, Error> {
        let answer = self.stub.clone().force_refresh(limited(asked, LONG)).await?.into_inner();
        let token = token::read(answered("token", answer.token.clone())?)?;
        Ok(Answer { outcome: answer.outcome(), token })
    }

    /// Watches these keys, or all that may be read if there are none. Values whose
    /// generation is in `known` come without their string while it is unchanged.
    pub async fn watch(&self, keys: &[Key], known: &[(Key, Generation)]) -> Result<Watch, Error> {
        let known = known.iter().map(|(key, generation)| pb::KnownToken {
            appid: key.appid.as_str().to_owned(),
            kind: kind(key.kind),
            generation: generation.0,
        });
        let asked =
            pb::WatchTokensRequest { keys: keys.iter().map(key_out).collect(), known: known.collect() };
        // No limit on the request: it would end the stream. Silence is the watch's own business.
        let stream = self.stub.clone().watch_tokens(Request::new(asked)).await?.into_inner();
        Ok(Watch::new(stream))
    }

    /// One page of status.
    pub async fn status_page(&self, asked: pb::ListStatusRequest) -> Result<pb::ListStatusResponse, Error> {
        Ok(self.stub.clone().list_status(limited(asked, QUICK)).await?.into_inner())
    }

    /// All pages of status, from the filter of `asked`.
    pub async fn status(&self, mut asked: pb::ListStatusRequest) -> Result<Vec<pb::KeyStatus>, Error> {
        let mut keys = Vec::new();
        loop {
            let page = self.status_page(asked.clone()).await?;
            keys.extend(page.keys);
            if page.next_page_token.is_empty() {
                return Ok(keys);
            }
            asked.page_token = page.next_page_token;
        }
    }

    /// One page of the audit, newest first. It may be short or empty before the last one.
    pub async fn audit_page(&self, asked: pb::ListAuditRequest) -> Result<pb::ListAuditResponse, Error> {
        Ok(self.stub.clone().list_audit(limited(asked, QUICK)).await?.into_inner())
    }

    /// Signs a page for wx.config.
    pub async fn sign_jsapi(&self, appid: &AppId, url: &str) -> Result<pb::SignJsapiResponse, Error> {
        let asked = pb::SignJsapiRequest { appid: appid.as_str().to_owned(), url: url.to_owned() };
        Ok(self.stub.clone().sign_jsapi(limited(asked, QUICK)).await?.into_inner())
    }

    /// Exchanges a login code. A code works once: do not repeat a call whose end is unknown.
    pub async fn exchange_code(&self, appid: &AppId, code: &Secret, flow: Flow) -> Result<Exchanged, Error> {
        let flow = match flow {
            Flow::Web => pb::Flow::Web,
            Flow::MiniProgram => pb::Flow::MiniProgram,
        };
        let asked = pb::ExchangeCodeRequest {
            appid: appid.as_str().to_owned(),
            code: code.expose().to_owned(),
            flow: flow.into(),
        };
        let answer = self.stub.clone().exchange_code(limited(asked, LONG)).await?.into_inner();
        answered("result", answer.result)
    }

    /// Pauses; without an end, for an hour.
    pub async fn pause(&self, target: Target, until: Option<WallTime>) -> Result<Vec<pb::KeyStatus>, Error> {
        use pb::pause_request::Target as To;
        let target = match target {
            Target::Key(key) => To::Key(key_out(&key)),
            Target::Account(appid) => To::Account(appid.as_str().to_owned()),
        };
        let until = until.map(|at| prost_types::Timestamp {
            seconds: at.seconds(),
            // Below 10^9.
            nanos: i32::try_from(at.0.rem_euclid(1_000) * 1_000_000).unwrap_or(0),
        });
        let asked = pb::PauseRequest { target: Some(target), until };
        Ok(self.stub.clone().pause(limited(asked, QUICK)).await?.into_inner().keys)
    }

    /// Ends a pause.
    pub async fn resume(&self, target: Target) -> Result<Vec<pb::KeyStatus>, Error> {
        use pb::resume_request::Target as To;
        let target = match target {
            Target::Key(key) => To::Key(key_out(&key)),
            Target::Account(appid) => To::Account(appid.as_str().to_owned()),
        };
        let asked = pb::ResumeRequest { target: Some(target) };
        Ok(self.stub.clone().resume(limited(asked, QUICK)).await?.into_inner().keys)
    }
}

fn limited<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

fn span(span: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    // Below 10^9.
    prost_types::Duration { seconds, nanos: i32::try_from(span.subsec_nanos()).unwrap_or(0) }
}

fn key_out(key: &Key) -> pb::Key {
    pb::Key { appid: key.appid.as_str().to_owned(), kind: kind(key.kind) }
}

fn kind(kind: Kind) -> i32 {
    match kind {
        Kind::AccessToken => pb::Kind::AccessToken,
        Kind::JsapiTicket => pb::Kind::JsapiTicket,
        Kind::WxCardTicket => pb::Kind::WxCardTicket,
    }
    .into()
}
