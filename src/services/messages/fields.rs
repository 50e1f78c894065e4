//! The fields of a push as WeChat sent them: names, texts, nesting and order, nothing lost.
//!
//! XML and JSON become the same tree: a JSON list is a repeated field, a number its decimal
//! text, `null` an empty text. Types are read from this tree; what has no type stays here whole.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `<xml>…</xml>`, the usual one.
    Xml,
    /// An object; newer consoles offer it.
    Json,
}

/// The fields of an element, in the order of the text. Names may repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(Box<str>, Value)>);

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text, without the white space around it.
    Text(Box<str>),
    /// Fields of its own.
    Fields(Fields),
}

impl Fields {
    /// Adds a field behind the others.
    pub fn push(&mut self, name: impl Into<Box<str>>, value: Value) {
        self.0.push((name.into(), value));
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Every field of this name, in order.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |(own, _)| **own == *name).map(|(_, value)| value)
    }

    /// The first field of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(own, _)| **own == *name).map(|(_, value)| value)
    }

    /// The text of the first field of this name; `None` if there is none or it has fields.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            Value::Fields(_) => None,
        }
    }

    /// The fields within the first field of this name.
    pub fn within(&self, name: &str) -> Option<&Self> {
        match self.get(name)? {
            Value::Text(_) => None,
            Value::Fields(fields) => Some(fields),
        }
    }

    /// The number that the first field of this name is: decimal digits that fit.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// How many fields there are, without those within them.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// As a JSON object: texts stay texts, and a field that repeats is a list where it first stood.
impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (at, (name, value)) in self.0.iter().enumerate() {
            if self.0[..at].iter().any(|(earlier, _)| earlier == name) {
                continue;
            }
            let all: Vec<&Value> = self.all(name).collect();
            if all.len() == 1 {
                map.serialize_entry(name, value)?;
            } else {
                map.serialize_entry(name, &all)?;
            }
        }
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Fields(fields) => fields.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_that_repeats_is_a_list_in_json_where_it_first_stood() {
        let mut inner = Fields::default();
        inner.push("n", Value::Text("1".into()));
        let mut fields = Fields::default();
        fields.push("List", Value::Fields(inner.clone()));
        fields.push("MsgType", Value::Text("event".into()));
        fields.push("List", Value::Fields(inner));
        let json = serde_json::to_string(&fields).unwrap();
        assert_eq!(json, r#"{"List":[{"n":"1"},{"n":"1"}],"MsgType":"event"}"#);
        assert_eq!(fields.all("List").count(), 2);
        assert_eq!(fields.text("List"), None);
        assert_eq!(fields.within("List").and_then(|list| list.number("n")), Some(1));
    }
}
