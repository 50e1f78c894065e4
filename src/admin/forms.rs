//! Signing in and out, and steering a key: each a page with a form, obeyed once it is sure who
//! sent it.
//!
//! A form is obeyed if it came from our own origin, within a session that the gate still knows,
//! with that session's token, by a client with `admin` for that key. A token that is pasted is
//! hashed and forgotten; it is in no log, no cookie and no page.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query as Params};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::timeout;
use url::form_urlencoded::Serializer;

use crate::access::{Action, Origin, Proof, Refused};
use crate::audit::{Act, On, Outcome};
use crate::model::Kind;
use crate::refresh::handle::Handle;
use crate::secret::Secret;

use super::deeds::{self, Deed, What};
use super::doors;
use super::pages::{ASSETS, broken};
use super::query::{Query, Raw};
use super::refusal::Refusal;
use super::sessions::{Notice, SignedIn};
use super::site::{SESSION, Site, Visit};
use super::words::{Lang, Words};

/// The largest form: a token, a key, an address.
pub(super) const LARGEST: usize = 8 * 1024;
/// How long a page waits for a deed before it says that it is under way.
const WAIT: Duration = Duration::from_millis(400);
/// Shortest and longest pause, in minutes.
const PAUSES: std::ops::RangeInclusive<u64> = 1..=30 * 24 * 60;
/// The pause of a form without a span.
const USUAL_PAUSE: u64 = 60;

/// What a confirmation is asked for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(rename = "do")]
    what: Option<String>,
    appid: Option<String>,
    kind: Option<String>,
    back: Option<String>,
    minutes: Option<String>,
    csrf: Option<String>,
}

impl Asked {
    /// What is to be done.
    fn what(&self) -> Result<What, Refusal> {
        match self.what.as_deref() {
            Some("refresh") => Ok(What::Refresh),
            Some("resume") => Ok(What::Resume),
            Some("pause") => {
                let minutes = self.minutes.as_deref().map_or(Ok(USUAL_PAUSE), str::parse);
                let minutes =
                    minutes.ok().filter(|minutes| PAUSES.contains(minutes)).ok_or(Refusal::Malformed)?;
                Ok(What::Pause(Duration::from_secs(minutes * 60)))
            }
            Some(_) | None => Err(Refusal::Malformed),
        }
    }
}

#[derive(Serialize)]
struct Confirm<'a> {
    assets: &'static str,
    title: &'a str,
    text: &'a str,
    what: &'static str,
    name: String,
    appid: &'a str,
    kind: &'static str,
    form_token: &'a str,
    back: String,
    back_address: String,
}

/// `GET /act`: are you sure?
pub(super) async fn confirm(visit: Visit, asked: Result<Params<Asked>, QueryRejection>) -> Response {
    let asked = asked.map_or_else(|_| Asked::default(), |Params(asked)| asked);
    let Visit { site, lang, signed, .. } = &visit;
    let back = read_back(asked.back.as_deref());
    let Some(signed) = signed else {
        return Redirect::to(&sign_in_address(&Query { lang: visit.query.lang, ..back })).into_response();
    };
    let (what, handle) = match wanted(site, signed, &asked) {
        Ok(wanted) => wanted,
        Err(refusal) => return refusal.answer(site, *lang),
    };
    let w = lang.words();
    let (title, text) = match what {
        What::Refresh => (w.refresh_title, w.refresh_text),
        What::Pause(_) => (w.pause_title, w.pause_text),
        What::Resume => (w.resume_title, w.resume_text),
    };
    let appid = handle.key().appid.as_str();
    let shown = Confirm {
        assets: ASSETS,
        title,
        text,
        what: what.as_str(),
        name: site.hub.account_name(appid).unwrap_or_else(|| appid.to_owned()),
        appid,
        kind: handle.key().kind.as_str(),
        form_token: &signed.form_token,
        back: back.text(),
        back_address: back.address(),
    };
    match site.templates.render("confirm.html", site.scene(*lang), &shown) {
        Ok(page) => Html(page).into_response(),
        Err(error) => broken(site, *lang, &error),
    }
}

