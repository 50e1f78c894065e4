//! The parameters of a request, decoded once and as bytes.
//!
//! Not as forms are: a `+` stays one, because a return address written by hand has it, and
//! `encodeURIComponent` makes a space `%20`. The first of several values counts.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

/// A `%` that is not followed by two hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// The value of a parameter, still encoded. Empty if it stands alone.
pub(super) fn raw<'q>(query: Option<&'q str>, name: &str) -> Option<&'q str> {
    query?.split('&').find_map(|pair| {
        let (own, value) = pair.split_once('=').unwrap_or((pair, ""));
        (own == name).then_some(value)
    })
}

/// The bytes that an encoded value stands for.
pub(super) fn decoded(raw: &str) -> Result<Vec<u8>, Broken> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(Broken);
            let (high, low) = (digit()?, digit()?);
            // Two hex digits are below 256.
            out.push(u8::try_from(high * 16 + low).map_err(|_| Broken)?);
        } else {
            out.push(byte);
        }
    }
    Ok(out)
}

/// A short word: letters and digits of ASCII, `-` and `_`. What is none is as good as absent.
pub(super) fn word<'q>(query: Option<&'q str>, name: &str, longest: usize) -> Option<&'q str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    raw(query, name).filter(|word| !word.is_empty() && word.len() <= longest && word.bytes().all(plain))
}

/// The value of a cookie, the first of that name.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(own, value)| (own == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_decoded_once_and_a_plus_stays_a_plus() {
        let query = Some("a=1&return_to=%2Fx%3Fy%3D1%252F+2&return_to=//evil&flag&empty=");
        let value = |name| raw(query, name).map(|raw| String::from_utf8(decoded(raw).unwrap()).unwrap());
        assert_eq!(value("return_to").as_deref(), Some("/x?y=1%2F+2"));
        assert_eq!((value("flag").as_deref(), value("empty").as_deref()), (Some(""), Some("")));
        assert_eq!((value("b"), raw(None, "a")), (None, None));
        assert_eq!(decoded("%ff%00"), Ok(vec![0xff, 0]));
        for broken in ["%", "%2", "%zz", "x%2", "%-1", "%+1"] {
            assert_eq!(decoded(broken), Err(Broken), "{broken}");
        }
    }

    #[test]
    fn word_with_anything_else_in_it_is_none() {
        assert_eq!(word(Some("state=aB9-_&x=1"), "state", 5), Some("aB9-_"));
        for none in ["state=aB9-_0", "state=", "state", "state=a%20", "state=a.b", "state=a=b", "x=1"] {
            assert_eq!(word(Some(none), "state", 5), None, "{none}");
        }
    }

    #[test]
    fn cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "xzk=0; zk=1;zk_=2".parse().unwrap());
        headers.append(COOKIE, "zk=3; zy=4".parse().unwrap());
        let value = |name| cookie(&headers, name);
        assert_eq!(
            (value("zk"), value("zk_"), value("zy"), value("z")),
            (Some("1"), Some("2"), Some("4"), None)
        );
    }
}
