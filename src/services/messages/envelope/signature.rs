//! WeChat's signature: SHA-1 over the sorted parts of a request and the Token.
//!
//! Guarantees that nothing is decrypted before its signature is right: [`Verified`] can only be
//! made here, and the decrypter takes nothing else. Parts that are empty are never right, so that
//! neither an empty Token nor a missing parameter opens a door.
//!
//! The parts are joined without separators, so one signature fits several ways to cut the same
//! text. Whoever has one cannot gain by it: an `Encrypt` without its end is shorter than it says,
//! one without its beginning has text where its length should be, which is then far too great,
//! and the window of the timestamp holds for each way.

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// Bytes of a SHA-1.
const DIGEST: usize = 20;
/// Characters of it in hex.
pub(super) const HEX: usize = 2 * DIGEST;

/// What stands beside what is signed.
#[derive(Clone, Copy)]
pub(super) struct Stamped<'a> {
    /// In Unix seconds, as it is written.
    pub(super) timestamp: &'a str,
    /// Any text.
    pub(super) nonce: &'a str,
}

/// An encrypted text whose signature was right.
#[derive(Clone, Copy)]
pub(super) struct Verified<'a>(&'a str);

impl<'a> Verified<'a> {
    /// The text if `claimed` is its signature.
    pub(super) fn check(
        token: &Secret,
        stamped: Stamped<'_>,
        encrypt: &'a str,
        claimed: &str,
    ) -> Option<Self> {
        fits([token.expose(), stamped.timestamp, stamped.nonce, encrypt], claimed).then_some(Self(encrypt))
    }

    /// The text, in base64 unless the signer is confused.
    pub(super) fn text(self) -> &'a str {
        self.0
    }
}

/// Whether `claimed` is the signature of a request without an encrypted part.
pub(super) fn plain_fits(token: &Secret, stamped: Stamped<'_>, claimed: &str) -> bool {
    fits([token.expose(), stamped.timestamp, stamped.nonce], claimed)
}

/// The signature of an encrypted text.
pub(super) fn sign(token: &Secret, stamped: Stamped<'_>, encrypt: &str) -> [u8; HEX] {
    let digest = digest([token.expose(), stamped.timestamp, stamped.nonce, encrypt]);
    let mut text = [0; HEX];
    hex::encode_to_slice(digest, &mut text).expect("two digits for a byte fit");
    text
}

/// Takes hex digits in either case: WeChat writes small ones, some proxies and programs do not.
fn fits<const N: usize>(parts: [&str; N], claimed: &str) -> bool {
    let mut wanted = [0; DIGEST];
    if parts.iter().any(|part| part.is_empty()) || hex::decode_to_slice(claimed, &mut wanted).is_err() {
        return false;
    }
    digest(parts).ct_eq(&wanted).into()
}

fn digest<const N: usize>(mut parts: [&str; N]) -> [u8; DIGEST] {
    parts.sort_unstable();
    let mut hash = Sha1::new();
    // Fed in pieces, so that no string with the Token in it is left behind in memory.
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(token: &str, timestamp: &str, nonce: &str, claimed: &str) -> bool {
        plain_fits(&Secret::from(token), Stamped { timestamp, nonce }, claimed)
    }

    #[test]
    fn signatures_of_wechats_documents_fit() {
        for (token, timestamp, nonce, signature) in [
            ("AAAAA", "1714036504", "1514711492", "f464b24fc39322e44b38aa78f5edd27bd1441696"),
            ("AAAAA", "1714037059", "486452656", "899cf89e464efb63f54ddac96b0a0a235f53aa78"),
            ("test", "1410685589", "test", "f21891de399b4e33a1a93c9a7b8a8fffb5a443ff"),
        ] {
            assert!(plain(token, timestamp, nonce, signature), "{signature}");
            assert!(plain(token, timestamp, nonce, &signature.to_uppercase()), "{signature}");
            assert!(!plain("AAAAB", timestamp, nonce, signature));
            assert!(!plain(token, "1714036505", nonce, signature));
            assert!(!plain(token, timestamp, "1514711493", signature));
        }
    }

    #[test]
    fn a_signature_with_any_digit_changed_or_missing_does_not_fit() {
        let right = "f464b24fc39322e44b38aa78f5edd27bd1441696";
        for at in 0..right.len() {
            let mut wrong = right.as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'0' { b'1' } else { b'0' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert!(!plain("AAAAA", "1714036504", "1514711492", &wrong), "{wrong}");
            assert!(!plain("AAAAA", "1714036504", "1514711492", &right[..at]), "{at}");
        }
        for odd in ["", "g464b24fc39322e44b38aa78f5edd27bd1441696", "签签签签签签签签签签签签签f"]
        {
            assert!(!plain("AAAAA", "1714036504", "1514711492", odd), "{odd}");
        }
        assert!(!plain("AAAAA", "1714036504", "1514711492", &format!("{right}00")));
    }

    #[test]
    fn what_is_empty_never_fits_even_when_its_digest_does() {
        // Whoever guesses that a Token was left empty could otherwise sign at will.
        for parts in [["", "1", "n"], ["t", "", "n"], ["t", "1", ""]] {
            let right = hex::encode(digest(parts));
            assert!(!plain(parts[0], parts[1], parts[2], &right), "{parts:?}");
        }
        let stamped = Stamped { timestamp: "1", nonce: "n" };
        let right = hex::encode(digest(["t", "1", "n", ""]));
        assert!(Verified::check(&Secret::from("t"), stamped, "", &right).is_none());
    }
}
