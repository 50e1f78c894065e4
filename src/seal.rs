//! Bytes sealed at rest: XChaCha20-Poly1305 under keys of the operator's.
//!
//! Owns the keys and the form of what is sealed: a random nonce of 24 bytes, then ciphertext and
//! tag. Whoever seals says what the bytes are bound to, which is authenticated with them, so that
//! what is sealed for one row does not open in another. Several keys may be known, so that they
//! can be changed: the active one seals, each opens what names it.
//!
//! Deliberately absent: what is sealed and where it lies. The ledger and the services decide that.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::RngCore;
use zeroize::Zeroizing;

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

/// The seal keys of a process. With none, nothing is sealed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys {
    active: Option<KeyId>,
    all: Arc<BTreeMap<KeyId, Zeroizing<[u8; 32]>>>,
}

/// What bytes look like at rest.
pub struct AtRest {
    /// Nonce, ciphertext and tag; or the bytes themselves.
    pub bytes: Vec<u8>,
    /// The key that sealed them; `None` is in clear.
    pub key: Option<KeyId>,
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

    /// Whether there is a key of this name.
    pub fn knows(&self, id: &str) -> bool {
        id.parse().is_ok_and(|id: KeyId| self.all.contains_key(&id))
    }

    /// The same keys with another active one.
    pub fn with_active(mut self, id: &KeyId) -> Result<Self, KeysError> {
        if !self.all.contains_key(id) {
            return Err(KeysError::Unknown(id.clone()));
        }
        self.active = Some(id.clone());
        Ok(self)
    }

    /// The bytes as they are kept: sealed by the active key, or in clear when there is no key.
    pub fn seal(&self, bound_to: &[u8], clear: &[u8]) -> AtRest {
        let Some((id, cipher)) = self.active.as_ref().and_then(|id| Some((id, self.cipher(id)?))) else {
            return AtRest { bytes: clear.to_vec(), key: None };
        };
        let mut bytes = vec![0; NONCE];
        rand::rng().fill_bytes(&mut bytes);
        let sealed = cipher.encrypt(XNonce::from_slice(&bytes), Payload { msg: clear, aad: bound_to });
        bytes.extend(sealed.expect("the cipher refuses only messages of 256 GiB"));
        AtRest { bytes, key: Some(id.clone()) }
    }

    /// The bytes that were sealed, bound to the same, by the key of this id; `None` is in clear.
    pub fn open(
        &self,
        bound_to: &[u8],
        bytes: &[u8],
        seal_key: Option<&str>,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let Some(id) = seal_key else { return Ok(Zeroizing::new(bytes.to_vec())) };
        let missing = || OpenError::Missing(id.to_owned());
        let cipher = id.parse().ok().and_then(|id| self.cipher(&id)).ok_or_else(missing)?;
        let wrong = || OpenError::Wrong(id.to_owned());
        let (nonce, sealed) = bytes.split_at_checked(NONCE).ok_or_else(wrong)?;
        let payload = Payload { msg: sealed, aad: bound_to };
        cipher.decrypt(XNonce::from_slice(nonce), payload).map(Zeroizing::new).map_err(|_| wrong())
    }

    /// The same of bytes that must have been sealed: where there are keys, what is in clear was put
    /// there by somebody who has none.
    pub fn unseal(
        &self,
        bound_to: &[u8],
        bytes: &[u8],
        seal_key: Option<&str>,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        if seal_key.is_none() && self.active.is_some() {
            return Err(OpenError::Clear);
        }
        self.open(bound_to, bytes, seal_key)
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

/// Why what is at rest does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its key is not configured.
    #[error("the seal key `{0}` is needed and not configured")]
    Missing(String),
    /// Its key is another one than the id says, the bytes were changed, or they belong elsewhere.
    #[error("the seal key `{0}` does not open what it sealed: it is another key, or the bytes were changed")]
    Wrong(String),
    /// It is not sealed and must be.
    #[error("it is not sealed: somebody without a seal key has written it")]
    Clear,
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

    const OLD: &str = "2024:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const NEW: &str = "2025:F0F102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn open(keys: &Keys, bound_to: &[u8], sealed: &AtRest) -> Result<Vec<u8>, OpenError> {
        let id = sealed.key.as_ref().map(KeyId::as_str);
        keys.open(bound_to, &sealed.bytes, id).map(|clear| clear.to_vec())
    }

    #[test]
    fn sealed_bytes_open_where_they_belong_and_unchanged_only() {
        let keys = Keys::parse(OLD).unwrap();
        let mut sealed = keys.seal(b"row 7", b"token");
        assert!(!sealed.bytes.windows(5).any(|window| window == b"token"));
        assert_eq!(open(&keys, b"row 7", &sealed), Ok(b"token".to_vec()));
        assert_eq!(open(&keys, b"row 8", &sealed), Err(OpenError::Wrong("2024".to_owned())));
        *sealed.bytes.last_mut().unwrap() ^= 1;
        assert_eq!(open(&keys, b"row 7", &sealed), Err(OpenError::Wrong("2024".to_owned())));
        sealed.bytes.truncate(NONCE - 1);
        assert_eq!(open(&keys, b"row 7", &sealed), Err(OpenError::Wrong("2024".to_owned())));
    }

    #[test]
    fn two_seals_of_the_same_share_no_nonce() {
        let keys = Keys::parse(OLD).unwrap();
        let seal = || keys.seal(b"row", b"token").bytes;
        assert_ne!(seal()[..NONCE], seal()[..NONCE]);
    }

    #[test]
    fn a_new_key_on_top_seals_and_the_old_one_still_opens() {
        let old = Keys::parse(OLD).unwrap().seal(b"row", b"token");
        let both = Keys::parse(&format!("# changed in May\n\n{NEW}\n{OLD}\n")).unwrap();
        assert_eq!(both.active().unwrap().as_str(), "2025");
        assert_eq!(open(&both, b"row", &old), Ok(b"token".to_vec()));
        let only_new = Keys::parse(NEW).unwrap();
        assert_eq!(open(&only_new, b"row", &old), Err(OpenError::Missing("2024".to_owned())));
        assert_eq!(both.seal(b"row", b"next").key.unwrap().as_str(), "2025");
        let back = both.with_active(&"2024".parse().unwrap()).unwrap();
        assert_eq!(back.seal(b"row", b"x").key.unwrap().as_str(), "2024");
    }

    #[test]
    fn what_must_be_sealed_does_not_open_in_clear() {
        let keys = Keys::parse(OLD).unwrap();
        assert_eq!(keys.unseal(b"row", b"forged", None).map(drop), Err(OpenError::Clear));
        assert_eq!(keys.open(b"row", b"from before there were keys", None).map(drop), Ok(()));
        let sealed = keys.seal(b"row", b"token");
        assert_eq!(keys.unseal(b"row", &sealed.bytes, Some("2024")).unwrap().as_slice(), b"token");
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
