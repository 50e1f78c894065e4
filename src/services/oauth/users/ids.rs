//! The names of people. WeChat's are checked where they come in, so that they may stand in headers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest id of WeChat's that is accepted; today they have 28 characters.
const LONGEST: usize = 128;

/// Not 1 to 128 characters out of `A-Z a-z 0-9 - _`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an openid or unionid has 1 to 128 characters out of A-Z a-z 0-9 - _")]
pub struct NoId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NoId;

            fn from_str(text: &str) -> Result<Self, NoId> {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                if text.is_empty() || text.len() > LONGEST || !text.bytes().all(fits) {
                    return Err(NoId);
                }
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NoId;

            fn try_from(text: String) -> Result<Self, NoId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A person in one account.
    OpenId
}

id! {
    /// A person in all accounts of an open platform.
    UnionId
}

/// A person in our database; nothing outside it names one so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PersonId(pub(super) i64);

/// What an identity's sessions have in common. Only equality means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch(pub(super) i64);

impl Epoch {
    pub(super) fn random() -> Self {
        Self(rand::random())
    }
}

impl PersonId {
    pub(super) fn random() -> Self {
        Self(rand::random::<i64>() & i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_stand_in_a_header_and_in_an_address() {
        let id = |text: &str| text.parse::<OpenId>();
        assert_eq!(id("oLVPpjqs9BhvzwPj5A-vTYAX3_Gc").unwrap().as_str(), "oLVPpjqs9BhvzwPj5A-vTYAX3_Gc");
        for bad in ["", "o x", "o\r\nX-A: b", "o%41", "o/..", "\u{661f}", "a".repeat(129).as_str()] {
            assert_eq!(id(bad), Err(NoId), "{bad:?}");
        }
        assert!(serde_json::from_str::<UnionId>("\"a\\nb\"").is_err());
    }
}
