//! The texts that get signed in place of a page's URL, each with the mistake that makes it.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

/// What WeChat's clients add to links that are shared, or opened in their browser.
const ADDED: [&str; 13] = [
    "from",
    "isappinstalled",
    "nsukey",
    "wxshare_count",
    "clicktime",
    "enterid",
    "pass_ticket",
    "wx_header",
    "exportkey",
    "ascene",
    "devicetype",
    "version",
    "nettype",
];
/// What WeChat's login adds to the page that it leads back to.
const OF_LOGIN: [&str; 2] = ["code", "state"];
/// What encodeURIComponent leaves alone, besides letters and digits.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
/// What encodeURI encodes of a text that is a URL already.
const WHOLE: &AsciiSet = &CONTROLS
    .add(b'%')
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'\\');

/// A mistake on the way from the address bar to the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// What is behind the `#` was signed too.
    WithFragment,
    /// Percent escapes were decoded.
    Decoded,
    /// The whole text was encoded.
    Encoded,
    /// Its percent signs were encoded again.
    EncodedAgain,
    /// `&` was written for HTML.
    HtmlEscaped,
    /// `http` for `https`, or the other way round.
    OtherScheme,
    /// Without `?` and what follows.
    WithoutQuery,
    /// A slash at the end that there is not.
    WithSlash,
    /// No slash at the end where there is one.
    WithoutSlash,
    /// Only scheme and host.
    Root,
    /// Without what WeChat adds to shared links.
    WithoutAdded,
    /// Without what the login has added.
    WithoutLogin,
    /// A blank for each `+`.
    Blanks,
    /// With the port that the scheme has anyway.
    WithPort,
    /// Without its port.
    WithoutPort,
    /// The letters of percent escapes in the other case.
    OtherEscapes,
    /// The address at which a single-page application was opened.
    Landing,
}

