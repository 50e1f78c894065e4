//! The envelope of a push: who may speak, and what was said.
//!
//! It alone has an account's Token and EncodingAESKeys. All of it is computation; the caller
//! reads the request, at most [`MAX_BODY`] bytes of it, and the clock.
//!
//! **Invariant:** nothing is decrypted, nor its base64 read, before its signature is right:
//! the decrypter takes only a [`signature::Verified`].
//! **Invariant:** of an encrypted request only what was decrypted is used.
//! **Invariant:** a message that was encrypted for another account is nobody's here.
//!
//! Not here: repeated messages (the desk knows them by their ids; a nonce may come again, and
//! WeChat does not say whether it does), and the meaning of a message's fields.

mod crypt;
mod key;
mod outer;
mod query;
mod refusal;
mod signature;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

pub use key::KeyFlaw;
pub use outer::OuterError;
pub use query::{Flaw, Query};
pub use refusal::Refusal;

use super::fields::Format;
use crate::clock::WallTime;
use crate::secret::Secret;
use crypt::{CryptError, PREFIX};
use key::AesKey;
use query::Encryption;
use signature::{Stamped, Verified};

/// Bytes of the largest body that is read. In compatible mode a message comes twice in one body.
pub const MAX_BODY: usize = 256 * 1_024;
/// Bytes of the largest message that is not, or no longer, encrypted.
pub const MAX_TEXT: usize = 64 * 1_024;

/// Which messages an account takes. The console has the same three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Plain ones; encrypted ones too, if there is a key, so that the console may go first.
    Plain,
    /// Both: for the time in which a console is changed to safe mode.
    Compatible,
    /// Encrypted ones only. In the other modes whoever once saw a signed query can put any body
    /// under it for as long as its window lasts.
    Safe,
}

/// What the envelope is told of an account.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The Token of the console.
    pub token: Secret,
    /// The EncodingAESKey of the console. Needed but in plain mode.
    pub aes_key: Option<Secret>,
    /// The one before it, which WeChat may use for a while after a change.
    pub previous_aes_key: Option<Secret>,
    /// Whom encrypted messages must be for: the appid, or a platform's component appid.
    pub receive_id: String,
    /// Which messages are taken.
    pub mode: Mode,
    /// How far a request's timestamp may be off the clock here, either way.
    pub window: Duration,
}

/// Why settings make no envelope. Says nothing of the secrets themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Whoever knows that could sign.
    #[error("the Token is empty")]
    NoToken,
    /// Safe and compatible mode cannot do without.
    #[error("there is no EncodingAESKey, which every mode but plain needs")]
    NoKey,
    /// A previous key alone: replies would be encrypted with an old key for ever.
    #[error("there is a previous EncodingAESKey and no current one")]
    OnlyPrevious,
    /// The current key is none.
    #[error("the EncodingAESKey {0}")]
    Current(KeyFlaw),
    /// The previous key is none.
    #[error("the previous EncodingAESKey {0}")]
    Previous(KeyFlaw),
    /// With it every message would have to be for nobody.
    #[error("the receive id is empty")]
    NoReceiveId,
}

/// Opens the requests of one account.
pub struct Envelope {
    keys: Arc<Keys>,
    mode: Mode,
    window: Duration,
}

struct Keys {
    token: Secret,
    current: Option<AesKey>,
    previous: Option<AesKey>,
    receive_id: Box<str>,
}

/// Which of an account's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// `aes_key`.
    Current,
    /// `previous_aes_key`: WeChat still uses it, so it cannot be taken out yet.
    Previous,
}

/// A request that may be believed, and how to answer it.
#[derive(Clone)]
pub struct Opened {
    /// The message as WeChat wrote it; not yet known to be UTF-8 or well-formed.
    pub plain: Vec<u8>,
    /// How it is written, and so how its answer must be.
    pub format: Format,
    seal: Option<Seal>,
}

