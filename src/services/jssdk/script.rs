//! `zhongkong.js`, which pages include, and its types: `zhongkong.d.ts`.
//!
//! Owns the texts as they are served: the account filled in, a tag of the content, an answer of 304
//! to a browser that has it. Which accounts exist is the door's to know. `script/zhongkong.min.js` is
//! made of `script/zhongkong.js` by `make js`; a test makes it again and compares. The script is of
//! public knowledge and names no secret, so pages of any origin may include it.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use sha2::{Digest, Sha256};

/// Where the account's name stands in the script, quotes and all: a JSON text takes its place.
const ACCOUNT: &str = "\"{{account}}\"";
/// Long enough to save most requests, short enough for a mended script to be everywhere soon.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");
const SCRIPT_TYPE: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
// There is no registered type for it, and nobody should run it.
const TYPES_TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

static SMALL: LazyLock<Template> = LazyLock::new(|| Template::of(include_str!("script/zhongkong.min.js")));
static READABLE: LazyLock<Template> = LazyLock::new(|| Template::of(include_str!("script/zhongkong.js")));
static TYPES: LazyLock<Template> = LazyLock::new(|| Template::of(include_str!("script/zhongkong.d.ts")));

/// Which of the script's two forms a page wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The small one.
    Small,
    /// The one that people read: `?debug`.
    Readable,
}

impl Form {
    /// What a query asks for.
    pub fn of(query: Option<&str>) -> Self {
        let mut names =
            query.into_iter().flat_map(|query| query.split('&')).map(|pair| pair.split('=').next());
        if names.any(|name| name == Some("debug")) { Self::Readable } else { Self::Small }
    }
}

/// A text around the account's name, and the hash of it.
struct Template {
    before: &'static str,
    after: &'static str,
    hash: [u8; 32],
}

impl Template {
    fn of(text: &'static str) -> Self {
        let (before, after) = text.split_once(ACCOUNT).unwrap_or((text, ""));
        Self { before, after, hash: Sha256::digest(text).into() }
    }

    /// The same content has the same tag in every process of this version.
    fn tag(&self, account: &str) -> HeaderValue {
        let digest = Sha256::new().chain_update(self.hash).chain_update(account).finalize();
        let short: String = hex::encode(digest).chars().take(32).collect();
        HeaderValue::from_str(&format!("\"{short}\"")).unwrap_or(HeaderValue::from_static("\"\""))
    }
}

/// `/jssdk/{account}/zhongkong.js` for an account that exists.
pub fn script(account: &str, form: Form, headers: &HeaderMap) -> Response {
    let template = match form {
        Form::Small => &SMALL,
        Form::Readable => &READABLE,
    };
    answer(template, Some(account), SCRIPT_TYPE, headers)
}

/// `/jssdk/zhongkong.d.ts`.
pub fn types(headers: &HeaderMap) -> Response {
    answer(&TYPES, None, TYPES_TYPE, headers)
}

fn answer(template: &Template, account: Option<&str>, kind: HeaderValue, headers: &HeaderMap) -> Response {
    let tag = template.tag(account.unwrap_or_default());
    let mut answer = if is_held(headers, &tag) {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else {
        let name = account.map(quoted).unwrap_or_default();
        let mut answer = Response::new(Body::from([template.before, &name, template.after].concat()));
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        answer
    };
    let more = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, CACHE),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    answer.headers_mut().extend(more);
    answer
}

/// A text as JavaScript and HTML may both hold it.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Whether a browser has this content: `If-None-Match`, which compares weakly.
fn is_held(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let held = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|held| held.to_str().ok());
    let mut tags = held.flat_map(|held| held.split(',')).map(str::trim);
    tags.any(|held| held == "*" || held.trim_start_matches("W/").as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(held: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(held).unwrap())])
    }

    fn tag_of(answer: &Response) -> String {
        answer.headers()[header::ETAG].to_str().unwrap().to_owned()
    }

    async fn body(answer: Response) -> String {
        let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn account_is_filled_in_once_and_as_text_only() {
        for form in [Form::Small, Form::Readable] {
            let text = body(script("shop", form, &HeaderMap::new())).await;
            assert_eq!(text.matches("\"shop\"").count(), 1, "{form:?}");
            assert!(!text.contains("{{"), "{form:?}");
        }
        let text = body(script("a\"</script>\u{2028}\\", Form::Small, &HeaderMap::new())).await;
        assert!(text.contains(r#"="a\"\u003c/script>\u2028\\","#), "{}", &text[..200]);
        assert!(body(types(&HeaderMap::new())).await.contains("declare const zhongkong"));
    }

    #[tokio::test]
    async fn browser_that_has_the_content_gets_no_second_copy() {
        let fresh = script("shop", Form::Small, &HeaderMap::new());
        let tag = tag_of(&fresh);
        assert_eq!(fresh.status(), StatusCode::OK);
        assert_eq!(fresh.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
        for held in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = script("shop", Form::Small, &headers(&held));
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{held}");
            assert_eq!(tag_of(&again), tag);
            assert_eq!(again.headers()[header::CACHE_CONTROL], "public, max-age=300");
            assert_eq!(body(again).await, "");
        }
        // Another account, another form, another file: another content.
        let others = [
            script("club", Form::Small, &headers(&tag)),
            script("shop", Form::Readable, &headers(&tag)),
            types(&headers(&tag)),
        ];
        for other in others {
            assert_eq!(other.status(), StatusCode::OK);
            assert_ne!(tag_of(&other), tag);
        }
    }

    #[test]
    fn readable_form_is_asked_for_by_name() {
        for query in ["debug", "debug=1", "v=2&debug"] {
            assert_eq!(Form::of(Some(query)), Form::Readable, "{query}");
        }
        for query in [None, Some(""), Some("v=debug"), Some("debugger")] {
            assert_eq!(Form::of(query), Form::Small, "{query:?}");
        }
    }
}
