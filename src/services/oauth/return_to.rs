//! Where a login may return to: pure, and the one guard against being an open redirect.
//!
//! A text passes if every browser goes where [`ReturnTo::home`] says, whatever it normalises; what
//! passes is sent back letter for letter, with its own parameters and fragment. Two forms pass:
//!
//! - a path on our own origin: one `/`, and neither before nor after a browser's clean-up a second one;
//! - `https://` or `http://`, a plain host and port, then path, query or fragment.
//!
//! Characters beyond ASCII and blanks are percent-encoded first, as a browser does, and what is
//! judged is the result. Absent: whose origin it is ([`Site::app`](super::site::Site::app)).

use std::fmt::{self, Write as _};

use url::Url;

use super::account::Origin;

/// The longest that is kept, in bytes, encoded. The least that all browsers, proxies and WeChat take.
pub const LONGEST: usize = 2_048;

/// An address that was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct ReturnTo {
    text: String,
    home: Home,
}

/// Whose origin an address is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// Ours: it is a path.
    Own,
    /// The one it names.
    At(Origin),
}

/// Why an address is refused. What it displays is for whoever wrote the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// Too many bytes.
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    /// Bytes that are no text.
    #[error("it is not UTF-8, or its percent-encoding is broken")]
    NotText,
    /// What browsers take out, so that another address is left.
    #[error("it has control characters, such as tabs or line ends")]
    Control,
    /// What browsers take for a slash.
    #[error("it has a backslash before its query")]
    Backslash,
    /// `//host`, in one of its spellings.
    #[error("it begins with two slashes, which lead to another host")]
    TwoSlashes,
    /// Neither form.
    #[error("it begins neither with one slash nor with https:// or http://")]
    Form,
    /// A user name, escapes, other alphabets, no host, a wrong port.
    #[error(
        "its host is not written plainly: letters of ASCII, digits, - and . (xn--… for others), and at most \
         a port"
    )]
    Host,
}

impl ReturnTo {
    /// Checks the bytes of an address.
    ///
    /// # Errors
    /// They are to be shown to nobody and followed by nobody.
    pub fn check(bytes: &[u8]) -> Result<Self, Refused> {
        // Before anything is done with it: encoding makes it at most three times as long.
        if bytes.len() > LONGEST {
            return Err(Refused::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Refused::NotText)?;
        if text.chars().any(char::is_control) {
            return Err(Refused::Control);
        }
        let text = encoded(text);
        if text.len() > LONGEST {
            return Err(Refused::TooLong);
        }
        let path_ends = text.find(['?', '#']).unwrap_or(text.len());
        if text[..path_ends].contains('\\') {
            return Err(Refused::Backslash);
        }
        if text.starts_with("//") {
            return Err(Refused::TwoSlashes);
        }
        if text.starts_with('/') {
            return path(text);
        }
        let home = absolute(&text)?;
        Ok(Self { text, home: Home::At(home) })
    }

    /// The start page, for a link that names no address.
    pub fn root() -> Self {
        Self { text: "/".to_owned(), home: Home::Own }
    }

    /// The address, letter for letter. ASCII, without blanks and controls.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where every browser goes with it.
    pub fn home(&self) -> &Home {
        &self.home
    }
}

/// It may hold what its page was told of a user, so no log shows it by accident.
impl fmt::Debug for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReturnTo({:?}, {} bytes)", self.home, self.text.len())
    }
}

/// A path on our own origin. `/.//evil.example` begins with one slash and cleans up to two: a
/// browser stays here, but a server that redirects to what it was asked for would send it on.
fn path(text: String) -> Result<ReturnTo, Refused> {
    let base = Url::parse("https://self.invalid").map_err(|_| Refused::Form)?;
    let url = base.join(&text).map_err(|_| Refused::Form)?;
    if url.path().starts_with("//") {
        return Err(Refused::TwoSlashes);
    }
    if Origin::of(&url) != Origin::of(&base) {
        return Err(Refused::Form);
    }
    Ok(ReturnTo { text, home: Home::Own })
}

fn absolute(text: &str) -> Result<Origin, Refused> {
    let scheme_ends = text.find("://").ok_or(Refused::Form)?;
    let scheme = &text[..scheme_ends];
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Err(Refused::Form);
    }
    let rest = &text[scheme_ends + "://".len()..];
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if !is_plain_authority(authority) {
        return Err(Refused::Host);
    }
    let url = Url::parse(text).map_err(|_| Refused::Host)?;
    Origin::of(&url).ok_or(Refused::Host)
}

/// `host` or `host:port` in which nothing can be read in two ways: no user name, no escapes, no
/// letters that are folded into others.
fn is_plain_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let Some((address, port)) = inner.split_once(']') else { return false };
            if !address.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')) {
                return false;
            }
            (address, if port.is_empty() { None } else { Some(port) })
        }
        None => match text.find(':') {
            Some(at) => (&text[..at], Some(&text[at..])),
            None => (text, None),
        },
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let is_host = !host.is_empty() && (text.starts_with('[') || host.bytes().all(plain));
    let is_port = |text: &str| {
        let digits = text.strip_prefix(':').unwrap_or_default();
        !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.parse::<u16>().is_ok()
    };
    is_host && port.is_none_or(is_port)
}

/// Percent-encodes what a browser would have to, and nothing else.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for part in text.chars() {
        if part.is_ascii() && part != ' ' {
            out.push(part);
            continue;
        }
        for byte in part.encode_utf8(&mut [0; 4]).bytes() {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests;
