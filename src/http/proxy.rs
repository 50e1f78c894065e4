//! Who asks and how they reached us, where a proxy stands between.
//!
//! A proxy says it in `X-Forwarded-For`, `-Proto` and `-Host`, and so can everybody. What is
//! believed is what proxies of ours say, and of lists, to which each proxy adds at the end, what
//! the last of them has added. Deliberately absent: `Forwarded` of RFC 7239. Who reads two headers
//! for one thing believes the one that the proxy did not write.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use ipnet::IpNet;

use super::Received;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The machines whose word is taken for who asks. By default none is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Arc<[IpNet]>);

/// Who made the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The caller, or somebody whose word is not taken.
    Direct,
    /// A proxy of ours.
    Proxy,
}

/// How a request reached the first machine of ours, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// `http` or `https`. We have no TLS ourselves; behind a proxy that says nothing it is unknown.
    pub scheme: Option<Scheme>,
    /// The host with its port, if that was said: what stands in the browser's address.
    pub host: Option<Authority>,
}

impl FromIterator<IpNet> for Proxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl Proxies {
    /// Who connects from there.
    pub(super) fn via(&self, connection: IpAddr) -> Via {
        if self.0.iter().any(|network| network.contains(&connection)) { Via::Proxy } else { Via::Direct }
    }

    /// Who asks, over a connection from there: the last in the list who is no proxy of ours. Where a
    /// proxy names nobody, or not by an address, it is that proxy.
    pub(super) fn caller(&self, connection: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut caller = connection;
        // The rest of the list is what a stranger wrote.
        let mut named = entries(headers, &FORWARDED_FOR);
        while self.via(caller) == Via::Proxy
            && let Some(before) = named.next().flatten().and_then(address)
        {
            caller = before;
        }
        caller
    }
}

impl Received {
    /// How the request with this target and these headers reached the first machine of ours.
    pub fn outside(&self, uri: &Uri, headers: &HeaderMap) -> Outside {
        let (scheme, host) = match self.via {
            Via::Direct => (Some(Scheme::HTTP), None),
            Via::Proxy => {
                let scheme = entries(headers, &FORWARDED_PROTO).next().map(|text| text.and_then(scheme));
                (scheme.flatten(), entries(headers, &FORWARDED_HOST).next())
            }
        };
        // A host that a proxy wrote and that is none is not made up for by another's.
        let host = match host {
            Some(text) => text.and_then(authority),
            None => uri.authority().cloned().or_else(|| authority(only(headers, &header::HOST)?)),
        };
        Outside { scheme, host: host.filter(|host| !host.as_str().contains('@')) }
    }
}

/// The parts of a list from its end, over all lines of the header. One that is no text is `None`, and
/// hides no other of its line: a stranger wrote one end of it, and a proxy the other.
fn entries<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = Option<&'h str>> + use<'h> {
    let parts = |line: &'h HeaderValue| line.as_bytes().rsplit(|byte| *byte == b',');
    let text = |part: &'h [u8]| str::from_utf8(part).ok().map(str::trim);
    headers.get_all(name).iter().rev().flat_map(parts).map(text)
}

/// The value of a header that is there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    if lines.next().is_some() { None } else { line.to_str().ok() }
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let ip = match bare {
        Some(ip) => IpAddr::V6(ip.parse().ok()?),
        None => text.parse().or_else(|_| text.parse().map(|addr: SocketAddr| addr.ip())).ok()?,
    };
    Some(ip.to_canonical())
}

fn scheme(text: &str) -> Option<Scheme> {
    match text {
        _ if text.eq_ignore_ascii_case("https") => Some(Scheme::HTTPS),
        _ if text.eq_ignore_ascii_case("http") => Some(Scheme::HTTP),
        _ => None,
    }
}

