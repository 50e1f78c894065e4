//! Hours of the day and days of the week, in a zone with a fixed offset.
//!
//! No table of time zones: China has one zone and no summer time, and a service that reads a
//! machine's tables answers differently on the next machine.

use crate::clock::WallTime;

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;
/// The farthest zone of the world is at +14:00.
const FARTHEST_MINUTES: i32 = 14 * 60;
/// The days as they are written, from Monday.
pub(super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// An offset from UTC, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Zone(pub(super) i32);

impl Zone {
    /// China's.
    pub(super) const CHINA: Self = Self(8 * 3600);

    /// `+08:00`, `-03:30`, `UTC`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const HOW: &str = "a zone is an offset like \"+08:00\" or \"-03:30\", or \"UTC\"; names like \"Asia/Shanghai\" \
                           (which is \"+08:00\") are not known here";
        if text == "UTC" || text == "Z" {
            return Ok(Self(0));
        }
        let sign = match text.as_bytes().first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(HOW),
        };
        let minutes = i32::from(minute(&text[1..]).ok_or(HOW)?);
        if minutes > FARTHEST_MINUTES {
            return Err("no place is farther from UTC than 14 hours");
        }
        Ok(Self(sign * minutes * 60))
    }

    /// What a clock on the wall shows there.
    pub(super) fn local(self, now: WallTime) -> Local {
        let seconds = now.seconds() + i64::from(self.0);
        let day = seconds.div_euclid(DAY_SECONDS);
        let minute = seconds.rem_euclid(DAY_SECONDS) / 60;
        Local {
            // The first of January 1970 was a Thursday.
            weekday: usize::try_from((day + 3).rem_euclid(7)).unwrap_or(0),
            minute: u16::try_from(minute).unwrap_or(0),
        }
    }
}

/// A time of the week in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Local {
    /// From Monday, 0 … 6.
    pub(super) weekday: usize,
    /// Of the day.
    pub(super) minute: u16,
}

impl std::fmt::Display for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:02}:{:02}", DAYS[self.weekday], self.minute / 60, self.minute % 60)
    }
}

/// From the first minute to before the last; over midnight if that is not later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    from: u16,
    to: u16,
}

impl Span {
    /// `09:00-18:00`, `22:00-06:00`, `18:00-24:00`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let how = || {
            format!(
                "\"{text}\" is no time of day: write it like \"09:00-18:00\", or \"22:00-06:00\" over midnight"
            )
        };
        let (from, to) = text.split_once('-').ok_or_else(how)?;
        let (from, to) =
            (minute(from.trim()).ok_or_else(how)?, minute(to.trim()).filter(|to| *to <= DAY).ok_or_else(how)?);
        if from >= DAY {
            return Err(how());
        }
        if from == to {
            return Err(format!(
                "\"{text}\" is empty: the end is not part of it; the whole day is \"00:00-24:00\""
            ));
        }
        Ok(Self { from, to })
    }
}

/// `HH:MM`, in minutes.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse::<u16>().ok())?
    };
    let minutes = number(minutes).filter(|minutes| *minutes < 60)?;
    Some(number(hours).filter(|hours| *hours <= 24)? * 60 + minutes)
}

/// When a rule holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hours {
    /// Any of them; empty for the whole day.
    pub(super) spans: Vec<Span>,
    /// From Monday.
    pub(super) days: [bool; 7],
}

impl Hours {
    /// A span over midnight belongs to the day on which it begins: Friday's night goes on until
    /// Saturday morning.
    pub(super) fn hold(&self, at: Local) -> bool {
        let today = self.days[at.weekday];
        if self.spans.is_empty() {
            return today;
        }
        let yesterday = self.days[(at.weekday + 6) % 7];
        self.spans.iter().any(|span| {
            if span.from < span.to {
                today && (span.from..span.to).contains(&at.minute)
            } else {
                (today && at.minute >= span.from) || (yesterday && at.minute < span.to)
            }
        })
    }
}

