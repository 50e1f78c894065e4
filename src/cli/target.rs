//! Accounts and kinds as they are typed.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::model::{AppId, Key, Kind, WordError};

/// Reads a kind, and lets completions offer them.
pub(super) fn kind_parser() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::as_str))
        .try_map(|text| -> Result<Kind, WordError> { text.parse() })
}

/// One credential; without a kind, the access token.
#[derive(Clone, Debug, Args)]
pub(super) struct One {
    /// The account
    #[arg(value_name = "APPID")]
    appid: AppId,
    /// Which of its credentials
    #[arg(value_parser = kind_parser(), default_value = "access_token")]
    kind: Kind,
}

impl One {
    pub(super) fn key(&self) -> Key {
        Key::new(self.appid.clone(), self.kind)
    }
}

/// One credential, or all of an account.
#[derive(Clone, Debug, Args)]
pub(super) struct OneOrAll {
    /// The account
    #[arg(value_name = "APPID")]
    pub(super) appid: AppId,
    /// Which of its credentials; all of them by default
    #[arg(value_parser = kind_parser())]
    pub(super) kind: Option<Kind>,
}

/// Credentials by account and kind; all by default.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Many {
    /// Only these accounts
    #[arg(value_name = "APPID")]
    pub(super) appids: Vec<AppId>,
    /// Only this kind; may be repeated
    #[arg(long = "kind", value_name = "KIND", value_parser = kind_parser())]
    pub(super) kinds: Vec<Kind>,
}

impl Many {
    /// Whether the key is one of them.
    pub(super) fn has(&self, key: &Key) -> bool {
        (self.appids.is_empty() || self.appids.contains(&key.appid))
            && (self.kinds.is_empty() || self.kinds.contains(&key.kind))
    }
}
