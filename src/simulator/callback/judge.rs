//! What WeChat makes of an answer: shown to the user, taken as an acknowledgement, or a fault.
//!
//! Pure. Each rule is one of the documentation or one that developers were bitten by; where WeChat is
//! said to be lenient by some and strict by others, this is strict.

use serde_json::Value as Json;

use super::crypt::{Crypt, signature};
use super::flaw::Flaw;
use super::http::RawAnswer;
use super::identity::{Format, Identity, Mode};
use super::tree::{Tree, Value};
use super::xml;

/// Longest text of a reply in bytes.
const LONGEST_TEXT: usize = 2048;
/// Most articles of a reply to an event.
const MOST_ARTICLES: usize = 8;

/// What the user sees of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A reply.
    Answer(Answer),
    /// Nothing, as the callback wished: `success` or an empty answer.
    Nothing,
    /// The callback failed; [`Flaw::screen`] is what the user sees.
    Failed(Flaw),
}

impl Shown {
    /// The reply, if there is one.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Answer(answer) => Some(answer),
            Self::Nothing | Self::Failed(_) => None,
        }
    }

    /// What the callback got wrong.
    pub fn flaw(&self) -> Option<&Flaw> {
        match self {
            Self::Failed(flaw) => Some(flaw),
            Self::Nothing | Self::Answer(_) => None,
        }
    }
}

/// A reply that reaches the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its `MsgType`.
    pub kind: String,
    /// All its fields.
    pub fields: Tree,
    /// As it came, decrypted.
    pub text: String,
    /// What WeChat takes away from it, in sentences.
    pub notes: Vec<String>,
}

/// The message that was answered.
#[derive(Clone)]
pub(super) struct Asked<'a> {
    pub(super) identity: &'a Identity,
    pub(super) crypt: Option<&'a Crypt>,
    pub(super) message: &'a Tree,
}

