//! `[jssdk]` and what is below it.

use serde::Deserialize;

use super::words::OneOrMany;

/// `[jssdk]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Jssdk {
    /// The daemon that has the tickets.
    pub(in crate::config) daemon: Option<String>,
    /// The bearer token for it, from a file …
    pub(in crate::config) token_file: Option<String>,
    /// … or a systemd credential …
    pub(in crate::config) token_credential: Option<String>,
    /// … or an environment variable.
    pub(in crate::config) token_env: Option<String>,
    /// PEM file of the authority that signed the daemon's certificate.
    pub(in crate::config) ca: Option<String>,
    /// PEM file of this service's own certificate, for a daemon that knows its callers by theirs.
    pub(in crate::config) cert: Option<String>,
    /// PEM file of its private key.
    pub(in crate::config) key: Option<String>,
    /// The directory of templates.
    pub(in crate::config) pages: Option<String>,
    /// Whether every page is a preview for its developer.
    pub(in crate::config) preview: Option<bool>,
    /// Requests a minute from one address. Too few and people behind one address wait for each other.
    pub(in crate::config) rate_limit: Option<u32>,
    pub(in crate::config) account: Option<Vec<JssdkAccount>>,
}

/// `[[jssdk.account]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct JssdkAccount {
    pub(in crate::config) appid: Option<String>,
    /// Its name in addresses.
    pub(in crate::config) path: Option<String>,
    /// Whose pages are signed for. Too many, and strangers' pages act in the account's name.
    pub(in crate::config) hosts: Option<OneOrMany>,
    /// Whose pages may read the answers from another origin.
    pub(in crate::config) origins: Option<OneOrMany>,
    /// `jsApiList`
    pub(in crate::config) apis: Option<OneOrMany>,
    /// `openTagList`
    pub(in crate::config) open_tags: Option<OneOrMany>,
    /// Ids of cards that whoever asks may put into their wallet.
    pub(in crate::config) cards: Option<OneOrMany>,
    /// Names of domain verification files to serve.
    pub(in crate::config) verify_files: Option<OneOrMany>,
}
