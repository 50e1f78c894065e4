//! `[audit]`.

use std::ops::RangeInclusive;

use crate::audit::{MAX_ROWS, Reads, Settings};

use super::context::Context;
use super::place::Place;
use super::raw;

/// Fewer would be gone before anybody looks; more is a log, and a gigabyte.
const ROWS: RangeInclusive<u32> = 1_000..=5_000_000;

/// Validates the section.
pub(super) fn check(raw: &raw::Audit, cx: &mut Context<'_>) -> Settings {
    let table = Place::root().key("audit");
    let raw::Audit { max_rows, reads } = *raw;
    let max_rows = max_rows.unwrap_or(MAX_ROWS);
    if !ROWS.contains(&max_rows) {
        let rule = format!(
            "a number of rows from {} to {} is needed; without the key it is {MAX_ROWS}",
            ROWS.start(),
            ROWS.end()
        );
        cx.report.error(&table.key("max_rows"), rule);
    }
    let reads = match reads {
        Some(true) | None => Reads::Kept,
        Some(false) => Reads::Ignored,
    };
    Settings { max_rows, reads }
}
