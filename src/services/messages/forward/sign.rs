//! The headers of a request: who sends it, when, and the proof of both.
//!
//! The signature covers the time and the whole body, which names the account and the trace again;
//! so a program that keeps to the signed body and refuses old times cannot be deceived by anybody
//! who lacks the secret. `v1=` leaves room for another scheme beside it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

use super::super::handler::Incoming;
use crate::clock::WallTime;
use crate::secret::Secret;

const SIGNATURE: HeaderName = HeaderName::from_static("x-zhongkong-signature");
const TIMESTAMP: HeaderName = HeaderName::from_static("x-zhongkong-timestamp");
const TRACE: HeaderName = HeaderName::from_static("x-zhongkong-trace");
const ACCOUNT: HeaderName = HeaderName::from_static("x-zhongkong-account");

/// The headers for this body, sent now.
pub(super) fn headers(incoming: &Incoming, secret: Option<&Secret>, now: WallTime, body: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(5);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(TIMESTAMP, HeaderValue::from(now.seconds()));
    // Neither can hold what a header cannot; both are in the body, too.
    if let Ok(trace) = HeaderValue::from_str(&incoming.trace.0) {
        headers.insert(TRACE, trace);
    }
    if let Ok(account) = HeaderValue::from_str(incoming.account.appid.as_str()) {
        headers.insert(ACCOUNT, account);
    }
    if let Some(secret) = secret {
        let signature = format!("v1={}", signature(secret, now.seconds(), body));
        let signature =
            HeaderValue::try_from(signature).expect("v1= and hexadecimal digits are visible ASCII");
        headers.insert(SIGNATURE, signature);
    }
    headers
}

/// Hexadecimal HMAC-SHA256 of the time in decimal, a point, and the body.
fn signature(secret: &Secret, seconds: i64, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of every length");
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_the_one_that_openssl_makes() {
        // printf '1700000000.{"a":"中"}' | openssl dgst -sha256 -hmac s3cret
        let signature = signature(&Secret::from("s3cret"), 1_700_000_000, r#"{"a":"中"}"#.as_bytes());
        assert_eq!(signature, "27ce6bd753c77def933b913925752d081fae96f60ca1d83d8ee3216fe43ec82a");
    }
}
