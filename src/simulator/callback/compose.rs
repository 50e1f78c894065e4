//! A push before it is sent: a message from a name, from fields, or from a file.
//!
//! Made once and sent as often as WeChat would: `MsgId` and `CreateTime` stay, only the query is
//! fresh each time. Overriding them is allowed, as is everything else: a wrong message is as good a
//! test as a right one.

use std::time::Duration;

use serde_json::Value as Json;

use super::catalogue::{self, KINDS};
use super::fault::Fault;
use super::identity::Format;
use super::tree::{Tree, Value};
use super::xml;

/// Who sends where nobody was named.
pub const SOMEBODY: &str = "oSimulatedUser00000000000000";

/// Why a push could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// No such type.
    #[error(
        "{0:?} is no type of message or event that is known here{1}; any other is sent with MsgType=… or Event=…"
    )]
    Kind(String, String),
    /// The path is none, leads through a text or skips a repetition.
    #[error("{0:?} is no field that can be set here; fields are written Name, Outer.Inner, or List[1].Name")]
    Field(String),
    /// The text is neither.
    #[error("the message is neither XML nor a JSON object: {0}")]
    Text(String),
}

/// A message or event on its way to a callback.
#[derive(Clone, Debug)]
pub struct Push {
    pub(super) fields: Tree,
    /// The text as it was given, as long as nothing was changed.
    raw: Option<(Format, String)>,
    pub(super) fault: Option<Fault>,
}

impl Push {
    /// A message or event of this name, such as `text` or `event.SCAN`, with realistic fields.
    pub fn new(name: &str) -> Result<Self, ComposeError> {
        let kind = catalogue::find(name).ok_or_else(|| ComposeError::Kind(name.to_owned(), nearest(name)))?;
        let mut push = Self { fields: Tree::default(), raw: None, fault: None };
        push.put("FromUserName", Value::Text(SOMEBODY.to_owned()))?;
        if let Some(event) = kind.name.strip_prefix("event.") {
            push.put("MsgType", Value::Text("event".to_owned()))?;
            push.put("Event", Value::Text(event.to_owned()))?;
        } else {
            push.put("MsgType", Value::Text(kind.name.to_owned()))?;
            // Of 64 bits, like the real ones, and never the same twice.
            let id = (1 << 62) | (rand::random::<u64>() >> 2);
            push.put("MsgId", Value::Number(id.to_string()))?;
        }
        for line in kind.fields {
            let (path, value) = line.split_once('=').unwrap_or((line, ""));
            match path.strip_prefix('#') {
                Some(path) => push.put(path, Value::Number(value.to_owned()))?,
                None => push.put(path, Value::Text(value.to_owned()))?,
            }
        }
        Ok(push)
    }

    /// A message as it was written down, XML or JSON. It is sent to the byte unless it is changed
    /// or the callback wants the other format; a service that has seen its `MsgId` will take it for
    /// a repetition.
    pub fn from_text(text: &str) -> Result<Self, ComposeError> {
        let (format, fields) = if text.trim_start().starts_with('{') {
            let json = serde_json::from_str(text).map_err(|error| ComposeError::Text(error.to_string()))?;
            let Json::Object(object) = json else {
                return Err(ComposeError::Text("it is no object".to_owned()));
            };
            (Format::Json, Tree::from_json(object))
        } else {
            (Format::Xml, xml::parse(text).map_err(|error| ComposeError::Text(error.to_string()))?)
        };
        Ok(Self { fields, raw: Some((format, text.to_owned())), fault: None })
    }

    /// With this field: a number where it was one and the new text is one too.
    pub fn set(mut self, path: &str, value: &str) -> Result<Self, ComposeError> {
        let numeric = ["CreateTime", "MsgId"].contains(&path) || self.fields.is_number(path);
        let value = if numeric && is_number(value) {
            Value::Number(value.to_owned())
        } else {
            Value::Text(value.to_owned())
        };
        self.put(path, value)?;
        Ok(self)
    }

    /// From this person.
    pub fn from(self, openid: &str) -> Result<Self, ComposeError> {
        self.set("FromUserName", openid)
    }

    /// Spoilt like this.
    #[must_use]
    pub fn fault(self, fault: Fault) -> Self {
        Self { fault: Some(fault), ..self }
    }

    /// The fields so far.
    pub fn fields(&self) -> &Tree {
        &self.fields
    }

    fn put(&mut self, path: &str, value: Value) -> Result<(), ComposeError> {
        self.raw = None;
        self.fields.set(path, value).ok_or_else(|| ComposeError::Field(path.to_owned()))
    }

    /// The message to this account at this time, where it does not say so itself.
    pub(super) fn complete(&self, original_id: &str, now: Duration) -> Self {
        let mut whole = self.clone();
        if whole.raw.is_none() {
            let mut head = Tree::default();
            for name in ["ToUserName", "FromUserName", "CreateTime"] {
                let default = match name {
                    "ToUserName" => Value::Text(original_id.to_owned()),
                    "CreateTime" => Value::Number(now.as_secs().to_string()),
                    _ => Value::Text(SOMEBODY.to_owned()),
                };
                let own = self.fields.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
                head.0.push((name.to_owned(), own.unwrap_or(default)));
                whole.fields.remove(name);
            }
            head.0.append(&mut whole.fields.0);
            whole.fields = head;
        }
        whole
    }

