//! The end of a login: WeChat's browser comes back with a code.
//!
//! ```text
//! arrival ─ a note? ── same browser, same code: told what came of it
//!         └ pending? ─ same browser, same account ─ still allowed ─ claim (one of all instances)
//!                                                                    └ exchange ─ profile ─ user ─ session ─ note
//! ```
//!
//! Everything after the state and the cookie were read happens in an arrival's own task. A claim
//! whose code was certainly not spent is given back, so that a reload of the page goes on with it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::extract::State as Of;
use axum::http::{StatusCode, header};
use axum::response::Response;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tower_sessions::session::Id;

use crate::secret::Secret;
use crate::telemetry::{Report, services as metrics};

use super::account::{Account, Scope};
use super::arrivals::{Key, NoOutcome};
use super::authorize::authorize_url;
use super::exchange::{Person, Spent};
use super::flow::{Core, Live, Visit, redirect};
use super::home::Way;
use super::login::{again, put};
use super::notes::{CLAIMED, CodeMark, Ending, Note, REPEATED, later};
use super::page::{Page, Stopped, What};
use super::pending::{Binding, Pending, RESTARTS, State};
use super::query;
use super::records::{RecordId, RecordsError};
use super::return_to::ReturnTo;
use super::sessions::{Login, Via};
use super::userinfo;
use super::users::{OpenId, Profile, Seen, UnionId};

/// The longest code that the daemon takes.
const LONGEST_CODE: usize = 512;
/// How often is looked what another instance has made of an arrival.
const LOOK: Duration = Duration::from_millis(100);
/// How long it is waited for.
const PATIENCE: Duration = Duration::from_secs(25);
/// Loads the page's own address again, whatever it is, so that no page has to hold it.
const RELOAD: &str = "";

/// What a request is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is over, and a second arrival is told the same.
    Ended(Ending),
    /// It may go on, or never was.
    Page(Page),
}

impl From<What> for Outcome {
    fn from(what: What) -> Self {
        Self::Page(what.into())
    }
}

/// A browser that came back.
pub(super) struct Arrival {
    pub(super) live: Arc<Live>,
    pub(super) account: Account,
    pub(super) state: State,
    pub(super) browser: Binding,
    pub(super) brought: Brought,
    /// The session that it has already.
    pub(super) earlier: Option<Id>,
    pub(super) from: std::net::IpAddr,
}

/// What it came back with.
pub(super) enum Brought {
    /// WeChat's code.
    Code(Secret),
    /// A person that a developer made up.
    MadeUp(OpenId),
    /// The virtual user of a snapshot page, made up as well.
    MadeUpSnapshot,
}

/// `GET /oauth/{account}/callback`.
pub(super) async fn callback(Of(core): Of<Arc<Core>>, visit: Visit) -> Response {
    let query = visit.query.as_deref();
    let Some(account) = visit.live.site.account(&visit.account).cloned() else {
        return core.shown(&What::NoAccount.into(), &visit, "");
    };
    let Some(state) = query::raw(query, "state").and_then(State::parse) else {
        return core.shown(&start(What::Over), &visit, "");
    };
    let code = query::raw(query, "code").filter(|code| !code.is_empty());
    let Some(code) = code else { return refused(&core, &visit, &state).await };
    let code = query::decoded(code).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(code) = code.filter(|code| code.len() <= LONGEST_CODE) else {
        return core.shown(&start(What::Over), &visit, "");
    };
    // Without a cookie it is nobody's login, and nothing needs to be looked up.
    let Some(browser) = Binding::of(&visit.headers, visit.live.site.base()) else {
        return core.shown(&start(What::OtherBrowser), &visit, "");
    };
    let arrival = Arrival {
        live: Arc::clone(&visit.live),
        account,
        state,
        browser,
        brought: Brought::Code(code.into()),
        earlier: core.sessions.id_in(&visit.headers),
        from: visit.received.peer,
    };
    arrived(&core, &visit, arrival).await
}

