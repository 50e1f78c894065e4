//! What the targets share: a push is read, typed, shown and answered, and what comes out is held
//! against what went in. Whatever a target is fed, nothing here may panic, and every assertion is
//! a promise that the library's own documentation makes.

use std::hint::black_box;

use zhongkong::clock::WallTime;
use zhongkong::services::messages::fields::{
    Fields, FieldsError, Format, MAX_DEPTH, MAX_FIELDS, MAX_NAME, Value,
};
use zhongkong::services::messages::message::Message;
use zhongkong::services::messages::reply::{self, Article, Reply, ReplyError};

/// When all of it happens.
pub const NOW: WallTime = WallTime(1_409_304_348_000);

/// Does with a push what the service does with one whose signature was right.
pub fn read_and_answer(format: Format, push: &[u8]) {
    let Some(fields) = read(format, push) else { return };
    let Ok(message) = Message::read(fields) else { return };
    black_box(format!("{:?}", message.content()));
    black_box((message.scene(), message.event_key(), message.id(), message.created()));
    serde_json::to_string(&message).expect("a message is shown as JSON");
    assert_eq!(message.identity(), message.clone().identity());
    answer(&message);
}

/// The fields of a push that can be read: within the limits, and the same after a round trip.
pub fn read(format: Format, push: &[u8]) -> Option<Fields> {
    let fields = Fields::parse(format, push).ok()?;
    assert!(count(&fields, 1) <= MAX_FIELDS);
    let json = serde_json::to_string(&fields).expect("fields are shown as JSON");
    match Fields::parse(Format::Json, json.as_bytes()) {
        Ok(again) => assert_eq!(again, gathered(&fields), "as JSON {json}"),
        // Fields that repeat become a list, which is a level more; numbers become long texts.
        Err(FieldsError::TooDeep | FieldsError::TooLarge) => {}
        Err(error) => panic!("{error} in {json}"),
    }
    if format == Format::Xml {
        let mut text = String::from("<xml>");
        write(&fields, &mut text);
        text.push_str("</xml>");
        match Fields::parse(Format::Xml, text.as_bytes()) {
            Ok(again) => assert_eq!(again, fields, "as XML {text}"),
            Err(FieldsError::TooLarge) => {}
            Err(error) => panic!("{error} in {text}"),
        }
    }
    Some(fields)
}

/// Every kind of text that a user's words get into, in both forms.
fn answer(message: &Message) {
    let echo = message.fields().text("Content").unwrap_or("x").to_owned();
    let page = "https://example.com/".to_owned();
    let article = Article { title: echo.clone(), description: echo.clone(), url: page, ..Article::default() };
    let account = Some(message.from().to_owned());
    for reply in [
        Reply::Text { content: echo.clone() },
        Reply::News { articles: vec![article] },
        Reply::TransferCustomerService { account },
    ] {
        for format in [Format::Xml, Format::Json] {
            let text = match reply::passive(message, &reply, NOW, format) {
                Ok(text) => text,
                Err(ReplyError::TooLong { .. } | ReplyError::Empty { .. }) => continue,
                Err(error) => panic!("{error}"),
            };
            let read = Fields::parse(format, text.as_bytes()).expect("a reply is well-formed");
            assert_eq!(read.text("ToUserName"), Some(message.from()), "{text}");
            assert_eq!(read.text("FromUserName"), Some(message.to()), "{text}");
            let said = match (&reply, read.within("Articles")) {
                (Reply::Text { .. }, _) => read.text("Content"),
                // A list of one: `item` in XML, nothing around it in JSON.
                (Reply::News { .. }, Some(list)) => list.within("item").unwrap_or(list).text("Title"),
                _ => continue,
            };
            assert_eq!(said, Some(&*echo), "{text}");
        }
    }
}

/// How many fields there are in all; none of them may be over a limit.
fn count(fields: &Fields, depth: usize) -> usize {
    assert!(depth <= MAX_DEPTH);
    let illegal =
        |text: &str| text.chars().any(|c| c < ' ' && !"\t\n\r".contains(c) || "\u{fffe}\u{ffff}".contains(c));
    let one = |(name, value): (&str, &Value)| {
        assert!(name.len() <= MAX_NAME && !illegal(name), "{name:?}");
        match value {
            Value::Text(text) => {
                assert!(!illegal(text), "{text:?}");
                1
            }
            Value::Fields(within) => {
                assert!(!within.is_empty());
                1 + count(within, depth + 1)
            }
        }
    };
    fields.iter().map(one).sum()
}

/// With fields that repeat moved to where the first of them stands, as JSON has them.
fn gathered(fields: &Fields) -> Fields {
    let mut out = Fields::default();
    for (at, (name, _)) in fields.iter().enumerate() {
        if fields.iter().take(at).any(|(earlier, _)| earlier == name) {
            continue;
        }
        for value in fields.all(name) {
            let value = match value {
                Value::Text(text) => Value::Text(text.clone()),
                Value::Fields(within) => Value::Fields(gathered(within)),
            };
            out.push(name, value);
        }
    }
    out
}

/// As WeChat writes it.
fn write(fields: &Fields, out: &mut String) {
    for (name, value) in fields.iter() {
        out.extend(["<", name, ">"]);
        match value {
            Value::Text(text) => {
                out.extend(["<![CDATA[", &text.replace("]]>", "]]]]><![CDATA[>"), "]]>"]);
            }
            Value::Fields(within) => write(within, out),
        }
        out.extend(["</", name, ">"]);
    }
}
