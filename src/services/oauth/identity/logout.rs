//! `POST /oauth/logout`: ends the session, with `everywhere=1` all sessions of its people.
//!
//! A foreign page must not log anybody out: the browser has to say that the request is from a page
//! of ours, which those inside WeChat do with `Origin`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::super::query;
use super::super::return_to::{Home, ReturnTo};
use super::me::answered;
use super::problem::Problem;
use super::{Asked, Caller, Core};
use crate::http::read_body;

/// A form with two fields.
const LARGEST_FORM: usize = 16 * 1024;

/// What the form or the query says.
#[derive(Default)]
struct Form {
    everywhere: bool,
    return_to: Option<Vec<u8>>,
}

/// `POST /oauth/logout`.
pub(super) async fn logout(State(core): State<Arc<Core>>, asked: Asked, body: Body) -> Response {
    answered("logout", &asked, async |_: &Caller| {
        proven(&asked)?;
        let form = read(&asked, body).await?;
        let return_to = form.return_to.as_deref().map(|bytes| checked(&asked, bytes)).transpose()?;
        let session = core.sessions.session_in(&asked.headers);
        if form.everywhere {
            core.sessions.log_out_everywhere(&session).await?;
        } else {
            core.sessions.log_out(&session).await?;
        }
        let cookie = core.sessions.no_cookie();
        Ok(match return_to {
            None => (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response(),
            Some(return_to) => {
                let location = return_to.as_str().parse().map_err(|_| Problem::Unlisted)?;
                let headers = [(header::SET_COOKIE, cookie), (header::LOCATION, location)];
                (StatusCode::SEE_OTHER, headers).into_response()
            }
        })
    })
    .await
}

/// An `Origin` was looked at already. Without one, `Sec-Fetch-Site` says it.
fn proven(asked: &Asked) -> Result<(), Problem> {
    match (asked.headers.contains_key(header::ORIGIN), asked.header("sec-fetch-site")) {
        (true, _) | (false, Some("same-origin" | "none")) => Ok(()),
        (false, _) => Err(Problem::Unproven),
    }
}

async fn read(asked: &Asked, body: Body) -> Result<Form, Problem> {
    let body = read_body(&asked.headers, body, LARGEST_FORM).await.map_err(|_| Problem::Body)?;
    let mut form = Form::default();
    for (name, value) in url::form_urlencoded::parse(&body) {
        match &*name {
            "everywhere" => form.everywhere = value == "1",
            "return_to" => form.return_to = Some(value.into_owned().into_bytes()),
            _ => {}
        }
    }
    if asked.word("everywhere") == Some("1") {
        form.everywhere = true;
    }
    if let Some(raw) = query::raw(asked.query.as_deref(), "return_to") {
        let decoded = query::decoded(raw).map_err(|_| Problem::Unlisted)?;
        form.return_to = Some(decoded);
    }
    Ok(form)
}

/// As at a login, with any account.
fn checked(asked: &Asked, bytes: &[u8]) -> Result<ReturnTo, Problem> {
    let return_to = ReturnTo::check(bytes).map_err(Problem::ReturnTo)?;
    let site = asked.site();
    let listed = match return_to.home() {
        Home::Own => true,
        home @ Home::At(_) => site.accounts().iter().any(|account| site.app(account, None, home).is_ok()),
    };
    if listed { Ok(return_to) } else { Err(Problem::Unlisted) }
}