/// What a reply is encrypted with: the key that opened its request.
#[derive(Clone)]
struct Seal {
    keys: Arc<Keys>,
    which: Which,
    nonce: Box<str>,
}

/// Says how long the message is, not what a user wrote.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plain, format, seal } = self;
        f.debug_struct("Opened")
            .field("plain", &format_args!("{} bytes", plain.len()))
            .field("format", format)
            .field("seal", seal)
            .finish()
    }
}

impl Envelope {
    /// An envelope for an account.
    ///
    /// # Errors
    /// The settings would refuse every request, or none.
    pub fn new(settings: Settings) -> Result<Self, KeyError> {
        let Settings { token, aes_key, previous_aes_key, receive_id, mode, window } = settings;
        if token.expose().is_empty() {
            return Err(KeyError::NoToken);
        }
        let current = aes_key.map(|text| AesKey::decode(&text).map_err(KeyError::Current)).transpose()?;
        let previous =
            previous_aes_key.map(|text| AesKey::decode(&text).map_err(KeyError::Previous)).transpose()?;
        match (&current, &previous, mode) {
            (None, Some(_), _) => return Err(KeyError::OnlyPrevious),
            (None, None, Mode::Compatible | Mode::Safe) => return Err(KeyError::NoKey),
            (Some(_), _, _) if receive_id.is_empty() => return Err(KeyError::NoReceiveId),
            (None, None, Mode::Plain) | (Some(_), _, _) => {}
        }
        let keys = Keys { token, current, previous, receive_id: receive_id.into() };
        Ok(Self { keys: Arc::new(keys), mode, window })
    }

    /// The answer to the console's check of the URL: `echostr`, to be sent as it is, as plain text.
    ///
    /// It comes unencrypted in every mode. One that says that it is encrypted is decrypted.
    ///
    /// # Errors
    /// The request is not WeChat's, or too old.
    pub fn verify_url(&self, query: &Query<'_>, now: WallTime) -> Result<String, Refusal> {
        query.check()?;
        // Only with both is it an encrypted one: the plain signature then says nothing of echostr.
        if query.encryption()? == Encryption::Aes && query.msg_signature().is_ok() {
            let (claimed, stamped) = (query.msg_signature()?, query.stamped()?);
            let (plain, _) = self.decrypt(claimed, stamped, query.echostr()?, now)?;
            return String::from_utf8(plain).map_err(|_| Refusal::NoText);
        }
        self.check_plain(query, now)?;
        query.echostr().map(str::to_owned)
    }

    /// The message within a push.
    ///
    /// # Errors
    /// The request is not WeChat's, too old, for another account, or in no form that WeChat uses.
    pub fn open(&self, query: &Query<'_>, body: &[u8], now: WallTime) -> Result<Opened, Refusal> {
        query.check()?;
        match query.encryption()? {
            Encryption::Plain => self.open_plain(query, body, now),
            Encryption::Aes => self.open_encrypted(query, body, now),
        }
    }

    fn open_plain(&self, query: &Query<'_>, body: &[u8], now: WallTime) -> Result<Opened, Refusal> {
        at_most(MAX_TEXT, body)?;
        self.check_plain(query, now)?;
        match self.mode {
            Mode::Plain | Mode::Compatible => {}
            // After the signature, so that the log speaks of WeChat's requests, not of a stranger's.
            Mode::Safe => return Err(Refusal::Plain),
        }
        Ok(Opened { format: outer::format(body)?, plain: body.to_vec(), seal: None })
    }

    fn open_encrypted(&self, query: &Query<'_>, body: &[u8], now: WallTime) -> Result<Opened, Refusal> {
        at_most(MAX_BODY, body)?;
        // Before the body is looked into: most of what strangers send has no signature at all.
        let (claimed, stamped) = (query.msg_signature()?, query.stamped()?);
        let format = outer::format(body)?;
        let (plain, which) = self.decrypt(claimed, stamped, &outer::encrypt(format, body)?, now)?;
        at_most(MAX_TEXT, &plain)?;
        let seal = Seal { keys: Arc::clone(&self.keys), which, nonce: stamped.nonce.into() };
        Ok(Opened { plain, format, seal: Some(seal) })
    }

