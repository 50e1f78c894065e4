//! WeChat as a browser meets it: the authorize link and what follows from it.
//!
//! `link` judges the link, `authorize` lets a person in, `page` draws; `people` are who may sit at
//! the browser, `site` what the console says of an account's pages, `jssdk` the other end of the
//! JS-SDK's stand-in, `http` the hand inside over `/_sim/`. A request is answered in two steps: what happens, under the lock and with its line in
//! the log; how it looks, outside. Left out: QR-code login for websites, third-party platforms.

mod authorize;
mod http;
mod jssdk;
mod link;
mod page;
mod people;
mod site;

use std::collections::VecDeque;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

pub use authorize::SeenCode;
pub use jssdk::{JsCall, JsConfig};
pub use people::{Person, Picture, Shown, Visit};
pub use site::{AfterRefusal, Domains, Requested, Unionid, Web};

pub(super) use http::{HELP, answer as answer_control};

use super::errcode::Refusal;
use super::faults::Fault;
use super::log::{Endpoint, Outcome};
use super::state::{Shared, State};
use super::wire::{Page, Request};

/// What all accounts share of it.
pub(super) struct Shelf {
    people: Vec<Person>,
    next: VecDeque<Visit>,
    js: jssdk::Record,
}

impl Default for Shelf {
    fn default() -> Self {
        Self { people: people::everybody(), next: VecDeque::new(), js: jssdk::Record::default() }
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

    /// What `wx.config` was told, of one account or of all.
    pub(super) fn configs(&self, appid: &str) -> Vec<JsConfig> {
        let wanted = |seen: &&JsConfig| appid.is_empty() || seen.appid == appid;
        self.js.configs.iter().filter(wanted).cloned().collect()
    }

    /// The other calls of the JS-SDK.
    pub(super) fn calls(&self, appid: &str) -> Vec<JsCall> {
        let wanted = |seen: &&JsCall| appid.is_empty() || seen.appid == appid;
        self.js.calls.iter().filter(wanted).cloned().collect()
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

/// What a browser asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Authorize,
    Picture,
    Code,
    Script,
    Config,
    Call,
}

impl Asked {
    /// What it is, if it is a browser's.
    pub(super) fn of(endpoint: Endpoint) -> Option<Self> {
        match endpoint {
            Endpoint::Authorize => Some(Self::Authorize),
            Endpoint::Picture => Some(Self::Picture),
            Endpoint::Showqrcode => Some(Self::Code),
            Endpoint::JsSdk => Some(Self::Script),
            Endpoint::JsConfig => Some(Self::Config),
            Endpoint::JsCall => Some(Self::Call),
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
            | Endpoint::MenuCreate
            | Endpoint::MenuGet
            | Endpoint::MenuDelete
            | Endpoint::MenuAddConditional
            | Endpoint::MenuDelConditional
            | Endpoint::MenuTryMatch
            | Endpoint::SelfmenuInfo
            | Endpoint::QrcodeCreate
            | Endpoint::Business => None,
        }
    }

    /// Answers it, and writes the call's line in the log.
    pub(super) fn answer(self, shared: &Shared, request: &Request, fault: Option<&Fault>) -> Page {
        match self {
            Self::Authorize => {
                let sight = shared.change(|state| {
                    let (sight, outcome, issued) = state.authorize(request);
                    state.note(request, fault, outcome, issued);
                    sight
                });
                page::draw(sight, request)
            }
            Self::Picture => {
                shared.change(|state| state.note(request, fault, Outcome::Ok, None));
                let name = request.path.split('/').nth(3).unwrap_or_default();
                Page::of(200, "image/svg+xml", people::drawing(name))
            }
            Self::Code => shared.change(|state| {
                state.note(request, fault, Outcome::Ok, None);
                state.code_picture(request)
            }),
            Self::Script => {
                shared.change(|state| state.note(request, fault, Outcome::Ok, None));
                script(&request.path)
            }
            Self::Config => told(shared, request, fault, State::configure),
            Self::Call => told(shared, request, fault, State::called),
        }
    }

    /// The same for a call that a script wants refused.
    pub(super) fn refused(self, refusal: &Refusal, request: &Request) -> Page {
        let Refusal { code, message } = refusal;
        match self {
            Self::Authorize | Self::Picture | Self::Code | Self::Script => {
                page::refused(&link::Wrong::numbered(*code, message), request)
            }
            Self::Config => anywhere(Page::json(&json!({ "errMsg": format!("config:fail, {message}") }))),
            Self::Call => {
                let name = request.field("name");
                anywhere(Page::json(&json!({ "errMsg": format!("{name}:fail, {message}") })))
            }
        }
    }
}

/// Judges what the JS-SDK's stand-in brings.
fn told<T: DeserializeOwned>(
    shared: &Shared,
    request: &Request,
    fault: Option<&Fault>,
    judge: fn(&mut State, T) -> Value,
) -> Page {
    match serde_json::from_slice(&request.body) {
        Ok(body) => anywhere(Page::json(&shared.change(|state| {
            state.note(request, fault, Outcome::Ok, None);
            judge(state, body)
        }))),
        Err(error) => anywhere(Page::text(400, format!("{error}\n"))),
    }
}

/// WeChat's JS-SDK in the version that the path names.
fn script(path: &str) -> Page {
    let version = path.strip_prefix("/open/js/jweixin-").and_then(|rest| rest.strip_suffix(".js"));
    match version {
        Some(version @ ("1.2.0" | "1.4.0" | "1.6.0")) => {
            let text = include_str!("html/jweixin.js").replace("SIMULATED_VERSION", version);
            anywhere(Page::of(200, "text/javascript; charset=utf-8", text))
        }
        Some(_) | None => Page::text(404, "there is jweixin-1.6.0.js, 1.4.0 and 1.2.0\n"),
    }
}

/// For the pages of any origin.
fn anywhere(mut page: Page) -> Page {
    page.headers.push(("Access-Control-Allow-Origin", "*".to_owned()));
    page
}

impl State {
    fn note(&mut self, request: &Request, fault: Option<&Fault>, outcome: Outcome, issued: Option<String>) {
        let endpoint = Endpoint::of(&request.path);
        let mut call = self.call(request, endpoint, self.account_of(request), Instant::now());
        call.outcome = outcome;
        call.issued_fingerprint = issued;
        call.fault = fault.map(Fault::name);
        self.log.add(call);
    }
}
