//! Values sealed at rest, each bound to its row.
//!
//! Owns what of a row is authenticated with its value: the key (account, kind) and the generation,
//! so that a sealed value moved to another row does not open. Keys and form are [`crate::seal`]'s.
//!
//! Deliberately absent: sealing of anything but values. Times, fingerprints and events stay
//! readable, because a ledger whose key is lost must still fence and count.

use crate::model::{Generation, Key};
use crate::seal;
use crate::secret::Secret;

pub(super) use crate::seal::AtRest;
pub use crate::seal::{KeyId, Keys, KeysError};

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

/// The value as its row holds it.
pub(super) fn seal(keys: &Keys, key: &Key, generation: Generation, value: &Secret) -> AtRest {
    keys.seal(&bound_to(key, generation), value.expose().as_bytes())
}

/// The value that a row holds.
pub(super) fn open(
    keys: &Keys,
    key: &Key,
    generation: Generation,
    bytes: &[u8],
    seal_key: Option<&str>,
) -> Result<Secret, OpenError> {
    let clear = keys.open(&bound_to(key, generation), bytes, seal_key)?;
    std::str::from_utf8(&clear).map(Secret::from).map_err(|_| OpenError::NotText)
}

/// What a sealed value is bound to. No part can run into the next: an appid holds no NUL.
fn bound_to(key: &Key, generation: Generation) -> Vec<u8> {
    let mut bound = format!("{}\0{}\0", key.appid, key.kind).into_bytes();
    bound.extend(generation.0.to_be_bytes());
    bound
}

impl From<seal::OpenError> for OpenError {
    fn from(error: seal::OpenError) -> Self {
        match error {
            seal::OpenError::Missing(id) => Self::Missing(id),
            seal::OpenError::Wrong(id) => Self::Wrong(id),
            // Only of what must be sealed; a value need not be.
            seal::OpenError::Clear => Self::NotText,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    const KEYS: &str = "2024:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn key(appid: &str) -> Key {
        Key::new(appid.parse().unwrap(), Kind::AccessToken)
    }

    #[test]
    fn a_sealed_value_opens_in_its_row_only() {
        let keys = Keys::parse(KEYS).unwrap();
        let sealed = seal(&keys, &key("wx1"), Generation(7), &Secret::from("token"));
        let id = sealed.key.as_ref().map(KeyId::as_str);
        let open = |appid, generation| open(&keys, &key(appid), Generation(generation), &sealed.bytes, id);
        assert_eq!(open("wx1", 7), Ok(Secret::from("token")));
        assert_eq!(open("wx2", 7), Err(OpenError::Wrong("2024".to_owned())));
        assert_eq!(open("wx1", 8), Err(OpenError::Wrong("2024".to_owned())));
    }

    #[test]
    fn a_value_that_an_earlier_release_sealed_still_opens() {
        // The form is on people's disks: a change of it must be a migration, not an accident.
        const SEALED: &str =
            "000102030405060708090a0b0c0d0e0f1011121314151617eaad641afeea011aff88cd272b170eff795fceb4e5";
        let keys = Keys::parse(KEYS).unwrap();
        let bytes = hex::decode(SEALED).unwrap();
        let opened = open(&keys, &key("wx1"), Generation(7), &bytes, Some("2024"));
        assert_eq!(opened, Ok(Secret::from("token")));
    }
}
