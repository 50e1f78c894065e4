//! Values sealed at rest: XChaCha20-Poly1305 under keys of the operator's.
//!
//! Owns the keys and the form of a sealed value: a random nonce of 24 bytes, then ciphertext
//! and tag. The key (account, kind) and the generation are authenticated with it, so a sealed
//! value moved to another row does not open. Several keys may be known, so that they can be
//! changed: the active one seals, each opens what names it.
//!
//! Deliberately absent: sealing of anything but values. Times, fingerprints and events stay
//! readable, because a ledger whose key is lost must still fence and count.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::RngCore;
use zeroize::Zeroizing;

use crate::model::{Generation, Key};
use crate::secret::Secret;

/// Bytes of a nonce in front of each ciphertext; random ones of this length never repeat.
const NONCE: usize = 24;

/// The name of a seal key: 1 to 32 characters out of `A-Z a-z 0-9 - _ .`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, KeysError> {
        // Shorter than a key in hex, so that a key in the place of an id is never taken for one.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.is_empty() || text.len() > 32 || !text.bytes().all(fits) {
            return Err(KeysError::Id);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The seal keys of a daemon. With none, values are stored in clear.
#[derive(Clone, Default)]
pub struct Keys {
    active: Option<KeyId>,
    all: Arc<BTreeMap<KeyId, Zeroizing<[u8; 32]>>>,
}

/// What a value looks like in its row.
pub(super) struct AtRest {
    /// The column's bytes.
    pub(super) bytes: Vec<u8>,
    /// The key that sealed them; `None` is in clear.
    pub(super) key: Option<KeyId>,
}

impl Keys {
    /// No keys: nothing is sealed.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads one `id:64 hex digits` a line; blank lines and lines that begin with `#` are
    /// skipped. The first key is the active one: put a new key on top, and remove an old one
    /// when no row names it any more (a day later, all of them were replaced).
    ///
    /// # Errors
    /// Names the line or the key id, never a key.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut active = None;
        let mut all = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (id, key) = line.split_once(':').ok_or(KeysError::Line(number))?;
            let id: KeyId = id.trim().parse().map_err(|_| KeysError::Line(number))?;
            let key = decode(key.trim()).ok_or_else(|| KeysError::Key(id.clone()))?;
            if all.insert(id.clone(), key).is_some() {
                return Err(KeysError::Twice(id));
            }
            active.get_or_insert(id);
        }
        Ok(Self { active, all: Arc::new(all) })
    }

    /// The key that seals new values.
    pub fn active(&self) -> Option<&KeyId> {
        self.active.as_ref()
    }

    /// The same keys with another active one.
    pub fn with_active(mut self, id: &KeyId) -> Result<Self, KeysError> {
        if !self.all.contains_key(id) {
            return Err(KeysError::Unknown(id.clone()));
        }
        self.active = Some(id.clone());
        Ok(self)
    }

    /// The value as its row holds it.
    pub(super) fn seal(&self, key: &Key, generation: Generation, value: &Secret) -> AtRest {
        let clear = value.expose().as_bytes();
        let Some((id, cipher)) = self.active.as_ref().and_then(|id| Some((id, self.cipher(id)?))) else {
            return AtRest { bytes: clear.to_vec(), key: None };
        };
        let mut bytes = vec![0; NONCE];
        rand::rng().fill_bytes(&mut bytes);
        let payload = Payload { msg: clear, aad: &bound_to(key, generation) };
        let sealed = cipher.encrypt(XNonce::from_slice(&bytes), payload);
        bytes.extend(sealed.expect("the cipher refuses only messages of 256 GiB"));
        AtRest { bytes, key: Some(id.clone()) }
    }

    /// The value that a row holds.
    pub(super) fn open(
        &self,
        key: &Key,
        generation: Generation,
        bytes: &[u8],
        seal_key: Option<&str>,
    ) -> Result<Secret, OpenError> {
        let clear = match seal_key {
            None => Zeroizing::new(bytes.to_vec()),
            Some(id) => {
                let missing = || OpenError::Missing(id.to_owned());
                let cipher = id.parse().ok().and_then(|id| self.cipher(&id)).ok_or_else(missing)?;
                let wrong = || OpenError::Wrong(id.to_owned());
                let (nonce, sealed) = bytes.split_at_checked(NONCE).ok_or_else(wrong)?;
                let payload = Payload { msg: sealed, aad: &bound_to(key, generation) };
                let clear = cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| wrong())?;
                Zeroizing::new(clear)
            }
        };
        std::str::from_utf8(&clear).map(Secret::from).map_err(|_| OpenError::NotText)
    }

    fn cipher(&self, id: &KeyId) -> Option<XChaCha20Poly1305> {
        Some(XChaCha20Poly1305::new(self.all.get(id)?.as_slice().into()))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("active", &self.active).field("all", &self.all.keys()).finish()
    }
}

