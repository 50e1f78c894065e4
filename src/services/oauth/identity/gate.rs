//! `GET /oauth/auth`: may this request pass, and whose is it? For a proxy that asks before it passes
//! one on: nginx's `auth_request`, Caddy's `forward_auth`.
//!
//! The proxy must take away what a browser sends under these names; docs/oauth.md shows how.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::super::authorize::escaped;
use super::super::return_to::{Home, ReturnTo};
use super::super::sessions::{Login, Via};
use super::super::users::User;
use super::me::shown;
use super::problem::Problem;
use super::{Asked, Caller, Core, assertion};
use crate::telemetry::services as metrics;

const APPID: HeaderName = HeaderName::from_static("x-wechat-appid");
const OPENID: HeaderName = HeaderName::from_static("x-wechat-openid");
const UNIONID: HeaderName = HeaderName::from_static("x-wechat-unionid");
const NICKNAME: HeaderName = HeaderName::from_static("x-wechat-nickname");
const DEBUG: HeaderName = HeaderName::from_static("x-wechat-debug");
const ASSERTION: HeaderName = HeaderName::from_static("x-wechat-assertion");

/// `GET /oauth/auth`.
pub(super) async fn gate(State(core): State<Arc<Core>>, asked: Asked) -> Response {
    // The request's own Origin is the business of who passes it on.
    let caller = Caller::Own;
    let result = pass(&core, &asked, &caller).await;
    metrics::identity_asked("auth", result.as_ref().map_or_else(Problem::reason, |_| "ok"));
    let answer = match result {
        Ok(answer) => answer,
        Err(problem @ Problem::NobodyThere { .. }) => match to_login(&asked) {
            Some(location) => (StatusCode::FOUND, [(header::LOCATION, location)]).into_response(),
            None => problem.answer(&asked),
        },
        Err(problem) => problem.answer(&asked),
    };
    shown(answer, &caller)
}

async fn pass(core: &Core, asked: &Asked, caller: &Caller) -> Result<Response, Problem> {
    let (login, user) = core.who(asked, caller).await?;
    let mut answer = StatusCode::OK.into_response();
    for (name, value) in said(&login, &user) {
        let value = HeaderValue::from_str(&value).expect("ids and escaped text are visible ASCII");
        answer.headers_mut().insert(name, value);
    }
    if let Some(name) = asked.word("assertion") {
        let token = assertion::made(core, asked, caller, &login, name).await?;
        let token = HeaderValue::from_str(&token).expect("base64 is visible ASCII");
        answer.headers_mut().insert(ASSERTION, token);
    }
    Ok(answer)
}

fn said(login: &Login, user: &User) -> Vec<(HeaderName, String)> {
    let mut said = vec![(APPID, login.appid.to_string()), (OPENID, login.openid.to_string())];
    if let Some(unionid) = &user.unionid {
        said.push((UNIONID, unionid.to_string()));
    }
    if let Some(profile) = &user.profile {
        said.push((NICKNAME, escaped(&profile.nickname)));
    }
    if login.via == Via::Debug {
        said.push((DEBUG, "1".to_owned()));
    }
    said
}

/// With `login=PATH`: where the browser logs in, and from there back to what it asked the proxy for.
/// What is made of the proxy's headers is checked as what a page says is, and again at the login.
fn to_login(asked: &Asked) -> Option<HeaderValue> {
    let account = asked.site().account(asked.word("login")?)?;
    let uri = asked.header("x-forwarded-uri").or_else(|| asked.header("x-original-uri"))?;
    let base = asked.site().base();
    let here = match (asked.header("x-forwarded-proto"), asked.header("x-forwarded-host")) {
        (Some(scheme), Some(host)) => format!("{scheme}://{host}"),
        _ => base.to_string(),
    };
    let return_to = ReturnTo::check(format!("{here}{uri}").as_bytes()).ok()?;
    let same = |home: &Home| matches!(home, Home::At(origin) if origin == base);
    let return_to = if same(return_to.home()) { ReturnTo::check(uri.as_bytes()).ok()? } else { return_to };
    asked.site().app(account, None, return_to.home()).ok()?;
    let mut location = format!("{base}/oauth/{}/login", account.path);
    let _ = write!(location, "?return_to={}", escaped(return_to.as_str()));
    HeaderValue::from_str(&location).ok()
}
