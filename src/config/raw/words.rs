//! Values that may be written in more than one form.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// One layout: its name, or a table with parameters.
#[derive(Debug, Default)]
pub(in crate::config) struct Layout {
    pub(in crate::config) preset: Option<String>,
    pub(in crate::config) key: Option<String>,
}

/// A date-time, in quotes or bare as TOML has it.
#[derive(Debug, Deserialize)]
pub(in crate::config) struct Date(pub(in crate::config) String);

/// One text, or a list of them.
#[derive(Debug)]
pub(in crate::config) enum OneOrMany {
    /// Written without a list.
    One(String),
    /// Written as a list.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The texts.
    pub(in crate::config) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("text or a list of texts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMany::Many(texts))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

impl<'de> Deserialize<'de> for Layout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            preset: Option<String>,
            key: Option<String>,
        }
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = Layout;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a layout or a table { preset, key }")
            }

            fn visit_str<E: Error>(self, preset: &str) -> Result<Layout, E> {
                Ok(Layout { preset: Some(preset.to_owned()), key: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Layout, A::Error> {
                let Table { preset, key } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Layout { preset, key })
            }
        }
        // As a struct and not as anything: whoever asks for the keys of the file learns these too.
        deserializer.deserialize_struct("Layout", &["preset", "key"], NameOrTable)
    }
}
