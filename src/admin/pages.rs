//! The status page and what it loads.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use serde::Serialize;

use crate::audit::{Act, On, Outcome};
use crate::model::Kind;

use super::parts::Parts;
use super::query::{Query, Show};
use super::refusal::Refusal;
use super::render::{self, Scene, Templates};
use super::row::Row;
use super::site::{Site, Viewer, Visit};
use super::words::Lang;
use super::{doors, forms, live};

/// Behind the addresses of what a page loads, so that a new version is loaded anew.
pub(super) const ASSETS: &str = env!("CARGO_PKG_VERSION");

/// The pages. They share nothing with what machines ask for but the listener.
pub(super) fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/events", get(live::events))
        .route("/act", get(forms::confirm).post(forms::act))
        .route("/signin", get(forms::sign_in_page).post(forms::sign_in))
        .route("/signout", post(forms::sign_out))
        .route("/assets/page.css", get(async || asset("text/css; charset=utf-8", render::STYLE)))
        .route("/assets/page.js", get(async || asset("text/javascript; charset=utf-8", render::SCRIPT)))
        .route("/assets/icon.svg", get(async || asset("image/svg+xml", render::ICON)))
        .fallback(nothing)
        .layer(axum::extract::DefaultBodyLimit::max(forms::LARGEST))
        .layer(middleware::from_fn(doors::guard))
        .with_state(site)
}

#[derive(Serialize)]
struct Shown<'a> {
    assets: &'static str,
    query: String,
    client: Option<&'a str>,
    form_token: &'a str,
    sign_in: String,
    other_language: String,
    lang_param: Option<&'static str>,
    show: &'static str,
    search: &'a str,
    kinds: Vec<Choice>,
    sort: &'static str,
    narrowed: bool,
    all: String,
    summary: String,
    notices: String,
    rows: String,
    pager: String,
    events: String,
    side: String,
}

#[derive(Serialize)]
struct Choice {
    name: &'static str,
    chosen: bool,
}

async fn page(visit: Visit) -> Response {
    let Some(viewer) = visit.site.viewer(visit.signed.clone()) else {
        return Redirect::to(&forms::sign_in_address(&visit.query)).into_response();
    };
    if let Some(signed) = &viewer.signed {
        visit.site.audit.record(&signed.caller, Act::Status, On::default(), Outcome::Served);
    }
    let parts = Parts::of(&visit.site, &viewer, &visit.query, visit.lang).await;
    match whole(&visit, &viewer, &parts) {
        Ok(html) => {
            let mut answer = Html(html).into_response();
            visit.remember_language(&mut answer);
            answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-language, cookie"));
            answer
        }
        Err(error) => broken(&visit.site, visit.lang, &error),
    }
}

/// Says that a template and its facts do not fit.
pub(super) fn broken(site: &Site, lang: Lang, error: &minijinja::Error) -> Response {
    tracing::error!(%error, "a status page could not be made; please report this as a bug");
    Refusal::Broken.answer(site, lang)
}

fn whole(visit: &Visit, viewer: &Viewer, parts: &Parts) -> Result<String, minijinja::Error> {
    let Visit { site, query, lang, signed: _, peer: _, headers: _ } = visit;
    let (templates, scene) = (&site.templates, site.scene(*lang));
    let signed = viewer.signed.as_ref();
    let mut rows = String::new();
    for one in &parts.rows {
        rows.push_str(&row(templates, scene, one)?);
    }
    let spoken = Query { lang: Some(*lang), ..query.clone() };
    let shown = Shown {
        assets: ASSETS,
        query: spoken.text(),
        client: signed.map(|signed| signed.caller.name()),
        form_token: signed.map_or("", |signed| &signed.form_token),
        sign_in: forms::sign_in_address(query),
        other_language: query.speaking(lang.other()).address(),
        lang_param: query.lang.map(Lang::as_str),
        show: query.show.as_str(),
        search: &query.search,
        kinds: Kind::ALL
            .into_iter()
            .map(|kind| Choice { name: kind.as_str(), chosen: query.kind == Some(kind) })
            .collect(),
        sort: query.sort.as_str(),
        narrowed: query.kind.is_some() || !query.search.is_empty(),
        all: Query { search: String::new(), kind: None, ..query.showing(Show::All) }.address(),
        summary: templates.render("summary.html", scene, &parts.summary)?,
        notices: templates.render("notices.html", scene, &parts.notices)?,
        rows,
        pager: templates.render("pager.html", scene, &parts.pager)?,
        events: templates.render("events.html", scene, &parts.events)?,
        side: templates.render("side.html", scene, &parts.side)?,
    };
    templates.render("page.html", scene, &shown)
}

/// One key.
pub(super) fn row(templates: &Templates, scene: Scene, row: &Row) -> Result<String, minijinja::Error> {
    templates.render("row.html", scene, row)
}

async fn nothing(visit: Visit, State(_): State<Arc<Site>>) -> Response {
    Refusal::NoSuchPage.answer(&visit.site, visit.lang)
}

fn asset(
    kind: &'static str,
    text: &'static str,
) -> (StatusCode, [(HeaderName, &'static str); 2], &'static str) {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=86400")];
    (StatusCode::OK, headers, text)
}
