//! What an account can answer at once, without a call: WeChat's passive replies.
//!
//! These are contents only. Whom they go to is not said here: an answer is written for the
//! message that it answers ([`passive()`]), and there is no other way to write one.

mod check;
mod form;
mod passive;
mod text;

#[cfg(test)]
mod tests;

pub use check::{Occasion, ReplyError, TEXT_LIMIT};
pub(super) use check::{check, is_address};
pub use passive::passive;
pub(super) use text::legal;

use serde::{Deserialize, Serialize};

/// What a push is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// `success`: taken, nothing to say.
    Success,
    /// A body of length zero, which WeChat takes for the same.
    Empty,
    /// A reply to the sender.
    Reply(Reply),
}

/// A reply. Texts are in UTF-8; WeChat's limits are checked when it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// A text; `\n` is a line break.
    Text {
        /// At most 2,048 bytes.
        content: String,
    },
    /// A picture.
    Image {
        /// Of a temporary or a permanent medium.
        media_id: String,
    },
    /// A voice message.
    Voice {
        /// Of a temporary or a permanent medium.
        media_id: String,
    },
    /// A video.
    Video(Video),
    /// A piece of music by its address.
    Music(Music),
    /// Articles with pictures: one for a message, up to eight for an event.
    News {
        /// The first is the big one.
        articles: Vec<Article>,
    },
    /// Hands the user over to the account's human agents.
    TransferCustomerService {
        /// To this agent, `name@account`; else to whoever is free.
        account: Option<String>,
    },
}

/// A video.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Video {
    /// Of a temporary or a permanent medium.
    pub media_id: String,
    /// Shown with it.
    pub title: Option<String>,
    /// Shown with it.
    pub description: Option<String>,
}

/// A piece of music.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Music {
    /// Shown with it.
    pub title: Option<String>,
    /// Shown with it.
    pub description: Option<String>,
    /// Where it is.
    pub url: Option<String>,
    /// Where it is in better quality, for Wi-Fi.
    pub hq_url: Option<String>,
    /// The medium of its picture: the one thing that WeChat insists on.
    pub thumb_media_id: String,
}

/// An article.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Article {
    /// Its headline.
    pub title: String,
    /// Shown if it is the only one.
    pub description: String,
    /// A JPG or PNG: 360×200 for the first, 200×200 for the others.
    pub pic_url: String,
    /// Where a tap leads.
    pub url: String,
}
