//! Copies written for others: memcached today.
//!
//! A mirror is written, never read back, and can neither delay nor trigger an attempt (S4).

use std::time::Duration;

/// What the memcached mirror needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:port` of every server; each gets every value. Empty: no mirror.
    pub servers: Vec<String>,
    /// The layouts to write, all of them.
    pub layouts: Vec<Layout>,
    /// How long one server may take to answer one command.
    pub timeout: Duration,
}

/// A key template and a value form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `zhongkong:{appid}:{kind}` → JSON with value, fingerprint, generation, `expires_at`.
    Zhongkong,
    /// `{prefix}{appid}:{kind}` → the bare value.
    Raw,
    /// What wechatpy's `MemcachedStorage` reads.
    Wechatpy,
    /// What silenceper/wechat's memcache reads.
    Silenceper,
    /// One fixed key → WeChat's own JSON answer, as the first daemons of this kind wrote it.
    Seed {
        /// The key of the access token; the tickets' keys follow from it.
        key: String,
    },
}
