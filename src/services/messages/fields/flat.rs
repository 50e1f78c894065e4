//! The form that WeChat gives nearly every push: one element, fields in it, a text in each.
//!
//! To be read in a fraction of the time that all of XML takes, which is more than all cryptography
//! of a message does. It is strict: whatever stands in a text that is not of this form (an element
//! within a field, an attribute, an entity, a comment, a second piece of text) is left to the reader
//! of all XML, and so is every error. What is read here, that reader reads alike.

use memchr::{memchr, memchr_iter};

use super::{MAX_FIELDS, MAX_NAME, in_names};

/// How the text of a field was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::services::messages) enum Piece {
    /// As it is: white space at the ends of the whole is layout.
    Loose,
    /// In CDATA or as an entity: white space is meant.
    Firm,
}

/// Shows the fields in order, each with its name and text. `None` if the text has another form;
/// what was shown by then means nothing.
pub(in crate::services::messages) fn each_field<'a>(
    text: &'a str,
    mut show: impl FnMut(&'a str, Piece, &'a str),
) -> Option<()> {
    let (outermost, mut rest) = start(without_blanks(text))?;
    for _ in 0..=MAX_FIELDS {
        rest = without_blanks(rest);
        if let Some(behind) = rest.strip_prefix("</") {
            return without_blanks(end(outermost, behind)?).is_empty().then_some(());
        }
        let (name, within) = start(rest)?;
        let (piece, content, behind) = if let Some(section) = within.strip_prefix("<![CDATA[") {
            let (content, behind) = cdata(section)?;
            (Piece::Firm, content, behind)
        } else {
            let (content, behind) = within.split_at(memchr(b'<', within.as_bytes())?);
            (Piece::Loose, content, behind)
        };
        if piece == Piece::Loose && memchr(b'&', content.as_bytes()).is_some() {
            return None;
        }
        rest = end(name, behind.strip_prefix("</")?)?;
        show(name, piece, content);
    }
    None
}

/// The name of a start tag, and what is behind it.
fn start(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('<')?;
    let (name, behind) = inside.split_at(memchr(b'>', inside.as_bytes())?);
    let fits = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(in_names);
    fits.then_some((name, &behind[1..]))
}

/// What is behind the end tag of this name, of which `</` is read.
fn end<'a>(name: &str, text: &'a str) -> Option<&'a str> {
    text.strip_prefix(name)?.strip_prefix('>')
}

/// What is in a section, and what is behind it.
fn cdata(text: &str) -> Option<(&str, &str)> {
    let ends = |at: &usize| text[..*at].ends_with("]]");
    let at = memchr_iter(b'>', text.as_bytes()).find(ends)?;
    Some((&text[..at - 2], &text[at + 1..]))
}

fn without_blanks(text: &str) -> &str {
    text.trim_start_matches(super::blank)
}
