//! The encrypted part of a message: base64, AES-256-CBC, padding, frame, receive id.
//!
//! ```text
//! random(16)  length of the message, big endian (4)  message  receive id  n × byte(n)
//! ```
//!
//! The padding is PKCS#7 for blocks of 32 bytes, not of AES's 16, and is done by hand: n is 1 to
//! 32 and never 0. Every other plaintext is a clean error. One buffer holds a message from its
//! base64 to its text; its size follows from the text's, which the caller bounds.

use aes::Block;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit};
use base64::Engine;
use subtle::ConstantTimeEq;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use self::simd::BASE64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) use base64::engine::general_purpose::STANDARD as BASE64;

use super::key::{AesKey, BLOCK};
use super::signature::Verified;

/// Random bytes that a message begins with, so that equal ones do not look alike.
pub(super) const PREFIX: usize = 16;
/// The prefix and the length.
const HEAD: usize = PREFIX + 4;
/// Messages are filled up to a multiple of this, in bytes, by at least one byte.
const PADDED: usize = 32;
/// What a receive id may have in characters to be shown to an administrator.
const SHOWN: usize = 64;

/// Why an encrypted text gave no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CryptError {
    #[error("it is not base64")]
    Base64,
    #[error("its length is not a multiple of 16 bytes")]
    Blocks,
    #[error("its padding is not 1 to 32 bytes that say how many they are")]
    Padding,
    #[error("it is shorter than it says")]
    Frame,
    /// It is a message for somebody else, who is named if the name looks like one.
    #[error("it is for another receiver")]
    Receiver(Option<Box<str>>),
}

/// The message within an encrypted text.
pub(super) fn decrypt(key: &AesKey, encrypt: Verified<'_>, receive_id: &str) -> Result<Vec<u8>, CryptError> {
    let mut buffer = Vec::new();
    BASE64.decode_vec(encrypt.text(), &mut buffer).map_err(|_| CryptError::Base64)?;
    let (blocks, rest) = Block::slice_as_chunks_mut(&mut buffer);
    if blocks.is_empty() || !rest.is_empty() {
        return Err(CryptError::Blocks);
    }
    cbc::Decryptor::inner_iv_init(key.cipher(), key.iv().into()).decrypt_blocks(blocks);
    unframe(buffer, receive_id)
}

/// A message encrypted for `receive_id`. `prefix` must be random.
pub(super) fn encrypt(key: &AesKey, prefix: [u8; PREFIX], message: &str, receive_id: &str) -> Vec<u8> {
    let mut buffer = frame(prefix, message, receive_id);
    let (blocks, rest) = Block::slice_as_chunks_mut(&mut buffer);
    debug_assert!(rest.is_empty() && PADDED.is_multiple_of(BLOCK));
    cbc::Encryptor::inner_iv_init(key.cipher(), key.iv().into()).encrypt_blocks(blocks);
    buffer
}

fn frame(prefix: [u8; PREFIX], message: &str, receive_id: &str) -> Vec<u8> {
    let length = HEAD + message.len() + receive_id.len();
    let padding = PADDED - length % PADDED;
    let mut buffer = Vec::with_capacity(length + padding);
    buffer.extend_from_slice(&prefix);
    // Nobody makes a reply of 4 GiB. If somebody did, its receiver would refuse it.
    buffer.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    buffer.extend_from_slice(message.as_bytes());
    buffer.extend_from_slice(receive_id.as_bytes());
    buffer.resize(length + padding, u8::try_from(padding).expect("32 - n % 32 is 1 to 32"));
    buffer
}