/// `POST /act`: done, or on its way, and back to the page.
pub(super) async fn act(visit: Visit, asked: Result<Form<Asked>, FormRejection>) -> Response {
    let Visit { site, lang, signed, headers, .. } = &visit;
    let refuse = |refusal: Refusal| refusal.answer(site, *lang);
    if !doors::form_is_ours(headers, &site.settings.hosts) {
        return refuse(Refusal::ForeignForm);
    }
    let Ok(Form(asked)) = asked else { return refuse(Refusal::Malformed) };
    let back = read_back(asked.back.as_deref());
    let Some(signed) = signed else { return Redirect::to(&sign_in_address(&back)).into_response() };
    if !signed.made(asked.csrf.as_deref().unwrap_or_default()) {
        return refuse(Refusal::StaleForm);
    }
    let (what, handle) = match wanted(site, signed, &asked) {
        Ok(wanted) => wanted,
        Err(refusal) => {
            note_refusal(site, signed, &asked, refusal);
            return refuse(refusal);
        }
    };
    start(site, signed, what, handle, *lang).await;
    Redirect::to(&back.address()).into_response()
}

/// Has it done, and waits a moment for the outcome.
async fn start(site: &Arc<Site>, signed: &SignedIn, what: What, handle: Handle, lang: Lang) {
    let w = lang.words();
    let about = deeds::about(site, &handle);
    let tell = |tone, text: &str| {
        site.sessions.tell(signed.key, Notice::new(tone, about.clone(), text.to_owned(), String::new()));
    };
    let (done, ended) = oneshot::channel();
    let client = signed.caller.name().to_owned();
    let noted = site.audit.begin(&signed.caller, what.act(), On::key(handle.key()));
    let deed = Deed { what, handle, session: signed.key, client, noted, lang, done };
    // Before it begins, so that it cannot hide the outcome.
    tell("info", w.did_asked);
    if let Err(TrySendError::Full(deed) | TrySendError::Closed(deed)) = site.deeds.try_send(deed) {
        deed.noted.end(Outcome::Unavailable);
        tell("bad", w.busy);
        return;
    }
    // Its outcome is told by itself, now or later.
    let _ = timeout(WAIT, ended).await;
}

/// Notes what was tried with a key that the client may not steer, whether it exists or not.
fn note_refusal(site: &Site, signed: &SignedIn, asked: &Asked, refusal: Refusal) {
    let outcome = match refusal {
        Refusal::NotGranted => Outcome::Denied,
        Refusal::NoSuchKey => Outcome::NotFound,
        // What cannot be understood tried nothing.
        Refusal::ForeignHost
        | Refusal::ForeignForm
        | Refusal::StaleForm
        | Refusal::NoSuchPage
        | Refusal::Malformed
        | Refusal::TooManyPages
        | Refusal::Broken => return,
    };
    let Ok(what) = asked.what() else { return };
    let kind = asked.kind.as_deref().and_then(|kind| kind.parse().ok());
    let on = On::named(asked.appid.as_deref().unwrap_or_default(), kind);
    site.audit.record(&signed.caller, what.act(), on, outcome);
}

