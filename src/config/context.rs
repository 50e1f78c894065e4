//! What every part of the validation shares: the report, the environment, and the readings
//! of one value (duration, size, word, address).
//!
//! A reading that fails reports and goes on with the default, which nobody will use: a
//! report with an error in it never becomes a `Config`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::environment::Environment;
use super::hints::nearest;
use super::place::Place;
use super::report::Report;
use super::verify::VerifyFiles;

/// The state of one validation.
pub(super) struct Context<'a> {
    /// Variables that the file may name.
    pub(super) env: &'a Environment,
    /// Where relative paths start: the directory of the file.
    base: &'a Path,
    /// What was found so far.
    pub(super) report: Report,
    /// The domain verification files that were found so far.
    pub(super) verify_files: VerifyFiles,
}

impl<'a> Context<'a> {
    /// A validation of a file in the directory `base`.
    pub(super) fn new(env: &'a Environment, base: &'a Path) -> Self {
        Self { env, base, report: Report::default(), verify_files: VerifyFiles::default() }
    }

    /// The path as the daemon will use it: relative ones start at the file's directory, so
    /// that it does not matter where the daemon is started.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    /// A duration with its unit, within bounds.
    pub(super) fn duration(
        &mut self,
        place: &Place,
        text: Option<&str>,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(text) = text else { return default };
        match humantime::parse_duration(text) {
            Ok(span) if bounds.contains(&span) => return span,
            Ok(_) => self.report.error(
                place,
                format!(
                    "a duration from {} to {} is needed",
                    humantime::format_duration(*bounds.start()),
                    humantime::format_duration(*bounds.end())
                ),
            ),
            Err(_) => self
                .report
                .error(place, "a duration has a number and a unit, like \"500ms\", \"10s\" or \"5m\""),
        }
        default
    }

    /// One of some words; a wrong one gets the nearest.
    pub(super) fn word<T: Copy>(
        &mut self,
        place: &Place,
        text: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let near =
                nearest(text, &known).map_or_else(String::new, |near| format!(": did you mean \"{near}\"?"));
            self.report.error(place, format!("one of {} is needed{near}", Quoted(&known)));
        }
        found.map(|(_, value)| *value)
    }

    /// `ip:port`. A listener must not depend on a name server.
    pub(super) fn socket_addr(&mut self, place: &Place, text: &str) -> Option<SocketAddr> {
        let addr = text.parse().ok();
        if addr.is_none() {
            let fix = match text.strip_prefix("localhost:") {
                Some(port) if port.parse::<u16>().is_ok() => format!("write \"127.0.0.1:{port}\""),
                _ => "write an IP address and a port, like \"127.0.0.1:7780\" or \"[::1]:7780\"".to_owned(),
            };
            self.report.error(place, format!("this is no address to listen on: {fix}"));
        }
        addr
    }
}

/// A size in bytes: a number and B, KB, MB, GB (powers of 1000) or KiB, MiB, GiB (of 1024).
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// `host:port` of a server to connect to: a name, an IPv4 address, or an IPv6 one in brackets.
pub(super) fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let port_fits =
        port.parse::<u16>().is_ok_and(|port| port > 0) && port.bytes().all(|byte| byte.is_ascii_digit());
    let host_fits = if let Some(rest) = host.strip_prefix('[') {
        rest.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())
    } else {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' || byte == b'_';
        !host.is_empty() && host.bytes().all(fits)
    };
    port_fits && host_fits
}

/// Whether the address is of this machine only. An IPv4 address in IPv6 clothes counts as IPv4.
pub(super) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Words as `"a", "b", "c"`.
pub(super) struct Quoted<'a>(pub(super) &'a [&'a str]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, word) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}\"{word}\"")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_and_do_not_overflow() {
        for (text, bytes) in
            [("0B", 0), ("64MiB", 64 << 20), ("64 MiB", 64 << 20), ("2GB", 2_000_000_000), ("1KiB", 1024)]
        {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for bad in ["", "64", "MiB", "-1MiB", "1.5MiB", "64mib", "99999999999GiB", "18446744073709551616B"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_server_is_a_host_and_a_port() {
        for good in ["127.0.0.1:11211", "cache-1.example:11211", "[::1]:11211"] {
            assert!(is_host_port(good), "{good}");
        }
        for bad in [
            "",
            "cache",
            ":11211",
            "cache:",
            "cache:0",
            "cache:65536",
            "::1:11211",
            "a b:1",
            "memcache://h:1",
            "h:+1",
        ] {
            assert!(!is_host_port(bad), "{bad}");
        }
    }

    #[test]
    fn loopback_is_seen_through_ipv6() {
        for (ip, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false),
            ("::", false),
        ] {
            assert_eq!(is_loopback(ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
