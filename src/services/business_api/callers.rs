//! Who asks, and whether they may: the daemon says so.
//!
//! A program shows the bearer token that it has for the daemon, and the daemon is asked with it for
//! the account's access token: whoever may read that may do all of this at WeChat anyway. So there
//! is no second list of clients, and this service has no power of its own: what it does at WeChat
//! it does with what the caller may read.
//!
//! **Invariant:** nothing is asked in the service's own name: a request without a token asks nothing.
//! **Invariant:** who was let in is asked about again after [`REMEMBERED`] at most, so a client that
//! was taken out is out after that; what needs WeChat asks the daemon each time.
//!
//! A token that the daemon does not know costs its sender's address one of [`FAILURES`] a minute; when
//! they are spent, the daemon is not asked for that address.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::client::{Client, Code, Error};
use crate::clock::Clock;
use crate::http::Limit;
use crate::model::{AppId, Fingerprint, Key, Kind};
use crate::secret::Secret;

/// How long a decision of the daemon's holds here, at most.
pub const REMEMBERED: Duration = Duration::from_secs(15);
/// Unknown tokens a minute from one address. A program has one; who types one in mistypes it twice.
const FAILURES: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// Decisions that are remembered: a few programs with some hundred accounts each.
const MOST: usize = 8_192;
/// Longest bearer token, in bytes, as at the daemon.
const LONGEST: usize = 512;

/// Somebody who may.
#[derive(Clone)]
pub(super) struct Caller {
    /// The daemon, asked in the caller's name.
    pub(super) client: Client,
    /// With whose account.
    pub(super) appid: AppId,
    /// How the caller is called in what is kept: by its token's fingerprint, which is how the
    /// `token_sha256` of its `[[client]]` begins.
    pub(super) name: String,
}

