//! The messages and stubs generated from `proto/zhongkong/v1/token_control.proto`.
//!
//! Owns nothing but the `Debug` of the messages that carry secrets (S7). Everything else
//! here is written by prost and tonic; the contract is the proto file.

#![expect(
    unused_qualifications,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

use std::fmt;

tonic::include_proto!("zhongkong.v1");

/// What reflection serves: the contract and what it imports.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/token_control.bin"));

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The fingerprint names the value; the rest is for people and comes from the fields.
        f.debug_struct("Token")
            .field("appid", &self.appid)
            .field("kind", &self.kind())
            .field("fingerprint", &self.fingerprint)
            .field("generation", &self.generation)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ExchangeCodeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeCodeRequest")
            .field("appid", &self.appid)
            .field("flow", &self.flow())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WebLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebLogin").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl fmt::Debug for MiniProgramLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MiniProgramLogin").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_messages_with_secrets_shows_none_of_them() {
        let secret = || "s3cr3t".to_owned();
        let token = Token { value: secret(), ..Token::default() };
        let shown = [
            format!("{:?}", GetTokenResponse { token: Some(token.clone()) }),
            format!("{:?}", WatchTokensResponse { event: Some(watch_tokens_response::Event::Token(token)) }),
            format!("{:?}", ExchangeCodeRequest { code: secret(), ..Default::default() }),
            format!(
                "{:?}",
                WebLogin { access_token: secret(), refresh_token: secret(), ..Default::default() }
            ),
            format!("{:?}", MiniProgramLogin { session_key: secret(), ..Default::default() }),
        ];
        for text in shown {
            assert!(!text.contains("s3cr3t"), "{text}");
        }
    }
}
