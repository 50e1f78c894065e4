//! What tells a message from every other, so that its handlers run once.
//!
//! WeChat sends a message up to three times and names it by `MsgId` only if a user wrote it;
//! `MsgId` alone has dropped other people's messages in practice, and sender and second alone
//! do not tell two events of the same second apart.

use std::fmt;

use sha2::{Digest, Sha256};

use super::Message;
use crate::services::messages::fields::{Fields, Value};

/// The identity of a message: its sender, second, type and event, and its `MsgId` or `MsgID`;
/// if it has none, all its fields.
///
/// It is a digest, so that it has one length, may stand in a key of memcached, and shows no
/// openid. It is the same in every process and every release. It does not say which account it
/// was sent to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity([u8; 16]);

impl Identity {
    pub(super) fn of(message: &Message) -> Self {
        let mut digest = Sha256::new();
        // Every text goes in with its length before it: no two lists of texts look the same.
        add(&mut digest, message.from());
        digest.update(message.created().to_le_bytes());
        add(&mut digest, message.msg_type());
        add(&mut digest, message.fields().text("Event").unwrap_or_default());
        match message.id() {
            Some(id) => {
                digest.update(b"i");
                digest.update(id.to_le_bytes());
            }
            None => add_all(&mut digest, message.fields()),
        }
        let mut short = [0; 16];
        // Half of the digest: two of 2^64 messages may then be taken for one.
        short.copy_from_slice(&digest.finalize()[..16]);
        Self(short)
    }

    /// The identity as bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

fn add(digest: &mut Sha256, text: &str) {
    digest.update((text.len() as u64).to_le_bytes());
    digest.update(text);
}

fn add_all(digest: &mut Sha256, fields: &Fields) {
    digest.update(b"f");
    digest.update((fields.len() as u64).to_le_bytes());
    for (name, value) in fields.iter() {
        add(digest, name);
        match value {
            Value::Text(text) => {
                digest.update(b"t");
                add(digest, text);
            }
            Value::Fields(fields) => add_all(digest, fields),
        }
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}