/// `sat`, or `mon-fri`, into the week.
pub(super) fn mark(days: &mut [bool; 7], text: &str) -> Result<(), String> {
    let day = |word: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(word.trim()));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (Some(first), Some(last)) = (day(first), day(last)) else {
        return Err(format!("\"{text}\" is no day: write {}, or a span like \"mon-fri\"", DAYS.join(", ")));
    };
    let mut at = first;
    loop {
        days[at] = true;
        if at == last {
            return Ok(());
        }
        at = (at + 1) % 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20 was a Friday; 00:00 UTC of it.
    const FRIDAY: i64 = 1_795_132_800;

    fn at(zone: &str, day: i64, hour: i64, minute: i64) -> Local {
        let seconds = FRIDAY + day * 86_400 + hour * 3600 + minute * 60;
        Zone::parse(zone).unwrap().local(WallTime(seconds * 1000))
    }

    fn hours(spans: &[&str], days: &[&str]) -> Hours {
        let spans = spans.iter().map(|text| Span::parse(text).unwrap()).collect();
        let mut week = [days.is_empty(); 7];
        for day in days {
            mark(&mut week, day).unwrap();
        }
        Hours { spans, days: week }
    }

    #[test]
    fn a_span_begins_with_its_first_minute_and_ends_before_its_last() {
        let work = hours(&["09:00-18:00"], &[]);
        for (hour, minute, holds) in [(8, 59, false), (9, 0, true), (17, 59, true), (18, 0, false)] {
            assert_eq!(work.hold(at("UTC", 0, hour, minute)), holds, "{hour}:{minute}");
        }
        let evening = hours(&["18:00-24:00"], &[]);
        assert!(evening.hold(at("UTC", 0, 23, 59)) && !evening.hold(at("UTC", 1, 0, 0)));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        // Whoever writes days = ["fri"] and 22:00-06:00 means the night from Friday to Saturday.
        let friday = hours(&["22:00-06:00"], &["fri"]);
        for (day, hour, holds) in
            [(0, 5, false), (0, 21, false), (0, 22, true), (1, 5, true), (1, 6, false), (1, 22, false)]
        {
            assert_eq!(friday.hold(at("UTC", day, hour, 0)), holds, "day {day}, {hour}:00");
        }
        let sunday = hours(&["22:00-06:00"], &["sun"]);
        assert!(sunday.hold(at("UTC", 3, 1, 0)), "Monday morning is Sunday's night");
    }

    #[test]
    fn zones_move_the_day_as_well_as_the_hour() {
        assert_eq!(at("+08:00", 0, 15, 59).to_string(), "fri 23:59");
        assert_eq!(at("+08:00", 0, 16, 0).to_string(), "sat 00:00");
        assert_eq!(at("-03:30", 0, 3, 29).to_string(), "thu 23:59");
        assert_eq!(at("+05:45", 0, 0, 0).to_string(), "fri 05:45");
        // Before 1970 the division must still go down.
        assert_eq!(Zone(0).local(WallTime(-1)).to_string(), "wed 23:59");
    }

    #[test]
    fn spans_of_days_go_over_the_weekend() {
        let mut week = [false; 7];
        mark(&mut week, "sat-mon").unwrap();
        assert_eq!(week, [true, false, false, false, false, true, true]);
        assert!(mark(&mut week, "funday").is_err() && mark(&mut week, "mon-").is_err());
    }

    #[test]
    fn what_is_no_time_and_no_zone_is_refused() {
        for bad in ["", "9-18", "09:00", "09:00-09:00", "24:00-06:00", "09:60-10:00", "09:00-24:01", "+9:00-10:00"] {
            assert!(Span::parse(bad).is_err(), "{bad}");
        }
        for bad in ["", "+8", "08:00", "+08:60", "Asia/Shanghai", "+15:00", "+14:01", "+é:00"] {
            assert!(Zone::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Zone::parse("+14:00"), Ok(Zone(50_400)));
    }
}
