//! What people see when a login does not simply go on: one small page, in their language.
//!
//! It says the reason and the way on, and nothing of the request: no code, no state, no address of a
//! stranger's. It loads nothing, runs no script, cannot be framed, and is kept by no cache.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::account::Origin;

mod words;

pub(super) use words::{Lang, Stopped, What};

const STYLE: &str = include_str!("html/page.css");
const TEMPLATE: &str = include_str!("html/page.html");
const NAME: &str = "page.html";

/// A page to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) what: What,
    /// Where its button leads.
    pub(super) onward: Option<String>,
}

/// Whether the made-up logins are on, which every page then says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugLogin {
    /// Only WeChat says who somebody is.
    Off,
    /// A developer does.
    On,
}

/// The form of the made-up logins.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Form {
    /// Where it is sent.
    pub(super) action: String,
    /// The login that it is part of.
    pub(super) state: String,
    /// What every made-up openid begins with.
    pub(super) prefix: &'static str,
    /// Some that need no typing.
    pub(super) people: &'static [&'static str],
    /// Where the form's answer may lead: a browser asks before it follows.
    #[serde(skip)]
    pub(super) leads_to: Origin,
}

/// Everything for the template.
#[derive(Serialize)]
struct Shown<'a> {
    lang: &'static str,
    title: &'static str,
    lines: Vec<String>,
    debug: Option<&'static str>,
    form: Option<FormShown<'a>>,
    onward: Option<(&'a str, &'static str)>,
    request: String,
}

#[derive(Serialize)]
struct FormShown<'a> {
    #[serde(flatten)]
    form: &'a Form,
    login: &'static str,
    refuse: &'static str,
    snapshot: &'static str,
    other: &'static str,
}

/// The compiled template.
pub(super) struct Pages {
    env: Environment<'static>,
    /// The policy but for where forms lead.
    policy: String,
    debug: DebugLogin,
}

impl From<What> for Page {
    fn from(what: What) -> Self {
        Self { what, onward: None }
    }
}

impl Pages {
    pub(super) fn new(debug: DebugLogin) -> Self {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_auto_escape_callback(|_| AutoEscape::Html);
        env.add_template(NAME, TEMPLATE).expect("the template is part of the program, and tests show it");
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'; form-action "
        );
        Self { env, policy, debug }
    }

    /// A page.
    pub(super) fn show(&self, page: &Page, headers: &HeaderMap, request: &str) -> Response {
        let lang = Lang::of(headers);
        let said = page.what.said(lang);
        let onward = page.onward.as_deref().zip(said.onward);
        let shown = self.shown(lang, said.title, said.lines, request);
        let mut answer = self.render(page.what.status(), &Shown { onward, ..shown }, "'none'");
        if let Some(seconds) = page.what.retry_after() {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }

    /// The form of the made-up logins.
    pub(super) fn ask(&self, form: &Form, headers: &HeaderMap, request: &str) -> Response {
        let lang = Lang::of(headers);
        let said = words::form(lang);
        let shown = self.shown(lang, said.title, vec![said.line.to_owned()], request);
        let words::FormWords { login, refuse, snapshot, other, .. } = said;
        let leads_to = format!("'self' {}", form.leads_to);
        let form = Some(FormShown { form, login, refuse, snapshot, other });
        self.render(StatusCode::OK, &Shown { form, ..shown }, &leads_to)
    }

    fn shown<'a>(&self, lang: Lang, title: &'static str, lines: Vec<String>, request: &str) -> Shown<'a> {
        let debug = match self.debug {
            DebugLogin::Off => None,
            DebugLogin::On => Some(words::debug(lang)),
        };
        Shown {
            lang: lang.tag(),
            title,
            lines,
            debug,
            form: None,
            onward: None,
            request: format!("request {request}"),
        }
    }

    fn render(&self, status: StatusCode, shown: &Shown<'_>, leads_to: &str) -> Response {
        let with = context! { it => Value::from(Serde(shown)), style => STYLE };
        let made = self.env.get_template(NAME).and_then(|template| template.render(with));
        let mut answer = match made {
            Ok(page) => (status, Html(page)).into_response(),
            // A defect; the sentence at least is shown.
            Err(error) => {
                tracing::error!(%error, "a page of the login cannot be made: {error}");
                (status, shown.title).into_response()
            }
        };
        let policy = format!("{}{leads_to}", self.policy);
        let headers = answer.headers_mut();
        if let Ok(policy) = HeaderValue::try_from(policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        guarded(answer)
    }
}

