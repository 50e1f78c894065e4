//! The parts of the page as facts: what the first paint and every update are made from.
//!
//! A part is sent again exactly if its facts changed, so nothing here depends on "now"; the
//! page counts ages itself. Words appear only where the facts of a language differ.

use serde::Serialize;
use url::form_urlencoded::Serializer;

use crate::access::Action;
use crate::model::{AppId, Key, Kind};
use crate::refresh::handle::Outcome;

use super::Readiness;
use super::archive::Filed;
use super::listing::{self, Listing, Totals};
use super::query::{Query, Raw, Show};
use super::recent::{First, Note, What};
use super::remedies::{self, Tongue};
use super::row::Row;
use super::sessions::Notice;
use super::site::{Site, Viewer};
use super::words::{Lang, Words};

/// Events on the page.
const EVENTS: usize = 40;

/// All parts, as one viewer sees them at one moment.
#[derive(Clone, PartialEq)]
pub(super) struct Parts {
    pub(super) summary: Summary,
    pub(super) notices: Vec<Notice>,
    pub(super) rows: Vec<Row>,
    pub(super) pager: Pager,
    pub(super) events: Events,
    pub(super) side: Side,
}

/// How it stands, in a sentence and in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Summary {
    /// `good`, `warn`, `bad` or `none`.
    tone: &'static str,
    headline: String,
    ready: bool,
    reason: String,
    version: &'static str,
    started: i64,
    chips: Vec<Chip>,
}

/// One number, and the filter that it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Chip {
    show: &'static str,
    count: usize,
    address: String,
    chosen: bool,
}

