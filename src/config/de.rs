//! serde over a parsed TOML document, with faults that name the place and never the content.
//!
//! toml's own errors print the source line and serde's print the wrong value; either may be
//! a secret that somebody wrote into the file. A [`Fault`] is made of types and of the names
//! that the code knows, so it cannot leak. Places that are already reported are passed over,
//! so that the next reading finds the next fault.

use std::collections::HashSet;
use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, Expected, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::place::{Place, Step};

/// Why the document does not have the shape of the mirror in `raw`.
#[derive(Debug)]
pub(super) struct Fault {
    /// Where.
    pub(super) place: Place,
    /// What.
    pub(super) what: What,
}

/// What is wrong at a place.
#[derive(Debug)]
pub(super) enum What {
    /// The table has no such key; these it has.
    UnknownKey(&'static [&'static str]),
    /// A value of another type.
    WrongType {
        /// The type that stands there.
        found: &'static str,
        /// What is needed.
        expected: String,
    },
    /// Anything else that a visitor of ours said.
    Other(String),
}

/// A value of the document, as serde's deserializer.
pub(super) struct Node<'a> {
    value: &'a DeValue<'a>,
    trail: Trail<'a>,
    skip: &'a HashSet<Place>,
}

impl<'a> Node<'a> {
    /// The whole document. Nothing at the places in `skip` is looked at.
    pub(super) fn root(value: &'a DeValue<'a>, skip: &'a HashSet<Place>) -> Self {
        Self { value, trail: Trail::Root, skip }
    }
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => Err(Fault::wrong_type("a number out of range", &visitor)),
            },
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(Fault::wrong_type("a number out of range", &visitor)),
            },
            DeValue::Boolean(yes) => visitor.visit_bool(*yes),
            // Only a field that asks for it by a newtype takes a bare date.
            DeValue::Datetime(_) => Err(Fault::wrong_type("a date", &visitor)),
            DeValue::Array(items) => {
                visitor.visit_seq(Items { list: items, next: 0, trail: &self.trail, skip: self.skip })
            }
            DeValue::Table(table) => visitor.visit_map(Entries {
                rest: table.iter(),
                value: None,
                trail: &self.trail,
                skip: self.skip,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if let DeValue::Datetime(date) = self.value {
            return visitor.visit_newtype_struct(StringDeserializer::<Fault>::new(date.to_string()));
        }
        visitor.visit_newtype_struct(self)
    }

    /// serde would take a list for a struct, its fields by their order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.value {
            DeValue::Array(_) => Err(Fault::wrong_type("a list", &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The place of a node while the reading is at it: links on the stack, turned into a
/// [`Place`] only when somebody asks.
#[derive(Clone, Copy)]
enum Trail<'a> {
    Root,
    Key(&'a Trail<'a>, &'a str),
    Index(&'a Trail<'a>, usize),
}

impl Trail<'_> {
    fn is_in(&self, places: &HashSet<Place>) -> bool {
        !places.is_empty() && places.contains(&self.place())
    }

    fn place(&self) -> Place {
        match self {
            Self::Root => Place::root(),
            Self::Key(outer, key) => outer.place().key((*key).to_owned()),
            Self::Index(outer, index) => outer.place().index(*index),
        }
    }
}

struct Items<'a> {
    list: &'a [Spanned<DeValue<'a>>],
    next: usize,
    trail: &'a Trail<'a>,
    skip: &'a HashSet<Place>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.list.get(self.next) else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        let node = Node { value: item.get_ref(), trail: Trail::Index(self.trail, index), skip: self.skip };
        seed.deserialize(node).map(Some).map_err(|fault| fault.within(Step::Index(index)))
    }
}

struct Entries<'a, I> {
    rest: I,
    value: Option<(&'a str, &'a DeValue<'a>)>,
    trail: &'a Trail<'a>,
    skip: &'a HashSet<Place>,
}

impl<'de, 'a, I> MapAccess<'de> for Entries<'a, I>
where
    I: Iterator<Item = (&'a Spanned<std::borrow::Cow<'a, str>>, &'a Spanned<DeValue<'a>>)>,
{
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        for (key, value) in self.rest.by_ref() {
            let key = key.get_ref().as_ref();
            if Trail::Key(self.trail, key).is_in(self.skip) {
                continue;
            }
            self.value = Some((key, value.get_ref()));
            let found = seed.deserialize(StringDeserializer::<Fault>::new(key.to_owned()));
            return found.map(Some).map_err(|fault| fault.within(Step::Key(key.to_owned().into())));
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, value)) = self.value.take() else {
            return Err(Fault::custom("a value before its key"));
        };
        let node = Node { value, trail: Trail::Key(self.trail, key), skip: self.skip };
        seed.deserialize(node).map_err(|fault| fault.within(Step::Key(key.to_owned().into())))
    }
}

impl Fault {
    fn new(what: What) -> Self {
        Self { place: Place::root(), what }
    }

    fn wrong_type(found: &'static str, expected: &dyn Expected) -> Self {
        let expected = match expected.to_string() {
            // serde's words for what it derived are Rust's; these are TOML's.
            rust if rust.starts_with("struct ") => "a table".to_owned(),
            rust if rust == "u32" => "a whole number".to_owned(),
            rust if rust == "a boolean" => "true or false".to_owned(),
            rust if rust == "a string" => "text".to_owned(),
            rust if rust == "a sequence" => "a list".to_owned(),
            ours => ours,
        };
        Self::new(What::WrongType { found, expected })
    }

    fn within(mut self, step: Step) -> Self {
        self.place.push_outer(step);
        self
    }
}

impl Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(What::Other(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::wrong_type(type_name(found), expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match found {
            Unexpected::Signed(_) | Unexpected::Unsigned(_) => {
                Self::wrong_type("a number out of range", expected)
            }
            other => Self::wrong_type(type_name(other), expected),
        }
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        Self::new(What::UnknownKey(known))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not have the right shape", self.place)
    }
}

impl std::error::Error for Fault {}

fn type_name(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a number with a point",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "text",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a table",
        _ => "something else",
    }
}

/// The document's root as a value.
pub(super) fn root_value(table: Spanned<DeTable<'_>>) -> DeValue<'_> {
    DeValue::Table(table.into_inner())
}
