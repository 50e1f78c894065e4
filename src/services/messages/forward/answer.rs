//! Reads a program's answer as what a message is answered with.
//!
//! Strict, because a reply with a misspelt key would reach no user and nobody would know why:
//! whatever is not understood is a sentence that names the place. Read by hand and not by serde,
//! whose errors quote the values, and those are users' words.

use serde_json::{Map, Value};

use super::super::handler::Handled;
use super::super::reply::{Answer, Article, Music, Reply, Video};
use super::failure::Failure;
use super::wire;

/// A sentence about an answer that is not understood.
type Wrong = String;

/// What a reply can be.
const KINDS: [&str; 7] = ["text", "image", "voice", "video", "music", "news", "transfer"];
/// The longest name that a sentence repeats, in characters.
const LONGEST_NAME: usize = 40;

/// What the answer says.
pub(super) fn read(answer: &wire::Answer) -> Result<Handled, Failure> {
    let wire::Answer { status, content_type, encoded, body } = answer;
    match status {
        200..=299 => {}
        300..=399 => return Err(Failure::Redirect(*status)),
        _ => return Err(Failure::Status { status: *status }),
    }
    understood(content_type.as_deref(), *encoded, body).map_err(Failure::Unreadable)
}

fn understood(content_type: Option<&str>, encoded: bool, body: &[u8]) -> Result<Handled, Wrong> {
    let body = body.trim_ascii();
    if body.is_empty() || body == b"success" {
        return Ok(Handled::Answer(Answer::Success));
    }
    if encoded {
        return Err("it is compressed, which nobody asked for".to_owned());
    }
    let Some(content_type) = content_type else {
        return Err("it has no Content-Type; send application/json or text/plain".to_owned());
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
    match essence.as_str() {
        "application/json" => {
            // Nothing but syntax can be wrong here, and that is told by its place alone.
            let json = serde_json::from_str(text).map_err(|error| format!("it is no JSON ({error})"))?;
            from_json(&json)
        }
        "text/plain" => Ok(said(Reply::Text { content: text.to_owned() })),
        other => {
            let other = shown(other);
            Err(format!("its Content-Type is {other}; send application/json or text/plain"))
        }
    }
}

fn said(reply: Reply) -> Handled {
    Handled::Answer(Answer::Reply(reply))
}

fn from_json(json: &Value) -> Result<Handled, Wrong> {
    let top = Object::of(json, "the answer".to_owned())?;
    top.only(&["reply", "pass"])?;
    let pass = match top.map.get("pass") {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(other) => return Err(mismatch("pass", "true or false", other)),
    };
    match (top.map.get("reply"), pass) {
        (None | Some(Value::Null), true) => Ok(Handled::Pass),
        (Some(_), true) => Err("pass is true, and there is a reply; it can only be one of them".to_owned()),
        (None, false) => Err(r#"it has no reply; {"reply": "none"} says nothing to the user"#.to_owned()),
        (Some(Value::Null), false) => Ok(Handled::Answer(Answer::Success)),
        (Some(Value::String(word)), false) if word == "none" => Ok(Handled::Answer(Answer::Success)),
        (Some(Value::String(_)), false) => {
            Err(r#"reply is a text other than "none"; a text for the user is {"text": "…"}"#.to_owned())
        }
        (Some(value), false) => reply(value).map(said),
    }
}

fn reply(json: &Value) -> Result<Reply, Wrong> {
    let object = Object::of(json, "reply".to_owned())?;
    object.only(&KINDS)?;
    let mut entries = object.map.iter();
    let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
        return Err(format!("reply must have exactly one of {}", KINDS.join(", ")));
    };
    let place = || format!("reply.{kind}");
    Ok(match kind.as_str() {
        "text" => Reply::Text { content: text(value, &place())?.to_owned() },
        "image" => Reply::Image { media_id: text(value, &place())?.to_owned() },
        "voice" => Reply::Voice { media_id: text(value, &place())?.to_owned() },
        "video" => {
            let video = Object::of(value, place())?;
            video.only(&["media_id", "title", "description"])?;
            Reply::Video(Video {
                media_id: video.needed("media_id")?,
                title: video.optional("title")?,
                description: video.optional("description")?,
            })
        }
        "music" => {
            let music = Object::of(value, place())?;
            music.only(&["title", "description", "url", "hq_url", "thumb_media_id"])?;
            Reply::Music(Music {
                title: music.optional("title")?,
                description: music.optional("description")?,
                url: music.optional("url")?,
                hq_url: music.optional("hq_url")?,
                thumb_media_id: music.needed("thumb_media_id")?,
            })
        }
        "news" => Reply::News { articles: articles(value)? },
        // `only` has seen to it that nothing else is left.
        _ => match value {
            Value::Bool(true) => Reply::TransferCustomerService { account: None },
            Value::String(account) if !account.is_empty() => {
                Reply::TransferCustomerService { account: Some(account.clone()) }
            }
            other => return Err(mismatch("reply.transfer", "true, or the account of an agent", other)),
        },
    })
}

fn articles(json: &Value) -> Result<Vec<Article>, Wrong> {
    let Value::Array(list) = json else { return Err(mismatch("reply.news", "a list of articles", json)) };
    if list.is_empty() {
        return Err("reply.news has no article".to_owned());
    }
    let article = |(at, json)| {
        let article = Object::of(json, format!("reply.news[{at}]"))?;
        article.only(&["title", "description", "pic_url", "url"])?;
        Ok(Article {
            title: article.needed("title")?,
            description: article.optional("description")?.unwrap_or_default(),
            pic_url: article.optional("pic_url")?.unwrap_or_default(),
            url: article.needed("url")?,
        })
    };
    list.iter().enumerate().map(article).collect()
}

/// An object and where it stands.
struct Object<'a> {
    map: &'a Map<String, Value>,
    place: String,
}

impl<'a> Object<'a> {
    fn of(json: &'a Value, place: String) -> Result<Self, Wrong> {
        match json {
            Value::Object(map) => Ok(Self { map, place }),
            other => Err(mismatch(&place, "an object", other)),
        }
    }

    /// No key but these.
    fn only(&self, keys: &[&str]) -> Result<(), Wrong> {
        match self.map.keys().find(|key| !keys.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let (place, key, keys) = (&self.place, shown(key), keys.join(", "));
                Err(format!("{place} has the unknown key {key}; it may have {keys}"))
            }
        }
    }

    /// A text that must be there.
    fn needed(&self, key: &str) -> Result<String, Wrong> {
        match self.map.get(key) {
            None => Err(format!("{} has no {key}", self.place)),
            Some(value) => text(value, &format!("{}.{key}", self.place)).map(str::to_owned),
        }
    }

    /// A text that may be missing or `null`.
    fn optional(&self, key: &str) -> Result<Option<String>, Wrong> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(mismatch(&format!("{}.{key}", self.place), "a text", other)),
        }
    }
}

/// A text with something in it.
fn text<'a>(value: &'a Value, place: &str) -> Result<&'a str, Wrong> {
    match value {
        Value::String(text) if text.trim().is_empty() => Err(format!("{place} is empty")),
        Value::String(text) => Ok(text),
        other => Err(mismatch(place, "a text", other)),
    }
}

fn mismatch(place: &str, wanted: &str, found: &Value) -> Wrong {
    let found = match found {
        Value::Null => "null",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    format!("{place} must be {wanted}, and is {found}")
}

/// A name that the program chose, in quotes, shortened, and harmless in a line.
fn shown(name: &str) -> String {
    let short: String = name.chars().take(LONGEST_NAME).collect();
    let more = if short.len() < name.len() { "…" } else { "" };
    format!("{short:?}{more}")
}

#[cfg(test)]
mod tests;