fn authority(text: &str) -> Option<Authority> {
    text.parse().ok().filter(|authority: &Authority| !authority.host().is_empty())
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::super::RequestId;
    use super::*;

    const NEAR: &str = "10.0.0.1";

    fn proxies() -> Proxies {
        ["10.0.0.0/8", "127.0.0.1/32", "2001:db8:1::/48"]
            .map(|net| net.parse().unwrap())
            .into_iter()
            .collect()
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    /// Who asks over a connection from there, if the header has these lines.
    fn caller(connection: &str, lines: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        proxies().caller(connection.parse().unwrap(), &headers(&lines)).to_string()
    }

    #[test]
    fn caller_is_the_last_of_the_list_who_is_no_proxy_of_ours() {
        assert_eq!(caller(NEAR, &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(caller(NEAR, &["192.0.2.1, 10.9.9.9,127.0.0.1"]), "192.0.2.1");
        // What the caller wrote itself stands before the address that it really had.
        assert_eq!(caller(NEAR, &["127.0.0.1, 203.0.113.9, 192.0.2.1, 10.9.9.9"]), "192.0.2.1");
        // Somebody on the proxy's own machine.
        assert_eq!(caller(NEAR, &["10.9.9.9"]), "10.9.9.9");
        assert_eq!(caller(NEAR, &[]), NEAR);
    }

    #[test]
    fn header_of_somebody_who_is_no_proxy_of_ours_is_not_believed() {
        for spoofed in [&["127.0.0.1"][..], &["192.0.2.1, 10.0.0.1"], &["x", "10.0.0.1"]] {
            assert_eq!(caller("198.51.100.7", spoofed), "198.51.100.7", "{spoofed:?}");
            assert_eq!(caller("2001:db8:2::1", spoofed), "2001:db8:2::1", "{spoofed:?}");
        }
        let nobody = Proxies::default();
        let spoofed = headers(&[("x-forwarded-for", "192.0.2.1")]);
        assert_eq!(nobody.caller("127.0.0.1".parse().unwrap(), &spoofed).to_string(), "127.0.0.1");
    }

    #[test]
    fn lines_are_one_list_in_their_order() {
        assert_eq!(caller(NEAR, &["203.0.113.9", "192.0.2.1, 10.9.9.9"]), "192.0.2.1");
        assert_eq!(caller(NEAR, &["192.0.2.1", "10.9.9.9"]), "192.0.2.1");
        assert_eq!(caller(NEAR, &["203.0.113.9, 192.0.2.1", "10.9.9.9", "10.9.9.8"]), "192.0.2.1");
    }

    #[test]
    fn address_may_have_a_port_and_be_ipv6() {
        for (written, read) in [
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:4711", "192.0.2.1"),
            ("203.0.113.9, [2001:db8:1::5]:4711", "203.0.113.9"),
        ] {
            assert_eq!(caller(NEAR, &[written]), read, "{written}");
        }
    }

    #[test]
    fn what_is_no_address_hides_nobody_before_it() {
        for garbage in [
            "unknown",
            "",
            "unix:",
            "_hidden",
            "192.0.2.1 ",
            "999.1.1.1",
            "1.2.3",
            "[192.0.2.1]",
            "[2001:db8::1",
            "2001:db8::1]:80",
            "fe80::1%eth0",
            "192.0.2.1:99999",
            "\"[2001:db8::1]\"",
            "192.0.2.1;203.0.113.9",
            "\u{e9}",
            "\u{e9}\u{2028}, \u{1f980}",
        ] {
            // A space is nothing, and one address more than none.
            let expected = if garbage.trim() == "192.0.2.1" { "192.0.2.1" } else { NEAR };
            assert_eq!(caller(NEAR, &[garbage]), expected, "{garbage}");
            let behind = format!("203.0.113.9, {garbage}, 10.9.9.9");
            let expected = if expected == NEAR { "10.9.9.9" } else { expected };
            assert_eq!(caller(NEAR, &[&behind]), expected, "{garbage}");
        }
        // As much as a head holds, of proxies that are ours and of others.
        let ours = vec!["10.1.1.1"; 2_000].join(",");
        assert_eq!(caller(NEAR, &[&format!("192.0.2.1,{ours}")]), "192.0.2.1");
        let others = vec!["203.0.113.9"; 2_000].join(",");
        assert_eq!(caller(NEAR, &[&format!("{others},192.0.2.1")]), "192.0.2.1");
        assert_eq!(caller(NEAR, &[&",".repeat(4_000)]), NEAR);
    }

    /// Scheme and host of a request for `/x` with these headers.
    fn outside(via: Via, lines: &[(&'static str, &str)]) -> (Option<String>, Option<String>) {
        let received =
            Received { peer: NEAR.parse().unwrap(), via, id: RequestId::new(), at: Instant::now() };
        let Outside { scheme, host } = received.outside(&Uri::from_static("/x"), &headers(lines));
        (scheme.map(|scheme| scheme.to_string()), host.map(|host| host.to_string()))
    }

    fn both(scheme: &str, host: &str) -> (Option<String>, Option<String>) {
        (Some(scheme.to_owned()), Some(host.to_owned()))
    }

    #[test]
    fn scheme_and_host_are_those_of_the_browser_if_a_proxy_of_ours_says_them() {
        let said = [
            ("host", "10.0.0.2:7790"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "h5.example.com:8443"),
        ];
        assert_eq!(outside(Via::Proxy, &said), both("https", "h5.example.com:8443"));
        assert_eq!(outside(Via::Direct, &said), both("http", "10.0.0.2:7790"));
        // What a proxy added to a header that the caller had sent.
        let added = [
            ("x-forwarded-proto", "http"),
            ("x-forwarded-proto", "HTTPS"),
            ("x-forwarded-host", "evil.example, h5.example.com"),
        ];
        assert_eq!(outside(Via::Proxy, &added), both("https", "h5.example.com"));
        // A proxy that hands the host over as it was, and says nothing of the scheme.
        assert_eq!(
            outside(Via::Proxy, &[("host", "h5.example.com")]),
            (None, Some("h5.example.com".to_owned()))
        );
    }

    #[test]
    fn scheme_and_host_that_are_none_are_unknown() {
        let host = ("host", "h5.example.com");
        for garbage in ["", "javascript", "https://", "http, ", "\u{e9}"] {
            let (scheme, _) = outside(Via::Proxy, &[host, ("x-forwarded-proto", garbage)]);
            assert_eq!(scheme, None, "{garbage}");
        }
        for garbage in
            ["", "a b", "user@h5.example.com", "h5.example.com/", "h5.example.com, ", ":443", "\u{e9}"]
        {
            let (_, found) = outside(Via::Proxy, &[host, ("x-forwarded-host", garbage)]);
            assert_eq!(found, None, "{garbage}");
            let (_, found) = outside(Via::Direct, &[("host", garbage)]);
            // A host with a list in it is one that nobody has; it is not taken apart.
            assert_eq!(found, None, "{garbage}");
        }
        let (_, two) = outside(Via::Direct, &[host, ("host", "evil.example")]);
        assert_eq!(two, None);
    }
}
