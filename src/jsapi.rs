//! The signatures that WeChat's JS-SDK asks for: of a page (`wx.config`) and of cards (`addCard`,
//! `chooseCard`).
//!
//! Pure text and SHA-1: whoever holds the ticket calls it. It does not judge what is signed; who
//! may have what signed is decided where the request arrives. A page's URL is not parsed and
//! written anew, because `http://host?a=b` would become `http://host/?a=b` and the
//! signature would be wrong.

use std::fmt;

use sha1::{Digest, Sha1};

use crate::secret::Secret;

/// Signs a page: lower-case hex SHA-1 of
/// `jsapi_ticket=T&noncestr=N&timestamp=S&url=U`, with the URL as it is up to its `#`.
pub fn sign(ticket: &Secret, nonce: &str, timestamp: i64, url: &str) -> String {
    let url = url.split('#').next().unwrap_or(url);
    digest(ticket, nonce, &timestamp, url)
}

/// The same of whatever somebody may have signed by mistake: any text for the time, and a URL with
/// all that it has.
pub fn digest(ticket: &Secret, nonce: &str, timestamp: &dyn fmt::Display, url: &str) -> String {
    let mut hash = Sha1::new();
    // Fed in pieces, so that no string with the ticket in it is left behind in memory.
    hash.update(b"jsapi_ticket=");
    hash.update(ticket.expose().as_bytes());
    hash.update(format!("&noncestr={nonce}&timestamp={timestamp}&url={url}").as_bytes());
    hex::encode(hash.finalize())
}

/// Signs cards with the `wx_card` ticket: lower-case hex SHA-1 of the ticket and these values
/// without their names, sorted bytewise and joined by nothing, so that empty ones add nothing.
pub fn sign_card(ticket: &Secret, values: &[&str]) -> String {
    let mut all: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
    all.push(ticket.expose().as_bytes());
    all.sort_unstable();
    let mut hash = Sha1::new();
    for value in all {
        hash.update(value);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_signed_by_their_sorted_values_whatever_their_order() {
        // wechatpy's own vector for its signer.
        let vector = "f7c3bc1d808e04732adf679965ccc34ca7ae3441";
        assert_eq!(sign_card(&Secret::from("789"), &["456", "123"]), vector);
        assert_eq!(sign_card(&Secret::from("123"), &["", "789", "456", ""]), vector);
        assert_ne!(sign_card(&Secret::from("789"), &["456", "1234"]), vector);
    }

    const TICKET: &str =
        "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg";

    #[test]
    fn signature_matches_the_vector_of_wechats_documentation() {
        let ticket = Secret::from(TICKET);
        for url in ["http://mp.weixin.qq.com?params=value", "http://mp.weixin.qq.com?params=value#cut#off"] {
            assert_eq!(
                sign(&ticket, "Wm3WZYTPz0wzccnW", 1_414_587_457, url),
                "0f9de62fce790f9a083d5c99e95740ceb90c27ed",
                "{url}"
            );
        }
    }

    #[test]
    fn url_is_signed_byte_for_byte() {
        let ticket = Secret::from(TICKET);
        let sign = |url| sign(&ticket, "n", 1, url);
        assert_ne!(sign("http://a.example?x=1"), sign("http://a.example/?x=1"));
        assert_ne!(sign("http://a.example/%E4"), sign("http://a.example/%e4"));
    }
}
