//! The EncodingAESKey of an account: 43 characters of the console become an AES-256 key.
//!
//! 43 characters carry 258 bits, so the last one has two too many. They are ignored whatever they
//! are: three of four keys that people make up have some set, and so has WeChat's own sample.
//! The key schedule is made once. It and everything it was made from are wiped when they go.

use std::fmt;

use aes::Aes256;
use aes::cipher::KeyInit;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Characters of an EncodingAESKey.
const CHARACTERS: usize = 43;
/// Bytes of an AES-256 key.
const BYTES: usize = 32;
/// Bytes of a block of AES, and so of the initialisation vector.
pub(super) const BLOCK: usize = 16;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Which rule a text breaks that should be an EncodingAESKey. Says nothing of the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFlaw {
    /// The wrong number of characters.
    #[error("has {0} characters and must have the 43 that the console shows, without a = at the end")]
    Length(usize),
    /// A character, counted from 1, that is none of base64's.
    #[error("has something else than a letter or a digit as its {0}. character")]
    Alphabet(usize),
}

/// An AES key and the vector that each message begins with, which is the key's first half.
pub(super) struct AesKey {
    // Boxed, so that moving the key leaves no copies behind.
    cipher: Box<Aes256>,
    iv: Zeroizing<[u8; BLOCK]>,
}

impl AesKey {
    /// Decodes an EncodingAESKey.
    pub(super) fn decode(text: &Secret) -> Result<Self, KeyFlaw> {
        let text = text.expose();
        let characters = text.chars().count();
        if characters != CHARACTERS {
            return Err(KeyFlaw::Length(characters));
        }
        // The console makes letters and digits only; keys made by programs also have + and /.
        let alien = |c: char| !(c.is_ascii_alphanumeric() || c == '+' || c == '/');
        if let Some(at) = text.chars().position(alien) {
            return Err(KeyFlaw::Alphabet(at + 1));
        }
        // One byte of room more: the decoder first counts whole groups of four characters.
        let mut bytes = Zeroizing::new([0; BYTES + 1]);
        let decoded = LENIENT.decode_slice(text, bytes.as_mut_slice());
        debug_assert_eq!(decoded, Ok(BYTES), "43 characters of the alphabet are 32 bytes");
        Ok(Self::new(&bytes))
    }

    fn new(bytes: &[u8; BYTES + 1]) -> Self {
        let mut key = Zeroizing::new([0; BYTES]);
        key.copy_from_slice(&bytes[..BYTES]);
        let mut iv = Zeroizing::new([0; BLOCK]);
        iv.copy_from_slice(&bytes[..BLOCK]);
        Self { cipher: Box::new(Aes256::new((&*key).into())), iv }
    }

    /// The key schedule.
    pub(super) fn cipher(&self) -> &Aes256 {
        &self.cipher
    }

    /// What the first block is mixed with.
    pub(super) fn iv(&self) -> &[u8; BLOCK] {
        &self.iv
    }
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

    fn decode(text: &str) -> Result<AesKey, KeyFlaw> {
        AesKey::decode(&Secret::from(text))
    }

    #[test]
    fn wechats_sample_key_decodes_to_its_published_bytes() {
        // Its last character has bits set that no byte takes: strict decoders refuse it.
        let bytes = hex::decode("69b71d79f8218a39259a7a29aabb2dbafc31cb3d35db7e39ebbf3d0010831051").unwrap();
        let mut block = aes::Block::default();
        let mut expected = block;
        let key = decode(SAMPLE).unwrap();
        assert_eq!(key.iv()[..], bytes[..16]);
        aes::cipher::BlockCipherEncrypt::encrypt_block(key.cipher(), &mut block);
        let plain = Aes256::new(bytes.as_slice().try_into().unwrap());
        aes::cipher::BlockCipherEncrypt::encrypt_block(&plain, &mut expected);
        assert_eq!(block, expected);
    }

    #[test]
    fn a_key_may_end_in_any_character() {
        let mut ends = 0;
        for last in STANDARD.as_str().chars() {
            let text = format!("{}{last}", &SAMPLE[..42]);
            assert!(decode(&text).is_ok(), "{last}");
            ends += 1;
        }
        assert_eq!(ends, 64);
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_with_the_rule_it_breaks() {
        for (text, flaw) in [
            ("", KeyFlaw::Length(0)),
            (&SAMPLE[..42], KeyFlaw::Length(42)),
            (&format!("{SAMPLE}="), KeyFlaw::Length(44)),
            (&format!("{}-", &SAMPLE[..42]), KeyFlaw::Alphabet(43)),
            (&format!(" {}", &SAMPLE[..42]), KeyFlaw::Alphabet(1)),
            (&format!("{}键", &SAMPLE[..42]), KeyFlaw::Alphabet(43)),
        ] {
            assert_eq!(decode(text).unwrap_err(), flaw, "{text}");
            assert!(!flaw.to_string().contains("abcdef"));
        }
    }

    #[test]
    fn debug_shows_nothing_of_a_key() {
        assert_eq!(format!("{:?}", decode(SAMPLE).unwrap()), "AesKey(..)");
    }
}
