//! The mirror of the file: what may be written, nothing about what it means.
//!
//! Every key is optional here, so that a reading can go on after a missing one; the files
//! beside this one say what is needed and turn it into each module's `Settings`. Durations
//! are text with units (`"10m"`), sizes too (`"64MiB"`). config.toml in the root shows every
//! key with its default and its reason; a test fails when one is missing there.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

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
    pub(super) serve: Option<Serve>,
    pub(super) messages: Option<Messages>,
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

/// One layout: its name, or a table with parameters.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) preset: Option<String>,
    pub(super) key: Option<String>,
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

/// `[serve]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Serve {
    /// `ip:port`: where the reverse proxy, or WeChat itself, connects.
    pub(super) listen: Option<String>,
    /// Allows other machines to connect, without TLS.
    pub(super) insecure: Option<bool>,
    /// `ip:port` of /healthz, /readyz and /metrics.
    pub(super) admin: Option<String>,
    /// How long a stop may take. Too short loses answers that were to be sent late.
    pub(super) grace: Option<String>,
    pub(super) log: Option<Log>,
}

/// `[messages]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Messages {
    /// The daemon that has the tokens.
    pub(super) daemon: Option<String>,
    /// The bearer token for it, from a file …
    pub(super) token_file: Option<String>,
    /// … or a systemd credential …
    pub(super) token_credential: Option<String>,
    /// … or an environment variable.
    pub(super) token_env: Option<String>,
    /// PEM file of the authority that signed the daemon's certificate.
    pub(super) ca: Option<String>,
    /// The file of rules.
    pub(super) rules: Option<String>,
    /// When an answer must leave. Too late and WeChat has closed the connection.
    pub(super) deadline: Option<String>,
    /// How far a push's time may be from ours. Too short and a slow clock loses messages.
    pub(super) replay_window: Option<String>,
    /// `host:port` of the servers through which several instances share what they have seen.
    pub(super) memcached: Option<OneOrMany>,
    pub(super) log: Option<MessageLog>,
    pub(super) account: Option<Vec<MessagesAccount>>,
    pub(super) forward: Option<Vec<Forward>>,
}

/// `[messages.log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageLog {
    /// Where each message gets a line.
    pub(super) file: Option<String>,
    /// It is put aside before it is bigger …
    pub(super) max_size: Option<String>,
    /// … or older.
    pub(super) max_age: Option<String>,
    /// How many old files are kept.
    pub(super) keep: Option<u32>,
    /// `none`, `length` or `full`: what users wrote.
    pub(super) content: Option<String>,
    /// `hash` or `full`: who they are.
    pub(super) openid: Option<String>,
}

/// `[[messages.account]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessagesAccount {
    pub(super) appid: Option<String>,
    /// The last part of the callback's address.
    pub(super) path: Option<String>,
    /// `safe`, `compatible` or `plain`, as in WeChat's console.
    pub(super) mode: Option<String>,
    /// The Token of WeChat's console, from a file …
    pub(super) token_file: Option<String>,
    /// … or a systemd credential …
    pub(super) token_credential: Option<String>,
    /// … or an environment variable.
    pub(super) token_env: Option<String>,
    /// The EncodingAESKey, likewise.
    pub(super) aes_key_file: Option<String>,
    pub(super) aes_key_credential: Option<String>,
    pub(super) aes_key_env: Option<String>,
    /// The one before it, while it is being changed.
    pub(super) previous_aes_key_file: Option<String>,
    pub(super) previous_aes_key_credential: Option<String>,
    pub(super) previous_aes_key_env: Option<String>,
    /// What an encrypted push must end with.
    pub(super) receive_id: Option<String>,
    /// Names of domain verification files to serve.
    pub(super) verify_files: Option<OneOrMany>,
    /// Who gets what no rule answers.
    pub(super) forward: Option<String>,
}

/// `[[messages.forward]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forward {
    /// What rules and accounts call it.
    pub(super) name: Option<String>,
    /// Where messages are posted.
    pub(super) url: Option<String>,
    /// What the posts are signed with, from a file …
    pub(super) secret_file: Option<String>,
    /// … or a systemd credential …
    pub(super) secret_credential: Option<String>,
    /// … or an environment variable.
    pub(super) secret_env: Option<String>,
    /// For one post. Beyond the deadline its answer goes out late.
    pub(super) timeout: Option<String>,
    /// Posts at once. Too few and messages wait, too many and the program drowns.
    pub(super) concurrency: Option<u32>,
}

/// A date-time, in quotes or bare as TOML has it.
#[derive(Debug, Deserialize)]
pub(super) struct Date(pub(super) String);

/// One text, or a list of them.
#[derive(Debug)]
pub(super) enum OneOrMany {
    /// Written without a list.
    One(String),
    /// Written as a list.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The texts.
    pub(super) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("text or a list of texts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMany::Many(texts))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

impl<'de> Deserialize<'de> for Layout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            preset: Option<String>,
            key: Option<String>,
        }
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = Layout;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a layout or a table { preset, key }")
            }

            fn visit_str<E: Error>(self, preset: &str) -> Result<Layout, E> {
                Ok(Layout { preset: Some(preset.to_owned()), key: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Layout, A::Error> {
                let Table { preset, key } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Layout { preset, key })
            }
        }
        // As a struct and not as anything: whoever asks for the keys of the file learns these too.
        deserializer.deserialize_struct("Layout", &["preset", "key"], NameOrTable)
    }
}
