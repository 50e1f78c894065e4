//! What a message is judged by, and the conditions of a rule.
//!
//! All conditions of a rule must hold. A condition that does not can say why, for
//! `zhongkong messages test`; nothing of that is logged, as it quotes what users write.

use std::fmt;

use crate::services::messages::account::Account;
use crate::services::messages::fields::{Fields, Value};
use crate::services::messages::message::Message;

use super::hours::{DAYS, Hours, Local};
use super::text::{Presence, Subject, TextTest};
use super::words::{Collected, Words};

/// Longest piece of a message that an explanation quotes, in characters.
const QUOTED: usize = 40;

/// A message as conditions see it.
pub(super) struct Facts<'a> {
    pub(super) account: &'a Account,
    pub(super) message: &'a Message,
    local: Local,
    kind: &'a str,
    event: Option<&'a str>,
    key: Option<Subject<'a>>,
    content: Option<Subject<'a>>,
    scene: Option<Subject<'a>>,
}

impl<'a> Facts<'a> {
    /// `words` are those that the rules look for.
    pub(super) fn new(account: &'a Account, message: &'a Message, local: Local, words: &'a Words) -> Self {
        let searched = |text| Subject::searched(text, words);
        let kind = message.msg_type();
        let content = if kind.eq_ignore_ascii_case("text") { message.fields().text("Content") } else { None };
        Self {
            account,
            message,
            local,
            kind,
            event: message.event(),
            key: message.event_key().map(searched),
            content: content.map(searched),
            scene: message.scene().map(searched),
        }
    }

    /// What a text condition is about, if the message has it.
    fn subject(&self, about: &About) -> Option<&Subject<'a>> {
        match about {
            About::Key => self.key.as_ref(),
            About::Content => self.content.as_ref(),
            About::Scene => self.scene.as_ref(),
            About::Field(_) => None,
        }
    }

    /// What the message has of a plain name of templates: `content`, `key`, `scene`, `event`.
    pub(super) fn plain(&self, name: &str) -> Option<&'a str> {
        match name {
            "content" => self.content.as_ref().map(Subject::text),
            "key" => self.key.as_ref().map(Subject::text),
            "scene" => self.scene.as_ref().map(Subject::text),
            "event" => self.event,
            "type" => Some(self.kind),
            _ => None,
        }
    }
}

/// What a text condition is about.
#[derive(Debug)]
pub(super) enum About {
    Key,
    Content,
    Scene,
    /// A field by its path. Where a field repeats, one that fits is enough.
    Field(Vec<Box<str>>),
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("key"),
            Self::Content => f.write_str("content"),
            Self::Scene => f.write_str("scene"),
            Self::Field(path) => write!(f, "field {}", path.join(".")),
        }
    }
}

/// One condition. Lists are alternatives.
#[derive(Debug)]
pub(super) enum Condition {
    Type(Vec<Box<str>>),
    Event(Vec<Box<str>>),
    From(Vec<Box<str>>),
    Account(Vec<Box<str>>),
    Hours(Hours),
    Text(About, TextTest),
}

