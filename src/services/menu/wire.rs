//! Menus as JSON: bodies of WeChat's calls, and our own form of all menus.
//!
//! Canonical: the same menu is the same text, with WeChat's names in the order of its pages.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::button::{Action, Button, Conditional, Does, Item, MatchRule, Menu, Menus};

/// The body of `menu/create`.
impl Serialize for Menu {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(1))?;
        map.serialize_entry("button", &self.buttons)?;
        map.end()
    }
}

/// The body of `menu/addconditional`.
impl Serialize for Conditional {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("button", &self.menu.buttons)?;
        map.serialize_entry("matchrule", &self.rule)?;
        map.end()
    }
}

/// What [`read`](super::read()) reads back.
impl Serialize for Menus {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("button", &self.default.buttons)?;
        if !self.conditional.is_empty() {
            map.serialize_entry("conditional", &self.conditional)?;
        }
        map.end()
    }
}

impl Serialize for MatchRule {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(field, value)| (field.as_str(), value)))
    }
}

impl Serialize for Button {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.does {
            Does::Acts(action) => acting(&self.name, action, to),
            Does::Opens(items) => {
                let mut map = to.serialize_map(Some(2))?;
                map.serialize_entry("name", &self.name)?;
                map.serialize_entry("sub_button", items)?;
                map.end()
            }
        }
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        acting(&self.name, &self.action, to)
    }
}

fn acting<S: Serializer>(name: &str, action: &Action, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(None)?;
    map.serialize_entry("type", action.kind())?;
    map.serialize_entry("name", name)?;
    for (field, value) in action.fields() {
        map.serialize_entry(field, value)?;
    }
    map.end()
}