fn unframe(mut buffer: Vec<u8>, receive_id: &str) -> Result<Vec<u8>, CryptError> {
    let padding = buffer.last().map_or(0, |last| usize::from(*last));
    if !(1..=PADDED).contains(&padding) {
        return Err(CryptError::Padding);
    }
    let end = buffer.len().checked_sub(padding).ok_or(CryptError::Padding)?;
    let (content, fill) = buffer.split_at(end);
    if fill.iter().any(|byte| usize::from(*byte) != padding) {
        return Err(CryptError::Padding);
    }
    let behind = content.get(PREFIX..).ok_or(CryptError::Frame)?;
    let (length, behind) = behind.split_first_chunk().ok_or(CryptError::Frame)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| CryptError::Frame)?;
    let (_, receiver) = behind.split_at_checked(length).ok_or(CryptError::Frame)?;
    if !bool::from(receiver.ct_eq(receive_id.as_bytes())) {
        return Err(CryptError::Receiver(shown(receiver)));
    }
    buffer.truncate(HEAD + length);
    buffer.drain(..HEAD);
    Ok(buffer)
}

/// Base64 by many characters at once, where the machine can.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod simd {
    use std::sync::LazyLock;

    use base64::engine::Simd;
    use base64::engine::general_purpose::PAD;

    pub(in super::super) static BASE64: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD));
}

