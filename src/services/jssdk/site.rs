//! Which pages may be signed for: the hosts of an account against the URL that a page sends.
//!
//! Owns the judgement and nothing else; it is pure. The host compared is the one that a browser
//! would go to, and the text is signed as it came: a signature is only good for that very text. So
//! a text that no address bar shows (an `@`, a backslash, a blank, another spelling of the host)
//! is refused even where its host would be right: no page is helped by signing it, and two readers
//! of such a text may go to two hosts.
//!
//! **Invariant:** a [`Page`] is `http(s)://`, a listed host, and what follows it.

use std::fmt;
use std::str::FromStr;

use url::{Host, Position, Url};

#[cfg(test)]
mod tests;

/// Longest URL that is signed, in bytes: as the daemon's own limit.
pub const LONGEST: usize = 2_048;
/// Longest host that a sentence repeats; the longest that there can be has 253.
const LONGEST_SAID: usize = 100;

/// A line of `hosts`: `h5.example.com`, `*.example.com`, `example.com/shop`, `127.0.0.1:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule {
    name: Name,
    /// That port only; without one, the port that the scheme has by itself.
    port: Option<u16>,
    /// A directory, without its last slash: it and what is in it.
    directory: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Exact(String),
    /// Everything below, with its dot: `.example.com`.
    Below(String),
}

/// Why a line is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostRuleError {
    /// It is a URL.
    #[error("a host is written without its scheme: h5.example.com")]
    Scheme,
    /// A star somewhere.
    #[error("a star stands for sub-domains and only in front of a dot: *.example.com")]
    Star,
    /// `*.com`
    #[error("a star over a whole top-level domain would sign for everybody: write *.example.com")]
    TooWide,
    /// Everything else.
    #[error(
        "a host is a name with a port or a directory behind it if need be: h5.example.com, *.example.com, example.com/shop, 127.0.0.1:8080"
    )]
    Form,
}

impl FromStr for HostRule {
    type Err = HostRuleError;

    fn from_str(text: &str) -> Result<Self, HostRuleError> {
        if text.contains("://") {
            return Err(HostRuleError::Scheme);
        }
        let (bare, star) = text.strip_prefix("*.").map_or((text, false), |bare| (bare, true));
        if bare.contains('*') {
            return Err(HostRuleError::Star);
        }
        let path_from = bare.find('/').unwrap_or(bare.len());
        let (authority, path) = bare.split_at(path_from);
        let directory = path.trim_end_matches('/');
        let parse = |scheme: &str| Url::parse(&format!("{scheme}://{bare}")).map_err(|_| HostRuleError::Form);
        let (secure, plain) = (parse("https")?, parse("http")?);
        // What the parser would leave out or write otherwise is a slip, which would match nothing.
        let as_written = secure.path().trim_end_matches('/') == directory
            && secure.username().is_empty()
            && !authority.contains('@')
            && !bare.contains(['?', '#', '\\', '%'])
            && bare.bytes().all(|byte| byte > b' ' && byte != 0x7F);
        let Some(host) = secure.host_str().filter(|_| as_written) else { return Err(HostRuleError::Form) };
        let name = if star {
            if !matches!(secure.host(), Some(Host::Domain(_))) {
                return Err(HostRuleError::Star);
            }
            if !host.trim_end_matches('.').contains('.') {
                return Err(HostRuleError::TooWide);
            }
            Name::Below(format!(".{host}"))
        } else {
            Name::Exact(host.to_owned())
        };
        // Each scheme's parser drops its own default port.
        let port = secure.port().or(plain.port());
        if port.is_none() && authority.ends_with(':') {
            return Err(HostRuleError::Form);
        }
        let directory = (!directory.is_empty()).then(|| directory.to_owned());
        Ok(Self { name, port, directory })
    }
}

/// As it is written.
impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Exact(host) => f.write_str(host)?,
            Name::Below(host) => write!(f, "*{host}")?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.directory.as_deref().unwrap_or_default())
    }
}

impl HostRule {
    /// The host, if it is a single one.
    pub fn exact(&self) -> Option<&str> {
        match &self.name {
            Name::Exact(host) => Some(host),
            Name::Below(_) => None,
        }
    }

    /// How much of a page's place fits, from its host on.
    fn fit(&self, host: &str, page: &Url) -> Fit {
        let named = match &self.name {
            Name::Exact(name) => host == name,
            Name::Below(end) => host.len() > end.len() && host.ends_with(end.as_str()),
        };
        if !named {
            return Fit::Foreign;
        }
        if page.port() != self.port && (self.port.is_none() || page.port_or_known_default() != self.port) {
            return Fit::Port;
        }
        let within = |directory: &String| {
            let rest = page.path().strip_prefix(directory.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.directory.as_ref().is_none_or(within) { Fit::Whole } else { Fit::Path }
    }
}

/// How well a page fits one of the hosts, the better the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Foreign,
    Port,
    Path,
    Whole,
}

/// The URL of a page that may be signed, as it came up to its `#`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<'u>(&'u str);

impl<'u> Page<'u> {
    /// What is signed.
    pub fn text(self) -> &'u str {
        self.0
    }
}