impl Change {
    /// All that can be made from the URL alone.
    pub(super) const OF_URL: [Self; 15] = [
        Self::Decoded,
        Self::Encoded,
        Self::EncodedAgain,
        Self::HtmlEscaped,
        Self::OtherScheme,
        Self::WithoutQuery,
        Self::WithSlash,
        Self::WithoutSlash,
        Self::Root,
        Self::WithoutAdded,
        Self::WithoutLogin,
        Self::Blanks,
        Self::WithPort,
        Self::WithoutPort,
        Self::OtherEscapes,
    ];

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::WithFragment => "with_fragment",
            Self::Decoded => "decoded",
            Self::Encoded => "encoded",
            Self::EncodedAgain => "encoded_again",
            Self::HtmlEscaped => "html_escaped",
            Self::OtherScheme => "other_scheme",
            Self::WithoutQuery => "without_query",
            Self::WithSlash => "with_slash",
            Self::WithoutSlash => "without_slash",
            Self::Root => "root",
            Self::WithoutAdded => "without_added",
            Self::WithoutLogin => "without_login",
            Self::Blanks => "blanks",
            Self::WithPort => "with_port",
            Self::WithoutPort => "without_port",
            Self::OtherEscapes => "other_escapes",
            Self::Landing => "landing",
        }
    }

    /// What happened, and what to do about it.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::WithFragment => {
                "the URL was signed with its # and what follows: cut it off, location.href.split('#')[0]"
            }
            Self::Decoded => {
                "the URL was decoded before it was signed: sign it as the address bar has it, escapes and all"
            }
            Self::Encoded => {
                "the URL was still encoded when it was signed: the server must decode it once, as it does any parameter"
            }
            Self::EncodedAgain => {
                "the percent signs of the URL were encoded again (%25): send it through encodeURIComponent once, not through encodeURI before"
            }
            Self::HtmlEscaped => {
                "each & of the URL was signed as &amp;: a template escaped it for HTML; put the URL into the script as JSON, or read location.href"
            }
            Self::OtherScheme => {
                "http was signed for a page of https, or the other way round: the server made the URL itself, behind a proxy that ends TLS; sign what the page sends"
            }
            Self::WithoutQuery => {
                "the URL was signed without its query: sign location.href.split('#')[0], not origin and path"
            }
            Self::WithSlash => {
                "the URL was signed with a slash at its end that the address bar does not have: do not let a URL library write it anew"
            }
            Self::WithoutSlash => "the URL was signed without the slash at its end",
            Self::Root => {
                "only scheme and host were signed: on iOS a page in a frame of history is known by the URL that was opened first, and here that was the root"
            }
            Self::WithoutAdded => {
                "the URL was signed without the parameters that WeChat adds to shared links (from, isappinstalled …): ask for the signature with the URL as it is when the page is open"
            }
            Self::WithoutLogin => {
                "the URL was signed without the code and state that the login has added: redirect to a clean URL first, or sign it with them"
            }
            Self::Blanks => {
                "each + of the URL became a blank: it was sent in a form or a query without encodeURIComponent"
            }
            Self::WithPort => "the URL was signed with a port that the address bar does not show",
            Self::WithoutPort => "the URL was signed without its port",
            Self::OtherEscapes => {
                "the letters of its percent escapes were signed in the other case: sign the text as it is, and let no library write it anew"
            }
            Self::Landing => {
                "the URL of the first page was signed: on iOS that is right for a single-page application with history, on Android and after a reload it is the current one"
            }
        }
    }

    /// The text that this mistake makes of a URL without fragment; `None` if it makes none.
    pub(super) fn apply(self, url: &str) -> Option<String> {
        let changed = match self {
            // Made from more than the URL.
            Self::WithFragment | Self::Landing => return None,
            Self::Decoded => percent_decode_str(url).decode_utf8().ok()?.into_owned(),
            Self::Encoded => utf8_percent_encode(url, COMPONENT).to_string(),
            Self::EncodedAgain => utf8_percent_encode(url, WHOLE).to_string(),
            Self::HtmlEscaped => url.replace('&', "&amp;"),
            Self::OtherScheme => match url.split_once("://")? {
                ("https", rest) => format!("http://{rest}"),
                ("http", rest) => format!("https://{rest}"),
                _ => return None,
            },
            Self::WithoutQuery => url.split_once('?')?.0.to_owned(),
            Self::WithSlash => match url.split_once('?') {
                Some((path, query)) => format!("{path}/?{query}"),
                None => format!("{url}/"),
            },
            Self::WithoutSlash => match url.split_once('?') {
                Some((path, query)) => format!("{}?{query}", path.strip_suffix('/')?),
                None => url.strip_suffix('/')?.to_owned(),
            },
            Self::Root => format!("{}/", Url::parse(url).ok()?.origin().ascii_serialization()),
            Self::WithoutAdded => without(url, &ADDED)?,
            Self::WithoutLogin => without(url, &OF_LOGIN)?,
            Self::Blanks => url.replace('+', " "),
            Self::WithPort => {
                let (scheme, rest) = url.split_once("://")?;
                let parsed = Url::parse(url).ok()?;
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (host, tail) = rest.split_at(end);
                if parsed.port().is_some() {
                    return None;
                }
                format!("{scheme}://{host}:{}{tail}", parsed.port_or_known_default()?)
            }
            Self::WithoutPort => {
                let port = Url::parse(url).ok()?.port()?;
                url.replacen(&format!(":{port}"), "", 1)
            }
            Self::OtherEscapes => other_escapes(url),
        };
        (changed != url).then_some(changed)
    }
}

/// Without these parameters; `None` if there are none of them.
fn without(url: &str, names: &[&str]) -> Option<String> {
    let (path, query) = url.split_once('?')?;
    let kept: Vec<&str> =
        query.split('&').filter(|pair| !names.contains(&pair.split('=').next().unwrap_or(pair))).collect();
    let query = kept.join("&");
    Some(if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") })
}

/// Whether the URL has parameters that WeChat adds.
pub(super) fn has_added(url: &str) -> bool {
    without(url, &ADDED).is_some_and(|short| short != url)
}

fn other_escapes(url: &str) -> String {
    let mut changed = String::with_capacity(url.len());
    let mut left = 0;
    for letter in url.chars() {
        match letter {
            '%' => left = 3,
            lower if left > 0 && lower.is_ascii_lowercase() => {
                changed.push(lower.to_ascii_uppercase());
                left -= 1;
                continue;
            }
            upper if left > 0 && upper.is_ascii_uppercase() => {
                changed.push(upper.to_ascii_lowercase());
                left -= 1;
                continue;
            }
            _ => {}
        }
        left = if left > 0 { left - 1 } else { 0 };
        changed.push(letter);
    }
    changed
}