/// The answer to an arrival.
pub(super) async fn arrived(core: &Arc<Core>, visit: &Visit, arrival: Arrival) -> Response {
    let own = Arc::clone(core);
    let outcome = core.arrivals.outcome(arrival.key(), || arrive(own, arrival)).await;
    match outcome.as_deref() {
        Ok(Outcome::Ended(ending)) => ended(core, visit, ending),
        Ok(Outcome::Page(page)) => core.shown(page, visit, ""),
        Err(NoOutcome::Full) => core.shown(&reload(What::Busy), visit, ""),
        Err(NoOutcome::Lost) => core.shown(&reload(What::Broken), visit, ""),
    }
}

fn ended(core: &Core, visit: &Visit, ending: &Ending) -> Response {
    let location = match ending {
        Ending::Stopped { why, again } => {
            let page = Page { what: What::Stopped(*why), onward: Some(again.clone()) };
            return core.shown(&page, visit, "");
        }
        Ending::In { location, .. } | Ending::Back { location } => unfragmented(location),
        Ending::Again { location } | Ending::Snapshot { location } => location.clone(),
    };
    metrics::login(ending.reason());
    tracing::debug!(
        account = visit.account,
        request = &**visit.received.id.text(),
        reason = ending.reason(),
        "a login has ended"
    );
    let mut answer = redirect(StatusCode::SEE_OTHER, &location);
    if let Ending::In { session, .. } = ending
        && let Ok(id) = session.parse()
    {
        answer.headers_mut().append(header::SET_COOKIE, core.sessions.cookie(id));
    }
    answer
}

/// An address without a fragment gets an empty one: else the browser would carry WeChat's own,
/// `#wechat_redirect`, on to a page that may take it for a route.
fn unfragmented(location: &str) -> String {
    if location.contains('#') { location.to_owned() } else { format!("{location}#") }
}

/// The user said no, and comes back without a code. The login may still be completed.
pub(super) async fn refused(core: &Core, visit: &Visit, state: &State) -> Response {
    let page = refused_by_user(core, visit, state).await.unwrap_or_else(|_| reload(What::Storage));
    core.shown(&page, visit, "")
}

async fn refused_by_user(core: &Core, visit: &Visit, state: &State) -> Result<Page, RecordsError> {
    let Some(pending) = pending(core, state).await? else { return Ok(start(What::Over)) };
    if !pending.browser.is_of(Binding::of(&visit.headers, visit.live.site.base()).as_ref()) {
        return Ok(start(What::OtherBrowser));
    }
    Ok(Page { what: What::UserRefused, onward: Some(again(&pending.account, &pending)) })
}

fn start(what: What) -> Page {
    Page { what, onward: Some("/".to_owned()) }
}

fn reload(what: What) -> Page {
    Page { what, onward: Some(RELOAD.to_owned()) }
}

impl Brought {
    fn mark(&self) -> CodeMark {
        match self {
            Self::Code(code) => CodeMark::of(code.expose()),
            // No code has a blank.
            Self::MadeUp(openid) => CodeMark::of(&format!("made up {openid}")),
            Self::MadeUpSnapshot => CodeMark::of("made up snapshot"),
        }
    }
}

impl Arrival {
    fn key(&self) -> Key {
        let mut hash = Sha256::new();
        hash.update(self.state.as_str());
        hash.update(self.browser.mark().bytes());
        hash.update(self.brought.mark().bytes());
        hash.update(&self.account.path);
        hash.finalize().into()
    }
}

/// The task of an arrival. Bounded by the exchange's limit, WeChat's and the store's, or by patience.
async fn arrive(core: Arc<Core>, arrival: Arrival) -> Outcome {
    let until = Instant::now() + PATIENCE;
    loop {
        match look(&core, &arrival).await {
            Ok(Some(outcome)) => return outcome,
            Ok(None) if Instant::now() >= until => return Outcome::Page(reload(What::Away(None))),
            // Another instance works on it.
            Ok(None) => tokio::time::sleep(LOOK).await,
            Err(_) => return Outcome::Page(reload(What::Storage)),
        }
    }
}

