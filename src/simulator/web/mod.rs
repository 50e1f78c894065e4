//! WeChat as a browser meets it: the authorize link and what follows from it.
//!
//! `link` judges the link, `authorize` lets a person in, `page` draws; `people` are who may sit at
//! the browser, `site` what the console says of an account's pages, `http` the hand inside over
//! `/_sim/`. A request is answered in two steps: what happens, under the lock and with its line in
//! the log; how it looks, outside. Left out: QR-code login for websites, third-party platforms.

mod authorize;
mod http;
mod link;
mod page;
mod people;
mod site;

use std::collections::VecDeque;

use tokio::time::Instant;

pub use authorize::SeenCode;
pub use people::{Person, Picture, Shown, Visit};
pub use site::{AfterRefusal, Domains, Requested, Unionid, Web};

pub(super) use http::{HELP, answer as answer_control};

use super::faults::Fault;
use super::log::Endpoint;
use super::state::{Shared, State};
use super::wire::{Page, Request};

/// What all accounts share of it.
pub(super) struct Shelf {
    people: Vec<Person>,
    next: VecDeque<Visit>,
}

impl Default for Shelf {
    fn default() -> Self {
        Self { people: people::everybody(), next: VecDeque::new() }
    }
}

impl Shelf {
    /// Replaces the people that a chooser shows.
    pub(super) fn set_people(&mut self, people: Vec<Person>) {
        self.people = people;
    }

    /// Says whose the next authorization is, behind those that were said before.
    pub(super) fn expect(&mut self, visit: Visit) {
        self.next.push_back(visit);
    }

    /// Who has this name; the first one where nobody is named.
    fn person(&self, name: Option<&str>) -> Person {
        let named = name.filter(|name| people::is_name(name));
        match (named, self.people.first()) {
            (None, Some(first)) => first.clone(),
            (None, None) => Person::new("nobody", "nobody"),
            (Some(name), _) => {
                let known = self.people.iter().find(|person| person.name == name);
                known.cloned().unwrap_or_else(|| Person::new(name, name))
            }
        }
    }
}

/// Whether a call is answered by a page, and its refusals too.
pub(super) fn is_page(endpoint: Endpoint) -> bool {
    match endpoint {
        Endpoint::Authorize | Endpoint::Picture => true,
        Endpoint::Token
        | Endpoint::StableToken
        | Endpoint::Ticket
        | Endpoint::ApiDomainIp
        | Endpoint::CallbackIp
        | Endpoint::ClearQuota
        | Endpoint::ClearQuotaV2
        | Endpoint::CallbackCheck
        | Endpoint::QuotaGet
        | Endpoint::OauthToken
        | Endpoint::OauthRefresh
        | Endpoint::UserInfo
        | Endpoint::OauthCheck
        | Endpoint::MiniLogin
        | Endpoint::CustomSend
        | Endpoint::Business => false,
    }
}

/// Answers a browser, and writes the call's line in the log.
pub(super) fn answer(shared: &Shared, endpoint: Endpoint, request: &Request, fault: Option<&Fault>) -> Page {
    match endpoint {
        Endpoint::Picture => {
            let name = request.path.split('/').nth(3).unwrap_or_default();
            Page::of(200, "image/svg+xml", people::drawing(name))
        }
        _ => page::draw(shared.change(|state| state.visit(endpoint, request, fault)), request),
    }
}

/// WeChat's error page with this number: what a script wants.
pub(super) fn refused(number: i64, message: &str, request: &Request) -> Page {
    page::refused(&link::Wrong::numbered(number, message), request)
}

impl State {
    fn visit(&mut self, endpoint: Endpoint, request: &Request, fault: Option<&Fault>) -> authorize::Sight {
        let (sight, outcome, issued) = self.authorize(request);
        let mut call = self.call(request, endpoint, self.account_of(request), Instant::now());
        call.outcome = outcome;
        call.issued_fingerprint = issued;
        call.fault = fault.map(Fault::name);
        self.log.add(call);
        sight
    }
}
