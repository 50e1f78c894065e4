//! The two forms of an answer's text: the same fields, nested alike.
//!
//! XML has no declaration, no BOM and no white space between elements, and every text is CDATA.
//! Guarantees that a text stays one: `]]>` is split over two sections also where it only comes
//! about because an illegal character between is left out. JSON has no `\u` escape.

use super::text::{is_legal, may_be_illegal};

/// Writes fields into one text.
pub(super) trait Form {
    /// A text field.
    fn text(&mut self, name: &'static str, text: &str);
    /// A field that is a number.
    fn number(&mut self, name: &'static str, number: u64);
    /// A field with fields of its own.
    fn within(&mut self, name: &'static str, fields: impl FnOnce(&mut Self));
    /// A field with a list of equals, which XML calls `item`.
    fn list<T>(&mut self, name: &'static str, items: &[T], fields: impl FnMut(&mut Self, &T));

    /// A text field that may be left out.
    fn maybe(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }
}

/// `<xml>…</xml>`.
pub(super) struct Xml(String);

impl Xml {
    /// Begins a text of about this many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut out = String::with_capacity(bytes);
        out.push_str("<xml>");
        Self(out)
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push_str("</xml>");
        self.0
    }

    /// What stands within a section, without what is illegal, and over more of them if need be.
    fn pieces(&mut self, text: &str) {
        let out = &mut self.0;
        for piece in text.split(|c| !is_legal(c)) {
            let mut done = 0;
            for (at, _) in piece.match_indices('>') {
                out.push_str(&piece[done..at]);
                // Looks at what was written, not at the piece: the brackets may be in another.
                if out.ends_with("]]") {
                    out.push_str("]]><![CDATA[");
                }
                done = at;
            }
            out.push_str(&piece[done..]);
        }
    }

    fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }
}

impl Form for Xml {
    fn text(&mut self, name: &'static str, text: &str) {
        self.open(name);
        self.0.push_str("<![CDATA[");
        // Most texts have nothing to be left out and nothing to be split.
        if may_be_illegal(text) || text.contains('>') {
            self.pieces(text);
        } else {
            self.0.push_str(text);
        }
        self.0.push_str("]]>");
        self.close(name);
    }

    fn number(&mut self, name: &'static str, number: u64) {
        self.open(name);
        self.0.push_str(itoa::Buffer::new().format(number));
        self.close(name);
    }

    fn within(&mut self, name: &'static str, fields: impl FnOnce(&mut Self)) {
        self.open(name);
        fields(self);
        self.close(name);
    }

    fn list<T>(&mut self, name: &'static str, items: &[T], mut fields: impl FnMut(&mut Self, &T)) {
        self.within(name, |xml| {
            for item in items {
                xml.within("item", |xml| fields(xml, item));
            }
        });
    }
}

/// An object.
pub(super) struct Json(String);

impl Json {
    /// Begins a text of about this many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut out = String::with_capacity(bytes);
        out.push('{');
        Self(out)
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    /// Names are ours and need no escapes.
    fn name(&mut self, name: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }
}

impl Form for Json {
    fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        let out = &mut self.0;
        out.push('"');
        for c in text.chars().filter(|&c| is_legal(c)) {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                _ => out.push(c),
            }
        }
        out.push('"');
    }

    fn number(&mut self, name: &'static str, number: u64) {
        self.name(name);
        self.0.push_str(itoa::Buffer::new().format(number));
    }

    fn within(&mut self, name: &'static str, fields: impl FnOnce(&mut Self)) {
        self.name(name);
        self.0.push('{');
        fields(self);
        self.0.push('}');
    }

    fn list<T>(&mut self, name: &'static str, items: &[T], mut fields: impl FnMut(&mut Self, &T)) {
        self.name(name);
        self.0.push('[');
        for (at, item) in items.iter().enumerate() {
            self.0.push_str(if at == 0 { "{" } else { ",{" });
            fields(self, item);
            self.0.push('}');
        }
        self.0.push(']');
    }
}
