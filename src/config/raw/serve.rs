//! `[serve]`: the process of the business services.

use serde::Deserialize;

use super::Log;
use super::words::OneOrMany;

/// `[serve]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Serve {
    /// `ip:port`: where the reverse proxy, or WeChat itself, connects.
    pub(in crate::config) listen: Option<String>,
    /// Allows other machines to connect, without TLS.
    pub(in crate::config) insecure: Option<bool>,
    /// Whose word for who asks is taken: IP addresses, and networks as `10.0.0.0/8`.
    pub(in crate::config) trusted_proxies: Option<OneOrMany>,
    /// `ip:port` of /healthz, /readyz and /metrics.
    pub(in crate::config) admin: Option<String>,
    /// How long a stop may take. Too short loses answers that were to be sent late.
    pub(in crate::config) grace: Option<String>,
    pub(in crate::config) log: Option<Log>,
    pub(in crate::config) oauth: Option<Alone>,
    pub(in crate::config) jssdk: Option<Alone>,
    pub(in crate::config) business: Option<Alone>,
}

/// `[serve.oauth]`, `[serve.jssdk]`, `[serve.business]`: the addresses of a process that runs this service alone.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Alone {
    /// As in `[serve]`.
    pub(in crate::config) listen: Option<String>,
    /// As in `[serve]`.
    pub(in crate::config) admin: Option<String>,
}
