//! What pages, proxies and back ends ask: who is logged in here?
//!
//! ```text
//! GET  /oauth/me          the person, as JSON, for pages
//! GET  /oauth/auth        the person, as headers, for a proxy's auth_request or forward_auth
//! GET  /oauth/assertion   the person, signed, for another host
//! GET  /oauth/jwks.json   what it was signed with
//! POST /oauth/logout      ends the session, or all of the person's
//! POST /oauth/events      WeChat's word, by the message service, that somebody is to be forgotten
//! ```
//!
//! Guarantees: no token; no answer is cached; another origin's page is answered only if an
//! application lists it, about that application's accounts only. Absent: logging in
//! ([`flow`](super::flow)).

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts as Head;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};

use crate::clock::Clock;
use crate::http::Received;
use crate::model::AppId;
use crate::secret::Secret;
use crate::telemetry::Said;

use super::account::{Account, Origin};
use super::assertion::Assertions;
use super::query;
use super::records::Records;
use super::sessions::{Login, Sessions};
use super::site::Site;
use super::users::{User, Users};

mod assertion;
mod events;
mod gate;
mod logout;
mod me;
mod problem;

use problem::Problem;

/// The longest name in a query.
const LONGEST_WORD: usize = 128;

/// What a reload may change.
#[derive(Clone, Debug)]
pub struct Live {
    /// Accounts, applications, our own address.
    pub site: Site,
    /// What the message service signs with; without one it has nothing to say here.
    pub events: Option<Secret>,
}

/// What the answers stand on.
pub struct Parts {
    /// Which events were told already.
    pub records: Arc<dyn Records>,
    /// Who has logged in.
    pub users: Users,
    /// Who is logged in.
    pub sessions: Sessions,
    /// Who signs it.
    pub assertions: Assertions,
    /// Now.
    pub clock: Clock,
}

/// The answers as one part.
pub struct Identity(Arc<Core>);

struct Core {
    live: ArcSwap<Live>,
    records: Arc<dyn Records>,
    users: Users,
    sessions: Sessions,
    assertions: Assertions,
    clock: Clock,
    said: Said,
}

impl Identity {
    /// Opens nothing.
    pub fn new(live: Live, parts: Parts) -> Self {
        let Parts { records, users, sessions, assertions, clock } = parts;
        let live = ArcSwap::from_pointee(live);
        let said = Said::default();
        Self(Arc::new(Core { live, records, users, sessions, assertions, clock, said }))
    }

    /// Other accounts and applications from now on.
    pub fn change(&self, live: Live) {
        self.0.live.store(Arc::new(live));
    }

    /// What a listener serves.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/oauth/me", get(me::me).options(me::preflight))
            .route("/oauth/auth", get(gate::gate))
            .route("/oauth/assertion", get(assertion::assertion).options(me::preflight))
            .route("/oauth/jwks.json", get(assertion::jwks))
            .route("/oauth/logout", post(logout::logout).options(me::preflight))
            .route("/oauth/events", post(events::events))
            .with_state(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// A request, so far as every handler needs it.
struct Asked {
    live: Arc<Live>,
    query: Option<String>,
    headers: HeaderMap,
    received: Received,
}

/// Whose page asks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Caller {
    /// Our own origin's, or no page.
    Own,
    /// One that an application lists.
    At(Origin),
}

impl FromRequestParts<Arc<Core>> for Asked {
    type Rejection = StatusCode;

    async fn from_request_parts(head: &mut Head, core: &Arc<Core>) -> Result<Self, StatusCode> {
        // Put there by our own listener.
        let received = head.extensions.get::<Received>().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok(Self {
            live: core.live.load_full(),
            query: head.uri.query().map(str::to_owned),
            headers: head.headers.clone(),
            received,
        })
    }
}

impl Asked {
    fn site(&self) -> &Site {
        &self.live.site
    }

    /// A plain word of the query.
    fn word(&self, name: &str) -> Option<&str> {
        query::word(self.query.as_deref(), name, LONGEST_WORD)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whose page asks, as the browser says it.
    ///
    /// # Errors
    /// Another's, which is to learn nothing.
    fn caller(&self) -> Result<Caller, Problem> {
        let Some(origin) = self.headers.get("origin") else { return Ok(Caller::Own) };
        // `null`, of sandboxes and files, is no origin.
        let origin: Option<Origin> = origin.to_str().ok().and_then(|text| text.parse().ok());
        let origin = origin.ok_or(Problem::ForeignOrigin)?;
        if origin == *self.site().base() {
            return Ok(Caller::Own);
        }
        let listed = self.site().apps().iter().any(|app| app.origins.contains(&origin));
        if listed { Ok(Caller::At(origin)) } else { Err(Problem::ForeignOrigin) }
    }

    /// Whether this caller may know who is logged in with the account.
    fn may_know(&self, caller: &Caller, account: &Account) -> bool {
        match caller {
            Caller::Own => true,
            Caller::At(origin) => {
                self.site().apps().iter().any(|app| app.origins.contains(origin) && app.serves(account))
            }
        }
    }

    /// The account of `account=`, if the caller may know of it.
    fn account(&self, caller: &Caller) -> Result<Option<&Account>, Problem> {
        if query::raw(self.query.as_deref(), "account").is_none() {
            return Ok(None);
        }
        let account = self.word("account").and_then(|path| self.site().account(path));
        account.filter(|account| self.may_know(caller, account)).map(Some).ok_or(Problem::NoAccount)
    }

    /// Where somebody logs in with this account, or with the first that the caller may know of.
    fn login_at(&self, caller: &Caller, account: Option<&Account>) -> Option<String> {
        let mut known = self.site().accounts().iter().filter(|account| self.may_know(caller, account));
        let account = account.or_else(|| known.next())?;
        Some(format!("{}/oauth/{}/login", self.site().base(), account.path))
    }
}

impl Core {
    /// Who is logged in, as far as this caller may know: with the account of `account=`, else with
    /// the one of the newest login.
    async fn who(&self, asked: &Asked, caller: &Caller) -> Result<(Login, User), Problem> {
        let account = asked.account(caller)?;
        let ours = |appid: &AppId| {
            if let Some(account) = account {
                return account.appid == *appid;
            }
            let mut accounts = asked.site().accounts().iter();
            accounts.any(|account| account.appid == *appid && asked.may_know(caller, account))
        };
        let session = self.sessions.session_in(&asked.headers);
        let newest = self.sessions.newest(&session, ours).await?;
        newest.ok_or_else(|| Problem::NobodyThere { login: asked.login_at(caller, account) })
    }
}
