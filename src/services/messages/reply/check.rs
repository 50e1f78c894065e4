//! WeChat's limits on a reply, checked before it is written.
//!
//! Nothing is cut, neither by us nor, unseen, by WeChat: what does not fit is refused with the
//! rule and the figure. Not checked: whether a medium or an agent exists, which only WeChat knows.

use url::Url;

use super::text::{is_blank, sent_len};
use super::{Article, Music, Reply, Video};

/// The most bytes of UTF-8 that a text may have, about 680 Chinese characters.
pub const TEXT_LIMIT: usize = 2_048;
/// The most articles in an answer to an event.
const ARTICLES: usize = 8;

/// When a reply goes out. It decides how many articles WeChat shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// At once, to a message that the user wrote.
    Message,
    /// At once, to an event.
    Event,
    /// Too late, as a customer-service message.
    Late,
}

/// Why a reply cannot be sent. Whoever wrote it must change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// WeChat takes an empty field for a fault of the account; saying nothing is another answer.
    #[error("the reply's {field} is empty; to say nothing, answer `success` instead")]
    Empty {
        /// Its name in WeChat's documents.
        field: &'static str,
    },
    /// The user would see a fault instead of it.
    #[error(
        "the reply's text has {length} bytes in UTF-8, and WeChat takes at most {limit}: shorten or split it"
    )]
    TooLong {
        /// How many it has.
        length: usize,
        /// How many it may have.
        limit: usize,
    },
    /// WeChat would drop the last ones in silence, or refuse all.
    #[error(
        "the reply has {count} articles, and WeChat shows at most {limit} {}",
        match occasion {
            Occasion::Message => "in answer to what a user wrote",
            Occasion::Event => "in answer to an event",
            Occasion::Late => "once the five seconds for an answer are over",
        }
    )]
    Articles {
        /// How many it has.
        count: usize,
        /// How many it may have.
        limit: usize,
        /// Why no more.
        occasion: Occasion,
    },
    /// A tap would lead nowhere.
    #[error("the reply's {field} is not an http:// or https:// address")]
    Address {
        /// Its name in WeChat's documents.
        field: &'static str,
    },
}

/// Whether WeChat takes this reply on this occasion.
pub(in crate::services::messages) fn check(reply: &Reply, occasion: Occasion) -> Result<(), ReplyError> {
    match reply {
        Reply::Text { content } => {
            filled("Content", content)?;
            // The exact figure costs a walk over the text; most are far from the limit.
            if content.len() > TEXT_LIMIT {
                let length = sent_len(content);
                if length > TEXT_LIMIT {
                    return Err(ReplyError::TooLong { length, limit: TEXT_LIMIT });
                }
            }
            Ok(())
        }
        Reply::Image { media_id }
        | Reply::Voice { media_id }
        | Reply::Video(Video { media_id, title: _, description: _ }) => filled("MediaId", media_id),
        Reply::Music(Music { title: _, description: _, url, hq_url, thumb_media_id }) => {
            filled("ThumbMediaId", thumb_media_id)?;
            url.as_deref().map_or(Ok(()), |url| address("MusicUrl", url))?;
            hq_url.as_deref().map_or(Ok(()), |url| address("HQMusicUrl", url))
        }
        Reply::News { articles } => news(articles, occasion),
        Reply::TransferCustomerService { account } => {
            account.as_deref().map_or(Ok(()), |account| filled("KfAccount", account))
        }
    }
}

fn news(articles: &[Article], occasion: Occasion) -> Result<(), ReplyError> {
    let limit = match occasion {
        Occasion::Message | Occasion::Late => 1,
        Occasion::Event => ARTICLES,
    };
    match articles.len() {
        0 => return Err(ReplyError::Empty { field: "list of articles" }),
        count if count > limit => return Err(ReplyError::Articles { count, limit, occasion }),
        _ => {}
    }
    for Article { title, description: _, pic_url, url } in articles {
        filled("Title", title)?;
        address("Url", url)?;
        // An article without a picture is shown without one.
        if !pic_url.is_empty() {
            address("PicUrl", pic_url)?;
        }
    }
    Ok(())
}

fn filled(field: &'static str, text: &str) -> Result<(), ReplyError> {
    if is_blank(text) { Err(ReplyError::Empty { field }) } else { Ok(()) }
}

fn address(field: &'static str, text: &str) -> Result<(), ReplyError> {
    filled(field, text)?;
    if is_address(text) { Ok(()) } else { Err(ReplyError::Address { field }) }
}

/// Whether a tap on it would lead somewhere.
pub(in crate::services::messages) fn is_address(text: &str) -> bool {
    let parsed = Url::parse(text).ok();
    parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
