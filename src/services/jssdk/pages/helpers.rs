//! What templates call: `wechat()` for the scripts and the configuration, `share(…)` for what
//! the share menu shows.
//!
//! What they make is script in HTML. Values get into it as JSON in which no character means
//! anything to HTML ([`in_script`]), so that no link of anybody ends a script and begins another.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, Rest};
use minijinja::{Error, ErrorKind, HtmlEscape, Value};
use serde::Serialize;

use crate::services::jssdk::account::{Account, DEFAULT_APIS};
use crate::services::jssdk::configuration::Configuration;
use crate::services::jssdk::site::{self, HostRule};

use super::Shown;

/// WeChat's own script, by the scheme of the page.
const JWEIXIN: &str = "//res.wx.qq.com/open/js/jweixin-1.6.0.js";
/// What stands in for it in a preview.
const STAND_IN: &str = include_str!("preview.js");

/// Why a helper cannot do what a template wants.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShareError {
    /// A title is the least.
    #[error("calls share() without a title: share(title=\"…\", desc=\"…\", img=\"https://…\")")]
    NoTitle,
    /// Something that it does not take.
    #[error("calls share() with something else than title, desc, link and img, each a text and by its name")]
    Argument,
    /// WeChat would not take the link.
    #[error("shares a link that WeChat does not take: {0}")]
    Link(site::Refused),
    /// The page may not call what it takes.
    #[error("calls share(), and apis of its [[jssdk.account]] has no {0}")]
    Api(&'static str),
    /// The same of the scripts.
    #[error(
        "calls wechat() with something else than debug=true and src=\"https://…\", WeChat's script elsewhere"
    )]
    Script,
}

impl From<ShareError> for Error {
    fn from(error: ShareError) -> Self {
        Self::new(ErrorKind::InvalidOperation, error.to_string()).with_source(error)
    }
}

/// `wx.config` as it is called.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'c> {
    debug: bool,
    app_id: &'c str,
    timestamp: i64,
    nonce_str: &'c str,
    signature: &'c str,
    js_api_list: &'c [String],
    open_tag_list: &'c [String],
}

/// `wechat(debug=false, src=…)`: WeChat's script and the call of `wx.config`.
pub(super) fn wechat(config: &Configuration<'_>, shown: Shown<'_>) -> Value {
    let stand_in = match shown {
        Shown::Live => None,
        Shown::Preview { verdict } => {
            Some(format!("<script>{}</script>", STAND_IN.replace("VERDICT", &in_script(&verdict))))
        }
    };
    let call = |debug| {
        in_script(&Config {
            debug,
            app_id: config.app_id,
            timestamp: config.timestamp,
            nonce_str: &config.nonce_str,
            signature: &config.signature,
            js_api_list: config.js_api_list,
            open_tag_list: config.open_tag_list,
        })
    };
    let calls = [call(false), call(true)];
    Value::from_function(move |rest: Rest<Value>, args: Kwargs| -> Result<Value, Error> {
        let debug = args.get::<Option<bool>>("debug").map_err(|_| ShareError::Script)?.unwrap_or(false);
        let src = args.get::<Option<String>>("src").map_err(|_| ShareError::Script)?;
        if !rest.is_empty() || args.assert_all_used().is_err() {
            return Err(ShareError::Script.into());
        }
        let script = stand_in.clone().unwrap_or_else(|| {
            let src = HtmlEscape(src.as_deref().unwrap_or(JWEIXIN)).to_string();
            format!("<script src=\"{src}\"></script>")
        });
        let call = &calls[usize::from(debug)];
        Ok(Value::from_safe_string(format!("{script}\n<script>wx.config({call});</script>")))
    })
}

/// `share(title=…, desc=…, link=…, img=…)`: what both entries of the share menu show. The link is
/// the page's own if there is none.
pub(super) fn share(account: &Account, config: &Configuration<'_>) -> Value {
    let (hosts, apis, url) = (account.hosts.clone(), account.apis.clone(), config.url.clone().into_owned());
    Value::from_function(move |rest: Rest<Value>, args: Kwargs| -> Result<Value, Error> {
        if let Some(api) = DEFAULT_APIS.into_iter().find(|api| apis.iter().all(|one| one != api)) {
            return Err(ShareError::Api(api).into());
        }
        Ok(Value::from_safe_string(script(&rest, &args, &hosts, &url)?))
    })
}

fn script(rest: &[Value], args: &Kwargs, hosts: &[HostRule], url: &str) -> Result<String, ShareError> {
    let text = |name: &str| -> Result<Option<String>, ShareError> {
        let value = args.get::<Option<Value>>(name).map_err(|_| ShareError::Argument)?;
        let value = value.filter(|value| !value.is_undefined() && !value.is_none());
        value.map(|value| value.as_str().map(str::to_owned).ok_or(ShareError::Argument)).transpose()
    };
    let (title, desc, link, img) = (text("title")?, text("desc")?, text("link")?, text("img")?);
    if !rest.is_empty() || args.assert_all_used().is_err() {
        return Err(ShareError::Argument);
    }
    let title = title.filter(|title| !title.trim().is_empty()).ok_or(ShareError::NoTitle)?;
    if let Some(link) = &link {
        site::judge(hosts, link).map_err(ShareError::Link)?;
    }
    let shared = in_script(&serde_json::json!({
        "title": title,
        "desc": desc.unwrap_or_default(),
        "link": link.as_deref().unwrap_or(url),
        "imgUrl": img.unwrap_or_default(),
    }));
    let [message, timeline] = DEFAULT_APIS;
    Ok(format!(
        "<script>wx.ready(function () {{ var s = {shared}; wx.{message}(s); wx.{timeline}(s); }});</script>"
    ))
}

/// A value for a script in HTML.
pub(super) fn in_script(value: &impl Serialize) -> String {
    // Texts, numbers and lists of them always have a JSON form.
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut safe = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            // In JSON these stand in texts only, where an escape says the same.
            '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}' => {
                // Writing to a text does not fail.
                let _ = write!(safe, "\\u{:04x}", u32::from(letter));
            }
            other => safe.push(other),
        }
    }
    safe
}
