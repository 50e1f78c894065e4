//! The fields of a push as WeChat sent them: names, texts, nesting and order, nothing lost.
//!
//! XML and JSON become the same tree: a JSON list is a repeated field, a number its decimal
//! text, `null` an empty text. Types are read from this tree; what has no type stays here whole.
//!
//! Two things are left out. Control characters, which XML forbids and WeChat yet sends
//! (`\x1d` in a text), would break every program that writes the text on as XML and would keep
//! rules from matching what the user sees. And text beside elements, which no push has.
//!
//! Reading is bounded in size, depth, number of fields and length of names, needs no recursion
//! in XML and 16 levels of it in JSON, and never panics.

mod flat;
mod json;
mod xml;

pub(super) use flat::each_field;
pub(super) use json::mended;

use std::borrow::Cow;
use std::str::Utf8Error;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// The longest text that is read, in bytes. A compatible body, the longest one, is three times
/// a plain one; the longest plain ones, of mass sending, have a few kilobytes.
pub const MAX_SIZE: usize = 256 * 1024;

/// How deep elements, or JSON's objects and lists, may lie in each other, the outermost counted.
/// WeChat's deepest push (`MASSSENDJOBFINISH`) has five levels.
pub const MAX_DEPTH: usize = 16;

/// How many fields a push may have, those within fields counted. The richest one, eight articles
/// checked for copyright, has a hundred.
pub const MAX_FIELDS: usize = 1024;

/// The longest name of a field, in bytes. WeChat's longest has 23.
pub const MAX_NAME: usize = 128;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `<xml>…</xml>`, the usual one.
    Xml,
    /// An object; newer consoles offer it.
    Json,
}

impl Format {
    /// How a body seems to be written: its first character that is not blank decides, behind a
    /// byte order mark if there is one.
    pub fn of(body: &[u8]) -> Option<Self> {
        let body = body.strip_prefix(BOM).unwrap_or(body);
        match body.iter().find(|byte| !byte.is_ascii_whitespace())? {
            b'<' => Some(Self::Xml),
            b'{' => Some(Self::Json),
            _ => None,
        }
    }
}

/// U+FEFF in UTF-8.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// Why a text has no fields. Nothing of the text is shown but names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FieldsError {
    /// WeChat writes UTF-8 only.
    #[error("the push is not in UTF-8")]
    NotUtf8(#[source] Utf8Error),
    /// See [`MAX_SIZE`].
    #[error("the push is larger than {MAX_SIZE} bytes")]
    TooLarge,
    /// See [`MAX_DEPTH`].
    #[error("the push nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// See [`MAX_FIELDS`].
    #[error("the push has more than {MAX_FIELDS} fields")]
    TooManyFields,
    /// See [`MAX_NAME`].
    #[error("a field of the push has a name of more than {MAX_NAME} bytes")]
    NameTooLong,
    /// XML has no such names.
    #[error("a field of the push has a name that is not one in XML")]
    NotAName,
    /// It could name files of this machine as entities.
    #[error("the push has a document type, which WeChat never sends")]
    Doctype,
    /// Nothing here would follow it.
    #[error("the push has a processing instruction, which WeChat never sends")]
    Instruction,
    /// Only `&lt;`, `&gt;`, `&amp;`, `&apos;`, `&quot;` and characters by number are known.
    #[error("the push has the entity &{0};, which XML does not define")]
    Entity(Box<str>),
    /// It is not XML.
    #[error("the push is malformed XML")]
    Xml(#[source] quick_xml::Error),
    /// It was cut off, or is empty.
    #[error("the push ends before its outermost element does")]
    Incomplete,
    /// It is two pushes, or somebody added to one.
    #[error("the push has something beside its outermost element")]
    Beside,
    /// It is not JSON.
    #[error("the push is malformed JSON")]
    Json(#[source] serde_json::Error),
    /// It is a list, a text or a number.
    #[error("the push is not a JSON object")]
    NotAnObject,
}

/// What a push has used up of its limits.
#[derive(Default)]
struct Spent {
    fields: usize,
}

impl Spent {
    /// A field of this name begins.
    fn field(&mut self, name: &str) -> Result<(), FieldsError> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(FieldsError::TooManyFields);
        }
        if name.len() > MAX_NAME { Err(FieldsError::NameTooLong) } else { Ok(()) }
    }
}

/// The text without the characters that XML 1.0 has no place for.
fn clean(text: &str) -> Cow<'_, str> {
    // U+FFFE and U+FFFF are the only ones beyond the controls, and begin with this byte.
    let suspicious = |byte: u8| byte < b' ' || byte == 0xef;
    // Looking at all bytes is quicker than stopping at the first: it is done many at a time.
    if !text.bytes().fold(false, |seen, byte| seen | suspicious(byte)) || !text.contains(illegal) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(illegal, ""))
}

/// Of which characters the names of elements are.
fn in_names(byte: u8) -> bool {
    IN_NAMES[usize::from(byte)]
}

/// A table, because it is asked of each byte of each name.
const IN_NAMES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = u8::MIN;
    loop {
        let letter = byte.is_ascii_alphanumeric() || !byte.is_ascii();
        table[byte as usize] = letter || matches!(byte, b'_' | b'-' | b'.' | b':');
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

/// White space as XML defines it; others, such as U+3000, are text.
fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn illegal(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}

/// The fields of an element, in the order of the text. Names may repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(Name, Value)>);

/// A field's name. That of one which most pushes have is not copied.
type Name = Cow<'static, str>;

/// What most pushes have, in the order in which they have it.
const USUAL: [&str; 8] =
    ["ToUserName", "FromUserName", "CreateTime", "MsgType", "Content", "MsgId", "Event", "EventKey"];

fn named(name: &str) -> Name {
    match USUAL.iter().find(|usual| **usual == name) {
        Some(usual) => Cow::Borrowed(usual),
        None => Cow::Owned(name.to_owned()),
    }
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text. White space around it is gone, white space within CDATA is the user's and stays.
    Text(Box<str>),
    /// Fields of its own, at least one if it was read: an element without any is an empty text.
    Fields(Fields),
}

impl Fields {
    /// Reads a push. The name of XML's outermost element and all attributes mean nothing.
    ///
    /// # Errors
    /// It is malformed or over a limit. Sending it again would not help.
    pub fn parse(format: Format, text: &[u8]) -> Result<Self, FieldsError> {
        if text.len() > MAX_SIZE {
            return Err(FieldsError::TooLarge);
        }
        let text = str::from_utf8(text.strip_prefix(BOM).unwrap_or(text)).map_err(FieldsError::NotUtf8)?;
        match format {
            Format::Xml => xml::parse(text),
            Format::Json => json::parse(text),
        }
    }

    /// Adds a field behind the others.
    pub fn push(&mut self, name: impl AsRef<str>, value: Value) {
        self.0.push((named(name.as_ref()), value));
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

    /// The number that the first field of this name is: decimal digits that fit. Spaces around
    /// them, even in CDATA, are passed over.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
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
mod tests;
