//! The words of the domain: accounts, kinds, keys, fingerprints, generations.
//!
//! Owns no I/O and no state. Text from outside becomes one of these types at the
//! edge (configuration, gRPC, the ledger) and stays one; inside the crate there is
//! no bare string for an appid or a fingerprint.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// The id of an account in every interface.
///
/// Today it is WeChat's appid. Later kinds of account (`corpid/agentid`,
/// `component/appid`) will put a slash into it, so treat it as opaque text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(Arc<str>);

impl AppId {
    /// Longest id accepted, in bytes. WeChat's appids have 18; the composed ids that
    /// may come have two of them and a slash.
    pub const MAX_LEN: usize = 128;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppId {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./@".contains(&byte);
        if text.is_empty() || text.len() > Self::MAX_LEN || !text.bytes().all(fits) {
            return Err(WordError::AppId);
        }
        Ok(Self(text.into()))
    }
}

impl Borrow<str> for AppId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of credential a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The account's `access_token`, from `/cgi-bin/token` or `/cgi-bin/stable_token`.
    AccessToken,
    /// The ticket that signs `wx.config` (`getticket?type=jsapi`).
    JsapiTicket,
    /// The ticket that signs cards (`getticket?type=wx_card`).
    WxCardTicket,
}

impl Kind {
    /// Every kind, in the order in which an account's credentials depend on each other.
    pub const ALL: [Self; 3] = [Self::AccessToken, Self::JsapiTicket, Self::WxCardTicket];

    /// The kind's name in configuration, logs, metrics, memcached keys and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::JsapiTicket => "jsapi_ticket",
            Self::WxCardTicket => "wx_card_ticket",
        }
    }

    /// Its place in [`Kind::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::AccessToken => 0,
            Self::JsapiTicket => 1,
            Self::WxCardTicket => 2,
        }
    }
}

impl FromStr for Kind {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(WordError::Kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One credential: an account and a kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose credential it is.
    pub appid: AppId,
    /// Which of the account's credentials.
    pub kind: Kind,
}

impl Key {
    /// The key of this account and kind.
    pub fn new(appid: AppId, kind: Kind) -> Self {
        Self { appid, kind }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.appid, self.kind)
    }
}

/// The first 8 bytes of a value's SHA-256, shown as 16 hex digits.
///
/// The only way in which a value is ever named: in logs, metrics, status and complaints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// The fingerprint of a value.
    pub fn of(value: &Secret) -> Self {
        let digest = Sha256::digest(value.expose().as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(first)
    }
}

