//! A reply as a customer-service message: other names, the same content.
//!
//! Fields are in the order of WeChat's samples. Texts lose what JSON could only write as a `\u`
//! escape, which WeChat refuses.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::LateError;
use crate::services::messages::reply::{Article, Music, Occasion, Reply, Video, check, legal};

/// The body of a call that sends a message.
#[derive(Debug)]
pub(super) struct Message<'a> {
    touser: Cow<'a, str>,
    msgtype: &'static str,
    content: Content<'a>,
}

#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text {
        content: Cow<'a, str>,
    },
    Medium {
        media_id: Cow<'a, str>,
    },
    /// WeChat's table asks for a `thumb_media_id` too, which a reply does not have. That WeChat makes
    /// the picture itself where there is none is an assumption, not tried against WeChat; the video's
    /// own id in its place would be a medium of another kind.
    Video {
        media_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<Cow<'a, str>>,
    },
    Music {
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        musicurl: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        hqmusicurl: Option<Cow<'a, str>>,
        thumb_media_id: Cow<'a, str>,
    },
    News {
        articles: Vec<Item<'a>>,
    },
}

#[derive(Debug, serde::Serialize)]
struct Item<'a> {
    title: Cow<'a, str>,
    description: Cow<'a, str>,
    url: Cow<'a, str>,
    picurl: Cow<'a, str>,
}

/// The body that sends this reply to this openid.
pub(super) fn of<'a>(openid: &'a str, reply: &'a Reply) -> Result<Message<'a>, LateError> {
    check(reply, Occasion::Late)?;
    let (msgtype, content) = match reply {
        Reply::Text { content } => ("text", Content::Text { content: legal(content) }),
        Reply::Image { media_id } => ("image", Content::Medium { media_id: legal(media_id) }),
        Reply::Voice { media_id } => ("voice", Content::Medium { media_id: legal(media_id) }),
        Reply::Video(Video { media_id, title, description }) => {
            let media_id = legal(media_id);
            (
                "video",
                Content::Video {
                    media_id,
                    title: maybe(title.as_ref()),
                    description: maybe(description.as_ref()),
                },
            )
        }
        Reply::Music(Music { title, description, url, hq_url, thumb_media_id }) => {
            let content = Content::Music {
                title: maybe(title.as_ref()),
                description: maybe(description.as_ref()),
                // Both are asked for here, unlike in a passive reply. Each does for the other.
                musicurl: maybe(url.as_ref()).or_else(|| maybe(hq_url.as_ref())),
                hqmusicurl: maybe(hq_url.as_ref()).or_else(|| maybe(url.as_ref())),
                thumb_media_id: legal(thumb_media_id),
            };
            ("music", content)
        }
        Reply::News { articles } => ("news", Content::News { articles: articles.iter().map(item).collect() }),
        Reply::TransferCustomerService { .. } => return Err(LateError::Transfer),
    };
    Ok(Message { touser: legal(openid), msgtype, content })
}

fn item(Article { title, description, pic_url, url }: &Article) -> Item<'_> {
    Item { title: legal(title), description: legal(description), url: legal(url), picurl: legal(pic_url) }
}

fn maybe(text: Option<&String>) -> Option<Cow<'_, str>> {
    text.map(|text| legal(text))
}

/// The content stands under the name of its type.
impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { touser, msgtype, content } = self;
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("touser", touser)?;
        map.serialize_entry("msgtype", msgtype)?;
        map.serialize_entry(msgtype, content)?;
        map.end()
    }
}

#[cfg(test)]
mod tests;
