//! The way through a tree, key by key: what is missing, strange, or there twice is noted.

use std::collections::{HashMap, HashSet};

use super::node::{Node, Value};
use super::problem::Findings;

/// How alike two words must be (0 … 1, Jaro-Winkler) for one to be proposed for the other.
const ALIKE: f64 = 0.8;

/// Who wrote a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A person, or a program of theirs.
    File,
    /// WeChat.
    Wechat,
}

/// A reading under way.
pub(super) struct Reader {
    pub(super) origin: Origin,
    pub(super) findings: Findings,
    pub(super) lines: HashMap<String, usize>,
}

/// A table whose keys are taken one by one; what is left is not known.
pub(super) struct Fields<'n> {
    pub(super) place: String,
    pub(super) left: Vec<(&'n str, &'n Node)>,
}

impl<'n> Fields<'n> {
    pub(super) fn take(&mut self, key: &str) -> Option<&'n Node> {
        let at = self.left.iter().position(|(name, _)| *name == key)?;
        Some(self.left.remove(at).1)
    }

    pub(super) fn at(&self, key: &str) -> String {
        join(&self.place, key)
    }
}

pub(super) fn join(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

impl Reader {
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin, findings: Findings::default(), lines: HashMap::new() }
    }

    /// Reads a part as WeChat's own, whoever wrote the rest.
    pub(super) fn as_wechat<R>(&mut self, read: impl FnOnce(&mut Self) -> R) -> R {
        let own = std::mem::replace(&mut self.origin, Origin::Wechat);
        let done = read(self);
        self.origin = own;
        done
    }

    pub(super) fn fields<'n>(&mut self, node: &'n Node, place: &str) -> Option<Fields<'n>> {
        let Value::Table(entries) = &node.value else {
            let found = node.value.called();
            self.findings.error(place, format!("{found} stands here, but a table is needed"));
            return None;
        };
        let mut left: Vec<(&str, &Node)> = Vec::with_capacity(entries.len());
        let mut known = HashSet::new();
        for (key, node) in entries {
            let place = join(place, key);
            if !known.insert(key.as_str()) {
                self.findings.error(&place, "it stands here twice");
                continue;
            }
            if let Some(line) = node.line {
                self.lines.insert(place, line);
            }
            left.push((key, node));
        }
        Some(Fields { place: place.to_owned(), left })
    }

    pub(super) fn list<'n>(&mut self, node: &'n Node, place: &str) -> &'n [Node] {
        let Value::List(nodes) = &node.value else {
            let found = node.value.called();
            self.findings.error(place, format!("{found} stands here, but a list of tables is needed"));
            return &[];
        };
        for (nth, node) in nodes.iter().enumerate() {
            if let Some(line) = node.line {
                self.lines.insert(format!("{place}[{nth}]"), line);
            }
        }
        nodes
    }

    pub(super) fn text(&mut self, node: &Node, place: &str) -> Option<String> {
        match (&node.value, self.origin) {
            (Value::Text(text), _) => Some(text.clone()),
            (value, Origin::Wechat) => Some(scalar(value).unwrap_or_default()),
            (value, Origin::File) => {
                let found = value.called();
                self.findings.error(place, format!("{found} stands here, but text is needed"));
                None
            }
        }
    }

    /// Reports the keys that nobody took.
    pub(super) fn unknown(&mut self, fields: &Fields<'_>, known: &[&str]) {
        if self.origin == Origin::Wechat {
            return;
        }
        for (key, _) in &fields.left {
            let advice = match (*key, nearest(key, known)) {
                ("subbutton" | "sub_buttons" | "children", _) => "it is called sub_button".to_owned(),
                ("media", _) => "it is called media_id".to_owned(),
                (_, Some(near)) => format!("did you mean {near}?"),
                (_, None) => format!("here stand {}", known.join(", ")),
            };
            self.findings.error(fields.at(key), format!("there is no such key: {advice}"));
        }
    }
}

/// A text, or a number as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) | Value::Number(text) => Some(text.clone()),
        Value::Null | Value::Bool | Value::Odd | Value::List(_) | Value::Table(_) => None,
    }
}

/// The known word that is most like this one, if any is.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_ascii_lowercase();
    let alike = known.iter().map(|known| (strsim::jaro_winkler(&word, known), *known));
    alike.filter(|(alike, _)| *alike >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}
