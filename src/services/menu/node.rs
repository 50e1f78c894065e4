//! A document of either syntax as one tree, so that there is one reader for both.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value with the place where it stands.
#[derive(Debug)]
pub(super) struct Node {
    /// From 1; only TOML tells.
    pub(super) line: Option<usize>,
    pub(super) value: Value,
}

/// A value. Numbers are kept as they were written: WeChat's own answers have the same field as a
/// number and as text.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool,
    /// A whole number.
    Number(String),
    /// A number with a fraction, a date.
    Odd,
    Text(String),
    List(Vec<Node>),
    /// In the order of the document; a key may occur twice.
    Table(Vec<(String, Node)>),
}

impl Value {
    /// What stands there, for a message.
    pub(super) fn called(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Number(_) => "a number",
            Self::Odd => "a date or a fraction",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = from.deserialize_any(Tree)?;
        Ok(Self { line: None, value })
    }
}

/// Unlike the library's own tree it keeps both of two equal keys, and the order of all.
struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Bool)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Odd)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut table = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            table.push(entry);
        }
        Ok(Value::Table(table))
    }
}
