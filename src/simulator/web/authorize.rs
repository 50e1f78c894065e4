//! The authorization itself: silent, or after a person's consent.
//!
//! Nothing of a visit is kept between the consent page and its answer: the answer comes to the
//! same link, which is judged anew. What the browser then shows is drawn outside the lock.

use std::time::Duration;

use tokio::time::Instant;

use super::super::log::{Outcome, fingerprint};
use super::super::oauth::{Login, NewCode, Profile, Scope};
use super::super::state::State;
use super::super::wire::Request;
use super::link::{self, Forced, Link, Wrong};
use super::people::{self, Person, Shown};
use super::site::{AfterRefusal, Requested, Unionid};

/// What the browser comes to see.
pub(super) enum Sight {
    /// The link is wrong.
    Wrong(Wrong),
    /// A person is asked.
    Consent(Box<Consent>),
    /// Back to the page that sent the browser here.
    Back { to: String, person: Option<String>, requested: Requested },
    /// The person refused, and the client stays.
    Stays,
}

/// What is asked.
pub(super) struct Consent {
    pub(super) link: Link,
    pub(super) people: Vec<Person>,
    pub(super) chosen: String,
    pub(super) mode: Shown,
    pub(super) unionid: Unionid,
}

/// A code that waits, or was used: named by its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SeenCode {
    /// The first 16 hex digits of its SHA-256.
    pub fingerprint: String,
    /// For which account.
    pub appid: String,
    /// Of which user.
    pub openid: String,
    /// Under which scope.
    pub scope: Scope,
    /// Whether it was exchanged.
    pub used: bool,
    /// What is left of its five minutes.
    #[serde(rename = "seconds_left", serialize_with = "seconds")]
    pub left: Duration,
}

fn seconds<S: serde::Serializer>(left: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(left.as_secs())
}

impl State {
    /// A visit to the link: logged, and answered by what the browser shall see.
    pub(super) fn authorize(&mut self, request: &Request) -> (Sight, Outcome, Option<String>) {
        let host = request.header("host").to_owned();
        let seen = self.good_link(&request.raw_query).and_then(|link| match request.method.as_str() {
            "GET" => Ok(self.visited(link, request, &host)),
            "POST" => self.answered(&link, request, &host),
            _ => Err(Wrong::plain("the link is opened with GET")),
        });
        match seen {
            Ok((sight, None)) => (sight, Outcome::Ok, None),
            Ok((sight, Some(code))) => (sight, Outcome::Issued, Some(fingerprint(&code))),
            Err(wrong) => {
                let number = wrong.number.unwrap_or(-1);
                (Sight::Wrong(wrong), Outcome::Errcode(number), None)
            }
        }
    }

    fn good_link(&mut self, query: &str) -> Result<Link, Wrong> {
        let link = link::read(query)?;
        let account =
            self.account(&link.appid).ok_or_else(|| Wrong::plain("there is no account with this appid"))?;
        if !account.web.oauth_domains.hold(&link.target) {
            let host = link.target.host_str().unwrap_or_default();
            let why =
                format!("the host of redirect_uri, {host}, is not the account's web-authorization domain");
            return Err(Wrong::numbered(10003, why));
        }
        Ok(link)
    }

    fn visited(&mut self, link: Link, request: &Request, host: &str) -> (Sight, Option<String>) {
        let next = self.web.next.pop_front();
        let mode = match (link.snapshot, &next) {
            (Forced::Yes, _) => Shown::Snapshot,
            (Forced::No, Some(visit)) => visit.mode,
            (Forced::No, None) => Shown::Full,
        };
        let chosen = next.as_ref().map(|visit| visit.person.as_str()).or_else(|| people::of_browser(request));
        let person = self.web.person(chosen);
        match link.scope {
            Scope::Base => self.let_in(&link, &person, mode, host),
            Scope::UserInfo => {
                let mut people = self.web.people.clone();
                if !people.contains(&person) {
                    people.push(person.clone());
                }
                let unionid = self.account_or_new(&link.appid).web.unionid;
                let consent = Consent { link, people, chosen: person.name, mode, unionid };
                (Sight::Consent(Box::new(consent)), None)
            }
        }
    }

    fn answered(
        &mut self,
        link: &Link,
        request: &Request,
        host: &str,
    ) -> Result<(Sight, Option<String>), Wrong> {
        match request.form("decision").as_str() {
            "allow" => {
                let person = self.web.person(Some(&request.form("person")));
                let mode = match request.form("mode").as_str() {
                    "snapshot" => Shown::Snapshot,
                    _ => Shown::Full,
                };
                Ok(self.let_in(link, &person, mode, host))
            }
            "refuse" => {
                let to = link::with_answer(&link.redirect_uri, None, link.state.as_deref());
                let refused = self.account_or_new(&link.appid).web.refusal;
                let sight = match refused {
                    AfterRefusal::Returns => Sight::Back { to, person: None, requested: Requested::Once },
                    AfterRefusal::Stays => Sight::Stays,
                };
                Ok((sight, None))
            }
            other => Err(Wrong::plain(format!("decision is {other:?}, and allow or refuse was asked for"))),
        }
    }

    /// Mints the code and sends the browser back with it.
    fn let_in(&mut self, link: &Link, person: &Person, mode: Shown, host: &str) -> (Sight, Option<String>) {
        let web = &self.account_or_new(&link.appid).web;
        let (unionid, requested) = (web.unionid, web.callback);
        let new = match mode {
            Shown::Full => NewCode::web(&link.appid, person.openid(&link.appid))
                .profile(Profile { nickname: person.nickname.clone(), headimgurl: person.head(host) }),
            Shown::Snapshot => NewCode::web(&link.appid, person.virtual_openid(&link.appid)).snapshot(),
        };
        let new = match (unionid, mode) {
            (Unionid::Bound, Shown::Full) => new.unionid(person.unionid()),
            (Unionid::Bound, Shown::Snapshot) | (Unionid::Unbound, _) => new,
        };
        let expires_at = Instant::now() + self.settings.code_life;
        let code = self.oauth.mint(new.scope(link.scope), expires_at);
        let to = link::with_answer(&link.redirect_uri, Some(&code), link.state.as_deref());
        (Sight::Back { to, person: Some(person.name.clone()), requested }, Some(code))
    }

    /// The codes of web authorization that were not forgotten, by fingerprint.
    pub(in crate::simulator) fn seen_codes(&self, appid: &str) -> Vec<SeenCode> {
        let now = Instant::now();
        let mut seen: Vec<SeenCode> = self
            .oauth
            .logins()
            .filter(|login| appid.is_empty() || login.appid == appid)
            .map(|Login { code, appid, openid, scope, used, expires_at }| SeenCode {
                fingerprint: fingerprint(code),
                appid: appid.to_owned(),
                openid: openid.to_owned(),
                scope,
                used,
                left: expires_at.saturating_duration_since(now),
            })
            .collect();
        seen.sort_by(|a, b| (a.left, &a.fingerprint).cmp(&(b.left, &b.fingerprint)));
        seen
    }
}
