//! Signs pages and cards: with the ticket of the local copy, and where there is none by asking
//! the daemon to sign.
//!
//! Guarantees that a ticket goes into a hash and nowhere else. The copy's ticket is used to its
//! own end: a daemon that is away takes no signature from anybody before that. What is signed was
//! judged before it comes here; [`Page`] says so.

use std::io;
use std::time::Duration;

use rand::TryRngCore as _;
use rand::rngs::OsRng;

use crate::client::cache::Cache;
use crate::client::{self, Client};
use crate::clock::Clock;
use crate::jsapi;
use crate::model::{AppId, Key, Kind};
use crate::telemetry::services::{self as metrics, SignedBy};

use super::site::Page;

/// Bytes of a nonce, twice as many letters.
const NONCE: usize = 16;
/// A page's reader waits for it: no longer for a daemon that is asked for a signature.
const PATIENCE: Duration = Duration::from_secs(3);
/// Until the next try, where the daemon does not say.
const RETRY: Duration = Duration::from_secs(5);

/// Signs for every account of the service. Cheap to clone.
#[derive(Clone)]
pub struct Signer {
    copy: Cache,
    client: Client,
    clock: Clock,
}

/// What a page gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Whole seconds, by which WeChat computes too.
    pub timestamp: i64,
    /// Random letters, different each time.
    pub nonce: String,
    /// Hex SHA-1.
    pub signature: String,
}

/// Why nothing can be signed now.
#[derive(Debug, thiserror::Error)]
pub enum NoSignature {
    /// The copy has no ticket, and the daemon does not sign.
    #[error(
        "the local copy has no jsapi_ticket of {appid}, and the daemon does not sign (does it run, has the account this ticket, may this \
         service's [[client]] read it or sign?)"
    )]
    Daemon {
        /// Whose.
        appid: AppId,
        /// What it said.
        source: Box<client::Error>,
    },
    /// It took too long to say anything.
    #[error(
        "the local copy has no jsapi_ticket of {appid}, and the daemon has not answered for {} s",
        PATIENCE.as_secs()
    )]
    Slow {
        /// Whose.
        appid: AppId,
    },
    /// Cards are signed with the copy's ticket only.
    #[error(
        "the local copy has no wx_card_ticket of {appid} (does the daemon run, has the [[account]] it among its tickets, may this service's \
         [[client]] read it?)"
    )]
    NoCardTicket {
        /// Whose.
        appid: AppId,
    },
    /// The machine gives no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[source] io::Error),
}

impl NoSignature {
    /// When to come again.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Daemon { source, .. } => source.retry_after().unwrap_or(RETRY),
            Self::Slow { .. } | Self::NoCardTicket { .. } | Self::Random(_) => RETRY,
        }
    }
}

impl Signer {
    /// Signs with what this copy holds, or this client's daemon.
    pub fn new(copy: Cache, client: Client, clock: Clock) -> Self {
        Self { copy, client, clock }
    }

    /// Signs a page.
    ///
    /// # Errors
    /// There is no ticket now.
    pub async fn page(&self, appid: &AppId, page: Page<'_>) -> Result<Signature, NoSignature> {
        if let Some(signature) = self.page_by_copy(appid, page)? {
            return Ok(signature);
        }
        let asked = tokio::time::timeout(PATIENCE, self.client.sign_jsapi(appid, page.text())).await;
        let refused = |source| NoSignature::Daemon { appid: appid.clone(), source: Box::new(source) };
        let answer = asked.map_err(|_| NoSignature::Slow { appid: appid.clone() })?.map_err(refused)?;
        metrics::signed(SignedBy::Daemon);
        Ok(Signature { timestamp: answer.timestamp, nonce: answer.nonce_str, signature: answer.signature })
    }

    /// Signs a page if the copy has a ticket. No call, no wait.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn page_by_copy(&self, appid: &AppId, page: Page<'_>) -> Result<Option<Signature>, NoSignature> {
        let Some(held) = self.copy.to_its_end(&Key::new(appid.clone(), Kind::JsapiTicket)) else {
            return Ok(None);
        };
        let (timestamp, nonce) = (self.clock.wall().seconds(), nonce()?);
        let signature = jsapi::sign(&held.value, &nonce, timestamp, page.text());
        metrics::signed(SignedBy::Copy);
        Ok(Some(Signature { timestamp, nonce, signature }))
    }

    /// Signs a card: the hash of these values, the time, the nonce and the ticket.
    ///
    /// # Errors
    /// There is no ticket now.
    pub fn card(&self, appid: &AppId, values: &[&str]) -> Result<Signature, NoSignature> {
        let held = self.copy.to_its_end(&Key::new(appid.clone(), Kind::WxCardTicket));
        let held = held.ok_or_else(|| NoSignature::NoCardTicket { appid: appid.clone() })?;
        let (timestamp, nonce) = (self.clock.wall().seconds(), nonce()?);
        let seconds = timestamp.to_string();
        let values: Vec<&str> = values.iter().copied().chain([seconds.as_str(), nonce.as_str()]).collect();
        let signature = jsapi::sign_card(&held.value, &values);
        metrics::signed(SignedBy::CopyCard);
        Ok(Signature { timestamp, nonce, signature })
    }
}

/// Letters that nobody has had before, from the system's source.
fn nonce() -> Result<String, NoSignature> {
    let mut bytes = [0; NONCE];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| NoSignature::Random(io::Error::other(error)))?;
    Ok(hex::encode(bytes))
}
