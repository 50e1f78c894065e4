//! A small strict reader of XML, as WeChat's is: for replies, and for messages from a file.
//!
//! By hand, because it must say which rule was broken, and because the service reads with a library:
//! what one of the two wrongly lets pass, the other does not. Elements, text, CDATA, the five
//! entities and character references; attributes, comments and declarations are refused by name.

use super::tree::{Tree, Value};

/// Deepest nesting that any reply has, and some more.
const DEEPEST: usize = 16;

/// Which rule of XML was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// `<?xml …?>`.
    #[error("it begins with an XML declaration")]
    Declaration,
    /// U+FEFF.
    #[error("it begins with a byte order mark")]
    ByteOrderMark,
    /// A character that XML 1.0 does not have.
    #[error("it has the character U+{0:04X}, which XML does not allow")]
    Character(u32),
    /// `<!DOCTYPE`.
    #[error("it has a DOCTYPE")]
    Doctype,
    /// Something else, in words.
    #[error("{0}")]
    Malformed(String),
}

/// The fields within `<xml>`.
pub(super) fn parse(text: &str) -> Result<Tree, XmlError> {
    if text.starts_with('\u{feff}') {
        return Err(XmlError::ByteOrderMark);
    }
    if let Some(illegal) = text.chars().find(|c| !allowed(*c)) {
        return Err(XmlError::Character(illegal.into()));
    }
    if text.trim_start().starts_with("<?xml") {
        return Err(XmlError::Declaration);
    }
    let mut reader = Reader { rest: text.trim() };
    let name = match reader.rest.chars().next() {
        Some('<') => reader.open()?,
        Some('{' | '[') => return Err(malformed("it is JSON")),
        Some(_) => return Err(malformed("it does not begin with <xml>")),
        None => return Err(malformed("it is white space")),
    };
    if name.name != "xml" {
        return Err(malformed(format!("its root is <{}> and not <xml>", name.name)));
    }
    let value = reader.content(&name, 1)?;
    if !reader.rest.is_empty() {
        return Err(malformed("something follows </xml>"));
    }
    match value {
        Value::Tree(tree) => Ok(tree),
        Value::Text(_) | Value::Number(_) => Err(malformed("<xml> has no elements")),
    }
}

/// The characters of XML 1.0.
fn allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}

fn malformed(why: impl Into<String>) -> XmlError {
    XmlError::Malformed(why.into())
}

struct Reader<'a> {
    rest: &'a str,
}

struct Opened<'a> {
    name: &'a str,
    body: Body,
}

enum Body {
    Follows,
    /// `<Name/>`.
    None,
}

impl<'a> Reader<'a> {
    /// Takes up to `end`, which is taken too.
    fn until(&mut self, end: &str, what: &str) -> Result<&'a str, XmlError> {
        let (taken, rest) =
            self.rest.split_once(end).ok_or_else(|| malformed(format!("{what} does not end")))?;
        self.rest = rest;
        Ok(taken)
    }

    /// An opening tag.
    fn open(&mut self) -> Result<Opened<'a>, XmlError> {
        if self.rest.starts_with("<!DOCTYPE") {
            return Err(XmlError::Doctype);
        }
        let tag = self.until(">", "a tag")?.trim_start_matches('<');
        let (name, body) = match tag.strip_suffix('/') {
            Some(name) => (name, Body::None),
            None => (tag, Body::Follows),
        };
        let name = name.trim_end();
        let starts = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if !starts || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            return Err(malformed(format!("<{tag}> is no plain element")));
        }
        Ok(Opened { name, body })
    }

    /// What stands between a tag and its end: text, or elements with white space between them.
    fn content(&mut self, of: &Opened<'a>, depth: usize) -> Result<Value, XmlError> {
        let name = of.name;
        match of.body {
            Body::None => return Ok(Value::Text(String::new())),
            Body::Follows if depth > DEEPEST => return Err(malformed("it is nested too deep")),
            Body::Follows => {}
        }
        let mut text = String::new();
        let mut cdata = 0_u32;
        let mut tree = Tree::default();
        loop {
            let start = self.rest.find('<').ok_or_else(|| malformed(format!("<{name}> is not closed")))?;
            let (plain, rest) = self.rest.split_at(start);
            self.rest = rest;
            // White space around CDATA or elements is none of theirs.
            if !plain.trim().is_empty() || (cdata == 0 && tree.0.is_empty()) {
                text.push_str(&unescape(plain)?);
            }
            if let Some(rest) = self.rest.strip_prefix("<![CDATA[") {
                if cdata == 0 && text.trim().is_empty() {
                    text.clear();
                }
                cdata += 1;
                self.rest = rest;
                text.push_str(self.until("]]>", "a CDATA section")?);
            } else if let Some(rest) = self.rest.strip_prefix("</") {
                self.rest = rest;
                let closed = self.until(">", "a tag")?.trim_end();
                if closed != name {
                    return Err(malformed(format!("</{closed}> closes <{name}>")));
                }
                return match (tree.0.is_empty(), text.trim().is_empty() && cdata == 0) {
                    (true, _) => Ok(Value::Text(text)),
                    (false, true) => Ok(Value::Tree(tree)),
                    (false, false) => Err(malformed(format!("<{name}> has text beside its elements"))),
                };
            } else {
                let opened = self.open()?;
                let value = self.content(&opened, depth + 1)?;
                tree.0.push((opened.name.to_owned(), value));
            }
        }
    }
}

