//! Texts with the message's fields in them.
//!
//! What a user writes is a value here, never a template: it is put in and not looked at again.
//! Templates are compiled when the file is loaded, keep to a small [`language`], run on a limited
//! number of steps, and write a limited number of bytes. A name that the message does not have is an error, so that nobody
//! is answered "Hello , your order  is ready".

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Serde};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use crate::clock::WallTime;

use super::condition::{Condition, Facts};
use super::hours::Zone;
use super::language;
use super::source::nearest;

/// Longest text, in bytes: what WeChat takes for a text reply.
pub(super) const LONGEST: usize = 2048;
/// Longest template, in bytes: there is more in it than comes out.
const LONGEST_TEMPLATE: usize = 8 * LONGEST;
/// Instructions that one text may take. A loop over eight articles takes some hundred.
const FUEL: u64 = 20_000;
/// The names that every message may have beside its fields.
const PLAIN: [&str; 12] = [
    "from", "to", "type", "event", "key", "scene", "content", "account", "appid", "created", "now",
    "captures",
];
/// The compiled templates of a file.
pub(super) struct Templates {
    env: Environment<'static>,
}

/// One text of a reply.
#[derive(Debug)]
pub(super) enum Text {
    /// Nothing to fill in.
    Plain(Box<str>),
    /// By its name among the templates.
    Template(Box<str>),
}

/// Why a text could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{place} {what}")]
pub struct RenderError {
    /// The key of the text: `reply.text`.
    pub(super) place: String,
    /// Why; nothing of what a user wrote.
    pub(super) what: String,
    /// The engine's own words, which may quote what a user wrote: not for a log.
    pub(super) detail: Option<String>,
}

impl RenderError {
    /// With the engine's own words, which may quote the message: for whoever tries a file out.
    pub fn in_full(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{self} ({detail})"),
            None => self.to_string(),
        }
    }
}

impl Templates {
    pub(super) fn new() -> Self {
        let mut env = language::engine();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        // A reply is text, not HTML; the reply's writer escapes for XML.
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_fuel(Some(FUEL));
        Self { env }
    }

    /// Compiles a text of the file. `place` names it in errors and must be the only one.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub(super) fn add(&mut self, place: &str, text: &str) -> Result<Text, String> {
        if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
            if text.len() > LONGEST {
                return Err(format!("{} bytes are too many: WeChat takes {LONGEST}", text.len()));
            }
            return Ok(Text::Plain(text.into()));
        }
        if text.len() > LONGEST_TEMPLATE {
            return Err(format!(
                "{} bytes are too many: a template has {LONGEST_TEMPLATE} at most",
                text.len()
            ));
        }
        self.env.add_template_owned(place.to_owned(), text.to_owned()).map_err(|error| {
            let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            let line = error.line().filter(|line| *line > 1);
            let line = line.map_or_else(String::new, |line| format!(" (line {line} of the text)"));
            format!("this is no template: {detail}{line}")
        })?;
        language::check(text)?;
        Ok(Text::Template(place.into()))
    }

    /// Names in a template that no message has, with the one that is probably meant.
    pub(super) fn mistyped(&self, text: &Text) -> Vec<(String, &'static str)> {
        let Text::Template(name) = text else { return Vec::new() };
        let Ok(template) = self.env.get_template(name) else { return Vec::new() };
        let mut found: Vec<_> = template
            .undeclared_variables(false)
            .into_iter()
            // WeChat's own names begin with a capital, but for a few that are like none of ours.
            .filter(|name| name.starts_with(|first: char| first.is_ascii_lowercase()))
            .filter(|name| !PLAIN.contains(&name.as_str()) && name != "each")
            .filter_map(|name| nearest(&name, &PLAIN).map(|near| (name, near)))
            .collect();
        found.sort();
        found
    }

    /// The text for a message, at most [`LONGEST`] bytes.
    ///
    /// # Errors
    /// A name is missing, the text is too long or takes too many steps.
    pub(super) fn render(&self, name: &str, place: &str, context: &Context) -> Result<String, RenderError> {
        let failed = |what: String, error: Option<&Error>| RenderError {
            place: place.to_owned(),
            what,
            detail: error.map(ToString::to_string),
        };
        let template =
            self.env.get_template(name).map_err(|error| failed("is lost".to_owned(), Some(&error)))?;
        let mut out = Limited(Vec::new());
        match template.render_captured_to(context.0.clone(), &mut out) {
            Ok(_) => String::from_utf8(out.0).map_err(|_| failed("is no UTF-8".to_owned(), None)),
            Err(error) => {
                Err(failed(context.why(&error, &template.undeclared_variables(false)), Some(&error)))
            }
        }
    }
}