/// What there is to say to an arrival, after it was worked on if nobody has; `None` while another
/// instance does.
async fn look(core: &Core, arrival: &Arrival) -> Result<Option<Outcome>, RecordsError> {
    let done = RecordId::done(arrival.state.as_str());
    if let Some(note) = note(core, &done).await? {
        return Ok(repeated(core, arrival, &note));
    }
    let Some(pending) = pending(core, &arrival.state).await? else {
        // Another instance may have ended it since.
        let note = note(core, &done).await?;
        return Ok(note
            .map_or_else(|| Some(Outcome::Page(start(What::Over))), |note| repeated(core, arrival, &note)));
    };
    if !pending.browser.is_of(Some(&arrival.browser)) {
        return Ok(Some(Outcome::Page(start(What::OtherBrowser))));
    }
    if pending.account != arrival.account.path {
        return Ok(Some(Outcome::Page(start(What::Over))));
    }
    // The configuration may have changed; what was allowed then need not be now.
    let return_to = match ReturnTo::check(pending.return_to.as_bytes()) {
        Ok(return_to) => return_to,
        Err(refused) => return Ok(Some(What::ReturnTo(refused).into())),
    };
    let site = &arrival.live.site;
    let way = match site.app(&arrival.account, pending.app.as_deref(), return_to.home()) {
        Ok(app) => Way::new(site, app, &return_to, pending.nonce.as_deref()),
        Err(unlisted) => return Ok(Some(What::Unlisted(unlisted).into())),
    };
    let mut claim = Note {
        browser: arrival.browser.mark(),
        code: arrival.brought.mark(),
        home: pending.return_to.clone(),
        again: again(&pending.account, &pending),
        came: None,
    };
    if !core.records.add(&done, &bytes(&claim), later(core.clock.wall(), CLAIMED)).await? {
        return Ok(None);
    }
    let outcome = work(core, arrival, &pending, &way, &claim.again).await;
    // The store tells its own failures. Without the note a second arrival is told that it is over, or
    // after the claim's end asks WeChat about a code that is spent, and is sent there for another.
    match &outcome {
        Outcome::Ended(ending) => {
            let now = core.clock.wall();
            claim.came = Some((ending.clone(), now.0));
            let ends = later(now, REPEATED).max(pending.ends());
            let _ = core.records.put(&done, &bytes(&claim), ends).await;
            let _ = core.records.remove(&RecordId::pending(arrival.state.as_str())).await;
            core.throng.leave(arrival.from);
        }
        Outcome::Page(_) => {
            let _ = core.records.remove(&done).await;
        }
    }
    Ok(Some(outcome))
}

/// What a second arrival is told.
fn repeated(core: &Core, arrival: &Arrival, note: &Note) -> Option<Outcome> {
    if !note.browser.is_of(Some(&arrival.browser)) {
        return Some(Outcome::Page(start(What::OtherBrowser)));
    }
    if note.code != arrival.brought.mark() {
        return Some(Outcome::Page(start(What::OtherCode)));
    }
    note.told(core.clock.wall()).map(Outcome::Ended)
}

async fn work(core: &Core, arrival: &Arrival, pending: &Pending, way: &Way<'_>, again: &str) -> Outcome {
    let code = match &arrival.brought {
        Brought::Code(code) => code,
        Brought::MadeUp(openid) => {
            let profile = Profile { nickname: openid.to_string(), headimgurl: None };
            let profile = (pending.scope == Scope::UserInfo).then_some(profile);
            let who = Who { openid: openid.clone(), unionid: None, scope: pending.scope, via: Via::Debug };
            return log_in(core, arrival, way, who, profile).await;
        }
        Brought::MadeUpSnapshot => return Outcome::Ended(snapshot(again)),
    };
    match core.exchange.spend(&arrival.account, code).await {
        Spent::Person(person) => known(core, arrival, way, person).await,
        Spent::Snapshot => Outcome::Ended(snapshot(again)),
        Spent::Stale => ask_again(core, arrival, pending, again).await,
        Spent::Unspent(errcode) => Outcome::Page(reload(What::Away(errcode))),
        Spent::Stopped(why) => Outcome::Ended(Ending::Stopped { why, again: again.to_owned() }),
    }
}

fn snapshot(again: &str) -> Ending {
    Ending::Snapshot { location: again.replacen("/login?", "/snapshot?", 1) }
}