/// Why a page is not signed for: the host, the rule and the way on, for the page's developer. No
/// list of the hosts is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing was sent.
    #[error("there is no url: send the page's own, location.href.split('#')[0]")]
    Missing,
    /// More than anybody types.
    #[error(
        "the url has more than {LONGEST} bytes, which is the most that is signed: shorten the page's query"
    )]
    TooLong,
    /// Not a URL.
    #[error("the url is none: send location.href.split('#')[0], as it is and encoded once")]
    NoUrl,
    /// Not a page of the web.
    #[error("a page of {scheme}: cannot be signed for, only http and https: open it from a web server")]
    Scheme {
        /// Which it has.
        scheme: String,
    },
    /// A name before the host.
    #[error(
        "the url has a name or an @ before the host {host}: no page has, send location.href.split('#')[0]"
    )]
    UserInfo {
        /// Where a browser would go.
        host: String,
    },
    /// It leads to the host, but stands in no address bar.
    #[error(
        "a browser that goes to {host} shows another text than this url, and only what it shows can be signed: send location.href.split('#')[0] untouched"
    )]
    Spelling {
        /// Where a browser would go.
        host: String,
    },
    /// The host of somebody else.
    #[error(
        "{host} is none of the account's hosts: add it to hosts of its [[jssdk.account]], and to the JS-SDK domains (JS接口安全域名) in WeChat's console"
    )]
    Host {
        /// Where a browser would go.
        host: String,
    },
    /// A listed host at another port.
    #[error(
        "{host} is listed without port {port}: add {host}:{port} to hosts of its [[jssdk.account]]; WeChat itself takes pages of port 80 and 443 only"
    )]
    Port {
        /// Where a browser would go.
        host: String,
        /// And at which port.
        port: u16,
    },
    /// A listed host outside of its directory.
    #[error(
        "{host} is listed with a directory that this page is not in: add the page's to hosts of its [[jssdk.account]]"
    )]
    Path {
        /// Where a browser would go.
        host: String,
    },
}

impl Refused {
    /// For programs, metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "no_url",
            Self::TooLong => "too_long",
            Self::NoUrl => "not_a_url",
            Self::Scheme { .. } => "scheme",
            Self::UserInfo { .. } => "userinfo",
            Self::Spelling { .. } => "spelling",
            Self::Host { .. } => "host",
            Self::Port { .. } => "port",
            Self::Path { .. } => "path",
        }
    }
}

/// Judges the URL of a page by an account's hosts.
///
/// # Errors
/// It is not signed; the sentence is for the page's developer.
pub fn judge<'u>(hosts: &[HostRule], url: &'u str) -> Result<Page<'u>, Refused> {
    let text = url.split('#').next().unwrap_or(url);
    if text.is_empty() {
        return Err(Refused::Missing);
    }
    if text.len() > LONGEST {
        return Err(Refused::TooLong);
    }
    let page = Url::parse(text).map_err(|_| Refused::NoUrl)?;
    if !matches!(page.scheme(), "http" | "https") {
        return Err(Refused::Scheme { scheme: said(page.scheme()) });
    }
    let Some(host) = page.host_str() else { return Err(Refused::NoUrl) };
    let (scheme, rest) = text.split_once("://").ok_or_else(|| Refused::Spelling { host: said(host) })?;
    let authority = &rest[..rest.find(['/', '?', '\\']).unwrap_or(rest.len())];
    if authority.contains('@') || !page.username().is_empty() || page.password().is_some() {
        return Err(Refused::UserInfo { host: said(host) });
    }
    let place = &rest[..rest.find('?').unwrap_or(rest.len())];
    let as_shown = scheme.eq_ignore_ascii_case(page.scheme())
        && authority.eq_ignore_ascii_case(&page[Position::BeforeHost..Position::AfterPort])
        && !place.contains('\\')
        // A browser leaves some of these out, and escapes the others.
        && text.bytes().all(|byte| byte > b' ' && byte != 0x7F);
    if !as_shown {
        return Err(Refused::Spelling { host: said(host) });
    }
    let fit = hosts.iter().map(|rule| rule.fit(host, &page)).max().unwrap_or(Fit::Foreign);
    match fit {
        Fit::Whole => Ok(Page(text)),
        Fit::Path => Err(Refused::Path { host: said(host) }),
        Fit::Port => {
            let port = page.port_or_known_default().unwrap_or_default();
            Err(Refused::Port { host: said(host), port })
        }
        Fit::Foreign => Err(Refused::Host { host: said(host) }),
    }
}

/// A part of a URL for a sentence: the parser has made it ASCII without blanks, but not short.
fn said(part: &str) -> String {
    part.chars().take(LONGEST_SAID).collect()
}