impl FromStr for Fingerprint {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(WordError::Fingerprint);
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| WordError::Fingerprint)?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 16];
        hex::encode_to_slice(self.0, &mut text).expect("two digits for a byte fit");
        f.write_str(str::from_utf8(&text).expect("hex digits are ASCII"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of an attempt, and of the value that it brought.
///
/// Numbers of one key only grow, also over a lost ledger ([`Generation::next`]).
/// Compare them; they say nothing about how many attempts there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl Generation {
    /// The next number after `self` at this wall time: `max(last + 1, wall seconds)`.
    #[must_use]
    pub fn next(self, wall_seconds: i64) -> Self {
        Self((self.0 + 1).max(u64::try_from(wall_seconds).unwrap_or(0)))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number that WeChat puts into `errcode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrCode(pub i64);

impl fmt::Display for ErrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which of WeChat's two token endpoints an account uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenMode {
    /// `/cgi-bin/stable_token`: asking again brings the same token, so a lost answer costs nothing.
    Stable,
    /// `/cgi-bin/token`: each call brings a new token and kills the older one after five minutes.
    Classic,
}

impl TokenMode {
    /// The mode's name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Classic => "classic",
        }
    }
}

/// Which upstream call an attempt makes; what it can do to the value before it follows from this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallMode {
    /// `/cgi-bin/token`: issuing; the older value dies within five minutes.
    Classic,
    /// `/cgi-bin/stable_token`, normal: idempotent.
    Stable,
    /// `/cgi-bin/stable_token` with `force_refresh`: issuing; the older value dies at once.
    StableForced,
    /// `/cgi-bin/ticket/getticket`: idempotent.
    Ticket,
}

impl CallMode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Classic, Self::Stable, Self::StableForced, Self::Ticket];

    /// Whether the call can kill an older value, so that it needs a durable intent before it.
    pub const fn is_issuing(self) -> bool {
        match self {
            Self::Classic | Self::StableForced => true,
            Self::Stable | Self::Ticket => false,
        }
    }

    /// The mode's name in the ledger, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Stable => "stable",
            Self::StableForced => "stable_forced",
            Self::Ticket => "ticket",
        }
    }
}

impl FromStr for CallMode {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or(WordError::CallMode)
    }
}

/// Why an attempt was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The schedule said so: the value nears its end, is missing, or an earlier attempt failed.
    Deadline,
    /// A caller reported the value as dead.
    Complaint,
    /// The credential that this one is fetched with came back.
    Parent,
    /// An operator asked, or a reload changed what the credential is fetched with.
    Command,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::Deadline, Self::Complaint, Self::Parent, Self::Command];

    /// The cause's name in the ledger, logs, metrics and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Complaint => "complaint",
            Self::Parent => "parent",
            Self::Command => "command",
        }
    }
}

impl FromStr for Cause {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text).ok_or(WordError::Cause)
    }
}

/// Text that is not the word it was taken for. Says the rule, never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// Not an account id.
    #[error("an appid has 1 to 128 characters out of A-Z a-z 0-9 - _ . / @")]
    AppId,
    /// Not a kind.
    #[error("a kind is one of access_token, jsapi_ticket, wx_card_ticket")]
    Kind,
    /// Not a fingerprint.
    #[error("a fingerprint is the first 16 hex digits of the value's SHA-256")]
    Fingerprint,
    /// Not a call mode.
    #[error("a call mode is one of classic, stable, stable_forced, ticket")]
    CallMode,
    /// Not a cause.
    #[error("a cause is one of deadline, complaint, parent, command")]
    Cause,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_is_the_start_of_sha256_and_reads_back() {
        // SHA-256("abc") is a published vector: ba7816bf 8f01cfea …
        let print = Fingerprint::of(&Secret::from("abc"));
        assert_eq!(print.to_string(), "ba7816bf8f01cfea");
        assert_eq!("BA7816BF8F01CFEA".parse(), Ok(print));
        for bad in ["", "ba7816bf8f01cfe", "ba7816bf8f01cfea0", "+a7816bf8f01cfea", "ba7816bf8f01cfeä"] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(WordError::Fingerprint), "{bad}");
        }
    }

    #[test]
    fn generation_grows_even_when_the_wall_clock_goes_back() {
        let first = Generation::default().next(1_700_000_000);
        assert_eq!(first, Generation(1_700_000_000));
        assert_eq!(first.next(1_600_000_000), Generation(1_700_000_001));
        assert_eq!(first.next(-5), Generation(1_700_000_001));
        assert_eq!(Generation(7).next(1_700_000_000), Generation(1_700_000_000));
    }

    #[test]
    fn names_read_back_to_the_same_word() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(Kind::ALL[kind.index()], kind);
        }
        for mode in CallMode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        for cause in Cause::ALL {
            assert_eq!(cause.as_str().parse(), Ok(cause));
        }
    }

    #[test]
    fn appid_refuses_what_could_break_a_key_or_a_line() {
        for bad in ["", "wx 1", "wx\n1", "wx:1", "公众号", &"x".repeat(129)] {
            assert_eq!(bad.parse::<AppId>(), Err(WordError::AppId), "{bad:?}");
        }
        assert_eq!("wx0123456789abcdef".parse::<AppId>().unwrap().as_str(), "wx0123456789abcdef");
        assert!("ww1/1000002".parse::<AppId>().is_ok());
    }
}