/// What a sealed value is bound to. No part can run into the next: an appid holds no NUL.
fn bound_to(key: &Key, generation: Generation) -> Vec<u8> {
    let mut bound = format!("{}\0{}\0", key.appid, key.kind).into_bytes();
    bound.extend(generation.0.to_be_bytes());
    bound
}

fn decode(hex: &str) -> Option<Zeroizing<[u8; 32]>> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (byte, digits) in key.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}

/// Why a stored value does not open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    /// Its key is not configured.
    Missing(String),
    /// Its key is another one than the id says, or the bytes were changed.
    Wrong(String),
    /// It is in clear and not text, which no value is.
    NotText,
}

/// Why text is not a set of seal keys. Never shows a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Not an id.
    #[error("a seal key's id has 1 to 32 characters out of A-Z a-z 0-9 - _ .")]
    Id,
    /// A line of another form.
    #[error("line {0} of the seal keys is not `id:64 hex digits`")]
    Line(usize),
    /// A key of another form.
    #[error("seal key `{0}` is not 64 hex digits")]
    Key(KeyId),
    /// The same id twice.
    #[error("seal key `{0}` is listed twice")]
    Twice(KeyId),
    /// Active but not listed.
    #[error("seal key `{0}` is not listed")]
    Unknown(KeyId),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    const OLD: &str = "2024:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const NEW: &str = "2025:F0F102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn key(appid: &str) -> Key {
        Key::new(appid.parse().unwrap(), Kind::AccessToken)
    }

    #[test]
    fn a_sealed_value_opens_in_its_row_only() {
        let keys = Keys::parse(OLD).unwrap();
        let sealed = keys.seal(&key("wx1"), Generation(7), &Secret::from("token"));
        let id = sealed.key.as_ref().map(KeyId::as_str);
        assert!(!sealed.bytes.windows(5).any(|window| window == b"token"));
        let open = |appid, generation| keys.open(&key(appid), Generation(generation), &sealed.bytes, id);
        assert_eq!(open("wx1", 7), Ok(Secret::from("token")));
        assert_eq!(open("wx2", 7), Err(OpenError::Wrong("2024".to_owned())));
        assert_eq!(open("wx1", 8), Err(OpenError::Wrong("2024".to_owned())));
    }

    #[test]
    fn two_seals_of_a_value_share_no_nonce() {
        let keys = Keys::parse(OLD).unwrap();
        let seal = || keys.seal(&key("wx1"), Generation(7), &Secret::from("token")).bytes;
        assert_ne!(seal()[..NONCE], seal()[..NONCE]);
    }

    #[test]
    fn a_new_key_on_top_seals_and_the_old_one_still_opens() {
        let old = Keys::parse(OLD).unwrap().seal(&key("wx1"), Generation(7), &Secret::from("token"));
        let both = Keys::parse(&format!("# changed in May\n\n{NEW}\n{OLD}\n")).unwrap();
        assert_eq!(both.active().unwrap().as_str(), "2025");
        assert_eq!(
            both.open(&key("wx1"), Generation(7), &old.bytes, Some("2024")),
            Ok(Secret::from("token"))
        );
        let new = both.seal(&key("wx1"), Generation(8), &Secret::from("next"));
        assert_eq!(new.key.unwrap().as_str(), "2025");
        let back = both.with_active(&"2024".parse().unwrap()).unwrap();
        assert_eq!(back.seal(&key("wx1"), Generation(9), &Secret::from("x")).key.unwrap().as_str(), "2024");
    }

    #[test]
    fn a_bad_line_is_named_and_no_key_is_shown() {
        let hex = &OLD[5..];
        let id: KeyId = "a".parse().unwrap();
        for (text, error) in [
            (hex.to_owned(), KeysError::Line(1)),
            (format!("\n{hex}:a"), KeysError::Line(2)),
            (format!("a:{}", &hex[1..]), KeysError::Key(id.clone())),
            (format!("a:+{}", &hex[1..]), KeysError::Key(id.clone())),
            (format!("a:{hex}\na:{hex}"), KeysError::Twice(id.clone())),
        ] {
            let found = Keys::parse(&text).unwrap_err();
            assert_eq!(found, error);
            assert!(!format!("{found} {found:?}").contains(&hex[2..20]), "{found}");
        }
        let unknown = Keys::none().with_active(&id).unwrap_err();
        assert_eq!(unknown, KeysError::Unknown(id));
        assert!(!format!("{:?}", Keys::parse(OLD).unwrap()).contains("0a0b"));
    }
}
