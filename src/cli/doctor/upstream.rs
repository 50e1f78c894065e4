//! The way to WeChat, step by step, and how far this machine's clock is from WeChat's.
//!
//! Name, connection, TLS and answer, each with its time, so that the step that fails is named.
//! No token is used: WeChat refuses the question, and that is an answer.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::clock::{BootTime, Clock, WallTime};
use crate::wechat::checkup::{Answerer, Greeting};
use crate::wechat::{Settings, Trouble, TroubleKind, WeChat};

use super::finding::{Finding, Group};

/// Limit for a name.
const DNS: Duration = Duration::from_secs(3);
/// Limit for a connection; the configured one where that is shorter.
const CONNECT: Duration = Duration::from_secs(3);
/// Limit for one call; the configured one where that is shorter.
pub(super) const CALL: Duration = Duration::from_secs(5);
/// Signatures and logs are still right with this.
const FINE: Duration = Duration::from_secs(5);
/// WeChat's own tolerance for what carries a time.
const WRONG: Duration = Duration::from_secs(300);

/// Whether WeChat can be asked.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// With this client.
    Open(WeChat),
    /// It cannot.
    Closed,
}

/// Goes the way.
pub(super) async fn findings(settings: &Settings, clock: &Clock) -> (Vec<Finding>, Way) {
    let settings = Settings {
        connect_timeout: settings.connect_timeout.min(CONNECT),
        timeout: settings.timeout.min(CALL),
        ..settings.clone()
    };
    let (next, what) = match &settings.proxy {
        Some(proxy) => (proxy, "the proxy "),
        None => (&settings.api_base, ""),
    };
    let host = next.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = next.port_or_known_default().unwrap_or(443);
    let mut found = Vec::new();

    let start = clock.boot();
    let addresses = match timeout(DNS, lookup_host((host.as_str(), port))).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    if addresses.is_empty() {
        found.push(Finding::fail(
            Group::Wechat,
            "dns",
            format!("{what}{host} has no address from here ({})", took(clock, start)),
            format!("look at /etc/resolv.conf; getent hosts {host} must print one"),
        ));
        return (found, Way::Closed);
    }
    let shown: Vec<_> = addresses.iter().take(3).map(|address| address.ip().to_string()).collect();
    let detail = format!("{what}{host} is {} ({})", shown.join(", "), took(clock, start));
    found.push(Finding::ok(Group::Wechat, "dns", detail));

    let start = clock.boot();
    if let Err(why) = connect(&addresses, settings.connect_timeout).await {
        found.push(Finding::fail(
            Group::Wechat,
            "tcp",
            format!("no connection to {what}{host} port {port}: {why} ({})", took(clock, start)),
            "let this machine out through the firewall to that port, or set wechat.proxy",
        ));
        return (found, Way::Closed);
    }
    found.push(Finding::ok(Group::Wechat, "tcp", format!("port {port} ({})", took(clock, start))));

    let wechat = match WeChat::new(&settings) {
        Ok(wechat) => wechat,
        Err(error) => {
            let detail = crate::cli::chain(&error);
            let fix = "install ca-certificates; look at wechat.api_base and wechat.proxy";
            found.push(Finding::fail(Group::Wechat, "https", detail, fix));
            return (found, Way::Closed);
        }
    };
    let (sent, start) = (clock.wall(), clock.boot());
    let greeting = wechat.greet().await;
    let trip = clock.boot().since(start);
    match greeting {
        Ok(Greeting { by: Answerer::WeChat, date }) => {
            found.push(Finding::ok(
                Group::Wechat,
                "https",
                format!("WeChat answers ({} ms)", trip.as_millis()),
            ));
            found.push(judge_clock(date, sent, trip));
            (found, Way::Open(wechat))
        }
        Ok(Greeting { by: Answerer::Stranger(status), date: _ }) => {
            found.push(Finding::fail(
                Group::Wechat,
                "https",
                format!("somebody answers with status {status}, and not as WeChat does"),
                "look at wechat.api_base, and for a portal or a proxy on the way",
            ));
            (found, Way::Closed)
        }
        Err(Trouble { what }) => {
            found.push(Finding::fail(
                Group::Wechat,
                if what == TroubleKind::Tls { "tls" } else { "https" },
                format!("{what} ({} ms)", trip.as_millis()),
                advice(what),
            ));
            (found, Way::Closed)
        }
    }
}

async fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<(), String> {
    match timeout(limit, TcpStream::connect(addresses)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.kind().to_string()),
        Err(_) => Err(format!("nothing within {} s", limit.as_secs_f32())),
    }
}

fn took(clock: &Clock, start: BootTime) -> String {
    format!("{} ms", clock.boot().since(start).as_millis())
}

/// What to do about a call that brought nothing.
pub(super) fn advice(what: TroubleKind) -> &'static str {
    match what {
        TroubleKind::Tls => {
            "a proxy that opens TLS, old ca-certificates, or a wrong clock here: `openssl s_client -connect` shows the \
             certificate; for a private authority install it with update-ca-certificates"
        }
        TroubleKind::Dns => "look at /etc/resolv.conf",
        TroubleKind::Connect | TroubleKind::ConnectTimedOut => {
            "let this machine out through the firewall, or look at wechat.proxy"
        }
        TroubleKind::TimedOut | TroubleKind::Torn => {
            "look at the network and at the proxy on the way; if it lasts, another wechat.api_base \
             (sh.api.weixin.qq.com, api2.weixin.qq.com)"
        }
        TroubleKind::Busy => "nothing: it passes",
        TroubleKind::Unsendable
        | TroubleKind::HttpStatus(_)
        | TroubleKind::TooLarge
        | TroubleKind::NotJson
        | TroubleKind::FieldMissing(_)
        | TroubleKind::FieldEmpty(_)
        | TroubleKind::FieldBad(_)
        | TroubleKind::BadLife
        | TroubleKind::Contradiction => "look at wechat.api_base, and for a portal or a proxy on the way",
    }
}

/// The header has whole seconds, cut off, of some moment of the trip: so much is uncertain.
fn judge_clock(date: Option<WallTime>, sent: WallTime, trip: Duration) -> Finding {
    const NAME: &str = "clock";
    let Some(WallTime(date)) = date else {
        let fix = "compare `date -u` with another clock: a proxy on the way may have removed it";
        return Finding::warn(Group::Wechat, NAME, "the answer had no Date to compare with", fix);
    };
    let trip_ms = i64::try_from(trip.as_millis()).unwrap_or(i64::MAX);
    let ours = sent.0.saturating_add(trip_ms / 2);
    let ahead = ours.saturating_sub(date.saturating_add(500));
    let certain = Duration::from_millis(
        ahead.unsigned_abs().saturating_sub(500).saturating_sub(trip_ms.unsigned_abs() / 2),
    );
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let fix = "set it and keep it: timedatectl set-ntp true";
    if certain <= FINE {
        return Finding::ok(Group::Wechat, NAME, format!("within {} s of WeChat's", certain.as_secs() + 1));
    }
    let by = crate::cli::words::span(certain);
    if certain <= WRONG {
        return Finding::warn(Group::Wechat, NAME, format!("{by} {side} WeChat's"), fix);
    }
    Finding::fail(
        Group::Wechat,
        NAME,
        format!("{by} {side} WeChat's: signatures are refused, and after a restart lives are misjudged"),
        fix,
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn clock_is_judged_by_what_is_certain_of_its_offset() {
        // Sent at 1,000,000 ms, 400 ms there and back: the header says 1000 or 1001 s if all is well.
        let judge =
            |date: i64| judge_clock(Some(WallTime(date)), WallTime(1_000_000), Duration::from_millis(400));
        for (date, level, words) in [
            (1_000_000, Level::Ok, "within 1 s"),
            (1_005_000, Level::Ok, "within 5 s"),
            (1_006_000, Level::Warn, "5 s behind"),
            (993_000, Level::Warn, "6 s ahead of"),
            (1_300_000, Level::Warn, "4 min 59 s behind"),
            (1_302_000, Level::Fail, "5 min 1 s behind"),
            (400_000, Level::Fail, "9 min 59 s ahead of"),
        ] {
            let found = judge(date);
            assert_eq!(found.level, level, "{date}: {found:?}");
            assert!(found.detail.starts_with(words), "{date}: {found:?}");
        }
        assert_eq!(judge_clock(None, WallTime(0), Duration::ZERO).level, Level::Warn);
    }
}