impl Condition {
    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            // Tencent spells an event `SCAN` here and `scan` there.
            Self::Type(types) => types.iter().any(|own| alike(own, facts.kind)),
            Self::Event(events) => {
                facts.event.is_some_and(|event| events.iter().any(|own| alike(own, event)))
            }
            Self::From(openids) => openids.iter().any(|openid| **openid == *facts.message.from()),
            Self::Account(names) => {
                let account = facts.account;
                names.iter().any(|name| **name == *account.path || **name == *account.appid.as_str())
            }
            Self::Hours(hours) => hours.hold(facts.local),
            Self::Text(About::Field(path), test) => match test.presence {
                Presence::Needed => any(facts.message.fields(), path, &mut |value| match value {
                    Value::Text(text) => test.accepts(&Subject::new(text)),
                    Value::Fields(_) => test.is_empty(),
                }),
                Presence::Forbidden => !any(facts.message.fields(), path, &mut |_| true),
            },
            Self::Text(about, test) => match (facts.subject(about), test.presence) {
                (Some(subject), Presence::Needed) => test.accepts(subject),
                (found, Presence::Forbidden) => found.is_none(),
                (None, Presence::Needed) => false,
            },
        }
    }

    /// Has its words looked for with those of all rules, if many rules are about the same.
    pub(super) fn collect(&mut self, collected: &mut Collected) {
        match self {
            Self::Text(About::Content | About::Key | About::Scene, test) => test.collect(collected),
            Self::Text(About::Field(_), _)
            | Self::Type(_)
            | Self::Event(_)
            | Self::From(_)
            | Self::Account(_)
            | Self::Hours(_) => {}
        }
    }

    /// What the expressions of this condition have captured.
    pub(super) fn captures(&self, facts: &Facts<'_>, mut found: impl FnMut(usize, Option<&str>, &str)) {
        match self {
            Self::Text(About::Field(path), test) => {
                any(facts.message.fields(), path, &mut |value| match value {
                    Value::Text(text) if test.accepts(&Subject::new(text)) => {
                        test.captures(text, &mut found);
                        true
                    }
                    Value::Text(_) | Value::Fields(_) => false,
                });
            }
            Self::Text(about, test) => {
                if let Some(subject) = facts.subject(about) {
                    test.captures(subject.text(), found);
                }
            }
            Self::Type(_) | Self::Event(_) | Self::From(_) | Self::Account(_) | Self::Hours(_) => {}
        }
    }

    /// Why it does not hold, for whoever tries the file out.
    pub(super) fn miss(&self, facts: &Facts<'_>) -> String {
        match self {
            Self::Type(types) => format!("type is {}, not {}", facts.kind, either(types)),
            Self::Event(events) => match facts.event {
                Some(event) => format!("event is {event}, not {}", either(events)),
                None => format!("it is no event, but of type {}", facts.kind),
            },
            Self::From(_) => "from is not in the list".to_owned(),
            Self::Account(names) => {
                let Account { appid, path } = facts.account;
                let is = if path == appid.as_str() { path.clone() } else { format!("{path} ({appid})") };
                format!("account is {is}, not {}", either(names))
            }
            Self::Hours(hours) => {
                let days = DAYS.iter().zip(hours.days).filter(|(_, on)| *on).map(|(day, _)| *day);
                let days = days.collect::<Vec<_>>().join(", ");
                format!("it is {}, outside its hours ({days})", facts.local)
            }
            Self::Text(about, test) => {
                let text = match about {
                    About::Field(path) => found(facts.message.fields(), path),
                    other => facts.subject(other).map(|subject| subject.text().to_owned()),
                };
                match (text, test.presence) {
                    (Some(_), Presence::Forbidden) => format!("the message has a {about}"),
                    (Some(text), Presence::Needed) => format!("{about} is {}", quoted(&text)),
                    (None, _) => format!("the message has no {about}"),
                }
            }
        }
    }
}

/// Whether two words of WeChat's are the same but for capitals. They mostly are without a but.
fn alike(own: &str, sent: &str) -> bool {
    own == sent || own.eq_ignore_ascii_case(sent)
}

/// Whether a value at the end of a path fits, for any of the fields that repeat on the way.
fn any(fields: &Fields, path: &[Box<str>], fits: &mut dyn FnMut(&Value) -> bool) -> bool {
    let Some((name, rest)) = path.split_first() else { return false };
    fields.all(name).any(|value| match (rest, value) {
        ([], value) => fits(value),
        (rest, Value::Fields(inner)) => any(inner, rest, fits),
        (_, Value::Text(_)) => false,
    })
}

/// The first text at the end of a path.
fn found(fields: &Fields, path: &[Box<str>]) -> Option<String> {
    let mut first = None;
    any(fields, path, &mut |value| {
        first = Some(match value {
            Value::Text(text) => text.to_string(),
            Value::Fields(_) => "(fields)".to_owned(),
        });
        true
    });
    first
}

fn either(words: &[Box<str>]) -> String {
    words.join(" or ")
}

fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}
