//! Reads the fields of a JSON push.
//!
//! Whole numbers keep every digit up to 64 bits (`MsgId` has them), others become the shortest
//! text that stands for the same number. A name that stands twice is a repeated field.
//!
//! WeChat's JSON may have control characters as they are within its texts, which JSON forbids
//! ([`mended`]): a user's text must not make a push unreadable.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Fields, FieldsError, MAX_DEPTH, Spent, Value, clean};

/// Reads a whole document.
pub(super) fn parse(text: &str) -> Result<Fields, FieldsError> {
    let text = &*mended(text);
    // Checked here, because serde's error for it would quote the text.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(FieldsError::NotAnObject);
    }
    let mut reading = Reading { spent: Spent::default(), refused: None };
    let mut fields = Fields::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let object = Place { name: "", fields: &mut fields, reading: &mut reading, depth: 0 };
    let read = json.deserialize_map(object).and_then(|()| json.end());
    match (read, reading.refused) {
        (Ok(()), _) => Ok(fields),
        (Err(_), Some(refused)) => Err(refused),
        (Err(malformed), None) => Err(FieldsError::Json(malformed)),
    }
}

/// The text with line breaks and tabs within texts escaped, and without all other control
/// characters there. Copied only if there are any.
pub(in crate::services::messages) fn mended(json: &str) -> Cow<'_, str> {
    if !json.bytes().any(|byte| byte < b' ') {
        return Cow::Borrowed(json);
    }
    let mut out = String::new();
    let (mut done, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in json.bytes().enumerate() {
        if quoted && !escaped && byte < b' ' {
            out.push_str(&json[done..at]);
            done = at + 1;
            out.push_str(match byte {
                b'\t' => "\\t",
                b'\n' => "\\n",
                b'\r' => "\\r",
                _ => "",
            });
            continue;
        }
        (quoted, escaped) = match byte {
            _ if escaped => (quoted, false),
            b'\\' => (quoted, quoted),
            b'"' => (!quoted, false),
            _ => (quoted, false),
        };
    }
    if done == 0 {
        return Cow::Borrowed(json);
    }
    out.push_str(&json[done..]);
    Cow::Owned(out)
}

/// What is known while reading.
struct Reading {
    spent: Spent,
    /// Why reading was stopped: serde's errors carry texts only.
    refused: Option<FieldsError>,
}

impl Reading {
    fn stop<E: de::Error>(&mut self, why: FieldsError) -> E {
        self.refused = Some(why);
        E::custom("over a limit")
    }
}

/// Where a value goes: a field of this name among these. At depth 0, the object's own fields go
/// there.
struct Place<'a> {
    name: &'a str,
    fields: &'a mut Fields,
    reading: &'a mut Reading,
    depth: usize,
}

impl Place<'_> {
    fn put<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.put_value(Value::Text(clean(text).into()))
    }

    fn put_value<E: de::Error>(self, value: Value) -> Result<(), E> {
        self.reading.spent.field(self.name).map_err(|why| self.reading.stop(why))?;
        self.fields.push(self.name, value);
        Ok(())
    }

    fn deeper<E: de::Error>(&mut self) -> Result<usize, E> {
        if self.depth == MAX_DEPTH {
            Err(self.reading.stop(FieldsError::TooDeep))
        } else {
            Ok(self.depth + 1)
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a push")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.put(text)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        self.put(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        self.put(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<(), E> {
        self.put(&number.to_string())
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<(), E> {
        self.put(if truth { "true" } else { "false" })
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.put("")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        while list
            .next_element_seed(Place {
                name: self.name,
                fields: &mut *self.fields,
                reading: &mut *self.reading,
                depth,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        let mut inner = Fields::default();
        while let Some(name) = object.next_key::<String>()? {
            let fields = if self.depth == 0 { &mut *self.fields } else { &mut inner };
            object.next_value_seed(Place {
                name: &clean(&name),
                fields,
                reading: &mut *self.reading,
                depth,
            })?;
        }
        match (self.depth, inner.is_empty()) {
            (0, _) => Ok(()),
            // As XML's element without fields.
            (_, true) => self.put(""),
            (_, false) => self.put_value(Value::Fields(inner)),
        }
    }
}