/// What lies behind and before this page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Pager {
    matches: usize,
    pages: usize,
    count: String,
    position: String,
    previous: Option<String>,
    next: Option<String>,
    all: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Events {
    slow: bool,
    events: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Event {
    id: String,
    at: i64,
    tone: &'static str,
    about: Option<String>,
    kind: Option<&'static str>,
    label: String,
    cause: Option<&'static str>,
    print: Option<String>,
    detail: String,
}

/// What is not about a single key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Side {
    servers: Vec<Server>,
    watchers: usize,
    streams: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Server {
    name: String,
    connected: bool,
    pending: usize,
    written: u64,
    error: Option<String>,
    error_at: Option<i64>,
}

impl Parts {
    /// Looks at everything. Waits for the ledger's events for 400 ms at most, for nothing else.
    pub(super) async fn of(site: &Site, viewer: &Viewer, query: &Query, lang: Lang) -> Self {
        let files = site.archive.files(&site.hub).await;
        let Listing { totals, matches, page, pages, mut rows } =
            listing::list(&site.hub, query, &viewer.eyes);
        let back = query.turned(page).text();
        for row in &mut rows {
            finish(row, viewer, &back, lang);
        }
        Self {
            summary: summary(site, totals, query, lang.words()),
            notices: viewer.signed.as_ref().map_or_else(Vec::new, |signed| site.sessions.notices(signed.key)),
            rows,
            pager: pager(query, matches, page, pages, lang.words()),
            events: Events { slow: files.slow, events: events(site, viewer, &files.events, lang) },
            side: side(site),
        }
    }
}

/// Adds what depends on who looks and in which language.
fn finish(row: &mut Row, viewer: &Viewer, back: &str, lang: Lang) {
    if let Some(trouble) = &mut row.problem {
        trouble.english = remedies::speak(trouble, lang) == Tongue::English;
    }
    let kind: Option<Kind> = row.kind.parse().ok();
    let caller = viewer.signed.as_ref().map(|signed| &signed.caller);
    // Who has not signed in is led there; who may not is not led anywhere.
    row.may_act = match (caller, kind) {
        (Some(caller), Some(kind)) => caller.may(Action::Admin, &row.appid, kind),
        (None, _) | (_, None) => true,
    };
    if row.may_act {
        let mut address = Serializer::for_suffix("/act?".to_owned(), "/act?".len());
        address.append_pair("appid", &row.appid).append_pair("kind", row.kind);
        if !back.is_empty() {
            address.append_pair("back", back);
        }
        if lang == Lang::Zh {
            address.append_pair("lang", lang.as_str());
        }
        row.act = address.finish();
    }
}

fn summary(site: &Site, totals: Totals, query: &Query, w: &Words) -> Summary {
    let Totals { all, fresh, degraded, no_value, operator, paused, problems } = totals;
    let mut said = Vec::new();
    match operator {
        0 => {}
        1 => said.push(w.one_needs_operator.to_owned()),
        _ => said.push(w.n_need_operator.replace("{}", &operator.to_string())),
    }
    for (count, phrase) in [(no_value, w.n_without_value), (degraded, w.n_degraded), (paused, w.n_paused)] {
        if count > 0 {
            said.push(phrase.replace("{}", &count.to_string()));
        }
    }
    let tone = match (all, operator + no_value, degraded + paused) {
        (0, _, _) => "none",
        (_, 1.., _) => "bad",
        (_, 0, 1..) => "warn",
        (_, 0, 0) => "good",
    };
    let headline = match (all, said.is_empty()) {
        (0, _) => w.none_yet.to_owned(),
        (_, true) => w.all_well.to_owned(),
        (_, false) => said.join(" · "),
    };
    let readiness = site.readiness.borrow().clone();
    let (ready, reason) = match readiness {
        Readiness::Ready => (true, String::new()),
        Readiness::NotReady(reason) => (false, reason),
    };
    let chips = Show::ALL.into_iter().map(|show| Chip {
        show: show.as_str(),
        count: match show {
            Show::All => all,
            Show::Problems => problems,
            Show::Fresh => fresh,
            Show::Degraded => degraded,
            Show::NoValue => no_value,
            Show::Operator => operator,
            Show::Paused => paused,
        },
        address: query.showing(show).address(),
        chosen: query.show == show,
    });
    Summary {
        tone,
        headline,
        ready,
        reason,
        version: env!("CARGO_PKG_VERSION"),
        started: site.started.0,
        chips: chips.collect(),
    }
}

fn pager(query: &Query, matches: usize, page: usize, pages: usize, w: &Words) -> Pager {
    let turned = |page: usize| query.turned(page).address();
    Pager {
        matches,
        pages,
        count: w.n_keys.replace("{}", &super::render::grouped(i64::try_from(matches).unwrap_or(i64::MAX))),
        position: w.page_of.replacen("{}", &page.to_string(), 1).replacen("{}", &pages.to_string(), 1),
        previous: (page > 1).then(|| turned(page - 1)),
        next: (page < pages).then(|| turned(page + 1)),
        all: Query { lang: query.lang, ..Raw::default().read() }.address(),
    }
}

fn side(site: &Site) -> Side {
    let servers = (site.servers)().into_iter();
    let servers = servers.map(|server| Server {
        name: server.name,
        connected: server.connected,
        pending: server.pending,
        written: server.written,
        error: server.error,
        error_at: server.error_at.map(|at| at.0),
    });
    Side {
        servers: servers.collect(),
        watchers: crate::telemetry::metrics::Watcher::open(),
        streams: site.open_streams(),
    }
}

/// The notes of memory and the events of the ledger, newest first.
fn events(site: &Site, viewer: &Viewer, filed: &[Filed], lang: Lang) -> Vec<Event> {
    let w = lang.words();
    let sees = |key: Option<&Key>| key.is_none_or(|key| viewer.eyes.see(key));
    let name = |appid: &AppId| site.hub.account_name(appid.as_str()).unwrap_or_else(|| appid.to_string());
    let notes = site.recent.latest(EVENTS, sees);
    let mut events: Vec<Event> = notes.iter().map(|note| of_note(note, name, lang)).collect();
    let filed = filed.iter().filter(|filed| sees(filed.key.as_ref())).take(EVENTS);
    events.extend(filed.map(|filed| of_filed(filed, name, w)));
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
    events.truncate(EVENTS);
    events
}

fn of_note(note: &Note, name: impl Fn(&AppId) -> String, lang: Lang) -> Event {
    let w = lang.words();
    let mut event = Event {
        id: format!("e-{}", note.number),
        at: note.at.0,
        tone: "info",
        about: note.key.as_ref().map(|key| name(&key.appid)),
        kind: note.key.as_ref().map(|key| key.kind.as_str()),
        label: String::new(),
        cause: None,
        print: None,
        detail: String::new(),
    };
    let (tone, label) = match &note.what {
        What::Started => ("info", w.ev_started),
        What::Rotated { cause, fingerprint, first } => {
            event.cause = Some(cause.as_str());
            event.print = Some(fingerprint.to_string());
            ("good", if *first == First::Yes { w.ev_first } else { w.ev_rotated })
        }
        What::Dead => ("warn", w.ev_dead),
        What::Complaint { seen, outcome, callers } => {
            event.print = seen.map(|seen| seen.to_string());
            let led_to = complaint(*outcome, w);
            event.detail = match callers {
                // Whoever complained has gone before it was judged.
                0 | 1 => led_to.to_owned(),
                many => format!("{led_to} · {}", w.complaint_callers.replace("{}", &many.to_string())),
            };
            ("info", w.ev_complaint)
        }
        What::Degraded(reason) => {
            event.cause = Some(reason.as_str());
            ("warn", w.ev_degraded)
        }
        What::Lost => ("bad", w.ev_lost),
        What::Back => ("good", w.ev_back),
        What::Trouble { operator, errcode, meaning } => {
            let kind = note.key.as_ref().map_or(Kind::AccessToken, |key| key.kind);
            let meaning = remedies::meaning(*errcode, kind, meaning, lang);
            event.detail = errcode.map_or_else(|| meaning.clone(), |number| format!("{number}: {meaning}"));
            if *operator { ("bad", w.operator) } else { ("warn", w.ev_trouble) }
        }
        What::Recovered => ("good", w.ev_recovered),
        What::Paused => ("warn", w.ev_paused),
        What::Resumed => ("good", w.ev_resumed),
        What::Added => ("info", w.ev_added),
        What::Removed => ("warn", w.ev_removed),
        What::Reloaded { added, changed, removed, later } => {
            event.detail = format!("+{added} ~{changed} −{removed}");
            if !later.is_empty() {
                event.detail = format!("{} · {}", event.detail, w.restart_needed.replace("{}", later));
            }
            ("info", w.ev_reloaded)
        }
        What::ReloadFailed { why } => {
            event.detail.clone_from(why);
            ("bad", w.ev_reload_failed)
        }
    };
    Event { tone, label: label.to_owned(), ..event }
}

/// What a complaint led to.
fn complaint(outcome: Option<Outcome>, w: &Words) -> &'static str {
    match outcome {
        Some(Outcome::Refreshed) => w.complaint_refreshed,
        Some(Outcome::AlreadyReplaced) => w.complaint_replaced,
        Some(Outcome::StillValid) => w.complaint_valid,
        Some(Outcome::Unchanged) => w.complaint_unchanged,
        Some(Outcome::Unverified) => w.complaint_unverified,
        None => w.complaint_failed,
    }
}

