//! One page for one request.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Serde};
use minijinja::{Error, ErrorKind, Value};

use crate::services::jssdk::account::Account;
use crate::services::jssdk::configuration::Configuration;

use super::book::Book;
use super::helpers::{self, ShareError};

/// The names that every template has.
pub(super) const KNOWN: [&str; 8] =
    ["account", "appid", "config", "preview", "query", "share", "url", "wechat"];
/// Largest page, in bytes.
const LARGEST: usize = 1024 * 1024;

/// What a page is rendered for.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Whose page it is.
    pub account: &'a Account,
    /// Of which the browser has the address: the URL that was signed.
    pub config: &'a Configuration<'a>,
    /// The query of the address, without `?`.
    pub query: &'a str,
    /// For WeChat, or for its developer.
    pub shown: Shown<'a>,
}

/// Who looks at a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// WeChat's browser.
    Live,
    /// A developer's: a stand-in takes the place of WeChat's script and shows what it is given.
    Preview {
        /// Whether this page would be signed for.
        verdict: &'a str,
    },
}

/// Why a page could not be rendered.
#[derive(Debug, thiserror::Error)]
#[error("{file}{} {what}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct RenderError {
    /// `index.html`, or the part in which it went wrong.
    file: String,
    line: Option<usize>,
    /// Why; nothing of what the request brought.
    what: String,
    /// The engine's own words, which may quote the request: not for a log.
    detail: String,
}

impl RenderError {
    /// With the engine's own words, which may quote the request: for the developer's own browser.
    pub fn in_full(&self) -> String {
        format!("{self} ({})", self.detail)
    }

    fn of(error: &Error, name: &str) -> Self {
        let what = match error.kind() {
            ErrorKind::UndefinedError => {
                "uses a name that there is not; use `is defined` or a default".to_owned()
            }
            ErrorKind::WriteFailure => format!("makes more than {} KiB", LARGEST / 1024),
            ErrorKind::OutOfFuel => "takes too many steps: a loop is too long".to_owned(),
            other => match cause(error) {
                Some(cause) => cause.to_string(),
                None => format!("failed: {other}"),
            },
        };
        let file = error.name().unwrap_or(name).to_owned();
        Self { file, line: error.line(), what, detail: format!("{error:#}") }
    }
}

/// What a helper of ours says.
fn cause(error: &Error) -> Option<&ShareError> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Renders a page that the book has.
pub(super) fn render(book: &Book, name: &str, view: &View<'_>) -> Result<String, RenderError> {
    let file = format!("{name}.html");
    let failed = |error: Error| RenderError::of(&error, &file);
    let template = book.env().get_template(&file).map_err(failed)?;
    let mut out = Limited(Vec::new());
    template.render_captured_to(context(view), &mut out).map_err(failed)?;
    // Templates and values are text, so what they make is.
    Ok(String::from_utf8_lossy(&out.0).into_owned())
}

fn context(view: &View<'_>) -> Value {
    let View { account, config, query, shown } = view;
    let names: BTreeMap<&'static str, Value> = [
        ("account", Value::from(account.path.as_str())),
        ("appid", Value::from(account.appid.as_str())),
        ("config", Value::from(Serde(config))),
        ("preview", Value::from(matches!(shown, Shown::Preview { .. }))),
        ("query", Value::from_object(Query::parse(query))),
        ("url", Value::from(config.url.as_ref())),
        ("wechat", helpers::wechat(config, *shown)),
        ("share", helpers::share(account, config)),
    ]
    .into_iter()
    .collect();
    Value::from(names)
}

/// The parameters of the address. One that it does not have is an empty text: whether a link has it
/// is up to whoever sends it.
#[derive(Debug)]
struct Query(BTreeMap<String, String>);

impl Query {
    fn parse(query: &str) -> Self {
        let mut all = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            // The first of several, as URLSearchParams.get has it.
            all.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        Self(all)
    }
}

impl Object for Query {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let value = self.0.get(key.as_str()?).map(String::as_str);
        Some(Value::from(value.unwrap_or_default()))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(|name| Value::from(name.as_str())).collect())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        f.write_str(&pairs.join(" "))
    }
}

/// Bytes up to [`LARGEST`].
struct Limited(Vec<u8>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
