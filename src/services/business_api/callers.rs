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
//! **Invariant:** only the daemon's own word lets somebody in. That a call failed is no word of it:
//! a connection's trouble has the same codes.
//!
//! A token that the daemon does not know costs its sender's address one of [`FAILURES`] a minute; when
//! they are spent, the daemon is not asked for that address.

use std::collections::{HashMap, HashSet};
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
/// Why the daemon has no token for somebody who may have it, docs/protocol.md: it says so only
/// after it has judged the asker.
const OF_A_TOKEN: [&str; 4] = ["EXHAUSTED", "NEEDS_OPERATOR", "PAUSED", "UNAVAILABLE"];
/// The same by WeChat's number.
const OF_WECHAT: &str = "WECHAT_";
/// An appid that WeChat gives to nobody.
const NOBODY: &str = "-";
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

/// A token by its hash.
type Hash = [u8; 32];

/// What was decided of tokens.
#[derive(Default)]
struct Known {
    /// Those that the daemon knew when it was asked last, whatever they may.
    programs: HashSet<Hash>,
    /// Who may with which account, and until when that holds.
    grants: HashMap<(Hash, AppId), Instant>,
}

/// Lets in whom the daemon knows.
pub(super) struct Callers {
    daemon: Client,
    known: Mutex<Known>,
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
        let name = format!("client {}", Fingerprint::of(&token));
        let hash = Sha256::digest(token.expose().as_bytes()).into();
        let client = self.daemon.with_token(token).map_err(|_| Denied::NotBearer)?;
        // It was known a moment ago, and is not barred for what its neighbours do.
        if !self.is_known(&hash) {
            self.not_barred(from)?;
        }
        let Some(appid) = appid else { return Err(self.without_account(hash, from, &client).await) };
        let asked = (hash, appid.clone());
        let caller = Caller { client, appid, name };
        if self.holds(&asked) {
            return Ok(caller);
        }
        let key = Key::new(caller.appid.clone(), Kind::AccessToken);
        match caller.client.get(&key, Duration::ZERO).await {
            Ok(token) => {
                self.remember(asked, token.cache_for.min(REMEMBERED));
                Ok(caller)
            }
            Err(error) => match Verdict::of(&error) {
                // What needs no token is done all the same.
                Verdict::MayWithoutToken => {
                    lock(&self.known).knows(hash);
                    Ok(caller)
                }
                verdict => Err(self.denied(verdict, error, &asked, from)),
            },
        }
    }

    /// What is told of an account whose name cannot be one. The token is judged first, as for
    /// others: so the daemon is asked for an account that cannot be.
    async fn without_account(&self, hash: Hash, from: IpAddr, client: &Client) -> Denied {
        let Ok(nobody) = NOBODY.parse::<AppId>() else { return Denied::NoAccount };
        match client.get(&Key::new(nobody.clone(), Kind::AccessToken), Duration::ZERO).await {
            Ok(_) => Denied::NoAccount,
            Err(error) => match Verdict::of(&error) {
                Verdict::MayWithoutToken => Denied::NoAccount,
                verdict => self.denied(verdict, error, &(hash, nobody), from),
            },
        }
    }

    fn denied(&self, verdict: Verdict, error: Error, asked: &(Hash, AppId), from: IpAddr) -> Denied {
        match verdict {
            Verdict::Unknown => {
                self.forget_program(&asked.0);
                self.failed(from);
                Denied::Unknown(error)
            }
            Verdict::Forbidden => {
                self.forget_grant(asked);
                Denied::Forbidden(error)
            }
            Verdict::NoAccount => {
                self.forget_grant(asked);
                Denied::NoAccount
            }
            Verdict::MayWithoutToken | Verdict::Nothing => Denied::Away(error),
        }
    }

    fn is_known(&self, hash: &Hash) -> bool {
        lock(&self.known).programs.contains(hash)
    }

    fn holds(&self, asked: &(Hash, AppId)) -> bool {
        lock(&self.known).grants.get(asked).is_some_and(|until| *until > Instant::now())
    }

    fn remember(&self, asked: (Hash, AppId), span: Duration) {
        let now = Instant::now();
        let mut known = lock(&self.known);
        known.knows(asked.0);
        let grants = &mut known.grants;
        if grants.len() >= MOST && !grants.contains_key(&asked) {
            grants.retain(|_, until| *until > now);
            if grants.len() >= MOST {
                // It is asked about each time instead.
                return;
            }
        }
        grants.insert(asked, now + span);
    }

    fn forget_grant(&self, asked: &(Hash, AppId)) {
        let mut known = lock(&self.known);
        known.grants.remove(asked);
        known.knows(asked.0);
    }

    /// All that it might. Of a stranger there is nothing, and nothing is looked through.
    fn forget_program(&self, hash: &Hash) {
        let mut known = lock(&self.known);
        if known.programs.remove(hash) {
            known.grants.retain(|(other, _), _| other != hash);
        }
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

impl Known {
    fn knows(&mut self, hash: Hash) {
        if self.programs.len() >= MOST {
            // Tokens that were exchanged, mostly. Those in use are known again with their next
            // question; only a neighbour that guesses could keep one waiting until then.
            self.programs.clear();
            self.grants.clear();
        }
        self.programs.insert(hash);
    }
}

/// What a question without a token in its answer says of the asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The daemon would hand the token out, and has none now.
    MayWithoutToken,
    /// It does not know the asker.
    Unknown,
    /// It does, and the asker may not.
    Forbidden,
    /// There is no such account.
    NoAccount,
    /// Nothing: it was not judged.
    Nothing,
}

