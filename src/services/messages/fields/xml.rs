//! Reads the fields of an XML push.
//!
//! Nothing is looked up and nothing is expanded but characters by name or number. Elements that
//! are open lie in a list, not on the stack.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::flat::{Piece, each_field};
use super::{Fields, FieldsError, MAX_DEPTH, Name, Spent, USUAL, Value, blank, clean, in_names, named};

/// An element that is open.
struct Element<'a> {
    name: Name,
    fields: Fields,
    text: Text<'a>,
}

/// Reads a whole document.
pub(super) fn parse(text: &str) -> Result<Fields, FieldsError> {
    flat(text).map_or_else(|| any(text), Ok)
}

/// Reads one in the form that WeChat gives nearly every push.
pub(super) fn flat(text: &str) -> Option<Fields> {
    let mut fields = Vec::with_capacity(USUAL.len());
    each_field(text, |name, piece, content| {
        let mut text = Text::default();
        text.add(piece, Cow::Borrowed(content));
        fields.push((named(name), Value::Text(text.into_trimmed())));
    })?;
    Some(Fields(fields))
}

/// Reads one in any form.
pub(super) fn any(text: &str) -> Result<Fields, FieldsError> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element<'_>> = Vec::with_capacity(4);
    let mut whole = None;
    let mut spent = Spent::default();
    loop {
        let event = reader.read_event().map_err(FieldsError::Xml)?;
        match event {
            Event::Start(_) | Event::Empty(_) if whole.is_some() => return Err(FieldsError::Beside),
            Event::Start(tag) => begin(&tag, &mut open, &mut spent)?,
            Event::Empty(tag) => {
                begin(&tag, &mut open, &mut spent)?;
                whole = end(&mut open);
            }
            Event::End(_) => whole = end(&mut open),
            Event::Text(piece) => within(&mut open, Piece::Loose, piece.into_inner())?,
            Event::CData(piece) => within(&mut open, Piece::Firm, piece.into_inner())?,
            Event::GeneralRef(entity) => within(&mut open, Piece::Firm, resolve(&entity)?)?,
            Event::Comment(_) => {}
            Event::Decl(_) if open.is_empty() && whole.is_none() => {}
            Event::Decl(_) | Event::PI(_) => return Err(FieldsError::Instruction),
            Event::DocType(_) => return Err(FieldsError::Doctype),
            Event::Eof => return whole.ok_or(FieldsError::Incomplete),
        }
    }
}

fn begin(tag: &BytesStart<'_>, open: &mut Vec<Element<'_>>, spent: &mut Spent) -> Result<(), FieldsError> {
    if open.len() == MAX_DEPTH {
        return Err(FieldsError::TooDeep);
    }
    let name = tag.name().into_inner();
    // The outermost element is no field.
    if !open.is_empty() {
        spent.field(name)?;
    }
    if name.is_empty() || !name.bytes().all(in_names) {
        return Err(FieldsError::NotAName);
    }
    // Most fields are in the outermost element, whose own name means nothing.
    let (name, fields) = if open.is_empty() {
        (Name::default(), Fields(Vec::with_capacity(USUAL.len())))
    } else {
        (named(name), Fields::default())
    };
    open.push(Element { name, fields, text: Text::default() });
    Ok(())
}

/// Closes the innermost element. Gives all fields if it was the outermost.
fn end(open: &mut Vec<Element<'_>>) -> Option<Fields> {
    // The reader has matched the tags: there is one.
    let element = open.pop()?;
    let Some(around) = open.last_mut() else { return Some(element.fields) };
    let value = if element.fields.is_empty() {
        Value::Text(element.text.into_trimmed())
    } else {
        Value::Fields(element.fields)
    };
    around.fields.0.push((element.name, value));
    None
}

/// Adds to the text of the innermost element.
fn within<'a>(open: &mut [Element<'a>], piece: Piece, text: Cow<'a, str>) -> Result<(), FieldsError> {
    match open.last_mut() {
        Some(element) => element.text.add(piece, text),
        None if matches!(piece, Piece::Loose) && text.chars().all(blank) => {}
        None => return Err(FieldsError::Beside),
    }
    Ok(())
}

fn resolve<'a>(entity: &BytesRef<'a>) -> Result<Cow<'a, str>, FieldsError> {
    let character = entity.resolve_char_ref().ok().flatten();
    match (character, resolve_xml_entity(entity)) {
        (Some(character), _) => Ok(Cow::Owned(character.into())),
        (None, Some(text)) => Ok(Cow::Borrowed(text)),
        // A stray `&` can make a long one.
        (None, None) => Err(FieldsError::Entity(entity.chars().take(32).collect())),
    }
}

/// The text of an element, joined from its pieces. One piece is not copied before the end.
#[derive(Default)]
struct Text<'a> {
    held: Cow<'a, str>,
    /// Up to here it ends with a firm piece, which is not trimmed.
    firm: usize,
}

impl<'a> Text<'a> {
    fn add(&mut self, piece: Piece, text: Cow<'a, str>) {
        let text = match text {
            Cow::Borrowed(text) => clean(text),
            Cow::Owned(text) => Cow::Owned(clean(&text).into_owned()),
        };
        if self.held.is_empty() {
            self.held = match (piece, text) {
                (Piece::Firm, text) => text,
                (Piece::Loose, Cow::Borrowed(text)) => Cow::Borrowed(text.trim_start_matches(blank)),
                (Piece::Loose, Cow::Owned(text)) => Cow::Owned(text.trim_start_matches(blank).to_owned()),
            };
        } else {
            self.held.to_mut().push_str(&text);
        }
        if let Piece::Firm = piece {
            self.firm = self.held.len();
        }
    }

    fn into_trimmed(self) -> Box<str> {
        let end = self.held.trim_end_matches(blank).len().max(self.firm);
        self.held[..end].into()
    }
}
