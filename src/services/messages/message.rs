//! A message or event that a user's phone, or WeChat itself, sent to an account.
//!
//! [`Message::read`] turns the fields of a push into a type; what it does not know stays whole in
//! [`Message::fields`] and is a [`Content::Unknown`], never an error. Sender and receiver cannot
//! be changed, so that an answer goes to nobody else.

use super::fields::Fields;

/// A push, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    to: Box<str>,
    from: Box<str>,
    created: u64,
    content: Content,
    fields: Fields,
}

/// What was said or done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// `text`
    Text {
        /// What the user wrote.
        content: Box<str>,
    },
    /// A type that this version does not know; its fields are in [`Message::fields`].
    Unknown,
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
        let text = |name| fields.text(name).filter(|text| !text.is_empty());
        let to = text("ToUserName").ok_or(MessageError::Missing("ToUserName"))?.into();
        let from = text("FromUserName").ok_or(MessageError::Missing("FromUserName"))?.into();
        let created = text("CreateTime").ok_or(MessageError::Missing("CreateTime"))?;
        let created = created.parse().map_err(|_| MessageError::NotANumber("CreateTime"))?;
        let content = match text("MsgType").ok_or(MessageError::Missing("MsgType"))? {
            "text" => Content::Text { content: fields.text("Content").unwrap_or_default().into() },
            _ => Content::Unknown,
        };
        Ok(Self { to, from, created, content, fields })
    }

    /// The account's original id, `gh_…`: `ToUserName`.
    pub fn to(&self) -> &str {
        &self.to
    }

    /// The sender's openid: `FromUserName`.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// When it was sent, in Unix seconds: `CreateTime`.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// What was said or done.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// `MsgType` as it was sent.
    pub fn msg_type(&self) -> &str {
        self.fields.text("MsgType").unwrap_or_default()
    }

    /// `Event` as it was sent, if it is an event.
    pub fn event(&self) -> Option<&str> {
        (self.msg_type() == "event").then(|| self.fields.text("Event").unwrap_or_default())
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
}
