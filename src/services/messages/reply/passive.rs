//! Writes the passive reply to a message: the text that is sealed and sent.
//!
//! **Invariant:** it goes to the message's sender and comes from its receiver. Both names are
//! taken from the message itself, so a reply that is not swapped cannot be written.

use crate::clock::WallTime;

use super::check::{Occasion, ReplyError, check};
use super::form::{Form, Json, Xml};
use super::{Article, Music, Reply, Video};
use crate::services::messages::fields::Format;
use crate::services::messages::message::Message;

/// The elements around the content, with two names of 28 bytes.
const FRAME: usize = 320;

/// The answer to this message, in the format that the account speaks.
///
/// # Errors
/// WeChat would not show it: acknowledge the message instead, and tell whoever wrote the reply.
pub fn passive(
    message: &Message,
    reply: &Reply,
    now: WallTime,
    format: Format,
) -> Result<String, ReplyError> {
    let occasion = if message.event().is_some() { Occasion::Event } else { Occasion::Message };
    check(reply, occasion)?;
    let room = FRAME + content_len(reply);
    Ok(match format {
        Format::Xml => {
            let mut xml = Xml::with_capacity(room);
            write(&mut xml, message, reply, now);
            xml.finish()
        }
        Format::Json => {
            let mut json = Json::with_capacity(room);
            write(&mut json, message, reply, now);
            json.finish()
        }
    })
}

/// All fields, in the order of WeChat's samples.
fn write(form: &mut impl Form, message: &Message, reply: &Reply, now: WallTime) {
    form.text("ToUserName", message.from());
    form.text("FromUserName", message.to());
    form.number("CreateTime", u64::try_from(now.seconds()).unwrap_or(0));
    match reply {
        Reply::Text { content } => {
            form.text("MsgType", "text");
            form.text("Content", content);
        }
        Reply::Image { media_id } => {
            form.text("MsgType", "image");
            form.within("Image", |form| form.text("MediaId", media_id));
        }
        Reply::Voice { media_id } => {
            form.text("MsgType", "voice");
            form.within("Voice", |form| form.text("MediaId", media_id));
        }
        Reply::Video(Video { media_id, title, description }) => {
            form.text("MsgType", "video");
            form.within("Video", |form| {
                form.text("MediaId", media_id);
                form.maybe("Title", title.as_deref());
                form.maybe("Description", description.as_deref());
            });
        }
        Reply::Music(Music { title, description, url, hq_url, thumb_media_id }) => {
            form.text("MsgType", "music");
            form.within("Music", |form| {
                form.maybe("Title", title.as_deref());
                form.maybe("Description", description.as_deref());
                form.maybe("MusicUrl", url.as_deref());
                form.maybe("HQMusicUrl", hq_url.as_deref());
                form.text("ThumbMediaId", thumb_media_id);
            });
        }
        Reply::News { articles } => {
            form.text("MsgType", "news");
            form.number("ArticleCount", articles.len() as u64);
            form.list("Articles", articles, |form, article| {
                let Article { title, description, pic_url, url } = article;
                form.text("Title", title);
                form.text("Description", description);
                form.text("PicUrl", pic_url);
                form.text("Url", url);
            });
        }
        Reply::TransferCustomerService { account } => {
            form.text("MsgType", "transfer_customer_service");
            if let Some(account) = account {
                form.within("TransInfo", |form| form.text("KfAccount", account));
            }
        }
    }
}

/// About how much room the content needs: a second allocation costs more than a few spare bytes.
fn content_len(reply: &Reply) -> usize {
    match reply {
        Reply::Text { content } => content.len(),
        Reply::Image { .. } | Reply::Voice { .. } | Reply::TransferCustomerService { .. } => 128,
        Reply::Video(_) | Reply::Music(_) => 512,
        Reply::News { articles } => articles.len() * 640,
    }
}
