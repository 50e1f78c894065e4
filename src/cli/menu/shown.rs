//! Differences and steps in words.

use std::fmt::Write as _;

use crate::cli::output::{Colour, Tone};
use crate::cli::words;
use crate::services::menu::{Change, Diff, FieldChange, How, Part};

/// Longest value that is shown whole, in characters.
const LONGEST: usize = 60;

/// A difference, one line to a button; empty where nothing differs.
pub(super) fn diff(diff: &Diff, colour: Colour) -> String {
    let mut text = String::new();
    for Part { matchrule, how, changes } in &diff.parts {
        let whose = match matchrule {
            None => "default menu".to_owned(),
            Some(rule) => format!("conditional menu for {}", words::plain(&rule.to_string())),
        };
        let becomes = match how {
            How::Added => " (new)",
            How::Removed => " (goes)",
            How::Moved => " (another place in the order)",
            How::Changed => "",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", colour.paint(Tone::Strong, &format!("{whose}{becomes}")));
        for change in changes {
            line(&mut text, change, colour);
        }
    }
    text
}

fn line(text: &mut String, change: &Change, colour: Colour) {
    let Change { place, how, name, fields } = change;
    let (mark, tone) = match how {
        How::Added => ("+", Tone::Good),
        How::Removed => ("-", Tone::Bad),
        How::Changed | How::Moved => ("~", Tone::Doubtful),
    };
    let said: Vec<String> = fields.iter().map(|field| self::field(field, *how)).collect();
    let said = match how {
        How::Moved => "stands elsewhere".to_owned(),
        How::Added | How::Removed | How::Changed => said.join(", "),
    };
    let line = format!("  {mark} {place} \"{}\"  {said}", words::plain(name));
    let _ = writeln!(text, "{}", colour.paint(tone, line.trim_end()));
}

fn field(change: &FieldChange, how: How) -> String {
    let FieldChange { field, live, file } = change;
    let quoted = |value: &Option<String>| match value {
        Some(value) => format!("\"{}\"", short(value)),
        None => "nothing".to_owned(),
    };
    match how {
        How::Added => format!("{field} = {}", quoted(file)),
        How::Removed => format!("{field} = {}", quoted(live)),
        How::Changed | How::Moved => format!("{field}: {} → {}", quoted(live), quoted(file)),
    }
}

fn short(value: &str) -> String {
    let value = words::plain(value);
    if value.chars().count() <= LONGEST {
        return value;
    }
    value.chars().take(LONGEST).collect::<String>() + "…"
}
