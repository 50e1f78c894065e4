//! The made-up logins: pages are developed outside WeChat, as people who do not exist.
//!
//! Off unless it is configured, which takes a loopback listener and a loopback address; and even then
//! only a browser on this machine that calls it by a loopback name gets past, so that neither a
//! forgotten setting nor a name that resolves to this machine opens it to a stranger. Every page says
//! that it is on, and every made-up openid begins with [`PREFIX`].

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State as Of};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use url::form_urlencoded;

use crate::http::read_body;

use super::account::Origin;
use super::callback::{Arrival, Brought, arrived, refused};
use super::flow::{Core, Visit};
use super::login::Wanted;
use super::page::{Form, What};
use super::pending::{Binding, State};
use super::return_to::Home;

/// No openid of WeChat's begins so.
pub(super) const PREFIX: &str = "oDEBUG-";
/// People who need no typing.
const PEOPLE: [&str; 3] = ["alice", "bob", "chen"];
/// The form is a state and a few words.
const LONGEST: usize = 4 * 1_024;

/// The form for a login that began.
pub(super) fn form(visit: &Visit, wanted: &Wanted<'_>, state: &State) -> Form {
    Form {
        action: format!("/oauth/{}/debug", wanted.account.path),
        state: state.as_str().to_owned(),
        prefix: PREFIX,
        people: &PEOPLE,
        leads_to: match wanted.return_to.home() {
            Home::Own => visit.live.site.base().clone(),
            Home::At(origin) => origin.clone(),
        },
    }
}

/// Whether a request is of this machine, and knows that it is.
pub(super) fn is_near(visit: &Visit) -> bool {
    let host = visit.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = host.and_then(|host| format!("http://{host}").parse::<Origin>().ok());
    visit.received.peer.is_loopback() && origin.is_some_and(|origin| origin.is_loopback())
}

/// `POST /oauth/{account}/debug`.
pub(super) async fn debug(Of(core): Of<Arc<Core>>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let visit = match Visit::from_request_parts(&mut head, &core).await {
        Ok(visit) => visit,
        Err(status) => return status.into_response(),
    };
    match chosen(&core, &visit, body).await {
        Ok(arrival) => arrived(&core, &visit, arrival).await,
        Err(answer) => *answer,
    }
}

async fn chosen(core: &Core, visit: &Visit, body: Body) -> Result<Arrival, Box<Response>> {
    let shown = |what: What| Box::new(core.shown(&what.into(), visit, ""));
    let account = visit.live.site.account(&visit.account).cloned();
    let account = account.filter(|_| is_near(visit)).ok_or_else(|| shown(What::NoAccount))?;
    let body = read_body(&visit.headers, body, LONGEST).await.map_err(|_| shown(What::Over))?;
    let field = |name: &str| {
        let found = form_urlencoded::parse(&body).find(|(own, _)| own == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let state = State::parse(&field("state")).ok_or_else(|| shown(What::Over))?;
    let base = visit.live.site.base();
    let browser = Binding::of(&visit.headers, base).ok_or_else(|| shown(What::OtherBrowser))?;
    let brought = match field("act").as_str() {
        "login" => {
            // Who types a name need not choose it as well.
            let name =
                Some(field("other")).filter(|name| !name.is_empty()).unwrap_or_else(|| field("person"));
            let name = if name.is_empty() { PEOPLE[0].to_owned() } else { name };
            Brought::MadeUp(format!("{PREFIX}{name}").parse().map_err(|_| shown(What::Over))?)
        }
        "snapshot" => Brought::MadeUpSnapshot,
        _ => return Err(Box::new(refused(core, visit, &state).await)),
    };
    let earlier = core.sessions.id_in(&visit.headers);
    let (live, from) = (Arc::clone(&visit.live), visit.received.peer);
    Ok(Arrival { live, account, state, browser, brought, earlier, from })
}
