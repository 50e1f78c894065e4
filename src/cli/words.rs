//! Spans, instants and enum names as people and programs read them.
//!
//! People get spans relative to now; documents get RFC 3339 and seconds. Text that came over
//! the wire is shown without control characters, so that nobody's account name can drive a
//! terminal.

use std::time::Duration;

use prost_types::Timestamp;

use crate::clock::WallTime;
use crate::model::Kind;
use crate::pb;

/// A span as it is typed: `90s`, `1h 30m`. Zero is none.
pub(super) fn parse_span(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(span) if span.is_zero() => {
            Err("a span of zero is none; write for example 30s, 10m, 1h".to_owned())
        }
        Ok(span) => Ok(span),
        Err(_) => Err("a span has a number and a unit, for example 30s, 10m, 1h".to_owned()),
    }
}

/// A span for a sentence, in its two largest units: `1 h 49 min`.
pub(super) fn span(span: Duration) -> String {
    parts(span, [" d", " h", " min", " s"], " ")
}

/// A span for a table: `1h49m`.
pub(super) fn short_span(span: Duration) -> String {
    parts(span, ["d", "h", "m", "s"], "")
}

fn parts(span: Duration, units: [&str; 4], gap: &str) -> String {
    let seconds = span.as_secs();
    let [day, hour, minute, second] = units;
    let two = |large: u64, unit: &str, small: u64, lesser: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{gap}{small}{lesser}"),
    };
    match seconds {
        0 => format!("0{second}"),
        1..60 => format!("{seconds}{second}"),
        // Below ten minutes seconds matter to somebody who waits.
        60..600 => two(seconds / 60, minute, seconds % 60, second),
        600..3_600 => format!("{}{minute}", seconds / 60),
        3_600..86_400 => two(seconds / 3_600, hour, seconds % 3_600 / 60, minute),
        _ => two(seconds / 86_400, day, seconds % 86_400 / 3_600, hour),
    }
}

/// `in 4 min`, or `now` for what is due.
pub(super) fn until(now: WallTime, at: WallTime) -> String {
    match between(now, at) {
        wait if wait < Duration::from_secs(1) => "now".to_owned(),
        wait => format!("in {}", span(wait)),
    }
}

/// `4 min ago`, or `just now`.
pub(super) fn ago(now: WallTime, at: WallTime) -> String {
    match between(at, now) {
        age if age < Duration::from_secs(1) => "just now".to_owned(),
        age => format!("{} ago", span(age)),
    }
}

/// The span between two instants, zero if they stand the other way round.
pub(super) fn between(from: WallTime, to: WallTime) -> Duration {
    Duration::from_millis(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
}

/// An instant of the contract.
pub(super) fn wall(at: Timestamp) -> WallTime {
    WallTime(at.seconds.saturating_mul(1_000).saturating_add(i64::from(at.nanos) / 1_000_000))
}

/// Text from elsewhere, without what a terminal would act on.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// `TOKEN_STATE_NO_VALUE` as `no_value`.
pub(super) fn name(proto: &str, prefix: &str) -> String {
    proto.strip_prefix(prefix).unwrap_or(proto).to_ascii_lowercase()
}

/// The kind's name; one of a newer daemon has none yet.
pub(super) fn kind(kind: pb::Kind) -> &'static str {
    match kind {
        pb::Kind::Unspecified => "unknown_kind",
        pb::Kind::AccessToken => Kind::AccessToken.as_str(),
        pb::Kind::JsapiTicket => Kind::JsapiTicket.as_str(),
        pb::Kind::WxCardTicket => Kind::WxCardTicket.as_str(),
    }
}

/// A state as a word for a table.
pub(super) fn state(state: pb::TokenState) -> &'static str {
    match state {
        pb::TokenState::Unspecified => "unknown",
        pb::TokenState::Fresh => "fresh",
        pb::TokenState::Refreshing => "refreshing",
        pb::TokenState::Degraded => "degraded",
        pb::TokenState::NoValue => "NO VALUE",
    }
}

/// `1 key`, `2 keys`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_has_the_two_largest_units_that_matter() {
        let cases = [
            (0, "0 s", "0s"),
            (59, "59 s", "59s"),
            (60, "1 min", "1m"),
            (61, "1 min 1 s", "1m1s"),
            (600, "10 min", "10m"),
            (659, "10 min", "10m"),
            (3_600, "1 h", "1h"),
            (6_599, "1 h 49 min", "1h49m"),
            (86_400, "1 d", "1d"),
            (97_200, "1 d 3 h", "1d3h"),
        ];
        for (seconds, long, short) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), long);
            assert_eq!(short_span(Duration::from_secs(seconds)), short);
        }
    }

    #[test]
    fn instants_are_told_by_their_distance() {
        let now = WallTime(1_000_000);
        assert_eq!(until(now, WallTime(1_000_900)), "now");
        assert_eq!(until(now, WallTime(0)), "now");
        assert_eq!(until(now, WallTime(1_061_000)), "in 1 min 1 s");
        assert_eq!(ago(now, WallTime(999_500)), "just now");
        assert_eq!(ago(now, WallTime(700_000)), "5 min ago");
    }

    #[test]
    fn span_without_unit_or_of_zero_is_refused() {
        for bad in ["", "5", "0s", "soon", "-1s"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_span("1h 30m"), Ok(Duration::from_mins(90)));
    }

    #[test]
    fn text_from_elsewhere_cannot_drive_a_terminal() {
        assert_eq!(plain("shop\x1b[2J\n店"), "shop\u{fffd}[2J\u{fffd}店");
    }
}
