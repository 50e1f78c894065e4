//! Numbers as people read them: three digits that count, and the unit that fits.

use super::{Bound, Middle, Unit};

/// A number of this unit.
pub(crate) fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond => format!("{} /s", digits(value)),
        Unit::Seconds => scaled(value, &[(1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s")]),
        Unit::Bytes => scaled(value, &[(1.0, "B"), (1e3, "KB"), (1e6, "MB"), (1e9, "GB")]),
        Unit::Percent => format!("{} %", digits(value)),
        Unit::Count => digits(value),
        Unit::Times => format!("{value:.2} ×"),
    }
}

/// The median, and from where to where the rounds went if they differ.
pub(crate) fn spread(found: Middle, unit: Unit) -> String {
    let (least, most) = (figure(found.least, unit), figure(found.most, unit));
    let median = figure(found.median, unit);
    if least == most { median } else { format!("{median} ({least} to {most})") }
}

/// What a value is to be.
pub(crate) fn bound(bound: Bound, unit: Unit) -> String {
    let figure = figure(bound.number(), unit);
    match bound {
        Bound::Below(_) => format!("< {figure}"),
        Bound::AtMost(_) => format!("≤ {figure}"),
        Bound::AtLeast(_) => format!("≥ {figure}"),
        Bound::Exactly(_) => figure,
    }
}

/// In the largest unit in which it is at least one.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let fits = units.iter().rev().find(|(size, _)| value.abs() >= *size);
    let Some((size, name)) = fits.or(units.first()) else { return digits(value) };
    format!("{} {name}", digits(value / size))
}

/// Three digits that count, none of them after a whole number of a hundred or more; thousands apart.
pub(crate) fn digits(value: f64) -> String {
    let size = value.abs();
    if size >= 99.95 {
        return thousands(value);
    }
    let text = if size >= 9.995 {
        format!("{value:.1}")
    } else if size >= 0.0995 {
        format!("{value:.2}")
    } else if size == 0.0 {
        return "0".to_owned();
    } else {
        format!("{value:.3}")
    };
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    trimmed.to_owned()
}

fn thousands(value: f64) -> String {
    let whole = format!("{value:.0}");
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole.as_str()), |rest| ("-", rest));
    let mut text = String::from(sign);
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
