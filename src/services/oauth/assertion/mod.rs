//! Assertions: short JSON web tokens by which another host learns who is logged in here.
//!
//! ES256, which every JWT library knows; the keys are our own and their public halves are at
//! `/oauth/jwks.json`. An assertion is for one origin (`aud`), from our address (`iss`), about one
//! openid (`sub`), and valid for a minute. It is no session: who takes it begins one of its own.
//!
//! A new key is published for a while before it signs, and an old one until the last assertion
//! under it has ended, so that nobody who keeps `jwks.json` as long as it may meets an unknown key.

mod keys;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::account::Origin;
use super::sessions::{Login, Via};
use crate::clock::Clock;
use crate::seal::{Keys, OpenError};
use crate::services::database::{Database, DatabaseError};

pub use keys::{Revoke, Rotated};
use keys::{SigningKey, standing};

/// How long `jwks.json` may be kept by whoever reads it; our own copy of the keys too.
pub const KEPT: Duration = Duration::from_secs(300);
/// Between two looks whether another instance has new keys.
const FRESH: Duration = Duration::from_secs(60);

/// Signs. A clone is the same.
#[derive(Clone)]
pub struct Assertions(Arc<Inner>);

struct Inner {
    database: Database,
    seal: Keys,
    clock: Clock,
    issuer: Origin,
    life: Duration,
    random: SystemRandom,
    /// The keys as they were read last. Whoever finds them old reads them again; the others wait.
    read: Mutex<Option<(Instant, Arc<[SigningKey]>)>>,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    appid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
    iat: i64,
    exp: i64,
    jti: String,
    /// When the person logged in.
    auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    /// Only there when the person was made up.
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<bool>,
}

#[derive(Serialize)]
struct Jwks<'a> {
    keys: Vec<Jwk<'a>>,
}

#[derive(Serialize)]
struct Jwk<'a> {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    kid: &'a str,
    x: String,
    y: String,
}

impl Assertions {
    /// From this address, valid so long; keys in this database, sealed.
    pub fn new(database: Database, seal: Keys, issuer: Origin, life: Duration, clock: Clock) -> Self {
        let read = Mutex::default();
        Self(Arc::new(Inner { database, seal, clock, issuer, life, random: SystemRandom::new(), read }))
    }

    /// How long one is valid.
    pub fn life(&self) -> Duration {
        self.0.life
    }

    /// Says to an origin who is logged in. The nonce is what it sent along, so that it knows its own
    /// question again.
    pub async fn sign(
        &self,
        audience: &Origin,
        login: &Login,
        nonce: Option<&str>,
    ) -> Result<String, AssertionError> {
        let keys = self.keys().await?;
        let now = self.0.clock.wall();
        let key = &keys[standing(&keys, now, self.0.life).signer];
        let debug = match login.via {
            Via::WeChat => None,
            Via::Debug => Some(true),
        };
        let iat = now.seconds();
        let claims = Claims {
            iss: self.0.issuer.as_str(),
            aud: audience.as_str(),
            sub: login.openid.as_str(),
            appid: login.appid.as_str(),
            unionid: login.unionid.as_ref().map(super::users::UnionId::as_str),
            iat,
            exp: iat.saturating_add(i64::try_from(self.0.life.as_secs()).unwrap_or(0)),
            jti: hex::encode(rand::random::<[u8; 16]>()),
            auth_time: login.at.seconds(),
            nonce,
            debug,
        };
        let header = Header { alg: "ES256", typ: "JWT", kid: key.kid() };
        let mut token = format!("{}.{}", part(&header), part(&claims));
        let signature = key.sign(&self.0.random, token.as_bytes())?;
        token.push('.');
        BASE64.encode_string(signature, &mut token);
        Ok(token)
    }

    /// The public halves, as `/oauth/jwks.json`.
    pub async fn jwks(&self) -> Result<String, AssertionError> {
        let keys = self.keys().await?;
        let standing = standing(&keys, self.0.clock.wall(), self.0.life);
        let keys = keys[standing.published..].iter().map(|key| {
            let (x, y) = key.point();
            Jwk {
                kty: "EC",
                crv: "P-256",
                alg: "ES256",
                usage: "sig",
                kid: key.kid(),
                x: BASE64.encode(x),
                y: BASE64.encode(y),
            }
        });
        let jwks = Jwks { keys: keys.collect() };
        Ok(serde_json::to_string(&jwks).expect("texts can be written as JSON"))
    }

    /// Makes a new key, and drops those that nobody needs any more.
    pub async fn rotate(&self, revoke: Revoke) -> Result<Rotated, AssertionError> {
        let Inner { database, seal, clock, life, .. } = &*self.0;
        let new = SigningKey::make(&self.0.random, clock.wall())?;
        let rotated = keys::rotate(database, seal, new, *life, revoke).await?;
        *self.0.read.lock().await = None;
        Ok(rotated)
    }

    /// Seals every key with the first seal key that is not. Returns how many there were.
    pub async fn reseal(&self) -> Result<u64, AssertionError> {
        keys::reseal(&self.0.database, &self.0.seal).await
    }

    /// The keys, oldest first; at least one.
    async fn keys(&self) -> Result<Arc<[SigningKey]>, AssertionError> {
        let Inner { database, seal, clock, random, .. } = &*self.0;
        let mut read = self.0.read.lock().await;
        let known = match &*read {
            Some((at, keys)) if at.elapsed() < FRESH => return Ok(Arc::clone(keys)),
            Some((_, keys)) => Some(Arc::clone(keys)),
            None => None,
        };
        let loaded = keys::load_or_make(database, seal, || SigningKey::make(random, clock.wall())).await;
        match (loaded, known) {
            (Ok(keys), _) => {
                let keys: Arc<[SigningKey]> = keys.into();
                *read = Some((Instant::now(), Arc::clone(&keys)));
                Ok(keys)
            }
            // They are still ours, and the database has logged what is wrong with it.
            (Err(_), Some(keys)) => Ok(keys),
            (Err(error), None) => Err(error),
        }
    }
}

fn part(json: &impl Serialize) -> String {
    BASE64.encode(serde_json::to_vec(json).expect("texts and numbers can be written as JSON"))
}

impl fmt::Debug for Assertions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assertions").field("issuer", &self.0.issuer).finish_non_exhaustive()
    }
}

/// Why there is no assertion. The page answers 503.
#[derive(Debug, thiserror::Error)]
pub enum AssertionError {
    /// The keys cannot be had.
    #[error("the keys of assertions cannot be read or written")]
    Database(#[from] DatabaseError),
    /// A key does not open.
    #[error("a key of assertions does not open")]
    Sealed(#[from] OpenError),
    /// What is there is no key, or the system has no randomness.
    #[error("a key of assertions is damaged; make a new one with `zhongkong oauth rotate-key --revoke`")]
    Key,
}