fn of_filed(filed: &Filed, name: impl Fn(&AppId) -> String, w: &Words) -> Event {
    let (tone, label) = match filed.what.as_str() {
        "foreign_refresh_suspected" => ("bad", w.ev_foreign),
        "odd_life" => ("warn", w.ev_odd_life),
        "leak_reported" => ("warn", w.ev_leak_reported),
        "leak_contained" => ("good", w.ev_leak_contained),
        // One that a later version brought.
        other => ("info", other),
    };
    Event {
        // Two accounts may be in it within one millisecond, and the page's script goes by ids.
        id: format!(
            "l-{}-{}{}",
            filed.at.0,
            filed.what,
            filed.key.as_ref().map_or_else(String::new, |key| format!("-{key}"))
        ),
        at: filed.at.0,
        tone,
        about: filed.key.as_ref().map(|key| name(&key.appid)),
        kind: filed.key.as_ref().map(|key| key.kind.as_str()),
        label: label.to_owned(),
        cause: None,
        print: None,
        detail: filed.detail.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;

    #[test]
    fn events_of_the_ledger_in_one_millisecond_are_told_apart() {
        let of = |appid: &str| {
            let filed = Filed {
                at: WallTime(7),
                key: Some(Key::new(appid.parse().unwrap(), Kind::AccessToken)),
                what: "leak_reported".to_owned(),
                detail: String::new(),
            };
            of_filed(&filed, ToString::to_string, Lang::En.words()).id
        };
        assert_ne!(of("wx1"), of("wx2"));
    }
}