/// Why somebody may not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Denied {
    #[error(
        "no credentials: send `authorization: Bearer TOKEN`, with the token that the daemon knows this program by"
    )]
    Nothing,
    #[error("the authorization header is not of the form `Bearer TOKEN`")]
    NotBearer,
    #[error("the daemon does not know this token: `zhongkong new-client NAME` makes one and its [[client]]")]
    Unknown(#[source] Error),
    #[error(
        "this client may do nothing with this account: it needs the action `read` on its access token, in its [[client]] at the daemon"
    )]
    Forbidden(#[source] Error),
    #[error("the daemon has no such account")]
    NoAccount,
    #[error("too many unknown tokens came from this address: it is heard again in {} s", seconds(*.0))]
    TooMany(Duration),
    #[error("the daemon cannot be asked who this is: try again in a moment")]
    Away(#[source] Error),
}

/// What was decided, and until when that holds.
struct Known {
    until: Instant,
}

/// A token by its hash, and an account.
type Asked = ([u8; 32], AppId);

/// Lets in whom the daemon knows.
pub(super) struct Callers {
    daemon: Client,
    known: Mutex<HashMap<Asked, Known>>,
    failures: Limit,
    /// Addresses with no failure left, and until when.
    barred: Mutex<HashMap<IpAddr, Instant>>,
}

impl Callers {
    /// Asks this daemon. Whatever the client shows of its own is not used.
    pub(super) fn new(daemon: Client, clock: Clock) -> Self {
        let failures = Limit::new(FAILURES, clock);
        Self { daemon, known: Mutex::default(), failures, barred: Mutex::default() }
    }

    /// The caller with these headers, from this address, about this account.
    pub(super) async fn admit(
        &self,
        headers: &HeaderMap,
        from: IpAddr,
        appid: Option<AppId>,
    ) -> Result<Caller, Denied> {
        let token = bearer(headers)?;
        let appid = appid.ok_or(Denied::NoAccount)?;
        let name = format!("client {}", Fingerprint::of(&token));
        let asked = (Sha256::digest(token.expose().as_bytes()).into(), appid.clone());
        let client = self.daemon.with_token(token).map_err(|_| Denied::NotBearer)?;
        let caller = Caller { client, appid, name };
        match self.recall(&asked) {
            Recalled::Holds => return Ok(caller),
            // It was known a moment ago, and is not barred for what its neighbours do.
            Recalled::Old => {}
            Recalled::Stranger => self.not_barred(from)?,
        }
        let key = Key::new(caller.appid.clone(), Kind::AccessToken);
        match caller.client.get(&key, Duration::ZERO).await {
            Ok(token) => {
                self.remember(asked, token.cache_for.min(REMEMBERED));
                Ok(caller)
            }
            Err(error) if error.is_away() => Err(Denied::Away(error)),
            Err(error) => match error.code() {
                Some(Code::Unauthenticated) => {
                    self.forget(&asked);
                    self.failed(from);
                    Err(Denied::Unknown(error))
                }
                Some(Code::PermissionDenied) => {
                    self.forget(&asked);
                    Err(Denied::Forbidden(error))
                }
                Some(Code::NotFound | Code::InvalidArgument) => {
                    self.forget(&asked);
                    Err(Denied::NoAccount)
                }
                // It may; there is only no token now. What needs none is done all the same.
                Some(Code::Unavailable | Code::FailedPrecondition | Code::ResourceExhausted) => Ok(caller),
                Some(_) | None => Err(Denied::Away(error)),
            },
        }
    }

    fn recall(&self, asked: &Asked) -> Recalled {
        match lock(&self.known).get(asked) {
            None => Recalled::Stranger,
            Some(Known { until }) if *until > Instant::now() => Recalled::Holds,
            Some(Known { .. }) => Recalled::Old,
        }
    }

    fn remember(&self, asked: Asked, span: Duration) {
        let now = Instant::now();
        let mut known = lock(&self.known);
        if known.len() >= MOST && !known.contains_key(&asked) {
            known.retain(|_, known| known.until > now);
            if known.len() >= MOST {
                // It is asked about each time instead.
                return;
            }
        }
        known.insert(asked, Known { until: now + span });
    }

    fn forget(&self, asked: &Asked) {
        lock(&self.known).remove(asked);
    }

    fn not_barred(&self, from: IpAddr) -> Result<(), Denied> {
        let now = Instant::now();
        let mut barred = lock(&self.barred);
        match barred.get(&from) {
            Some(until) if *until > now => Err(Denied::TooMany(until.duration_since(now))),
            Some(_) => {
                barred.remove(&from);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn failed(&self, from: IpAddr) {
        let Err(wait) = self.failures.take(from) else { return };
        let now = Instant::now();
        let mut barred = lock(&self.barred);
        if barred.len() >= MOST {
            barred.retain(|_, until| *until > now);
        }
        if barred.len() < MOST {
            barred.insert(from, now + wait);
        }
    }
}

/// What is remembered of a token and an account.
enum Recalled {
    /// It may, as of a moment ago.
    Holds,
    /// It could.
    Old,
    /// Nothing.
    Stranger,
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callers")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The token in `Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Result<Secret, Denied> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let line = lines.next().ok_or(Denied::Nothing)?;
    if lines.next().is_some() {
        return Err(Denied::NotBearer);
    }
    let (scheme, token) = line.as_bytes().split_at_checked(7).ok_or(Denied::NotBearer)?;
    let fits = (1..=LONGEST).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic);
    if !scheme.eq_ignore_ascii_case(b"bearer ") || !fits {
        return Err(Denied::NotBearer);
    }
    str::from_utf8(token).map(Secret::from).map_err(|_| Denied::NotBearer)
}

/// Rounded up: who comes then is not early.
pub(super) fn seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn only_one_bearer_token_is_a_proof_and_an_empty_one_is_none() {
        // An empty one would be no token at all, and the daemon would take the service for the caller.
        let token = |lines: &[&[u8]]| bearer(&headers(lines)).map(|token| token.expose().to_owned());
        assert_eq!(token(&[b"Bearer t0ken"]).unwrap(), "t0ken");
        assert_eq!(token(&[b"bEARER t0ken"]).unwrap(), "t0ken");
        assert!(matches!(token(&[]), Err(Denied::Nothing)));
        let long = [b"Bearer ".as_slice(), &[b'x'; LONGEST + 1]].concat();
        for bad in [b"Bearer ".as_slice(), b"Bearer", b"Basic abc", b"Bearer a b", b"Bearer \xff", &long] {
            assert!(matches!(token(&[bad]), Err(Denied::NotBearer)), "{bad:?}");
        }
        assert!(matches!(token(&[b"Bearer a", b"Bearer b"]), Err(Denied::NotBearer)));
    }
}
