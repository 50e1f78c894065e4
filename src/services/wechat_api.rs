//! WeChat's business endpoints, called with the token that the daemon hands out.
//!
//! Owns the way of one call: token from the daemon, request, answer. Guarantees: a dead token is
//! reported to the daemon and the call made once more with what it answers, never more often; a
//! call whose answer was lost is never repeated, because a message that came twice is worse than
//! one that came late; nothing follows a redirect or the environment's proxy; no error holds a
//! token or a URL. Deliberately absent: which endpoints there are, and what their fields mean.

mod answer;
mod errcode;
mod error;
mod user;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use url::Url;

use crate::client::Client;
use crate::client::cache::Cache;
use crate::model::{AppId, Fingerprint, Key, Kind};
use crate::secret::Secret;

use answer::Answer;
use error::no_token;
use wire::{Request, Wire};

pub use answer::Refusal;
pub use error::{ApiError, LostKind, SetupError, UnsentKind};
pub use user::UserApi;

/// How long the daemon may take to have a token, while it has none. A user who waits for an
/// answer has gone by then.
const TOKEN_WAIT: Duration = Duration::from_secs(5);

/// How WeChat is reached, and how the daemon is called in errors.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Scheme and host of the API, without a path.
    pub api_base: Url,
    /// Limit for DNS, TCP and TLS together. Below `timeout`, so that a call that was never sent
    /// is known as such.
    pub connect_timeout: Duration,
    /// Limit for one whole call.
    pub timeout: Duration,
    /// An HTTP proxy. The environment's is never used.
    pub proxy: Option<Url>,
    /// The daemon's address as the configuration has it, for errors only.
    pub daemon: String,
}

/// Calls WeChat in the name of accounts. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct WechatApi {
    client: Client,
    cache: Option<Cache>,
    shared: Arc<Shared>,
}

struct Shared {
    wire: Wire,
    daemon: String,
}

/// A token and its name.
struct Held {
    value: Secret,
    fingerprint: Fingerprint,
}

impl WechatApi {
    /// Calls with tokens of this client's daemon. Opens no connection.
    ///
    /// # Errors
    /// The settings cannot be used, or the machine has no CA certificates.
    pub fn new(client: Client, settings: Settings) -> Result<Self, SetupError> {
        let wire = Wire::new(&settings)?;
        Ok(Self { client, cache: None, shared: Arc::new(Shared { wire, daemon: settings.daemon }) })
    }

    /// Looks into this local copy before it asks the daemon.
    #[must_use]
    pub fn with_cache(self, cache: Cache) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// The same connections to WeChat, with tokens that this client may read.
    #[must_use]
    pub fn for_client(&self, client: Client) -> Self {
        Self { client, cache: None, shared: self.shared.clone() }
    }

    /// `POST` of a JSON body to a path like `/cgi-bin/message/custom/send`. Its texts are sent in
    /// UTF-8 as they are; control characters in them would be escaped, which WeChat refuses.
    ///
    /// # Errors
    /// After [`ApiError::Lost`] the call may have been carried out; after every other it was not.
    pub async fn post<B: Serialize>(&self, appid: &AppId, path: &str, body: &B) -> Result<Value, ApiError> {
        let body = serde_json::to_vec(body).map_err(|_| ApiError::NotSent(UnsentKind::Unsendable))?;
        self.call(appid, &Request::Post { path, body: &body }).await
    }

    /// `GET` of a path with these parameters besides the token.
    ///
    /// # Errors
    /// As [`WechatApi::post`].
    pub async fn get(&self, appid: &AppId, path: &str, query: &[(&str, &str)]) -> Result<Value, ApiError> {
        self.call(appid, &Request::Get { path, query }).await
    }

    /// `GET` of a picture from one of WeChat's hosts that ask for no token: its bytes and its type.
    ///
    /// # Errors
    /// As [`WechatApi::post`]; a status other than 200 is a [`LostKind`].
    pub async fn picture(
        &self,
        base: &Url,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<(Vec<u8>, String), ApiError> {
        self.shared.wire.picture(base, path, query).await
    }

    async fn call(&self, appid: &AppId, request: &Request<'_>) -> Result<Value, ApiError> {
        let key = Key::new(appid.clone(), Kind::AccessToken);
        let held = self.token(&key).await?;
        let dead = match self.shared.wire.call(request, &held.value).await? {
            Answer::Done(fields) => return Ok(fields),
            Answer::Refused(refusal) if refusal.says_dead() => refusal,
            Answer::Refused(refusal) => return Err(ApiError::Refused(refusal)),
        };
        tracing::info!(
            app = %appid, token.fingerprint = %held.fingerprint, errcode = %dead.errcode,
            "WeChat says that the token is dead; the daemon is asked for another"
        );
        let answer = self.client.complain(&key, Some(held.fingerprint), dead.errcode).await;
        let answer = answer.map_err(|source| ApiError::Complaint {
            daemon: self.shared.daemon.clone(),
            errcode: dead.errcode,
            source,
        })?;
        let fresh = answer.token.value.ok_or_else(|| ApiError::MayNotRead { appid: appid.clone() })?;
        // Safe to send again: WeChat said that it did nothing.
        match self.shared.wire.call(request, &fresh).await? {
            Answer::Done(fields) => Ok(fields),
            Answer::Refused(refusal) if refusal.says_dead() => Err(ApiError::StillDead(refusal)),
            Answer::Refused(refusal) => Err(ApiError::Refused(refusal)),
        }
    }

    async fn token(&self, key: &Key) -> Result<Held, ApiError> {
        if let Some(held) = self.cache.as_ref().and_then(|cache| cache.get(key)) {
            return Ok(Held { value: held.value.clone(), fingerprint: held.fingerprint });
        }
        let got = self.client.get(key, TOKEN_WAIT).await;
        let token = got.map_err(|error| no_token(&key.appid, &self.shared.daemon, error))?;
        let value = token.value.ok_or_else(|| ApiError::MayNotRead { appid: key.appid.clone() })?;
        Ok(Held { value, fingerprint: token.fingerprint })
    }
}

/// The daemon's address only: the rest is connections and values.
impl fmt::Debug for WechatApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WechatApi").field("daemon", &self.shared.daemon).finish_non_exhaustive()
    }
}
