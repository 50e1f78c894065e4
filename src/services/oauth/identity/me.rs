//! `GET /oauth/me`: the person as JSON, for a page; and what pages of other origins must be told.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::super::sessions::{Login, Via};
use super::super::users::{Freshness, User};
use super::problem::Problem;
use super::{Asked, Caller, Core};
use crate::telemetry::services as metrics;

/// How long a browser may keep what it was told about an origin.
const PREFLIGHT_KEPT: HeaderValue = HeaderValue::from_static("600");

#[derive(Serialize)]
struct Me<'a> {
    appid: &'a str,
    account: &'a str,
    openid: &'a str,
    unionid: Option<&'a str>,
    nickname: Option<&'a str>,
    headimgurl: Option<&'a str>,
    /// Whether WeChat has said that name or picture changed since.
    profile_stale: bool,
    scope: &'static str,
    logged_in_at: String,
    debug: bool,
}

/// `GET /oauth/me`.
pub(super) async fn me(State(core): State<Arc<Core>>, asked: Asked) -> Response {
    answered("me", &asked, async |caller| {
        let (login, user) = core.who(&asked, caller).await?;
        Ok(Json(of(&asked, &login, &user)).into_response())
    })
    .await
}

fn of<'a>(asked: &'a Asked, login: &'a Login, user: &'a User) -> Me<'a> {
    let account = asked.site().accounts().iter().find(|account| account.appid == login.appid);
    let profile = user.profile.as_ref();
    Me {
        appid: login.appid.as_str(),
        account: account.map_or("", |account| &account.path),
        openid: login.openid.as_str(),
        unionid: user.unionid.as_ref().map(super::super::users::UnionId::as_str),
        nickname: profile.map(|profile| profile.nickname.as_str()),
        headimgurl: profile.and_then(|profile| profile.headimgurl.as_deref()),
        profile_stale: user.freshness == Freshness::Stale,
        scope: login.scope.as_str(),
        logged_in_at: login.at.to_string(),
        debug: login.via == Via::Debug,
    }
}

/// A browser's question before the question, of a page of another origin.
pub(super) async fn preflight(asked: Asked) -> Response {
    match asked.caller() {
        Err(problem) => shown(problem.answer(&asked), &Caller::Own),
        Ok(caller) => {
            let mut answer = shown(StatusCode::NO_CONTENT.into_response(), &caller);
            if let Caller::At(_) = caller {
                let headers = answer.headers_mut();
                let methods = HeaderValue::from_static("GET, POST");
                headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
                headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_KEPT);
            }
            answer
        }
    }
}

/// Does what a page asked for, if it is one that may ask; counts it, and tells the browser who may
/// read the answer.
pub(super) async fn answered<F>(what: &'static str, asked: &Asked, work: F) -> Response
where
    F: AsyncFnOnce(&Caller) -> Result<Response, Problem>,
{
    let caller = asked.caller();
    let result = match &caller {
        Ok(caller) => work(caller).await,
        Err(_) => Err(Problem::ForeignOrigin),
    };
    metrics::identity_asked(what, result.as_ref().map_or_else(Problem::reason, |_| "ok"));
    let answer = result.unwrap_or_else(|problem| problem.answer(asked));
    shown(answer, &caller.unwrap_or(Caller::Own))
}

/// No cache keeps it, nobody takes it for a page, and scripts of a listed origin may read it.
pub(super) fn shown(mut answer: Response, caller: &Caller) -> Response {
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::VARY, HeaderValue::from_static("Origin, Cookie"));
    if let Caller::At(origin) = caller {
        allow(headers, origin.as_str());
    }
    answer
}

fn allow(headers: &mut HeaderMap, origin: &str) {
    let origin = HeaderValue::from_str(origin).expect("an origin is ASCII");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
}
