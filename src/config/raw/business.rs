//! `[business]`: what is kept of menus and QR codes, and their service over HTTP.

use serde::Deserialize;

/// `[business]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Business {
    /// The SQLite file.
    pub(in crate::config) database: Option<String>,
    /// How many permanent QR codes there may be: fewer where another program makes some, too.
    pub(in crate::config) permanent_codes: Option<u32>,
    /// The last of them, made only on purpose. Too many are never used.
    pub(in crate::config) permanent_reserve: Option<u32>,
    /// The address of a PostgreSQL instead, from a file …
    pub(in crate::config) database_url_file: Option<String>,
    /// … or a systemd credential …
    pub(in crate::config) database_url_credential: Option<String>,
    /// … or an environment variable.
    pub(in crate::config) database_url_env: Option<String>,
    /// The daemon that knows the callers of the service.
    pub(in crate::config) daemon: Option<String>,
    /// PEM file of the authority that signed the daemon's certificate.
    pub(in crate::config) ca: Option<String>,
    /// What the message service signs with, from a file …
    pub(in crate::config) events_secret_file: Option<String>,
    /// … or a systemd credential …
    pub(in crate::config) events_secret_credential: Option<String>,
    /// … or an environment variable.
    pub(in crate::config) events_secret_env: Option<String>,
}