    fn check_plain(&self, query: &Query<'_>, now: WallTime) -> Result<(), Refusal> {
        let (claimed, stamped) = (query.signature()?, query.stamped()?);
        if !signature::plain_fits(&self.keys.token, stamped, claimed) {
            return Err(Refusal::WrongSignature("signature"));
        }
        self.check_time(stamped, now)
    }

    /// Signature, time, then decryption: with the current key, then with the previous one.
    fn decrypt(
        &self,
        claimed: &str,
        stamped: Stamped<'_>,
        encrypt: &str,
        now: WallTime,
    ) -> Result<(Vec<u8>, Which), Refusal> {
        let Keys { token, current, previous, receive_id } = &*self.keys;
        let verified = Verified::check(token, stamped, encrypt, claimed)
            .ok_or(Refusal::WrongSignature("msg_signature"))?;
        self.check_time(stamped, now)?;
        let error = match crypt::decrypt(current.as_ref().ok_or(Refusal::NoKey)?, verified, receive_id) {
            Ok(plain) => return Ok((plain, Which::Current)),
            Err(error) => error,
        };
        let Some(previous) = previous else { return Err(error.into()) };
        match (crypt::decrypt(previous, verified, receive_id), error) {
            (Ok(plain), _) => Ok((plain, Which::Previous)),
            // That a key fits and the receiver does not says more than that a key does not fit.
            (Err(_), error @ CryptError::Receiver(_)) | (Err(error), _) => Err(error.into()),
        }
    }

    fn check_time(&self, stamped: Stamped<'_>, now: WallTime) -> Result<(), Refusal> {
        if !stamped.timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::NoTime);
        }
        let signed: i64 = stamped.timestamp.parse().map_err(|_| Refusal::NoTime)?;
        let (now, window) = (now.seconds(), self.window.as_secs());
        let off = now.abs_diff(signed);
        match off <= window {
            true => Ok(()),
            false if signed < now => Err(Refusal::Stale(off)),
            false => Err(Refusal::Ahead(off)),
        }
    }
}

impl Keys {
    fn get(&self, which: Which) -> Option<&AesKey> {
        match which {
            Which::Current => self.current.as_ref(),
            Which::Previous => self.previous.as_ref(),
        }
    }
}

impl Opened {
    /// The body to answer with: `reply` itself to a plain request, else an encrypted one, with the
    /// key that opened the request. `success` and nothing are sent as they are in either case.
    pub fn seal(&self, reply: &str, now: WallTime) -> String {
        let key = self.seal.as_ref().and_then(|seal| Some((seal, seal.keys.get(seal.which)?)));
        let (seal, key) = match key {
            Some(found) if !reply.is_empty() && reply != "success" => found,
            Some(_) | None => return reply.to_owned(),
        };
        let mut prefix = [0; PREFIX];
        rand::rng().fill(&mut prefix);
        let cipher = crypt::encrypt(key, prefix, reply, &seal.keys.receive_id);
        let mut digits = itoa::Buffer::new();
        let stamped = Stamped { timestamp: digits.format(now.seconds()), nonce: &seal.nonce };
        outer::write(self.format, &cipher, &seal.keys.token, stamped)
    }

    /// The key that opened the request; `None` if it was plain.
    pub fn key(&self) -> Option<Which> {
        self.seal.as_ref().map(|seal| seal.which)
    }
}

fn at_most(limit: usize, body: &[u8]) -> Result<(), Refusal> {
    if body.len() > limit { Err(Refusal::TooLarge(body.len())) } else { Ok(()) }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({:?}, for {})", self.mode, self.keys.receive_id)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seal({:?})", self.which)
    }
}
