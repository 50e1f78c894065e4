//! Reads the conditions of a rule from its `when`.

use super::condition::{About, Condition};
use super::hours::{Hours, Span, mark};
use super::source::{Item, Table, nearest};
use super::text::{Case, Presence, TextTest};

/// The types that WeChat documents, to find misspelt ones.
const TYPES: [&str; 11] = [
    "text",
    "image",
    "voice",
    "video",
    "shortvideo",
    "location",
    "link",
    "file",
    "miniprogrampage",
    "event",
    "transfer_customer_service",
];
/// The events that people write rules for, to find misspelt ones.
const EVENTS: [&str; 18] = [
    "subscribe",
    "unsubscribe",
    "SCAN",
    "LOCATION",
    "CLICK",
    "VIEW",
    "view_miniprogram",
    "scancode_push",
    "scancode_waitmsg",
    "pic_sysphoto",
    "pic_photo_or_album",
    "pic_weixin",
    "location_select",
    "TEMPLATESENDJOBFINISH",
    "MASSSENDJOBFINISH",
    "user_get_card",
    "kf_create_session",
    "kf_close_session",
];

/// The conditions of a `when`, in the order in which they are asked: cheap ones first, and
/// expressions in the order in which their captures are counted.
pub(super) fn conditions(when: &Item<'_>) -> Vec<Condition> {
    let Some(table) = when.table() else { return Vec::new() };
    let mut found = Vec::new();
    let types = words(&table, "type", &TYPES);
    let events = words(&table, "event", &EVENTS);
    let content = table.get("content");
    let is = |types: &[Box<str>], word: &str| types.iter().any(|own| own.eq_ignore_ascii_case(word));
    if let Some(types) = types {
        if events.is_some() && !is(&types, "event") {
            table.error(
                "event holds only for messages of type event, so this rule never fires: leave type out",
            );
        }
        if content.is_some() && !is(&types, "text") {
            table.error("content holds only for messages of type text, so this rule never fires: leave type out");
        }
        found.push(Condition::Type(types));
    }
    if let Some(events) = events {
        if let Some(content) = &content {
            content.error("an event has no content, so this rule never fires: did you mean key?");
        }
        found.push(Condition::Event(events));
    }
    found.extend(table.get("account").map(|item| Condition::Account(boxed(&item.texts()))));
    found.extend(table.get("from").map(|item| Condition::From(boxed(&item.texts()))));
    found.extend(hours(&table).map(Condition::Hours));
    for (about, item) in [
        (About::Content, content),
        (About::Key, table.get("key")),
        (About::Scene, table.get("scene")),
    ] {
        found.extend(item.and_then(|item| test(&item)).map(|test| Condition::Text(about, test)));
    }
    if let Some(fields) = table.get("field").and_then(|item| item.table()) {
        for (name, item) in fields.entries() {
            let path: Vec<Box<str>> = name.split('.').map(Into::into).collect();
            if path.iter().any(|step| step.is_empty()) {
                item.error("a field is named as WeChat does, one within another with a dot, in quotes: \"ScanCodeInfo.ScanResult\"");
            }
            found.extend(test(&item).map(|test| Condition::Text(About::Field(path), test)));
        }
    }
    table.finish(|word| match word {
        "msg_type" | "MsgType" => Some("it is called type"),
        "Event" => Some("it is called event"),
        "EventKey" | "event_key" => Some("it is called key"),
        "Content" | "text" => Some("it is called content"),
        "openid" | "sender" | "FromUserName" => Some("it is called from"),
        "appid" => Some("it is called account"),
        "hours" => Some("it is called time"),
        "weekday" | "weekdays" | "day" => Some("it is called days"),
        "timezone" => Some("it stands at the top of the file, for all rules"),
        other if other.starts_with(|first: char| first.is_ascii_uppercase()) => {
            Some("a field of the message is written field.NAME")
        }
        _ => None,
    });
    found
}

fn boxed(texts: &[&str]) -> Vec<Box<str>> {
    texts.iter().map(|text| Box::from(*text)).collect()
}

/// Words that WeChat has; one that is nearly one of them is pointed at.
fn words(table: &Table<'_>, key: &'static str, known: &[&str]) -> Option<Vec<Box<str>>> {
    let item = table.get(key)?;
    let words = item.texts();
    for word in &words {
        if known.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            continue;
        }
        if let Some(near) = nearest(word, known) {
            item.warn(format!("WeChat documents no {key} \"{word}\": did you mean \"{near}\"?"));
        }
    }
    Some(boxed(&words))
}

/// `time` and `days` together: a span over midnight belongs to a day.
fn hours(table: &Table<'_>) -> Option<Hours> {
    let (time, days) = (table.get("time"), table.get("days"));
    if time.is_none() && days.is_none() {
        return None;
    }
    let mut spans = Vec::new();
    if let Some(item) = time {
        for text in item.texts() {
            match Span::parse(text) {
                Ok(span) => spans.push(span),
                Err(why) => item.error(why),
            }
        }
    }
    let mut week = [days.is_none(); 7];
    if let Some(item) = days {
        for text in item.texts() {
            if let Err(why) = mark(&mut week, text) {
                item.error(why);
            }
        }
    }
    Some(Hours { spans, days: week })
}

/// A text condition: a text, a list, or a table of forms.
fn test(item: &Item<'_>) -> Option<TextTest> {
    if !item.is_table() {
        let mut test = TextTest::new(Case::Counts, Presence::Needed);
        test.is(&item.texts());
        return Some(test);
    }
    let table = item.table()?;
    let case = match table.get("ignore_case").map(|item| item.set()) {
        Some(true) => Case::Ignored,
        Some(false) | None => Case::Counts,
    };
    let present = table.get("present").and_then(|item| item.yes());
    let presence = if present == Some(false) { Presence::Forbidden } else { Presence::Needed };
    let mut test = TextTest::new(case, presence);
    let texts = |key| {
        let item = table.get(key)?;
        let texts = item.texts();
        if texts.contains(&"") {
            item.error("an empty text stands here: for \"whatever it is\" write present = true");
        }
        Some(texts)
    };
    if let Some(words) = texts("is") {
        test.is(&words);
    }
    if let Some(words) = texts("prefix") {
        test.prefix(&words);
    }
    if let Some(words) = texts("contains") {
        test.contains(&words);
    }
    if let Some(regex) = table.get("regex")
        && let Err(why) = test.regex(&regex.texts())
    {
        regex.error(why);
    }
    if test.is_empty() && present.is_none() {
        table.error("nothing is asked here: write is, prefix, contains, regex or present");
    }
    if !test.is_empty() && presence == Presence::Forbidden {
        table.error("what is not there cannot be compared: leave present or the others out");
    }
    table.finish(|word| match word {
        "exact" | "equals" => Some("it is called is"),
        "starts_with" => Some("it is called prefix"),
        "matches" | "pattern" => Some("it is called regex"),
        "case_insensitive" => Some("it is called ignore_case"),
        other if other.starts_with(|first: char| first.is_ascii_uppercase()) => {
            Some("a field within a field is written with a dot, in quotes: field.\"ScanCodeInfo.ScanResult\"")
        }
        _ => None,
    });
    Some(test)
}
