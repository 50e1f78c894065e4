//! Which characters may be in a text that goes to WeChat.
//!
//! XML 1.0 has no way to write most control characters, and WeChat's JSON takes no `\u` escapes,
//! which is the only way to write them there: so they are left out of both. One such character
//! makes the whole answer unreadable, and the user is told that the account is out of order.

use std::borrow::Cow;

/// Whether XML 1.0 has this character.
pub(super) fn is_legal(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether a text may have characters that XML has not; `false` is certain.
pub(super) fn may_be_illegal(text: &str) -> bool {
    // U+FFFE and U+FFFF are the only ones beyond the controls, and begin with this byte. Looking at
    // all bytes is quicker than stopping at the first: it is done many at a time.
    text.bytes().fold(false, |seen, byte| {
        // Both sides of each, so that no byte asks for a jump.
        seen | matches!(byte, ..b' ' | 0xef)
    })
}

/// The text without the characters that cannot be sent.
pub(in crate::services::messages) fn legal(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_legal) { text.into() } else { text.chars().filter(|&c| is_legal(c)).collect() }
}

/// How many bytes of it are sent, in UTF-8.
pub(super) fn sent_len(text: &str) -> usize {
    text.chars().filter(|&c| is_legal(c)).map(char::len_utf8).sum()
}

/// Whether nothing of it would be seen.
pub(super) fn is_blank(text: &str) -> bool {
    !text.chars().any(|c| is_legal(c) && !c.is_whitespace())
}
