//! `[oauth]` and what is below it.

use serde::Deserialize;

use super::words::OneOrMany;

/// `[oauth]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct OAuth {
    /// The daemon that exchanges codes.
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
    /// Where browsers reach the service.
    pub(in crate::config) base_url: Option<String>,
    /// Where WeChat has its page.
    pub(in crate::config) authorize_base: Option<String>,
    /// The SQLite file …
    pub(in crate::config) database: Option<String>,
    /// … or a PostgreSQL's address, which holds a password, from a file …
    pub(in crate::config) database_url_file: Option<String>,
    /// … or a systemd credential …
    pub(in crate::config) database_url_credential: Option<String>,
    /// … or an environment variable.
    pub(in crate::config) database_url_env: Option<String>,
    /// `database` or `memcached`: where sessions and logins under way are.
    pub(in crate::config) sessions: Option<String>,
    /// `host:port` of the servers.
    pub(in crate::config) memcached: Option<OneOrMany>,
    /// Keys that seal what is stored, from a file …
    pub(in crate::config) seal_keys_file: Option<String>,
    /// … or a systemd credential …
    pub(in crate::config) seal_keys_credential: Option<String>,
    /// … or an environment variable.
    pub(in crate::config) seal_keys_env: Option<String>,
    /// Ends a session that is not used. Too short and people log in again and again.
    pub(in crate::config) session_idle: Option<String>,
    /// Ends a login. Too long and a lost phone stays logged in.
    pub(in crate::config) session_life: Option<String>,
    /// How long an assertion is valid. Too short and a slow network loses it.
    pub(in crate::config) assertion_life: Option<String>,
    /// Allows logins of people who are made up.
    pub(in crate::config) debug_login: Option<bool>,
    /// What the message service signs with, from a file …
    pub(in crate::config) events_secret_file: Option<String>,
    /// … or a systemd credential …
    pub(in crate::config) events_secret_credential: Option<String>,
    /// … or an environment variable.
    pub(in crate::config) events_secret_env: Option<String>,
    pub(in crate::config) account: Option<Vec<OAuthAccount>>,
    pub(in crate::config) app: Option<Vec<OAuthApp>>,
}

/// `[[oauth.account]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct OAuthAccount {
    pub(in crate::config) appid: Option<String>,
    /// Its name in paths.
    pub(in crate::config) path: Option<String>,
    /// Names of domain verification files.
    pub(in crate::config) verify_files: Option<OneOrMany>,
}

/// `[[oauth.app]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct OAuthApp {
    pub(in crate::config) name: Option<String>,
    /// Paths of the accounts that it may use.
    pub(in crate::config) account: Option<OneOrMany>,
    /// Where its pages are.
    pub(in crate::config) origins: Option<OneOrMany>,
    /// The most that it may ask for.
    pub(in crate::config) scope: Option<String>,
    /// `none` or `fragment`: how a login comes home to another origin.
    pub(in crate::config) assertion: Option<String>,
}
