//! All credentials by key.

use crate::model::{AppId, Kind, TokenMode};
use crate::secret::Secret;

/// One account, ready to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// Its id.
    pub appid: AppId,
    /// What people call it.
    pub name: Option<String>,
    /// Its AppSecret.
    pub secret: Secret,
    /// Which token endpoint it uses.
    pub token_mode: TokenMode,
    /// The tickets that are kept besides the access token.
    pub tickets: Vec<Kind>,
    /// Upstream calls that WeChat grants per day and key (2000; sandbox accounts 200).
    pub daily_calls: u32,
}
