//! Whether a POST is from the message service: what docs/forward.md tells every program to ask.
//!
//! Genuine is what is signed with the common secret and not older than five minutes. Whether it was
//! told before is for whoever takes it.

use std::time::Duration;

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::clock::WallTime;
use crate::secret::Secret;

/// How far the sender's clock may be from ours.
pub const WINDOW: Duration = Duration::from_secs(300);

/// Why it is not taken for the message service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotGenuine {
    /// The signature is missing or wrong.
    Unsigned,
    /// It is, or pretends to be, of another time.
    Old,
}

/// Judges a body by the headers beside it.
///
/// # Errors
/// It is not genuine, or no longer.
pub fn genuine(headers: &HeaderMap, secret: &Secret, now: WallTime, body: &[u8]) -> Result<(), NotGenuine> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let timestamp = header("x-zhongkong-timestamp").ok_or(NotGenuine::Unsigned)?;
    let seconds = Some(timestamp).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let seconds: i64 = seconds.and_then(|text| text.parse().ok()).ok_or(NotGenuine::Unsigned)?;
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of every length");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let expected = format!("v1={}", hex::encode(mac.finalize().into_bytes()));
    let given = header("x-zhongkong-signature").ok_or(NotGenuine::Unsigned)?;
    let right = given.split(',').any(|one| bool::from(one.trim().as_bytes().ct_eq(expected.as_bytes())));
    if !right {
        return Err(NotGenuine::Unsigned);
    }
    // After the signature, so that a stranger learns nothing about our clock.
    if now.seconds().abs_diff(seconds) > WINDOW.as_secs() {
        return Err(NotGenuine::Old);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(timestamp: &str, signature: &str, now: i64) -> Result<(), NotGenuine> {
        let headers = HeaderMap::from_iter([
            ("x-zhongkong-timestamp".parse().unwrap(), timestamp.parse().unwrap()),
            ("x-zhongkong-signature".parse().unwrap(), signature.parse().unwrap()),
        ]);
        genuine(&headers, &Secret::from("s3cret"), WallTime(now * 1_000), r#"{"a":"中"}"#.as_bytes())
    }

    #[test]
    fn signature_that_openssl_makes_is_genuine_for_five_minutes_and_nothing_else_is() {
        // printf '1700000000.{"a":"中"}' | openssl dgst -sha256 -hmac s3cret
        let right = "v1=27ce6bd753c77def933b913925752d081fae96f60ca1d83d8ee3216fe43ec82a";
        for now in [1_699_999_700, 1_700_000_000, 1_700_000_300] {
            assert_eq!(judge("1700000000", right, now), Ok(()));
        }
        assert_eq!(judge("1700000000", &format!("v2=x, {right}"), 1_700_000_000), Ok(()));
        for now in [1_699_999_699, 1_700_000_301] {
            assert_eq!(judge("1700000000", right, now), Err(NotGenuine::Old));
        }
        for (timestamp, signature) in [
            ("1700000001", right),
            ("+1700000000", right),
            ("", right),
            ("1700000000", &right[3..]),
            ("1700000000", "v1="),
        ] {
            assert_eq!(judge(timestamp, signature, 1_700_000_000), Err(NotGenuine::Unsigned), "{timestamp}");
        }
    }
}
