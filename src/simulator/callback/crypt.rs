//! WeChat's side of the encryption: pushes are encrypted here, replies decrypted.
//!
//! Written from the documentation a second time, without a look at the service's own: two equal
//! misreadings of one code would pass every test. Not for production use: an error says exactly
//! what was wrong, which a service must never tell a stranger.

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use sha1::{Digest as _, Sha1};

/// Bytes of randomness before the length.
const SALT: usize = 16;
/// Salt and length.
const HEAD: usize = SALT + 4;
/// WeChat pads to this, though AES has blocks of 16.
const PAD_TO: usize = 32;

/// The 43 characters carry 258 bits, so the last two may be anything: Tencent's own sample has
/// them set.
const KEY_TEXT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// What is wrong with a key or with something encrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptError {
    /// The EncodingAESKey cannot be one.
    #[error("an EncodingAESKey has 43 characters a-z, A-Z, 0-9; this one has {0} characters or others")]
    Key(usize),
    /// The text is not base64.
    #[error("Encrypt is not base64")]
    Base64,
    /// AES has blocks of 16 bytes.
    #[error("Encrypt has {0} bytes, which is no multiple of 16")]
    Blocks(usize),
    /// The last byte says how much was padded.
    #[error("the padding is wrong ({0} is not 1 to 32), most likely because another key was used")]
    Padding(u8),
    /// The length inside does not fit.
    #[error("the length inside is wrong, most likely because another key was used")]
    Length,
    /// The text inside is not UTF-8.
    #[error("what was encrypted is not UTF-8")]
    Utf8,
}

/// An EncodingAESKey, ready for use.
#[derive(Clone)]
pub(super) struct Crypt {
    key: [u8; 32],
}

/// What was inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inside {
    pub(super) text: String,
    pub(super) receive_id: String,
}

impl Crypt {
    pub(super) fn new(encoding_aes_key: &str) -> Result<Self, CryptError> {
        let wrong = || CryptError::Key(encoding_aes_key.chars().count());
        let bytes = KEY_TEXT.decode(format!("{encoding_aes_key}=")).map_err(|_| wrong())?;
        Ok(Self { key: bytes.try_into().map_err(|_| wrong())? })
    }

    /// Any other key, for pushes that must not be understood.
    pub(super) fn another(&self) -> Self {
        Self { key: self.key.map(|byte| !byte) }
    }

    /// The text of `Encrypt`.
    pub(super) fn encrypt(&self, salt: [u8; SALT], text: &str, receive_id: &str) -> String {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let mut full = salt.to_vec();
        full.extend(length.to_be_bytes());
        full.extend(text.as_bytes());
        full.extend(receive_id.as_bytes());
        let pad = PAD_TO - full.len() % PAD_TO;
        full.extend(std::iter::repeat_n(u8::try_from(pad).unwrap_or_default(), pad));
        let (key, iv) = self.key_and_iv();
        let cipher = cbc::Encryptor::<Aes256>::new(&key.into(), &iv.into());
        let length = full.len();
        let encrypted = cipher.encrypt_padded::<NoPadding>(&mut full, length);
        STANDARD.encode(encrypted.expect("it was padded to whole blocks above"))
    }

    /// What is inside an `Encrypt`. Whose it is must be checked by the caller.
    pub(super) fn decrypt(&self, encrypt: &str) -> Result<Inside, CryptError> {
        let mut bytes = STANDARD.decode(encrypt).map_err(|_| CryptError::Base64)?;
        let blocks = CryptError::Blocks(bytes.len());
        if bytes.is_empty() {
            return Err(blocks);
        }
        let (key, iv) = self.key_and_iv();
        let cipher = cbc::Decryptor::<Aes256>::new(&key.into(), &iv.into());
        let full = cipher.decrypt_padded::<NoPadding>(&mut bytes).map_err(|_| blocks)?;
        let pad = full.last().copied().unwrap_or_default();
        if pad == 0 || usize::from(pad) > PAD_TO {
            return Err(CryptError::Padding(pad));
        }
        let end = full.len().checked_sub(usize::from(pad)).ok_or(CryptError::Length)?;
        let (head, rest) =
            full.get(..end).and_then(|whole| whole.split_at_checked(HEAD)).ok_or(CryptError::Length)?;
        let length = head.get(SALT..).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes);
        let length = length.and_then(|length| usize::try_from(length).ok()).ok_or(CryptError::Length)?;
        let (text, receive_id) = rest.split_at_checked(length).ok_or(CryptError::Length)?;
        let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| CryptError::Utf8);
        Ok(Inside { text: utf8(text)?, receive_id: utf8(receive_id)? })
    }

    fn key_and_iv(&self) -> ([u8; 32], [u8; 16]) {
        let mut iv = [0; 16];
        iv.copy_from_slice(self.key.split_at(16).0);
        (self.key, iv)
    }
}

