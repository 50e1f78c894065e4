//! A new caller's token and the section that lets it in.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Random bytes in a token: guessing one is then no way in, and a plain hash of it is safe to keep.
const TOKEN_BYTES: usize = 32;

/// A caller that is about to exist.
#[derive(Debug)]
pub struct NewClient {
    /// Its bearer token. Shown once; nothing keeps it.
    pub token: Secret,
    /// The `[[client]]` section with the token's hash, to be put into the configuration.
    pub stanza: String,
}

/// Makes a token, and the section of a client that may read and complain about every account.
pub fn new_client(name: &str) -> NewClient {
    let bytes = Zeroizing::new(rand::random::<[u8; TOKEN_BYTES]>());
    let token = Secret::from(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
    let name = toml::Value::from(name);
    let stanza = format!(
        "[[client]]\n\
         name = {name}\n\
         token_sha256 = \"{}\"\n\
         accounts = [\"*\"]                  # or a list of appids\n\
         kinds = [\"*\"]\n\
         actions = [\"read\", \"complain\"]    # also: force, sign, exchange, status, admin\n",
        token_sha256(&token)
    );
    NewClient { token, stanza }
}

/// What `token_sha256` holds for this token: 64 hex digits.
pub fn token_sha256(token: &Secret) -> String {
    hex::encode(Sha256::digest(token.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_256_random_bits_in_url_safe_letters() {
        let (one, two) = (new_client("a").token, new_client("a").token);
        assert_eq!(URL_SAFE_NO_PAD.decode(one.expose()).map(|bytes| bytes.len()), Ok(TOKEN_BYTES));
        assert_ne!(one, two);
    }

    #[test]
    fn the_hash_is_plain_sha256_in_hex() {
        // SHA-256("abc") is a published vector.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(token_sha256(&Secret::from("abc")), expected);
    }
}