    /// The message as text.
    pub(super) fn text(&self, format: Format) -> String {
        match (&self.raw, format) {
            (Some((own, text)), format) if *own == format => text.clone(),
            (_, Format::Xml) => self.fields.to_xml(),
            (_, Format::Json) => self.fields.to_json().to_string(),
        }
    }
}

impl Tree {
    fn is_number(&self, path: &str) -> bool {
        // A number is what JSON takes for one; a text of digits is none.
        let (parent, name) =
            path.rsplit_once('.').map_or((Some(self), path), |(up, name)| (self.tree(up), name));
        parent.is_some_and(|tree| {
            tree.0.iter().any(|(own, value)| own == name && matches!(value, Value::Number(_)))
        })
    }
}

fn is_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// `; do you mean "text"?`, where something is near.
fn nearest(name: &str) -> String {
    let near = |kind: &&catalogue::Kind| {
        let event = kind.name.strip_prefix("event.").unwrap_or(kind.name);
        event.eq_ignore_ascii_case(name) || strsim::damerau_levenshtein(kind.name, name) <= 3
    };
    let found = KINDS.iter().filter(near).min_by_key(|kind| strsim::damerau_levenshtein(kind.name, name));
    found.map(|kind| format!(" (is {} meant?)", kind.name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    #[test]
    fn every_kind_is_composed_and_read_back_in_both_formats() {
        // The tables cannot hold a path that cannot be set, or a text that cannot be written.
        for kind in KINDS {
            let push = Push::new(kind.name).unwrap().complete("gh_1", NOW);
            let xml = push.text(Format::Xml);
            let again = xml::parse(&xml).unwrap();
            assert_eq!(again.get("ToUserName"), Some("gh_1"), "{}", kind.name);
            assert_eq!(again.get("CreateTime"), Some("1700000000"), "{}", kind.name);
            let type_of = again.get("MsgType").unwrap();
            match kind.name.strip_prefix("event.") {
                Some(event) => {
                    assert_eq!(
                        (type_of, again.get("Event"), again.get("MsgId")),
                        ("event", Some(event), None)
                    );
                }
                None => assert!(type_of == kind.name && again.get("MsgId").is_some()),
            }
            let json: Json = serde_json::from_str(&push.text(Format::Json)).unwrap();
            assert!(json["CreateTime"].is_u64(), "{json}");
            for line in kind.fields {
                let (path, value) = line.trim_start_matches('#').split_once('=').unwrap();
                assert_eq!(again.get(path), Some(value), "{} {path}", kind.name);
            }
        }
    }

    #[test]
    fn overrides_keep_numbers_numbers_and_may_add_fields() {
        let push = Push::new("event.subscribe_msg_popup_event").unwrap();
        let push = push.set("SubscribeMsgPopupEvent.List[1].SubscribeStatusString", "accept").unwrap();
        let push = push.set("SubscribeMsgPopupEvent.List[2].TemplateId", "third").unwrap();
        let push = push.set("CreateTime", "12").unwrap().set("Extra", "7").unwrap().from("o2").unwrap();
        let push = push.complete("gh_1", NOW);
        let json: Json = serde_json::from_str(&push.text(Format::Json)).unwrap();
        assert_eq!(json["CreateTime"], 12);
        assert_eq!(json["Extra"], "7");
        assert_eq!(json["FromUserName"], "o2");
        assert_eq!(json["SubscribeMsgPopupEvent"]["List"][2]["TemplateId"], "third");
        assert!(Push::new("text").unwrap().set("Content.x", "1").is_err());
    }

    #[test]
    fn text_from_a_file_goes_out_to_the_byte_unless_it_is_changed() {
        let text = "<xml> <ToUserName>gh_2</ToUserName><MsgType><![CDATA[odd]]></MsgType>\n</xml>";
        let push = Push::from_text(text).unwrap();
        assert_eq!(push.complete("gh_1", NOW).text(Format::Xml), text);
        assert!(push.text(Format::Json).contains("\"odd\""));
        let changed = push.set("MsgType", "text").unwrap().complete("gh_1", NOW);
        assert_eq!(changed.fields().get("ToUserName"), Some("gh_2"));
        assert_ne!(changed.text(Format::Xml), text);
        assert!(Push::from_text("{\"a\":1}").is_ok());
        for wrong in ["", "[1]", "{", "<xml>", "hello"] {
            assert!(matches!(Push::from_text(wrong), Err(ComposeError::Text(_))), "{wrong}");
        }
    }

    #[test]
    fn misspelt_type_is_answered_with_the_nearest() {
        let said = Push::new("event.SCANN").unwrap_err().to_string();
        assert!(said.contains("is event.SCAN meant?"), "{said}");
        let said = Push::new("CLICK").unwrap_err().to_string();
        assert!(said.contains("is event.CLICK meant?"), "{said}");
    }
}
