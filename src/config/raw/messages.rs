//! `[messages]` and what is below it.

use serde::Deserialize;

use super::words::OneOrMany;

/// `[messages]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Messages {
    /// The daemon that has the tokens.
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
    /// The file of rules.
    pub(in crate::config) rules: Option<String>,
    /// When an answer must leave. Too late and WeChat has closed the connection.
    pub(in crate::config) deadline: Option<String>,
    /// How far a push's time may be from ours. Too short and a slow clock loses messages.
    pub(in crate::config) replay_window: Option<String>,
    /// `host:port` of the servers through which several instances share what they have seen.
    pub(in crate::config) memcached: Option<OneOrMany>,
    pub(in crate::config) log: Option<MessageLog>,
    pub(in crate::config) account: Option<Vec<MessagesAccount>>,
    pub(in crate::config) forward: Option<Vec<Forward>>,
}

/// `[messages.log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct MessageLog {
    /// Where each message gets a line.
    pub(in crate::config) file: Option<String>,
    /// It is put aside before it is bigger …
    pub(in crate::config) max_size: Option<String>,
    /// … or older.
    pub(in crate::config) max_age: Option<String>,
    /// How many old files are kept.
    pub(in crate::config) keep: Option<u32>,
    /// `none`, `length` or `full`: what users wrote.
    pub(in crate::config) content: Option<String>,
    /// `hash` or `full`: who they are.
    pub(in crate::config) openid: Option<String>,
}

/// `[[messages.account]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct MessagesAccount {
    pub(in crate::config) appid: Option<String>,
    /// The last part of the callback's address.
    pub(in crate::config) path: Option<String>,
    /// `safe`, `compatible` or `plain`, as in WeChat's console.
    pub(in crate::config) mode: Option<String>,
    /// The Token of WeChat's console, from a file …
    pub(in crate::config) token_file: Option<String>,
    /// … or a systemd credential …
    pub(in crate::config) token_credential: Option<String>,
    /// … or an environment variable.
    pub(in crate::config) token_env: Option<String>,
    /// The EncodingAESKey, likewise.
    pub(in crate::config) aes_key_file: Option<String>,
    pub(in crate::config) aes_key_credential: Option<String>,
    pub(in crate::config) aes_key_env: Option<String>,
    /// The one before it, while it is being changed.
    pub(in crate::config) previous_aes_key_file: Option<String>,
    pub(in crate::config) previous_aes_key_credential: Option<String>,
    pub(in crate::config) previous_aes_key_env: Option<String>,
    /// What an encrypted push must end with.
    pub(in crate::config) receive_id: Option<String>,
    /// Names of domain verification files to serve.
    pub(in crate::config) verify_files: Option<OneOrMany>,
    /// Who gets what no rule answers.
    pub(in crate::config) forward: Option<String>,
}

/// `[[messages.forward]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Forward {
    /// What rules and accounts call it.
    pub(in crate::config) name: Option<String>,
    /// Where messages are posted.
    pub(in crate::config) url: Option<String>,
    /// What the posts are signed with, from a file …
    pub(in crate::config) secret_file: Option<String>,
    /// … or a systemd credential …
    pub(in crate::config) secret_credential: Option<String>,
    /// … or an environment variable.
    pub(in crate::config) secret_env: Option<String>,
    /// For one post. Beyond the deadline its answer goes out late.
    pub(in crate::config) timeout: Option<String>,
    /// Posts at once. Too few and messages wait, too many and the program drowns.
    pub(in crate::config) concurrency: Option<u32>,
}