impl Verdict {
    fn of(error: &Error) -> Self {
        let Error::Refused(refusal) = error else { return Self::Nothing };
        match refusal.code {
            Code::Unauthenticated => Self::Unknown,
            Code::PermissionDenied => Self::Forbidden,
            Code::NotFound | Code::InvalidArgument => Self::NoAccount,
            // HTTP/2's own refusals have these codes, too, before anybody has looked at the asker.
            // What the daemon says of a token has a reason, and comes after its look.
            Code::Unavailable | Code::FailedPrecondition | Code::ResourceExhausted => {
                let reason = refusal.reason.as_deref().unwrap_or_default();
                if OF_A_TOKEN.contains(&reason) || reason.starts_with(OF_WECHAT) {
                    Self::MayWithoutToken
                } else {
                    Self::Nothing
                }
            }
            _ => Self::Nothing,
        }
    }
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
    use tonic::Status;
    use tonic_types::{ErrorDetails, StatusExt as _};

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

    #[test]
    fn nobody_is_let_in_by_a_refusal_that_is_not_the_daemons_word_of_a_token() {
        let verdict = |code, reason: Option<&str>| {
            let mut details = ErrorDetails::new();
            if let Some(reason) = reason {
                details.set_error_info(reason, "zhongkong", HashMap::new());
            }
            Verdict::of(&Error::from(Status::with_error_details(code, "x", details)))
        };
        // As tonic makes them of HTTP/2: RESOURCE_EXHAUSTED, say, of ENHANCE_YOUR_CALM.
        for code in (1..17).map(Code::from_i32) {
            let expected = match code {
                Code::Unauthenticated => Verdict::Unknown,
                Code::PermissionDenied => Verdict::Forbidden,
                Code::NotFound | Code::InvalidArgument => Verdict::NoAccount,
                _ => Verdict::Nothing,
            };
            assert_eq!(verdict(code, None), expected, "{code:?}");
            for reason in ["STOPPING", "LEDGER", "INTERRUPTED", ""] {
                assert_eq!(verdict(code, Some(reason)), expected, "{code:?} {reason}");
            }
        }
        for (code, reason) in [
            (Code::Unavailable, "UNAVAILABLE"),
            (Code::Unavailable, "WECHAT_-1"),
            (Code::FailedPrecondition, "NEEDS_OPERATOR"),
            (Code::FailedPrecondition, "WECHAT_40164"),
            (Code::FailedPrecondition, "PAUSED"),
            (Code::ResourceExhausted, "EXHAUSTED"),
            (Code::ResourceExhausted, "WECHAT_45009"),
        ] {
            assert_eq!(verdict(code, Some(reason)), Verdict::MayWithoutToken, "{code:?} {reason}");
        }
        assert_eq!(verdict(Code::Internal, Some("UNAVAILABLE")), Verdict::Nothing);
        assert_eq!(Verdict::of(&Error::Silent), Verdict::Nothing);
    }

    #[test]
    fn programs_that_are_remembered_have_an_end() {
        let mut known = Known::default();
        for nth in 0..3 * MOST {
            known.knows(Sha256::digest(nth.to_string()).into());
        }
        assert!((1..=MOST).contains(&known.programs.len()));
    }
}