/// A receive id as it may stand in a log: what a wrong key leaves is no id and is not shown.
fn shown(receiver: &[u8]) -> Option<Box<str>> {
    let text = str::from_utf8(receiver).ok()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    (plain && (1..=SHOWN).contains(&text.len())).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::super::signature::{Stamped, sign};
    use super::*;
    use crate::secret::Secret;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
    const APPID: &str = "wxb11529c136998cb6";
    const RANDOM: [u8; PREFIX] = *b"aaaabbbbccccdddd";

    fn key(text: &str) -> AesKey {
        AesKey::decode(&Secret::from(text)).unwrap()
    }

    fn decrypted(key: &AesKey, text: &str) -> Result<Vec<u8>, CryptError> {
        let token = Secret::from("pamtest");
        let stamped = Stamped { timestamp: "1", nonce: "n" };
        let signature = sign(&token, stamped, text);
        let claimed = str::from_utf8(&signature).unwrap();
        decrypt(key, Verified::check(&token, stamped, text, claimed).unwrap(), APPID)
    }

    fn padded(content: &[u8], padding: u8) -> Vec<u8> {
        let mut buffer = content.to_vec();
        buffer.resize(content.len() + usize::from(padding), padding);
        buffer
    }

    fn content(message: &[u8], receive_id: &str) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&RANDOM[..], &length, message, receive_id.as_bytes()].concat()
    }

    #[test]
    fn vectors_of_wechats_sample_library_hold_in_both_directions() {
        let key = key(KEY);
        let x26 = "x".repeat(26);
        for (message, text) in [
            (
                "我是中文abcd123",
                "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==",
            ),
            ("", "jn1L23DB+6ELqJ+6bruv23MQ68ysOrxhL7CpRjZ4WZdgFqes9v8iGaaZBu9Qpe/W60xpqsYTwNjd/ZCp69l9lg=="),
            (
                &x26,
                "jn1L23DB+6ELqJ+6bruv2whn1fDIMpmLPYOiQU5ZlCf5ISusdxHOJKY4l/VvGZXv1gdIWBk2mReXBoyRsZWbYWp3WTghbH/zS/0xHsPUs416Ez/Wti2iAH72px6IwxBl",
            ),
        ] {
            assert_eq!(STANDARD.encode(encrypt(&key, RANDOM, message, APPID)), text);
            assert_eq!(decrypted(&key, text).unwrap(), message.as_bytes());
        }
    }

    #[test]
    fn a_message_of_every_length_comes_back() {
        // Published libraries fail at multiples of 16 and with padding above 16.
        let key = key(KEY);
        let text = "x".repeat(4096);
        let mut paddings = [0; PADDED + 1];
        for length in 0..=4096 {
            let buffer = frame(RANDOM, &text[..length], APPID);
            assert!(buffer.len().is_multiple_of(PADDED));
            paddings[usize::from(*buffer.last().unwrap())] += 1;
            let cipher = encrypt(&key, RANDOM, &text[..length], APPID);
            // Two engines, which need not agree: one by many characters at once, one by each.
            let sealed = STANDARD.encode(&cipher);
            assert_eq!(BASE64.encode(&cipher), sealed);
            assert_eq!(decrypted(&key, &sealed).unwrap(), &text.as_bytes()[..length], "{length}");
        }
        assert_eq!(paddings[0], 0);
        assert!(paddings[1..].iter().all(|count| *count >= 128), "{paddings:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_message_comes_back_under_any_key(
            message in "\\PC{0,1400}",
            key_text in "[A-Za-z0-9+/]{43}",
            prefix in any::<[u8; PREFIX]>(),
        ) {
            let key = key(&key_text);
            let text = STANDARD.encode(encrypt(&key, prefix, &message, APPID));
            prop_assert_eq!(decrypted(&key, &text).unwrap(), message.as_bytes());
        }

        #[test]
        fn no_plaintext_whatever_does_more_than_fail(buffer in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = unframe(buffer, APPID);
        }

        #[test]
        fn no_length_field_reaches_beyond_the_message(length in 27u32.., pad in 1u8..=32) {
            // 8 bytes of message and 18 of receive id stand behind it.
            let mut buffer = content(b"12345678", APPID);
            buffer[PREFIX..HEAD].copy_from_slice(&length.to_be_bytes());
            prop_assert_eq!(unframe(padded(&buffer, pad), APPID), Err(CryptError::Frame));
        }
    }

    #[test]
    fn padding_of_1_to_32_is_taken_and_any_other_refused() {
        let content = content(b"m", APPID);
        for padding in 1..=32 {
            assert_eq!(unframe(padded(&content, padding), APPID).unwrap(), b"m", "{padding}");
        }
        let zero = [&content[..], &[0]].concat();
        for buffer in [zero, padded(&content, 33), padded(&content, 255), vec![], vec![32; 31]] {
            assert_eq!(unframe(buffer, APPID), Err(CryptError::Padding));
        }
        // Each byte of the padding counts, not only the last.
        for at in 1..=7 {
            let mut buffer = padded(&content, 7);
            let last = buffer.len() - at;
            buffer[last] ^= 1;
            assert!(unframe(buffer, APPID).is_err(), "{at}");
        }
    }

    #[test]
    fn a_plaintext_without_room_for_its_frame_is_refused() {
        for length in 0..HEAD {
            let buffer = padded(&vec![0; length], 5);
            assert_eq!(unframe(buffer, APPID), Err(CryptError::Frame), "{length}");
        }
    }

    #[test]
    fn a_message_for_another_account_is_refused_and_names_it_if_that_is_a_name() {
        for (other, named) in [
            ("wxother", Some("wxother".into())),
            ("", None),
            ("wxb11529c136998cb", Some("wxb11529c136998cb".into())),
            ("wxb11529c136998cb6x", Some("wxb11529c136998cb6x".into())),
            ("line\nbreak", None),
            (&"a".repeat(65), None),
        ] {
            let buffer = padded(&content(b"m", other), 1);
            assert_eq!(unframe(buffer, APPID), Err(CryptError::Receiver(named)), "{other}");
        }
    }

    #[test]
    fn a_text_that_is_not_base64_of_whole_blocks_is_refused() {
        let key = key(KEY);
        let blocks = |length: usize| STANDARD.encode(vec![0; length]);
        for (text, error) in [
            ("*".to_owned(), CryptError::Base64),
            ("AAAAA".to_owned(), CryptError::Base64),
            (blocks(1), CryptError::Blocks),
            (blocks(15), CryptError::Blocks),
            (blocks(33), CryptError::Blocks),
        ] {
            assert_eq!(decrypted(&key, &text), Err(error), "{text}");
        }
    }
}