/// To WeChat for another code, a bounded number of times: what is wrong may not be the code.
async fn ask_again(core: &Core, arrival: &Arrival, pending: &Pending, again: &str) -> Outcome {
    if pending.restarts >= RESTARTS {
        return Outcome::Ended(Ending::Stopped { why: Stopped::Restarts, again: again.to_owned() });
    }
    let state = State::new();
    let next = Pending { restarts: pending.restarts + 1, ..pending.clone() };
    if let Err(what) = put(core, &state, &next).await {
        return Outcome::Page(reload(what));
    }
    let Live { site, authorize_at } = &*arrival.live;
    let appid = &arrival.account.appid;
    let redirect_uri = site.callback(&arrival.account);
    Outcome::Ended(Ending::Again {
        location: authorize_url(authorize_at, appid, &redirect_uri, pending.scope, state.as_str()),
    })
}

/// Somebody whom we may log in.
struct Who {
    openid: OpenId,
    unionid: Option<UnionId>,
    scope: Scope,
    via: Via,
}

/// WeChat has named somebody: with the profile, if it was allowed.
async fn known(core: &Core, arrival: &Arrival, way: &Way<'_>, person: Person) -> Outcome {
    let Person { openid, unionid, scope, token } = person;
    let mut who = Who { openid, unionid, scope, via: Via::WeChat };
    let profile = match scope {
        Scope::Base => None,
        Scope::UserInfo => {
            let asked = userinfo::profile(&core.api, &who.openid, &token).await;
            let report = {
                let mut tracker = core.profiles.lock().unwrap_or_else(PoisonError::into_inner);
                if asked.is_ok() { tracker.succeeded() } else { tracker.failed() }
            };
            let app = arrival.account.appid.as_str();
            match (&asked, report) {
                (Err(error), Report::Warn(times)) => tracing::warn!(
                    app,
                    times,
                    %error,
                    "WeChat did not show the profile of a user of {app}, who is logged in without it; after the third \
                     time in a row at debug: {error}"
                ),
                (Err(error), _) => tracing::debug!(app, %error, "no profile of a user of {app}: {error}"),
                (Ok(_), Report::Recovered(times)) => {
                    tracing::info!(times, "WeChat shows profiles again after {times} failures");
                }
                (Ok(_), _) => {}
            }
            asked.ok().map(|(profile, unionid)| {
                who.unionid = who.unionid.take().or(unionid);
                profile
            })
        }
    };
    log_in(core, arrival, way, who, profile).await
}

async fn log_in(
    core: &Core,
    arrival: &Arrival,
    way: &Way<'_>,
    who: Who,
    profile: Option<Profile>,
) -> Outcome {
    let Who { openid, unionid, scope, via } = who;
    let (appid, at) = (arrival.account.appid.clone(), core.clock.wall());
    let seen = Seen { appid: appid.clone(), openid: openid.clone(), unionid, profile, at };
    let Ok(user) = core.users.seen(&seen).await else { return Outcome::Page(reload(What::Storage)) };
    let login = Login { appid, openid, unionid: user.unionid, epoch: user.epoch, scope, at, via };
    // Before the session, so that none is left behind that nobody has.
    let Ok(location) = way.address(&core.assertions, &login).await else {
        return Outcome::Page(reload(What::Storage));
    };
    match core.sessions.log_in(arrival.earlier, login).await {
        Ok(id) => Outcome::Ended(Ending::In { location, session: id.to_string() }),
        Err(_) => Outcome::Page(reload(What::Storage)),
    }
}

async fn note(core: &Core, id: &RecordId) -> Result<Option<Note>, RecordsError> {
    // One of another release is none: the login is over.
    Ok(core.records.get(id).await?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

async fn pending(core: &Core, state: &State) -> Result<Option<Pending>, RecordsError> {
    let bytes = core.records.get(&RecordId::pending(state.as_str())).await?;
    let pending: Option<Pending> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    // A store may keep it a little longer than it was told.
    Ok(pending.filter(|pending| core.clock.wall() < pending.ends()))
}

fn bytes(note: &Note) -> Vec<u8> {
    serde_json::to_vec(note).expect("texts, numbers and bytes can be written as JSON")
}
