//! Who may come in through the browser: hosts, origins, and how often a token may be tried.
//!
//! **Hosts.** A page of a stranger can have its name resolve to our address (DNS rebinding);
//! then its script reads what is here. Such a request names the stranger in `Host`, so names
//! are accepted only if they are `localhost` or configured (`[admin] hosts`); addresses are
//! accepted as they are, because nobody can rebind them.
//! **Origins.** A form is accepted from our own pages only: `Origin` must be the host that was
//! asked, or a configured one; without it (no browser) the form's own token decides.
//! **Headers.** Nothing is framed, sniffed, stored, or loaded from elsewhere.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::clock::{BootTime, Clock};

/// Everything comes from here, and nothing is written inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Puts the protecting headers on every answer. `same-origin` rather than `no-referrer`: with
/// the latter browsers send `Origin: null` with our own forms too.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

/// Whether the request names a host that is ours. HTTP/1.0 without a host has no browser behind
/// it and is refused all the same: it could not sign in.
pub(super) fn host_is_ours(headers: &HeaderMap, hosts: &[String]) -> bool {
    asked_host(headers).is_some_and(|authority| {
        let name = authority.host().trim_matches(['[', ']']);
        name.parse::<IpAddr>().is_ok() || is_known(name, hosts)
    })
}

fn is_known(name: &str, hosts: &[String]) -> bool {
    let name = name.trim_end_matches('.');
    let local = name.eq_ignore_ascii_case("localhost")
        || name.len() > 10
            && name.get(name.len() - 10..).is_some_and(|end| end.eq_ignore_ascii_case(".localhost"));
    local || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

fn asked_host(headers: &HeaderMap) -> Option<Authority> {
    headers.get(header::HOST)?.to_str().ok()?.parse().ok()
}

/// Whether a form was sent by one of our own pages, as far as the browser says.
pub(super) fn form_is_ours(headers: &HeaderMap, hosts: &[String]) -> bool {
    let fetched_from = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if !matches!(fetched_from, None | Some(b"same-origin" | b"none")) {
        return false;
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let Some(origin) = origin.and_then(|(_, authority)| authority.parse::<Authority>().ok()) else {
        return false;
    };
    // A proxy may ask us under another name than the browser asked it: then that is configured.
    let configured = hosts.iter().any(|host| host.eq_ignore_ascii_case(origin.host()));
    configured || asked_host(headers).is_some_and(|asked| asked == origin)
}

/// Whether the browser speaks TLS with the proxy before us. Who forges this harms only himself.
pub(super) fn is_https(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// Attempts to sign in from one address before it must wait.
const BURST: u32 = 8;
/// After that, one attempt in so long. Tokens have 256 bits: this spares the log, not the token.
const PACE: Duration = Duration::from_secs(8);
/// Addresses that are remembered; beyond, all others share one allowance.
const ADDRESSES: usize = 1_024;

/// How often a token may be tried, by address.
pub(super) struct Tries {
    spent: Mutex<HashMap<Option<IpAddr>, (BootTime, u32)>>,
    clock: Clock,
}

impl Tries {
    pub(super) fn new(clock: Clock) -> Self {
        Self { spent: Mutex::default(), clock }
    }

    /// Takes one try from this address's allowance; how long to wait if there is none.
    pub(super) fn take(&self, from: IpAddr) -> Result<(), Duration> {
        let now = self.clock.boot();
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.retain(|_, (at, count)| now.since(*at) < PACE * *count);
        let known = spent.contains_key(&Some(from)) || spent.len() < ADDRESSES;
        let (at, count) = spent.entry(known.then_some(from)).or_insert((now, 0));
        let refilled = u32::try_from(now.since(*at).as_secs() / PACE.as_secs()).unwrap_or(u32::MAX);
        if refilled > 0 {
            *count = count.saturating_sub(refilled);
            *at = *at + PACE * refilled;
        }
        if *count >= BURST {
            return Err(PACE);
        }
        *count += 1;
        Ok(())
    }

    /// Gives the allowance back to an address from which a token was good.
    pub(super) fn forgive(&self, from: IpAddr) {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).remove(&Some(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn host_is_an_address_or_a_name_that_nobody_else_owns() {
        let hosts = ["status.example".to_owned()];
        for good in [
            "127.0.0.1:7781",
            "[::1]:7781",
            "10.0.0.8",
            "localhost:7781",
            "a.localhost",
            "STATUS.example:443",
        ] {
            assert!(host_is_ours(&headers(&[("host", good)]), &hosts), "{good}");
        }
        for bad in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "xlocalhost",
            ".localhost",
            "",
        ] {
            assert!(!host_is_ours(&headers(&[("host", bad)]), &hosts), "{bad}");
        }
        assert!(!host_is_ours(&headers(&[]), &hosts));
    }

    #[test]
    fn form_of_another_origin_is_refused() {
        let hosts = ["status.example".to_owned()];
        let ours = |pairs: &[(&'static str, &'static str)]| form_is_ours(&headers(pairs), &hosts);
        let host = ("host", "127.0.0.1:7781");
        assert!(ours(&[host]));
        assert!(ours(&[host, ("origin", "http://127.0.0.1:7781"), ("sec-fetch-site", "same-origin")]));
        assert!(ours(&[host, ("origin", "https://status.example")]));
        assert!(!ours(&[host, ("origin", "http://127.0.0.1:80")]));
        assert!(!ours(&[host, ("origin", "http://evil.example")]));
        assert!(!ours(&[host, ("origin", "null")]));
        assert!(!ours(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(!ours(&[host, ("sec-fetch-site", "same-site")]));
    }

    #[tokio::test(start_paused = true)]
    async fn tries_run_out_and_come_back_with_time() {
        let tries = Tries::new(Clock::manual(WallTime(0), BootTime(1_000_000), "boot"));
        let (one, two) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..BURST {
            assert_eq!(tries.take(one), Ok(()));
        }
        assert_eq!(tries.take(one), Err(PACE));
        assert_eq!(tries.take(two), Ok(()), "another address is not held up");
        tokio::time::advance(PACE).await;
        assert_eq!(tries.take(one), Ok(()));
        assert_eq!(tries.take(one), Err(PACE));
        tries.forgive(one);
        assert_eq!(tries.take(one), Ok(()));
    }
}
