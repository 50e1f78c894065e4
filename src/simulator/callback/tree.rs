//! Fields of a message in their order, nested and repeated: what XML and JSON are written from.
//!
//! A path names a field: `Content`, `ScanCodeInfo.ScanType`, `List[1].TemplateId`. Numbers are kept
//! as their digits, because a `MsgId` has 64 bits and a JSON number of many programs only 53.

use serde_json::{Map, Value as Json};

/// Some fields in order; a name may stand several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(pub(super) Vec<(String, Value)>);

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text: CDATA in XML, a string in JSON.
    Text(String),
    /// The digits of a number: bare in both.
    Number(String),
    /// More fields.
    Tree(Tree),
}

impl Tree {
    /// The text or number at this path.
    pub fn get(&self, path: &str) -> Option<&str> {
        match self.find(path)? {
            Value::Text(text) | Value::Number(text) => Some(text),
            Value::Tree(_) => None,
        }
    }

    /// The fields at this path.
    pub fn tree(&self, path: &str) -> Option<&Tree> {
        match self.find(path)? {
            Value::Tree(tree) => Some(tree),
            Value::Text(_) | Value::Number(_) => None,
        }
    }

    /// How many fields have this name on this level.
    pub fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|(own, _)| own == name).count()
    }

    /// The names on this level, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The values on this level, in order.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }

    fn find(&self, path: &str) -> Option<&Value> {
        let (first, rest) = match path.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        let (name, index) = segment(first)?;
        let value = self.0.iter().filter(|(own, _)| own == name).nth(index).map(|(_, value)| value)?;
        match (rest, value) {
            (None, value) => Some(value),
            (Some(rest), Value::Tree(tree)) => tree.find(rest),
            (Some(_), Value::Text(_) | Value::Number(_)) => None,
        }
    }

    /// Puts a value at this path, making the fields on the way. `None` when the path is none, leads
    /// through a text, or skips a repetition.
    pub(super) fn set(&mut self, path: &str, new: Value) -> Option<()> {
        let (first, rest) = match path.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        let (name, index) = segment(first)?;
        let there = self.0.iter().enumerate().filter(|(_, (own, _))| own == name).nth(index);
        let at = match there.map(|(at, _)| at) {
            Some(at) => at,
            None if index == self.count(name) => {
                self.0.push((name.to_owned(), Value::Tree(Tree::default())));
                self.0.len() - 1
            }
            None => return None,
        };
        let (_, value) = self.0.get_mut(at)?;
        match (rest, value) {
            (None, value) => {
                *value = new;
                Some(())
            }
            (Some(rest), Value::Tree(tree)) => tree.set(rest, new),
            (Some(_), Value::Text(_) | Value::Number(_)) => None,
        }
    }

    /// Removes every field of this name on this level.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(own, _)| own != name);
    }

    /// As WeChat writes it: `<xml>`, CDATA around texts, no declaration.
    pub fn to_xml(&self) -> String {
        let mut out = String::from("<xml>\n");
        self.write(&mut out);
        out.push_str("</xml>");
        out
    }

    fn write(&self, out: &mut String) {
        for (name, value) in &self.0 {
            out.extend(["<", name, ">"]);
            match value {
                Value::Text(text) => {
                    out.push_str("<![CDATA[");
                    out.push_str(&text.replace("]]>", "]]]]><![CDATA[>"));
                    out.push_str("]]>");
                }
                Value::Number(digits) => out.push_str(digits),
                Value::Tree(tree) => {
                    out.push('\n');
                    tree.write(out);
                }
            }
            out.extend(["</", name, ">\n"]);
        }
    }

    /// The same as JSON; repeated fields become an array.
    pub fn to_json(&self) -> Json {
        let mut object = Map::new();
        for (name, value) in &self.0 {
            let value = match value {
                Value::Text(text) => Json::from(text.as_str()),
                // Digits that JSON does not take as a number stay text.
                Value::Number(digits) => {
                    serde_json::from_str(digits).unwrap_or_else(|_| Json::from(digits.as_str()))
                }
                Value::Tree(tree) => tree.to_json(),
            };
            match object.get_mut(name) {
                None => _ = object.insert(name.clone(), value),
                Some(Json::Array(all)) => all.push(value),
                Some(first) => *first = Json::Array(vec![first.take(), value]),
            }
        }
        Json::Object(object)
    }

    /// The fields of a JSON object; an array is a repeated field.
    pub(super) fn from_json(object: Map<String, Json>) -> Self {
        let mut tree = Self::default();
        for (name, value) in object {
            match value {
                Json::Array(all) => {
                    tree.0.extend(all.into_iter().map(|value| (name.clone(), Value::from_json(value))));
                }
                other => tree.0.push((name, Value::from_json(other))),
            }
        }
        tree
    }
}

impl Value {
    fn from_json(value: Json) -> Self {
        match value {
            Json::Object(object) => Self::Tree(Tree::from_json(object)),
            Json::Number(number) => Self::Number(number.to_string()),
            Json::String(text) => Self::Text(text),
            Json::Null => Self::Text(String::new()),
            // An array within an array, or a truth: WeChat has neither.
            other @ (Json::Bool(_) | Json::Array(_)) => Self::Text(other.to_string()),
        }
    }
}

/// `List[1]` → `List`, 1. A name is one that XML allows, in ASCII.
fn segment(text: &str) -> Option<(&str, usize)> {
    let (name, index) = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        Some((name, index)) => (name, index.parse().ok()?),
        None => (text, 0),
    };
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let goes_on = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    (starts && goes_on).then_some((name, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn nested_and_repeated_fields_are_written_in_both_formats() {
        let mut tree = Tree::default();
        tree.set("MsgId", Value::Number("9007199254740993".to_owned())).unwrap();
        tree.set("List[0].Id", text("a")).unwrap();
        tree.set("List[1].Id", text("]]>")).unwrap();
        assert_eq!(
            tree.to_xml(),
            "<xml>\n<MsgId>9007199254740993</MsgId>\n<List>\n<Id><![CDATA[a]]></Id>\n</List>\n<List>\n\
             <Id><![CDATA[]]]]><![CDATA[>]]></Id>\n</List>\n</xml>"
        );
        let list = serde_json::json!([{ "Id": "a" }, { "Id": "]]>" }]);
        assert_eq!(tree.to_json(), serde_json::json!({ "MsgId": 9_007_199_254_740_993_u64, "List": list }));
        let Json::Object(object) = tree.to_json() else { panic!("an object") };
        let again = Tree::from_json(object);
        assert_eq!(again.get("List[1].Id"), Some("]]>"));
        assert_eq!(again.get("MsgId"), Some("9007199254740993"));
    }

    #[test]
    fn path_that_is_none_is_refused() {
        let mut tree = Tree::default();
        tree.set("A", text("a")).unwrap();
        for path in ["", "A.B", "B[1]", "B[x]", "<B>", "1B", "A B"] {
            assert_eq!(tree.set(path, text("b")), None, "{path:?}");
        }
        assert_eq!(tree.get("A"), Some("a"));
        assert_eq!(tree.names().collect::<Vec<_>>(), ["A"]);
    }
}
