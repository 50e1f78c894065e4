//! How a table of names and fields becomes types that borrow from a push.
//!
//! A line of a table reads `field: Type = "Name"`: the type says how the field is read, and the
//! name where it stands. `A/B` is `B` within `A`, `A|B` is `A` or, if there is none, `B`.
//! Reading never fails: what is absent or unreadable is empty, and its text stays in the fields.

use crate::services::messages::fields::{Fields, Value};

/// Something that is read from the fields of a push.
pub(super) trait Read<'a>: Sized {
    /// Reads it from where the path leads, or takes what stands for nothing.
    fn read(fields: &'a Fields, path: &str) -> Self;
}

/// Something that is read from a single value, of which there may be many.
pub(super) trait Item<'a>: Sized {
    /// `None` if the value is nothing of the kind.
    fn item(value: &'a Value) -> Option<Self>;
}

/// The values that a path leads to, in order; fields on the way may repeat, too.
fn all<'a>(fields: &'a Fields, path: &str, seen: &mut impl FnMut(&'a Value)) {
    match path.split_once('/') {
        None => fields.all(path).for_each(seen),
        Some((name, rest)) => {
            for value in fields.all(name) {
                if let Value::Fields(within) = value {
                    all(within, rest, seen);
                }
            }
        }
    }
}

/// The text that a path leads to; an empty one is none.
fn text<'a>(fields: &'a Fields, path: &str) -> Option<&'a str> {
    path.split('|').find_map(|path| {
        let (way, name) = path.rsplit_once('/').map_or(("", path), |(way, name)| (way, name));
        let mut within = Some(fields);
        for name in way.split('/').filter(|name| !name.is_empty()) {
            within = within?.within(name);
        }
        within?.text(name).filter(|text| !text.is_empty())
    })
}

/// Empty if absent.
impl<'a> Read<'a> for &'a str {
    fn read(fields: &'a Fields, path: &str) -> Self {
        text(fields, path).unwrap_or_default()
    }
}

/// `None` if absent or empty.
impl<'a> Read<'a> for Option<&'a str> {
    fn read(fields: &'a Fields, path: &str) -> Self {
        text(fields, path)
    }
}

/// Decimal digits that fit.
impl<'a> Read<'a> for Option<u64> {
    fn read(fields: &'a Fields, path: &str) -> Self {
        text(fields, path)?.trim().parse().ok()
    }
}

/// Decimal digits that fit, with a sign if need be.
impl<'a> Read<'a> for Option<i64> {
    fn read(fields: &'a Fields, path: &str) -> Self {
        text(fields, path)?.trim().parse().ok()
    }
}

/// A decimal number; infinities and such are none.
impl<'a> Read<'a> for Option<f64> {
    fn read(fields: &'a Fields, path: &str) -> Self {
        text(fields, path)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
    }
}

/// `1` and `true`, `0` and `false`.
impl<'a> Read<'a> for Option<bool> {
    fn read(fields: &'a Fields, path: &str) -> Self {
        match text(fields, path)?.trim() {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        }
    }
}

impl<'a, T: Item<'a>> Read<'a> for Vec<T> {
    fn read(fields: &'a Fields, path: &str) -> Self {
        let mut found = Self::new();
        all(fields, path, &mut |value| found.extend(T::item(value)));
        found
    }
}

impl<'a> Item<'a> for &'a str {
    fn item(value: &'a Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text),
            Value::Fields(_) => None,
        }
    }
}

impl<'a> Item<'a> for u64 {
    fn item(value: &'a Value) -> Option<Self> {
        match value {
            Value::Text(text) => text.trim().parse().ok(),
            Value::Fields(_) => None,
        }
    }
}

/// Declares an enum of messages: each variant with its names on the wire and its fields, and
/// behind `and`, variants that are not made from a name.
macro_rules! messages {
    (
        $(#[$about:meta])*
        pub enum $Enum:ident<$a:lifetime> {
            $(
                $(#[$what:meta])*
                $Variant:ident = $($wire:literal)|+ $({
                    $( $(#[$which:meta])* $field:ident: $Type:ty = $path:literal, )*
                })?,
            )*
        }
        $(and { $($other:tt)* })?
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum $Enum<$a> {
            $( $(#[$what])* $Variant $({ $( $(#[$which])* $field: $Type, )* })?, )*
            $( $($other)* )?
        }

        impl<$a> $Enum<$a> {
            /// The names that are known, as WeChat writes them. They are compared without regard
            /// to case, as every SDK does.
            pub const NAMES: &'static [&'static str] = &[$( $($wire,)+ )*];

            /// What a message of this name says.
            pub(super) fn named(name: &str, fields: &$a $crate::services::messages::fields::Fields) -> Option<Self> {
                $(
                    if $( name.eq_ignore_ascii_case($wire) )||+ {
                        return Some(Self::$Variant $({
                            $( $field: $crate::services::messages::message::table::Read::read(fields, $path), )*
                        })?);
                    }
                )*
                None
            }
        }
    };
}

/// Declares what repeats within a message.
macro_rules! items {
    ($(
        $(#[$about:meta])*
        pub struct $Item:ident<$a:lifetime> {
            $( $(#[$which:meta])* $field:ident: $Type:ty = $path:literal, )*
        }
    )+) => { $(
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $Item<$a> {
            $( $(#[$which])* pub $field: $Type, )*
        }

        impl<$a> $crate::services::messages::message::table::Item<$a> for $Item<$a> {
            fn item(value: &$a $crate::services::messages::fields::Value) -> Option<Self> {
                match value {
                    $crate::services::messages::fields::Value::Text(_) => None,
                    $crate::services::messages::fields::Value::Fields(fields) => Some(Self {
                        $( $field: $crate::services::messages::message::table::Read::read(fields, $path), )*
                    }),
                }
            }
        }
    )+ };
}

pub(super) use {items, messages};
