//! The beginning of a login: who wants to go where, and to WeChat with it.
//!
//! Owns the reading of a login link. Who is logged in already, and has shown what is asked for, goes
//! straight back; everybody else gets a state, and a cookie if the browser has none.

use std::sync::Arc;

use axum::extract::State as Of;
use axum::http::{StatusCode, header};
use axum::response::Response;

use crate::telemetry::services as metrics;

use super::account::{Account, App, Scope};
use super::authorize::{authorize_url, escaped};
use super::debug;
use super::flow::{Core, DebugLogin, Visit, redirect};
use super::home::Way;
use super::page::{Page, What};
use super::pending::{Binding, Pending, State};
use super::query;
use super::records::RecordId;
use super::return_to::{Home, Refused, ReturnTo};
use super::sessions::Via;

/// The return address as a proxy says it, which cannot encode: as it is. It goes before the query,
/// which may be the page's own.
const RETURN_TO: &str = "x-return-to";
/// The longest name of an application, and the longest nonce.
const LONGEST_WORD: usize = 128;

/// What a login link asks for, checked.
pub(super) struct Wanted<'v> {
    pub(super) account: &'v Account,
    app: &'v App,
    /// The application's name, if the link has it.
    named: Option<&'v str>,
    pub(super) scope: Scope,
    pub(super) return_to: ReturnTo,
    nonce: Option<&'v str>,
}

/// Why a link is not followed; the remark is for the log.
pub(super) struct BadLink {
    what: What,
    remark: String,
}

impl From<What> for BadLink {
    fn from(what: What) -> Self {
        Self { what, remark: String::new() }
    }
}

impl<'v> Wanted<'v> {
    pub(super) fn read(visit: &'v Visit) -> Result<Self, BadLink> {
        let query = visit.query.as_deref();
        let site = &visit.live.site;
        let account = site.account(&visit.account).ok_or(What::NoAccount)?;
        let return_to = return_to(visit).map_err(What::ReturnTo)?;
        let named = query::raw(query, "app");
        let app = site.app(account, named, return_to.home()).map_err(|unlisted| BadLink {
            what: What::Unlisted(unlisted),
            // Of the address only what the list is about.
            remark: match return_to.home() {
                Home::Own => String::new(),
                Home::At(origin) => format!(" (the origin is {origin})"),
            },
        })?;
        let scope = match query::raw(query, "scope") {
            None => app.scope,
            Some(text) => text.parse().map_err(|_| What::NoScope)?,
        };
        if scope > app.scope {
            return Err(What::TooMuch.into());
        }
        Ok(Self { account, app, named, scope, return_to, nonce: query::word(query, "nonce", LONGEST_WORD) })
    }
}

impl BadLink {
    pub(super) fn shown(self, core: &Core, visit: &Visit) -> Response {
        core.shown(&self.what.into(), visit, &self.remark)
    }
}

fn return_to(visit: &Visit) -> Result<ReturnTo, Refused> {
    if let Some(said) = visit.headers.get(RETURN_TO) {
        return ReturnTo::check(said.as_bytes());
    }
    match query::raw(visit.query.as_deref(), "return_to") {
        None => Ok(ReturnTo::root()),
        Some(raw) => ReturnTo::check(&query::decoded(raw).map_err(|_| Refused::NotText)?),
    }
}

/// Where a login like this one begins.
pub(super) fn again(account: &str, pending: &Pending) -> String {
    let mut link = format!(
        "/oauth/{account}/login?return_to={}&scope={}",
        escaped(&pending.return_to),
        pending.scope.as_str()
    );
    for (name, value) in [("app", &pending.app), ("nonce", &pending.nonce)] {
        if let Some(value) = value {
            link = format!("{link}&{name}={}", escaped(value));
        }
    }
    link
}

/// `GET /oauth/{account}/login`.
pub(super) async fn login(Of(core): Of<Arc<Core>>, visit: Visit) -> Response {
    if core.debug == DebugLogin::On && !debug::is_near(&visit) {
        return core.shown(&What::NoAccount.into(), &visit, "");
    }
    let wanted = match Wanted::read(&visit) {
        Ok(wanted) => wanted,
        Err(bad) => return bad.shown(&core, &visit),
    };
    let begin = begin(&core, &visit, &wanted);
    match begin.await {
        Ok(answer) => answer,
        Err(what) => core.shown(&Page { what, onward: Some(String::new()) }, &visit, ""),
    }
}

async fn begin(core: &Core, visit: &Visit, wanted: &Wanted<'_>) -> Result<Response, What> {
    let session = core.sessions.session_in(&visit.headers);
    let login = core.sessions.login(&session, &wanted.account.appid).await.map_err(|_| What::Storage)?;
    if let Some(login) = login
        && login.scope >= wanted.scope
        && (login.via == Via::WeChat || core.debug == DebugLogin::On)
    {
        let way = Way::new(&visit.live.site, wanted.app, &wanted.return_to, wanted.nonce);
        let address = way.address(&core.assertions, &login).await.map_err(|_| What::Storage)?;
        metrics::login("straight_back");
        return Ok(redirect(StatusCode::SEE_OTHER, &address));
    }
    core.throng.enter(visit.received.peer).map_err(|_| What::Busy)?;
    let base = visit.live.site.base();
    let browser = Binding::of(&visit.headers, base).unwrap_or_else(Binding::new);
    let state = State::new();
    let pending = Pending {
        account: wanted.account.path.clone(),
        app: wanted.named.map(str::to_owned),
        scope: wanted.scope,
        return_to: wanted.return_to.as_str().to_owned(),
        browser: browser.mark(),
        nonce: wanted.nonce.map(str::to_owned),
        restarts: 0,
        begun: core.clock.wall().0,
    };
    if let Err(what) = put(core, &state, &pending).await {
        core.throng.leave(visit.received.peer);
        return Err(what);
    }
    metrics::login("begun");
    let mut answer = match core.debug {
        DebugLogin::Off => {
            let redirect_uri = visit.live.site.callback(wanted.account);
            let at = &visit.live.authorize_at;
            let url = authorize_url(at, &wanted.account.appid, &redirect_uri, wanted.scope, state.as_str());
            redirect(StatusCode::FOUND, &url)
        }
        DebugLogin::On => core.form(&debug::form(visit, wanted, &state), visit),
    };
    answer.headers_mut().append(header::SET_COOKIE, browser.cookie(base));
    Ok(answer)
}

/// Writes down a login that begins, or begins once more.
pub(super) async fn put(core: &Core, state: &State, pending: &Pending) -> Result<(), What> {
    let bytes = serde_json::to_vec(pending).map_err(|_| What::Broken)?;
    let id = RecordId::pending(state.as_str());
    core.records.put(&id, &bytes, pending.ends()).await.map_err(|_| What::Storage)
}

/// `GET /oauth/{account}/snapshot`: a clean address, so that a user who goes on to the full service and
/// loads it again is not stuck with a code that is spent.
pub(super) async fn snapshot(Of(core): Of<Arc<Core>>, visit: Visit) -> Response {
    let link = match Wanted::read(&visit) {
        Ok(_) => format!("/oauth/{}/login?{}", visit.account, visit.query.as_deref().unwrap_or_default()),
        Err(bad) => return bad.shown(&core, &visit),
    };
    core.shown(&Page { what: What::Snapshot, onward: Some(link) }, &visit, "")
}
