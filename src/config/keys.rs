//! Every key that the mirror has, asked of the mirror itself, for tests.
//!
//! A deserializer that answers every question with a value of the asked kind, and notes the
//! names of the fields on the way. A key that is added to `raw` thus appears here without
//! anybody thinking of it.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::raw;

/// The paths of all keys and tables, without indexes: `account`, `account.appid`.
pub(super) fn known_keys() -> BTreeSet<String> {
    let found = RefCell::default();
    raw::File::deserialize(Asker { path: String::new(), found: &found }).unwrap();
    found.into_inner()
}

struct Asker<'f> {
    path: String,
    found: &'f RefCell<BTreeSet<String>>,
}

impl<'de> Deserializer<'de> for Asker<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str("")
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(false)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u32(0)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(OneElement(Some(self)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        assert!(!fields.is_empty(), "{} has no keys", self.path);
        visitor.visit_map(EveryField { fields: fields.iter(), current: "", table: self })
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct tuple tuple_struct map enum identifier ignored_any
    }
}

struct OneElement<'f>(Option<Asker<'f>>);

impl<'de> SeqAccess<'de> for OneElement<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|asker| seed.deserialize(asker)).transpose()
    }
}

struct EveryField<'f> {
    fields: std::slice::Iter<'static, &'static str>,
    current: &'static str,
    table: Asker<'f>,
}

impl<'de> MapAccess<'de> for EveryField<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(field) = self.fields.next() else { return Ok(None) };
        self.current = field;
        let name: StrDeserializer<'_, Error> = field.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let outer = &self.table.path;
        let path =
            if outer.is_empty() { self.current.to_owned() } else { format!("{outer}.{}", self.current) };
        self.table.found.borrow_mut().insert(path.clone());
        seed.deserialize(Asker { path, found: self.table.found })
    }
}
