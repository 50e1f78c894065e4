//! `GET /oauth/assertion` and `GET /oauth/jwks.json`: who is logged in, signed for another host.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::super::account::App;
use super::super::assertion::KEPT;
use super::super::sessions::Login;
use super::me::answered;
use super::problem::Problem;
use super::{Asked, Caller, Core};

#[derive(Serialize)]
struct Made {
    assertion: String,
    expires_in: u64,
}

/// `GET /oauth/assertion?app=NAME`.
pub(super) async fn assertion(State(core): State<Arc<Core>>, asked: Asked) -> Response {
    answered("assertion", &asked, async |caller| {
        let name = asked.word("app").ok_or(Problem::NoApp)?;
        let (login, _) = core.who(&asked, caller).await?;
        let assertion = made(&core, &asked, caller, &login, name).await?;
        let expires_in = core.assertions.life().as_secs();
        Ok(Json(Made { assertion, expires_in }).into_response())
    })
    .await
}

/// An assertion for the application of this name: for the origin whose page asks, else for its first.
pub(super) async fn made(
    core: &Core,
    asked: &Asked,
    caller: &Caller,
    login: &Login,
    name: &str,
) -> Result<String, Problem> {
    let accounts = asked.site().accounts();
    let account = accounts.iter().find(|account| account.appid == login.appid).ok_or(Problem::NoAccount)?;
    let serves = |app: &&App| app.name == name && app.serves(account);
    let app = asked.site().apps().iter().find(serves).ok_or(Problem::NoApp)?;
    let audience = match caller {
        Caller::At(origin) => app.origins.iter().find(|own| *own == origin),
        Caller::Own => app.origins.first(),
    };
    let audience = audience.ok_or(Problem::NoApp)?;
    Ok(core.assertions.sign(audience, login, asked.word("nonce")).await?)
}

/// `GET /oauth/jwks.json`: public, for every reader and cache.
pub(super) async fn jwks(State(core): State<Arc<Core>>, asked: Asked) -> Response {
    match core.assertions.jwks().await {
        Ok(jwks) => {
            let mut answer = jwks.into_response();
            let headers = answer.headers_mut();
            let kind = HeaderValue::from_static("application/jwk-set+json");
            headers.insert(header::CONTENT_TYPE, kind);
            let kept = HeaderValue::from_str(&format!("public, max-age={}", KEPT.as_secs()));
            headers.insert(header::CACHE_CONTROL, kept.expect("a number is ASCII"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            answer
        }
        Err(error) => Problem::from(error).answer(&asked),
    }
}
