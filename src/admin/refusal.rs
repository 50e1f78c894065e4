//! What is not done, and what the visitor can do about it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use serde::Serialize;

use super::site::Site;
use super::words::Lang;

/// Why a page is not shown, or a form not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The host is not ours.
    #[error("the host that was asked is not one of ours")]
    ForeignHost,
    /// The form came from another site.
    #[error("a form came from another origin")]
    ForeignForm,
    /// The form has not the session's token.
    #[error("a form is not of this session")]
    StaleForm,
    /// The client may not do that.
    #[error("the client has no such right")]
    NotGranted,
    /// No such key.
    #[error("there is no such key")]
    NoSuchKey,
    /// No such page.
    #[error("there is no such page")]
    NoSuchPage,
    /// A form or address that cannot be understood.
    #[error("the request is not understood")]
    Malformed,
    /// All streams are taken.
    #[error("too many status pages are open")]
    TooManyPages,
    /// A defect of ours.
    #[error("the page could not be made")]
    Broken,
}

#[derive(Serialize)]
struct Shown {
    assets: &'static str,
    status: String,
    text: &'static str,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::ForeignForm | Self::StaleForm | Self::NotGranted => StatusCode::FORBIDDEN,
            Self::NoSuchKey | Self::NoSuchPage => StatusCode::NOT_FOUND,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TooManyPages => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn text(self, lang: Lang) -> &'static str {
        let w = lang.words();
        match self {
            Self::ForeignHost => w.foreign_host,
            Self::ForeignForm => w.foreign_form,
            Self::StaleForm => w.stale_form,
            Self::NotGranted => w.not_granted,
            Self::NoSuchKey => w.no_such_key,
            Self::NoSuchPage => w.no_such_page,
            Self::Malformed => w.bad_request,
            Self::TooManyPages => w.too_many_pages,
            Self::Broken => w.failed,
        }
    }

    /// The page that says so.
    pub(super) fn answer(self, site: &Site, lang: Lang) -> Response {
        let status = self.status();
        let text = self.text(lang);
        let shown = Shown { assets: super::pages::ASSETS, status: status.to_string(), text };
        let page = site.templates.render("refusal.html", site.scene(lang), &shown);
        let mut answer = match page {
            Ok(page) => (status, Html(page)).into_response(),
            Err(_) => (status, text).into_response(),
        };
        if self == Self::TooManyPages {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        answer
    }
}