/// What is to be done with which key, if this client may.
fn wanted(site: &Site, signed: &SignedIn, asked: &Asked) -> Result<(What, Handle), Refusal> {
    let what = asked.what()?;
    let kind: Option<Kind> = asked.kind.as_deref().and_then(|kind| kind.parse().ok());
    let (Some(appid), Some(kind)) = (asked.appid.as_deref(), kind) else { return Err(Refusal::Malformed) };
    // First the right: who has none learns nothing about what exists.
    if !signed.caller.may(Action::Admin, appid, kind) {
        return Err(Refusal::NotGranted);
    }
    let handle = site.hub.handle(appid, kind).ok_or(Refusal::NoSuchKey)?;
    Ok((what, handle))
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Return {
    back: Option<String>,
}

/// What is pasted. No `Debug`: it holds a token.
#[derive(Deserialize)]
pub(super) struct Pasted {
    token: String,
    back: Option<String>,
}

#[derive(Serialize)]
struct SignIn {
    assets: &'static str,
    refusal: Option<&'static str>,
    back: String,
    back_address: String,
    /// Whether there is something to go back to without signing in.
    open: bool,
}

/// The address of the form that leads back to this page.
pub(super) fn sign_in_address(back: &Query) -> String {
    let text = back.text();
    if text.is_empty() {
        return "/signin".to_owned();
    }
    let mut address = Serializer::for_suffix("/signin?".to_owned(), "/signin?".len());
    address.append_pair("back", &text);
    if let Some(lang) = back.lang {
        address.append_pair("lang", lang.as_str());
    }
    address.finish()
}

/// `GET /signin`.
pub(super) async fn sign_in_page(visit: Visit, asked: Result<Params<Return>, QueryRejection>) -> Response {
    let back = asked.ok().and_then(|Params(asked)| asked.back);
    let mut answer = form(&visit.site, visit.lang, None, &read_back(back.as_deref()));
    visit.remember_language(&mut answer);
    answer
}

/// `POST /signin`.
pub(super) async fn sign_in(visit: Visit, pasted: Result<Form<Pasted>, FormRejection>) -> Response {
    let Visit { site, lang, headers, peer, .. } = &visit;
    if !doors::form_is_ours(headers, &site.settings.hosts) {
        return Refusal::ForeignForm.answer(site, *lang);
    }
    let Ok(Form(Pasted { token, back })) = pasted else {
        return Refusal::Malformed.answer(site, *lang);
    };
    let token = Secret::from(token);
    let back = read_back(back.as_deref());
    let w = lang.words();
    let refuse = |status: StatusCode, text: fn(&Words) -> &'static str| {
        (status, form(site, *lang, Some(text(w)), &back)).into_response()
    };
    if let Err(wait) = site.tries.take(*peer) {
        let mut answer = refuse(StatusCode::TOO_MANY_REQUESTS, |w| w.too_many);
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        return answer;
    }
    let admitted = Proof::token(token.expose().trim().as_bytes()).ok_or(Refused::Unknown);
    let caller = match admitted.and_then(|proof| site.gate.admit(proof)) {
        Ok(caller) => caller.from_origin(Origin::from(*peer)),
        Err(why) => {
            site.audit.refused((*peer).into(), Act::SignIn, why.into());
            tracing::warn!(peer = %peer, reason = %why, "a sign-in on the status page was refused: {why}");
            return match why {
                Refused::Ended { .. } => refuse(StatusCode::FORBIDDEN, |w| w.ended_token),
                Refused::Nothing | Refused::NotBearer | Refused::Unknown => {
                    refuse(StatusCode::FORBIDDEN, |w| w.bad_token)
                }
            };
        }
    };
    if !caller.may_anywhere(Action::Status) && !caller.may_anywhere(Action::Admin) {
        site.audit.record(&caller, Act::SignIn, On::default(), Outcome::Denied);
        return refuse(StatusCode::FORBIDDEN, |w| w.no_right);
    }
    site.tries.forgive(*peer);
    site.audit.record(&caller, Act::SignIn, On::default(), Outcome::Done);
    tracing::info!(client = caller.name(), peer = %peer, "a client signed in on the status page");
    let id = site.sessions.open(caller);
    let secure = if doors::is_https(headers) { "; Secure" } else { "" };
    let cookie =
        format!("{SESSION}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=28800{secure}", id.expose());
    let mut answer = Redirect::to(&back.address()).into_response();
    if let Ok(mut cookie) = HeaderValue::try_from(cookie) {
        cookie.set_sensitive(true);
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    answer
}

#[derive(Debug, Deserialize)]
pub(super) struct Leaving {
    csrf: Option<String>,
}

/// `POST /signout`.
pub(super) async fn sign_out(visit: Visit, leaving: Result<Form<Leaving>, FormRejection>) -> Response {
    let Visit { site, lang, signed, headers, .. } = &visit;
    if !doors::form_is_ours(headers, &site.settings.hosts) {
        return Refusal::ForeignForm.answer(site, *lang);
    }
    if let Some(signed) = signed {
        let form_token = leaving.ok().and_then(|Form(leaving)| leaving.csrf).unwrap_or_default();
        if !signed.made(&form_token) {
            return Refusal::StaleForm.answer(site, *lang);
        }
        site.sessions.close(signed.key);
        site.audit.record(&signed.caller, Act::SignOut, On::default(), Outcome::Done);
    }
    let mut answer = Redirect::to("/").into_response();
    let gone = "zk_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0";
    answer.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(gone));
    answer
}

fn form(site: &Site, lang: Lang, refusal: Option<&'static str>, back: &Query) -> Response {
    let shown = SignIn {
        assets: ASSETS,
        refusal,
        back: back.text(),
        back_address: back.address(),
        open: site.viewer(None).is_some(),
    };
    match site.templates.render("sign_in.html", site.scene(lang), &shown) {
        Ok(page) => Html(page).into_response(),
        Err(error) => broken(site, lang, &error),
    }
}

/// The page to return to: a page of ours whatever the text says, since only filters are read.
fn read_back(text: Option<&str>) -> Query {
    let address = format!("/?{}", text.unwrap_or_default()).parse().unwrap_or_default();
    Params::<Raw>::try_from_uri(&address).map_or_else(|_| Raw::default(), |Params(raw)| raw).read()
}
