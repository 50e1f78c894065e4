//! From bytes to a tree: UTF-8, then TOML or JSON, whichever it is.

use ::toml::de::{DeTable, DeValue};

use super::node::{Node, Value};
use super::problem::Problem;

/// Longest document, in bytes. A menu with everything at its limit has some 40 KiB.
const LONGEST: usize = 1 << 20;

/// The tree of a document, or every place where it is none.
pub(super) fn parse(bytes: &[u8]) -> Result<Node, Vec<Problem>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.len() > LONGEST {
        return Err(vec![Problem::new("", format!("it has {} bytes: no menu is so long", bytes.len()))]);
    }
    let text = str::from_utf8(bytes).map_err(|error| vec![not_utf8(bytes, error.valid_up_to())])?;
    let first = text.trim_start();
    if first.is_empty() {
        return Err(vec![Problem::new("", "it is empty: a menu has at least one [[button]]")]);
    }
    // `[1]` would be a list in JSON and a section in TOML; no menu is a list.
    if first.starts_with('{') { json(text) } else { toml(text) }
}

fn not_utf8(bytes: &[u8], at: usize) -> Problem {
    let before = bytes.get(..at).unwrap_or_default();
    let line = before.split(|byte| *byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
    let found = bytes.get(at).copied().unwrap_or_default();
    let message = format!(
        "this is not UTF-8 (byte 0x{found:02x}, the {column}th of the line): save the file as UTF-8; editors on \
         Chinese Windows may write GBK"
    );
    Problem { place: String::new(), line: Some(line), message }
}

fn json(text: &str) -> Result<Node, Vec<Problem>> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("this is not JSON: {}", strip_place(&error.to_string()));
        vec![Problem { place: String::new(), line: Some(error.line()), message }]
    })
}

/// The library's sentence ends with a line, which we name ourselves.
fn strip_place(said: &str) -> &str {
    said.rfind(" at line ").map_or(said, |at| said.get(..at).unwrap_or(said))
}

fn toml(text: &str) -> Result<Node, Vec<Problem>> {
    let ends: Vec<usize> =
        text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
    let line = |at: usize| 1 + ends.partition_point(|&end| end < at);
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node { line: None, value: table(root.get_ref(), &line) });
    }
    let wrong = |error: &::toml::de::Error| Problem {
        place: String::new(),
        line: Some(line(error.span().map_or(0, |span| span.start))),
        message: format!("this is neither TOML nor JSON: {}", error.message()),
    };
    Err(errors.iter().map(wrong).collect())
}

fn table(table: &DeTable<'_>, line: &impl Fn(usize) -> usize) -> Value {
    let mut entries: Vec<_> = table.iter().collect();
    // The library sorts by name; mistakes are told in the order of the file.
    entries.sort_by_key(|(key, _)| key.span().start);
    let node = |key: &::toml::Spanned<std::borrow::Cow<'_, str>>, item: &DeValue<'_>| Node {
        line: Some(line(key.span().start)),
        value: value(item, line),
    };
    let named = |key: &::toml::Spanned<std::borrow::Cow<'_, str>>| key.get_ref().to_string();
    Value::Table(entries.into_iter().map(|(key, item)| (named(key), node(key, item.get_ref()))).collect())
}

fn value(item: &DeValue<'_>, line: &impl Fn(usize) -> usize) -> Value {
    match item {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Odd, |number| Value::Number(number.to_string())),
        DeValue::Float(_) | DeValue::Datetime(_) => Value::Odd,
        DeValue::Boolean(_) => Value::Bool,
        DeValue::Array(items) => {
            let node = |item: &::toml::Spanned<DeValue<'_>>| Node {
                line: Some(line(item.span().start)),
                value: value(item.get_ref(), line),
            };
            Value::List(items.iter().map(node).collect())
        }
        DeValue::Table(inner) => table(inner, line),
    }
}
