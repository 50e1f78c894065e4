//! What the targets for XML and JSON share: a push is read, typed, shown and answered.

use zhongkong::clock::WallTime;
use zhongkong::services::messages::fields::{Fields, Format};
use zhongkong::services::messages::message::Message;
use zhongkong::services::messages::reply::{self, Reply};

/// Does with a push what the service does with one whose signature was right. Nothing of it may
/// panic, and what is answered must be readable again.
pub fn read_and_answer(format: Format, push: &[u8]) {
    let Ok(fields) = Fields::parse(format, push) else { return };
    serde_json::to_string(&fields).expect("fields are shown as JSON");
    let Ok(message) = Message::read(fields) else { return };
    serde_json::to_string(&message).expect("a message is shown as JSON");
    message.identity();
    let echo = Reply::Text { content: message.fields().text("Content").unwrap_or("x").to_owned() };
    if let Ok(text) = reply::passive(&message, &echo, WallTime(1_409_304_348_000), format) {
        Fields::parse(format, text.as_bytes()).expect("a reply is well-formed");
    }
}
