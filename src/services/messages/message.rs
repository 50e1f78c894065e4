//! A message or event that a user's phone, or WeChat itself, sent to an account.
//!
//! [`Message::read`] takes the fields of a push; [`Message::content`] gives them types, as a view
//! that borrows them: nothing is copied for a handler that only asks for the type or the key.
//! What is not known stays whole in [`Message::fields`] and is a [`Content::Unknown`], never an
//! error. Sender and receiver cannot be changed, so that an answer goes to nobody else.

mod event;
mod identity;
mod ordinary;
mod table;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::fields::Fields;

pub use event::Event;
pub use event::{
    agent, card, follow, invoice, job, legacy, menu, mini_program, privacy, subscription, verification,
};
pub use identity::Identity;
pub use ordinary::Content;

/// A push, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    created: u64,
    fields: Fields,
}

/// Why fields are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Nobody could be answered, or nothing was said.
    #[error("the push has no {0}")]
    Missing(&'static str),
    /// It is no decimal number.
    #[error("{0} of the push is not a number")]
    NotANumber(&'static str),
}

impl Message {
    /// Reads the fields of a push.
    ///
    /// # Errors
    /// One of the four fields is missing that every push has.
    pub fn read(fields: Fields) -> Result<Self, MessageError> {
        for name in ["ToUserName", "FromUserName", "CreateTime", "MsgType"] {
            if fields.text(name).is_none_or(str::is_empty) {
                return Err(MessageError::Missing(name));
            }
        }
        let created = fields.number("CreateTime").ok_or(MessageError::NotANumber("CreateTime"))?;
        Ok(Self { created, fields })
    }

    /// The account's original id, `gh_…`: `ToUserName`.
    pub fn to(&self) -> &str {
        self.text("ToUserName")
    }

    /// The sender's openid: `FromUserName`. WeChat itself has made-up names, such as `mphelper`.
    pub fn from(&self) -> &str {
        self.text("FromUserName")
    }

    /// When it was sent, in Unix seconds: `CreateTime`.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// What was said or done. The view is made anew by every call; keep it rather than ask twice.
    pub fn content(&self) -> Content<'_> {
        Content::of(&self.fields)
    }

    /// `MsgType` as it was sent.
    pub fn msg_type(&self) -> &str {
        self.text("MsgType")
    }

    /// `Event` as it was sent, if it is an event.
    pub fn event(&self) -> Option<&str> {
        self.msg_type().eq_ignore_ascii_case("event").then(|| self.text("Event"))
    }

    /// `EventKey`, if there is one and it is not empty.
    pub fn event_key(&self) -> Option<&str> {
        self.fields.text("EventKey").filter(|key| !key.is_empty())
    }

    /// The scene of a QR code: `EventKey` of a `SCAN`, and behind `qrscene_` of a `subscribe`.
    pub fn scene(&self) -> Option<&str> {
        match self.event()? {
            event if event.eq_ignore_ascii_case("scan") => self.event_key(),
            event if event.eq_ignore_ascii_case("subscribe") => self.event_key()?.strip_prefix("qrscene_"),
            _ => None,
        }
    }

    /// `MsgId`, which ordinary messages have, or `MsgID`, which events of finished jobs have.
    pub fn id(&self) -> Option<u64> {
        self.fields.number("MsgId").or_else(|| self.fields.number("MsgID"))
    }

    /// All fields as they were sent.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// What makes it this message and no other, in every attempt of WeChat to deliver it. The
    /// account is not part of it.
    pub fn identity(&self) -> Identity {
        Identity::of(self)
    }

    fn text(&self, name: &str) -> &str {
        self.fields.text(name).unwrap_or_default()
    }
}

/// What programs in other languages read: `type`, `event`, `key`, `scene`, `from`, `to`,
/// `created`, `id` and all `fields`.
///
/// Every name is always there, as `null` if the push has nothing for it. `created` is a number;
/// `id` is a text, because JavaScript's numbers cannot hold it. `fields` has texts only, and
/// where a field repeats, a list: one alone is not a list.
impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(9))?;
        map.serialize_entry("type", self.msg_type())?;
        map.serialize_entry("event", &self.event())?;
        map.serialize_entry("key", &self.event_key())?;
        map.serialize_entry("scene", &self.scene())?;
        map.serialize_entry("from", self.from())?;
        map.serialize_entry("to", self.to())?;
        map.serialize_entry("created", &self.created)?;
        map.serialize_entry("id", &self.id().map(|id| id.to_string()))?;
        map.serialize_entry("fields", &self.fields)?;
        map.end()
    }
}

#[cfg(test)]
mod tests;