/// Text outside CDATA.
fn unescape(text: &str) -> Result<String, XmlError> {
    if text.contains("]]>") {
        return Err(malformed("]]> stands outside CDATA: a text was not split where it contains ]]>"));
    }
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').ok_or_else(|| malformed("a bare & stands in a text"))?;
        let numeric = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let c = match name {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => match (name.strip_prefix("#x"), name.strip_prefix('#')) {
                (Some(hex), _) => numeric(hex, 16),
                (None, Some(digits)) => numeric(digits, 10),
                (None, None) => None,
            },
        };
        let c = c.ok_or_else(|| malformed(format!("&{name}; is no entity")))?;
        if !allowed(c) {
            return Err(XmlError::Character(c.into()));
        }
        out.push(c);
        out.push_str(rest);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_of_the_documentation_is_read() {
        let tree = parse(
            "<xml>\n  <ToUserName><![CDATA[o1]]></ToUserName><CreateTime>12</CreateTime>\n<Articles><item><Title> \
             <![CDATA[a]]]]><![CDATA[>b]]> </Title></item><item/></Articles><Label>x &lt;&#65;&#x4e2d;</Label></xml>\n",
        )
        .unwrap();
        assert_eq!(tree.get("ToUserName"), Some("o1"));
        assert_eq!(tree.get("CreateTime"), Some("12"));
        assert_eq!(tree.get("Articles.item[0].Title"), Some("a]]>b"));
        assert_eq!(tree.get("Articles.item[1]"), Some(""));
        assert_eq!(tree.get("Label"), Some("x <A中"));
    }

    #[test]
    fn what_is_no_xml_is_refused_with_the_rule() {
        let cases = [
            ("<?xml version=\"1.0\"?><xml><a>1</a></xml>", "declaration"),
            ("\u{feff}<xml><a>1</a></xml>", "byte order mark"),
            ("<xml><a>\u{8}</a></xml>", "U+0008"),
            ("<xml><a>&#8;</a></xml>", "U+0008"),
            ("<xml><a>\u{ffff}</a></xml>", "U+FFFF"),
            ("<!DOCTYPE a><xml/>", "DOCTYPE"),
            ("{\"a\":1}", "JSON"),
            ("success ", "does not begin"),
            ("<html></html>", "<html>"),
            ("<xml><a>1</xml>", "</xml> closes <a>"),
            ("<xml><a>1</a>", "<xml> is not closed"),
            ("<xml><a>1</a></xml>x", "follows"),
            ("<xml><a b=\"c\">1</a></xml>", "no plain element"),
            ("<xml><a>x]]>y</a></xml>", "outside CDATA"),
            ("<xml><a>x & y</a></xml>", "bare &"),
            ("<xml><a>&nbsp;</a></xml>", "no entity"),
            ("<xml><a><![CDATA[x</a></xml>", "does not end"),
            ("<xml>text</xml>", "no elements"),
            ("<xml>text<a>1</a></xml>", "beside its elements"),
        ];
        for (text, words) in cases {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        let deep = "<a>".repeat(50_000);
        assert!(parse(&format!("<xml>{deep}")).unwrap_err().to_string().contains("deep"));
    }
}
