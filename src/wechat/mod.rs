//! WeChat's endpoints, one method each.

use std::time::Duration;

/// How WeChat is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Scheme and host of the API, without a path.
    pub api_base: url::Url,
    /// Limit for DNS, TCP and TLS together. Below `timeout`, so that a call that was never
    /// sent is known as such.
    pub connect_timeout: Duration,
    /// Limit for one whole call.
    pub timeout: Duration,
    /// An HTTP proxy, if WeChat is reached through one. The environment's is never used.
    pub proxy: Option<url::Url>,
}