impl Asked<'_> {
    pub(super) fn judge(&self, answer: &RawAnswer) -> Shown {
        self.weigh(answer).unwrap_or_else(Shown::Failed)
    }

    fn weigh(&self, answer: &RawAnswer) -> Result<Shown, Flaw> {
        if answer.status != 200 {
            return Err(Flaw::Status(answer.status));
        }
        let body = std::str::from_utf8(&answer.body).map_err(|_| Flaw::Utf8)?;
        if acknowledges(body) {
            return Ok(Shown::Nothing);
        }
        let outer = self.parse(body)?;
        let (text, fields) = match (self.identity.mode, self.crypt, outer.get("Encrypt")) {
            (Mode::Plain, _, _) | (Mode::Compatible, _, None) => (body.to_owned(), outer),
            (Mode::Safe, _, None) | (Mode::Safe | Mode::Compatible, None, Some(_)) => {
                return Err(Flaw::NotEncrypted);
            }
            (Mode::Safe | Mode::Compatible, Some(crypt), Some(encrypt)) => {
                let text = self.open(crypt, &outer, encrypt)?;
                if acknowledges(&text) {
                    return Ok(Shown::Nothing);
                }
                let fields = self.parse(&text)?;
                (text, fields)
            }
        };
        self.check_names(&fields)?;
        let time = need(&fields, "CreateTime")?;
        if time.is_empty() || !time.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Flaw::CreateTime(time.to_owned()));
        }
        let kind = need(&fields, "MsgType")?.to_owned();
        let mut notes = Vec::new();
        self.check_body(&kind, &fields, &mut notes)?;
        if self.message.get("Event").is_some_and(|event| event.eq_ignore_ascii_case("unsubscribe")) {
            notes.push("the user does not follow the account any more and sees nothing".to_owned());
        }
        Ok(Shown::Answer(Answer { kind, fields, text, notes }))
    }

    fn parse(&self, text: &str) -> Result<Tree, Flaw> {
        match self.identity.format {
            Format::Xml => xml::parse(text).map_err(Flaw::Xml),
            Format::Json => match serde_json::from_str(text) {
                Ok(Json::Object(object)) => Ok(Tree::from_json(object)),
                Ok(_) => Err(Flaw::Json("it is JSON, and no object".to_owned())),
                Err(error) => Err(Flaw::Json(error.to_string())),
            },
        }
    }

    /// The text inside an encrypted reply.
    fn open(&self, crypt: &Crypt, outer: &Tree, encrypt: &str) -> Result<String, Flaw> {
        let [found, time, nonce] = ["MsgSignature", "TimeStamp", "Nonce"].map(|name| need(outer, name));
        if found? != signature([&self.identity.token, time?, nonce?, encrypt]) {
            return Err(Flaw::Signature);
        }
        let inside = crypt.decrypt(encrypt).map_err(Flaw::Crypt)?;
        if inside.receive_id != self.identity.appid {
            let right = self.identity.appid.clone();
            return Err(Flaw::ReceiveId { found: inside.receive_id, right });
        }
        Ok(inside.text)
    }

    fn check_names(&self, reply: &Tree) -> Result<(), Flaw> {
        for (field, other) in [("ToUserName", "FromUserName"), ("FromUserName", "ToUserName")] {
            let found = need(reply, field)?;
            // A message from a file may not say who sent it.
            if let Some(right) = self.message.get(other)
                && found != right
            {
                return Err(Flaw::NotSwapped { field, found: found.to_owned(), right: right.to_owned() });
            }
        }
        Ok(())
    }

    fn check_body(&self, kind: &str, reply: &Tree, notes: &mut Vec<String>) -> Result<(), Flaw> {
        let filled = |path: &str| match need(reply, path)? {
            "" => Err(Flaw::Missing(path.to_owned())),
            _ => Ok(()),
        };
        match kind {
            "text" => match need(reply, "Content")? {
                "" => Err(Flaw::EmptyText),
                text if text.len() > LONGEST_TEXT => Err(Flaw::TooLong(text.len())),
                _ => Ok(()),
            },
            "image" => filled("Image.MediaId"),
            "voice" => filled("Voice.MediaId"),
            "video" => filled("Video.MediaId"),
            "music" => filled("Music.ThumbMediaId"),
            "news" => self.check_news(reply, notes),
            "transfer_customer_service" => match reply.tree("TransInfo") {
                Some(_) => filled("TransInfo.KfAccount"),
                None => Ok(()),
            },
            _ => Err(Flaw::Kind(kind.to_owned())),
        }
    }

    fn check_news(&self, reply: &Tree, notes: &mut Vec<String>) -> Result<(), Flaw> {
        let count = need(reply, "ArticleCount")?;
        let items = reply.tree("Articles").map_or(0, |list| list.count("item"));
        // In JSON the list may stand without the `item` of the XML.
        let articles = if items == 0 && self.identity.format == Format::Json {
            reply
                .0
                .iter()
                .filter(|(name, value)| name == "Articles" && matches!(value, Value::Tree(_)))
                .count()
        } else {
            items
        };
        if articles == 0 || count.parse() != Ok(articles) {
            return Err(Flaw::Articles { count: count.to_owned(), articles });
        }
        let most = match self.message.get("MsgType") {
            Some("text" | "image" | "voice" | "video" | "shortvideo" | "location") => 1,
            _ => MOST_ARTICLES,
        };
        if articles > most {
            notes.push(format!("of the {articles} articles only the first {most} can be seen"));
        }
        Ok(())
    }
}

/// Whether an answer says that there is nothing to say.
fn acknowledges(text: &str) -> bool {
    text.is_empty() || text == "success"
}

fn need<'a>(tree: &'a Tree, path: &str) -> Result<&'a str, Flaw> {
    tree.get(path).ok_or_else(|| Flaw::Missing(path.to_owned()))
}

#[cfg(test)]
mod tests;