/// What every answer has that was asked for with a code or a state: no cache keeps it, and where the
/// browser goes next does not learn its address.
pub(super) fn guarded(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(answer: Response) -> String {
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    fn headers(language: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static(language))])
    }

    #[tokio::test]
    async fn every_page_is_whole_in_both_languages_and_loads_nothing() {
        let pages = Pages::new(DebugLogin::Off);
        let all = What::all();
        assert!(all.len() > 15, "{}", all.len());
        for what in all {
            for language in ["zh-CN,zh;q=0.9", "en-US"] {
                let page = Page { what, onward: Some("/oauth/shop/login?a=1&b=\"<".to_owned()) };
                let answer = pages.show(&page, &headers(language), "0123456789abcdef");
                let head = answer.headers().clone();
                assert!(answer.status().is_client_error() || answer.status().is_server_error(), "{what:?}");
                assert_eq!(head[header::CACHE_CONTROL], "no-store");
                assert_eq!(head[header::REFERRER_POLICY], "no-referrer");
                let policy = head[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
                assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
                assert!(policy.contains("frame-ancestors 'none'") && policy.ends_with("form-action 'none'"));
                let text = text(answer).await;
                for foreign in ["<script", "src=", "url(", "@import", "\"<", "http-equiv"] {
                    assert!(!text.contains(foreign), "{what:?} has {foreign}: {text}");
                }
                assert!(text.contains("request 0123456789abcdef"));
                // The button of WeChat's that a snapshot user is to tap has a Chinese name only.
                let rest = text.replace("使用完整服务", "");
                let chinese = rest.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
                assert_eq!(chinese, language.starts_with("zh"), "{what:?}: {text}");
                assert_eq!(text.contains("lang=\"zh-CN\""), chinese);
                let has_button = what.said(Lang::En).onward.is_some();
                assert_eq!(text.contains("b=&quot;&lt;"), has_button, "{what:?}: {text}");
            }
        }
    }

    #[tokio::test]
    async fn pages_say_that_logins_are_made_up_while_they_are() {
        let id = "0123456789abcdef";
        let page = What::Over.into();
        let shown = text(Pages::new(DebugLogin::On).show(&page, &headers("en"), id)).await;
        assert!(shown.contains("class=\"debug\"") && shown.contains(words::debug(Lang::En)), "{shown}");
        let plain = text(Pages::new(DebugLogin::Off).show(&page, &headers("en"), id)).await;
        assert!(!plain.contains("class=\"debug\""), "{plain}");
    }

    #[tokio::test]
    async fn form_may_lead_home_and_nowhere_else() {
        let form = Form {
            action: "/oauth/shop/debug".to_owned(),
            state: "0".repeat(32),
            prefix: "oDEBUG-",
            people: &["alice", "bob"],
            leads_to: "http://localhost:5173".parse().unwrap(),
        };
        let pages = Pages::new(DebugLogin::On);
        let answer = pages.ask(&form, &headers("en"), "0123456789abcdef");
        let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.ends_with("form-action 'self' http://localhost:5173"), "{policy}");
        let text = text(answer).await;
        assert!(text.contains("action=\"&#x2f;oauth&#x2f;shop&#x2f;debug\""), "{text}");
        assert!(text.contains("value=\"alice\" checked") && text.contains("oDEBUG-bob"), "{text}");
    }
}
