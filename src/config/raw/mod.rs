//! The mirror of the file: what may be written, nothing about what it means. The daemon's sections
//! are here, those of each business service in a file below.
//!
//! Every key is optional here, so that a reading can go on after a missing one; the modules
//! beside this one say what is needed and turn it into each module's `Settings`. Durations
//! are text with units (`"10m"`), sizes too (`"64MiB"`). config.toml in the root shows every
//! key with its default and its reason; a test fails when one is missing there.

use serde::Deserialize;

mod business;
mod jssdk;
mod messages;
mod oauth;
mod serve;
mod words;

pub(super) use business::Business;
pub(super) use jssdk::{Jssdk, JssdkAccount};
pub(super) use messages::{Forward, MessageLog, Messages, MessagesAccount};
pub(super) use oauth::{OAuth, OAuthAccount, OAuthApp};
pub(super) use serve::{Alone, Serve};
pub(super) use words::{Date, Layout, OneOrMany};

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) daemon: Option<Daemon>,
    pub(super) wechat: Option<WeChat>,
    pub(super) grpc: Option<Grpc>,
    pub(super) admin: Option<Admin>,
    pub(super) audit: Option<Audit>,
    pub(super) memcached: Option<Memcached>,
    pub(super) account: Option<Vec<Account>>,
    pub(super) client: Option<Vec<Client>>,
    pub(super) business: Option<Business>,
    pub(super) serve: Option<Serve>,
    pub(super) messages: Option<Messages>,
    pub(super) oauth: Option<OAuth>,
    pub(super) jssdk: Option<Jssdk>,
}

/// `[daemon]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Daemon {
    /// Where the ledger lives. On a local disk: fsync decides how much a crash can lose.
    pub(super) state_dir: Option<String>,
    /// Where `start` writes the process id.
    pub(super) pid_file: Option<String>,
    /// Whom root becomes once the sockets are bound.
    pub(super) user: Option<String>,
    /// With which group, if not the user's own.
    pub(super) group: Option<String>,
    /// How long a stop may take. Too short cuts off an upstream call, whose answer is then lost.
    pub(super) grace: Option<String>,
    /// Limit of the ledger's file. Too small and the daemon runs DEGRADED.
    pub(super) ledger_max_size: Option<String>,
    /// Keys that seal the values in the ledger, from a file …
    pub(super) seal_keys_file: Option<String>,
    /// … or a systemd credential …
    pub(super) seal_keys_credential: Option<String>,
    /// … or an environment variable.
    pub(super) seal_keys_env: Option<String>,
    pub(super) log: Option<Log>,
}

/// `[daemon.log]` and `[serve.log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// `text` for people, `json` for a collector, `journald` for the systemd journal.
    pub(super) format: Option<String>,
    /// A level, or tracing's filter directives.
    pub(super) filter: Option<String>,
    /// The file to write instead of stderr.
    pub(super) file: Option<String>,
    /// It is put aside before it is bigger, as "64MiB" …
    pub(super) max_size: Option<String>,
    /// … or older.
    pub(super) max_age: Option<String>,
    /// How many old files are kept.
    pub(super) keep: Option<u32>,
}

/// `[wechat]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WeChat {
    /// Scheme and host. WeChat has several hosts; the simulator is another.
    pub(super) api_base: Option<String>,
    /// Allows `http://` to another machine.
    pub(super) insecure: Option<bool>,
    /// DNS, TCP and TLS. Shorter than `timeout`, so that a call never sent is known as such.
    pub(super) connect_timeout: Option<String>,
    /// One whole call. Too short makes outcomes unknown that WeChat has already counted.
    pub(super) timeout: Option<String>,
    /// An HTTP proxy. The environment's is never used.
    pub(super) proxy: Option<String>,
}

/// `[grpc]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grpc {
    /// `ip:port` and `unix:/path`, one or several.
    pub(super) listen: Option<OneOrMany>,
    /// Allows plain text to other machines.
    pub(super) insecure: Option<bool>,
    pub(super) tls: Option<Tls>,
}

/// `[grpc.tls]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// PEM file of the certificate chain.
    pub(super) cert: Option<String>,
    /// PEM file of its private key, readable by the owner only.
    pub(super) key: Option<String>,
    /// PEM file of the authority whose certificates callers may show.
    pub(super) client_ca: Option<String>,
}

/// `[admin]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    /// `ip:port`
    pub(super) listen: Option<String>,
    /// Allows other machines to look in, without TLS.
    pub(super) insecure: Option<bool>,
    /// `anyone` or `client`: who sees the status page without signing in.
    pub(super) view: Option<String>,
    /// Names under which browsers reach the page through a proxy.
    pub(super) hosts: Option<OneOrMany>,
    /// Up to how many keys /metrics has series of each. Too many and every scrape is megabytes.
    pub(super) metrics_per_key: Option<u32>,
}

/// `[audit]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Audit {
    /// How many rows are kept. Too few and a busy day pushes out the one before.
    pub(super) max_rows: Option<u32>,
    /// Whether successful reads are among them.
    pub(super) reads: Option<bool>,
}

/// `[memcached]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memcached {
    /// `host:port` of every server.
    pub(super) servers: Option<OneOrMany>,
    /// Which programs' keys to write.
    pub(super) layouts: Option<Vec<Layout>>,
    /// One command on one server. Too short and a busy server counts as down.
    pub(super) timeout: Option<String>,
}

/// `[[account]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    pub(super) appid: Option<String>,
    /// For people.
    pub(super) name: Option<String>,
    /// The AppSecret, from a file …
    pub(super) secret_file: Option<String>,
    /// … or a systemd credential …
    pub(super) secret_credential: Option<String>,
    /// … or an environment variable.
    pub(super) secret_env: Option<String>,
    /// `stable` or `classic`.
    pub(super) token_mode: Option<String>,
    /// Tickets to keep besides the access token.
    pub(super) tickets: Option<OneOrMany>,
    /// What WeChat grants per day. Too high and its limit comes before ours.
    pub(super) daily_calls: Option<u32>,
    /// Where WeChat sends messages; only `doctor` looks at it.
    pub(super) callback_url: Option<String>,
}

/// `[[client]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Client {
    pub(super) name: Option<String>,
    /// SHA-256 of its bearer token; several while a token is being changed.
    pub(super) token_sha256: Option<OneOrMany>,
    /// A name in its certificate.
    pub(super) certificate: Option<OneOrMany>,
    /// The uid of its process, on a Unix socket.
    pub(super) uid: Option<u32>,
    pub(super) accounts: Option<OneOrMany>,
    pub(super) kinds: Option<OneOrMany>,
    pub(super) actions: Option<OneOrMany>,
    /// The end of its access.
    pub(super) not_after: Option<Date>,
}