/// The SHA-1, in hex, of these in the order of their bytes: WeChat's signature.
pub(super) fn signature<const N: usize>(mut parts: [&str; N]) -> String {
    parts.sort_unstable();
    hex::encode(Sha1::digest(parts.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
    const APPID: &str = "wxb11529c136998cb6";
    const SAMPLE: &str =
        "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==";

    #[test]
    fn tencents_sample_is_encrypted_and_decrypted_to_the_byte() {
        // The reference sample of WXBizMsgCrypt, and the same with an empty text and with one that
        // needs a whole block of padding.
        let crypt = Crypt::new(KEY).unwrap();
        let cases = [
            ("我是中文abcd123".to_owned(), SAMPLE),
            (
                String::new(),
                "jn1L23DB+6ELqJ+6bruv23MQ68ysOrxhL7CpRjZ4WZdgFqes9v8iGaaZBu9Qpe/W60xpqsYTwNjd/ZCp69l9lg==",
            ),
            (
                "x".repeat(26),
                "jn1L23DB+6ELqJ+6bruv2whn1fDIMpmLPYOiQU5ZlCf5ISusdxHOJKY4l/VvGZXv1gdIWBk2mReXBoyRsZWbYWp3WTghbH/\
                 zS/0xHsPUs416Ez/Wti2iAH72px6IwxBl",
            ),
        ];
        for (text, encrypted) in cases {
            assert_eq!(crypt.encrypt(*b"aaaabbbbccccdddd", &text, APPID), encrypted);
            let inside = Inside { text, receive_id: APPID.to_owned() };
            assert_eq!(crypt.decrypt(encrypted).unwrap(), inside);
        }
    }

    #[test]
    fn signatures_of_the_documentation_come_out() {
        assert_eq!(
            signature(["pamtest", "1409304348", "xxxxxx", SAMPLE]),
            "82c962d39941aa48552f90ef55aa323dc620cc10"
        );
        assert_eq!(
            signature(["AAAAA", "1714036504", "1514711492"]),
            "f464b24fc39322e44b38aa78f5edd27bd1441696"
        );
        assert_eq!(
            signature(["AAAAA", "1714037059", "486452656"]),
            "899cf89e464efb63f54ddac96b0a0a235f53aa78"
        );
        assert_eq!(signature(["test", "1410685589", "test"]), "f21891de399b4e33a1a93c9a7b8a8fffb5a443ff");
    }

    #[test]
    fn texts_of_every_length_survive_both_ways() {
        // Every padding from 1 to 32 several times over.
        let crypt = Crypt::new(KEY).unwrap();
        for length in 0..200 {
            let text = ["é".repeat(length / 2), "a".repeat(length % 2)].concat();
            let inside = crypt.decrypt(&crypt.encrypt(rand::random(), &text, "wx1")).unwrap();
            assert_eq!((inside.text, inside.receive_id.as_str()), (text, "wx1"));
        }
    }

    #[test]
    fn wrong_keys_and_broken_texts_are_named() {
        assert_eq!(Crypt::new("short").err(), Some(CryptError::Key(5)));
        assert_eq!(Crypt::new(&"!".repeat(43)).err(), Some(CryptError::Key(43)));
        let crypt = Crypt::new(KEY).unwrap();
        assert_eq!(crypt.decrypt("&&&"), Err(CryptError::Base64));
        assert_eq!(crypt.decrypt(""), Err(CryptError::Blocks(0)));
        assert_eq!(crypt.decrypt("YWJj"), Err(CryptError::Blocks(3)));
        assert!(crypt.another().decrypt(SAMPLE).is_err());
    }
}
