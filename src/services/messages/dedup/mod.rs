//! Which message is which, and what became of it: in this process, and among several.
//!
//! WeChat sends a message up to three times, and its retries may come to another instance.
//! [`table`] is this process's memory, [`shared`] the memcached that several instances have in
//! common. The desk asks the first always and the second if there is one.

use sha2::{Digest as _, Sha256};

use super::account::Account;
use super::message::Message;

pub mod shared;
pub(super) mod table;
mod wire;

/// A message by its identity: the same for every retry, another one for everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DedupKey([u8; 16]);

impl DedupKey {
    /// The account's appid and the message's own identity, which begins with the sender: without
    /// either, other people's messages would be taken for retries.
    pub fn of(account: &Account, message: &Message) -> Self {
        let mut hash = Sha256::new();
        hash.update(message.identity().as_bytes());
        hash.update(account.appid.as_str());
        let digest = hash.finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self(key)
    }

    /// Under which name instances agree about it in memcached: a hash, which tells nobody who spoke.
    pub fn name(&self) -> String {
        format!("zhongkong:msg:{}", hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::{Fields, Value};
    use super::*;

    fn key(appid: &str, pairs: &[(&str, &str)]) -> DedupKey {
        let account = Account { appid: appid.parse().unwrap(), path: "a".into() };
        let mut all = vec![("ToUserName", "gh_1"), ("FromUserName", "o1"), ("CreateTime", "1700000000")];
        all.retain(|(name, _)| !pairs.iter().any(|(own, _)| own == name));
        all.extend(pairs);
        let mut fields = Fields::default();
        for (name, text) in all {
            fields.push(name, Value::Text(text.into()));
        }
        DedupKey::of(&account, &Message::read(fields).unwrap())
    }

    #[test]
    fn retry_has_the_same_key_and_everything_else_another() {
        let text = [("MsgType", "text"), ("Content", "hello"), ("MsgId", "7")];
        let first = key("wx1", &text);
        assert_eq!(first, key("wx1", &text));
        let others = [
            key("wx2", &text),
            key("wx1", &[("FromUserName", "o2"), ("MsgType", "text"), ("MsgId", "7")]),
            key("wx1", &[("CreateTime", "1700000001"), ("MsgType", "text"), ("MsgId", "7")]),
            key("wx1", &[("MsgType", "image"), ("MsgId", "7")]),
            key("wx1", &[("MsgType", "text"), ("MsgId", "8")]),
            // Location and unsubscribe of one second share all but the event.
            key("wx1", &[("MsgType", "event"), ("Event", "LOCATION")]),
            key("wx1", &[("MsgType", "event"), ("Event", "unsubscribe")]),
            key("wx1", &[("MsgType", "event"), ("Event", "CLICK"), ("EventKey", "a")]),
            key("wx1", &[("MsgType", "event"), ("Event", "CLICK"), ("EventKey", "b")]),
        ];
        for (at, other) in others.iter().enumerate() {
            assert_ne!(first, *other, "{at}");
            assert!(!others[..at].contains(other), "{at}");
        }
    }

    #[test]
    fn every_answer_survives_the_way_through_memcached() {
        use super::super::reply::{Answer, Article, Music, Reply, Video};
        let text = || "<a>\"\u{1f600}\n\u{4e2d}".to_owned();
        let replies = [
            Reply::Text { content: text() },
            Reply::Image { media_id: text() },
            Reply::Voice { media_id: text() },
            Reply::Video(Video { media_id: text(), title: Some(text()), description: None }),
            Reply::Music(Music { url: Some(text()), thumb_media_id: text(), ..Music::default() }),
            Reply::News {
                articles: vec![Article { title: text(), ..Article::default() }, Article::default()],
            },
            Reply::TransferCustomerService { account: None },
            Reply::TransferCustomerService { account: Some("agent@account".to_owned()) },
        ];
        let answers = replies.into_iter().map(Answer::Reply).chain([Answer::Success, Answer::Empty]);
        for answer in answers {
            let json = serde_json::to_vec(&answer).unwrap();
            assert_eq!(serde_json::from_slice::<Answer>(&json).unwrap(), answer);
        }
    }

    #[test]
    fn name_in_memcached_tells_nobody_who_spoke() {
        let name = key("wx1", &[("MsgType", "text"), ("MsgId", "7")]).name();
        assert_eq!(name.len(), "zhongkong:msg:".len() + 32);
        assert!(name.starts_with("zhongkong:msg:"));
        assert!(!name.contains("o1"));
    }
}