/// Bytes up to [`LONGEST`].
struct Limited(Vec<u8>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The names of a message with their values.
pub(super) struct Context(Value);

impl Context {
    pub(super) fn new(facts: &Facts<'_>, conditions: &[Condition], now: WallTime, zone: Zone) -> Self {
        let message = facts.message;
        let mut names: BTreeMap<String, Value> = BTreeMap::new();
        let fields = Value::from(Serde(message.fields()));
        for name in fields.try_iter().into_iter().flatten() {
            if let (Some(text), Ok(value)) = (name.as_str(), fields.get_item(&name)) {
                names.insert(text.to_owned(), value);
            }
        }
        for name in ["type", "event", "key", "scene", "content"] {
            match facts.plain(name) {
                Some(text) => names.insert(name.to_owned(), Value::from(text)),
                None => names.remove(name),
            };
        }
        let created = i64::try_from(message.created()).unwrap_or(i64::MAX);
        let own = [
            ("from", Value::from(message.from())),
            ("to", Value::from(message.to())),
            ("account", Value::from(facts.account.path.as_str())),
            ("appid", Value::from(facts.account.appid.as_str())),
            ("created", Value::from_object(Moment { seconds: created, zone })),
            ("now", Value::from_object(Moment { seconds: now.seconds(), zone })),
            ("captures", captures(facts, conditions)),
        ];
        names.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Self(Value::from(names))
    }

    /// The captures alone, for whoever tries a file out.
    pub(super) fn captures(&self) -> Vec<(String, String)> {
        let Ok(captures) = self.0.get_attr("captures") else { return Vec::new() };
        let names = captures.try_iter().into_iter().flatten();
        let pair = |name: Value| Some((name.to_string(), captures.get_item(&name).ok()?.to_string()));
        names.filter_map(pair).collect()
    }

    /// Why a template failed, in words without anything that a user wrote.
    fn why(&self, error: &Error, names: &std::collections::HashSet<String>) -> String {
        let line = error.line().map_or_else(String::new, |line| format!(" (line {line} of the text)"));
        let what = match error.kind() {
            ErrorKind::UndefinedError => {
                let missing = |name: &&String| {
                    *name != "each" && self.0.get_attr(name).is_ok_and(|value| value.is_undefined())
                };
                let mut missing: Vec<&str> = names.iter().filter(missing).map(String::as_str).collect();
                missing.sort_unstable();
                if missing.is_empty() {
                    "has a field within a field that the message does not have".to_owned()
                } else {
                    format!("needs {}, which the message does not have", missing.join(" and "))
                }
            }
            ErrorKind::WriteFailure => format!("is longer than the {LONGEST} bytes that WeChat takes"),
            ErrorKind::OutOfFuel => format!("takes more than {FUEL} steps: a loop is too long"),
            other => format!("failed: {other}"),
        };
        format!("{what}{line}")
    }
}

/// By number, and by name where they have one. The numbers are those of the first expression.
fn captures(facts: &Facts<'_>, conditions: &[Condition]) -> Value {
    let mut numbered: BTreeMap<usize, String> = BTreeMap::new();
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for condition in conditions {
        let first = numbered.is_empty();
        condition.captures(facts, |number, name, text| {
            if first {
                numbered.entry(number).or_insert_with(|| text.to_owned());
            }
            if let Some(name) = name {
                named.entry(name.to_owned()).or_insert_with(|| text.to_owned());
            }
        });
    }
    let numbered = numbered.into_iter().map(|(number, text)| (Value::from(number), Value::from(text)));
    let named = named.into_iter().map(|(name, text)| (Value::from(name), Value::from(text)));
    numbered.chain(named).collect::<BTreeMap<Value, Value>>().into()
}

/// An instant as templates see it: `{{ now }}`, `{{ now.date }}`, `{{ now.format("%H:%M") }}`.
#[derive(Debug)]
struct Moment {
    seconds: i64,
    zone: Zone,
}

impl Moment {
    fn format(&self, form: &str) -> Result<String, Error> {
        let broken = || Error::new(ErrorKind::InvalidOperation, "no such format of time");
        let offset = jiff::tz::Offset::from_seconds(self.zone.0).map_err(|_| broken())?;
        let at = jiff::Timestamp::from_second(self.seconds).map_err(|_| broken())?;
        let zoned = at.to_zoned(jiff::tz::TimeZone::fixed(offset));
        jiff::fmt::strtime::format(form, &zoned).map_err(|_| broken())
    }
}

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let form = match key {
            "date" => "%Y-%m-%d",
            "time" => "%H:%M",
            "unix" => return Some(Value::from(self.seconds)),
            _ => return None,
        };
        self.format(form).ok().map(Value::from)
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match (method, args) {
            ("format", [form]) => {
                let form = form.as_str().ok_or_else(|| {
                    Error::new(ErrorKind::InvalidOperation, "format takes a text like \"%H:%M\"")
                })?;
                self.format(form).map(Value::from)
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format("%Y-%m-%d %H:%M:%S") {
            Ok(text) => f.write_str(&text),
            // No calendar goes that far. An error would be a panic of whoever joins texts.
            Err(_) => write!(f, "{}", self.seconds),
        }
    }
}
