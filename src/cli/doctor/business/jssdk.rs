//! The JS-SDK service: its tickets, its hosts, its pages.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::access::Action;
use crate::cli::words;
use crate::config::jssdk::JssdkSettings;
use crate::config::{ServeConfig, Service};
use crate::hub::AccountSettings;
use crate::model::Kind;
use crate::services::jssdk::account::Account;
use crate::services::jssdk::pages::{Pages, PagesError};
use crate::services::jssdk::site::HostRule;

use super::super::finding::{Finding, Group};
use super::{Look, Needed, Profile, link};

pub(super) const PROFILE: Profile = Profile {
    service: Service::Jssdk,
    group: Group::Jssdk,
    needs: &[Action::Read],
    kinds: &[Kind::JsapiTicket],
    without: "no page can be signed while the daemon is away",
    well: "it signs pages",
};
/// Where cards are signed, their ticket is needed too.
const CARDS: Profile = Profile { kinds: &[Kind::WxCardTicket], without: "no card can be signed", ..PROFILE };
/// For one name.
const RESOLVE: Duration = Duration::from_secs(3);
/// Names looked up at most.
const MOST_HOSTS: usize = 20;

pub(super) async fn findings(form: &JssdkSettings, look: &Look<'_>) -> Vec<Finding> {
    if form.accounts.is_empty() {
        return Vec::new();
    }
    let (mut found, loaded) = look.configuration(&PROFILE);
    let loaded = loaded.and_then(|ServeConfig { jssdk, .. }| jssdk);
    found.extend(tickets(&form.accounts, look.accounts()));
    found.extend(pages(form));
    let daemon = async {
        let Some(JssdkSettings { daemon, accounts, .. }) = &loaded else { return Vec::new() };
        let all = Needed { link: daemon, appids: accounts.iter().map(|account| &account.appid).collect() };
        let mut found = link::findings(&PROFILE, &all, look.callers).await;
        let with_cards = accounts.iter().filter(|account| !account.cards.is_empty());
        let cards = Needed { link: daemon, appids: with_cards.map(|account| &account.appid).collect() };
        found.extend(link::findings(&CARDS, &cards, look.callers).await);
        found
    };
    let (hosts, daemon, runs) = tokio::join!(hosts(&form.accounts), daemon, look.runs(&PROFILE));
    found.extend(daemon.into_iter().chain(hosts).chain(runs));
    found
}

/// Whether the daemon of this file keeps the tickets. One on another machine has a file of its own.
fn tickets(accounts: &[Account], kept: &[AccountSettings]) -> Vec<Finding> {
    let mut found = Vec::new();
    for account in accounts {
        let Some(settings) = kept.iter().find(|settings| settings.appid == account.appid) else { continue };
        for key in account.keys().filter(|key| !settings.tickets.contains(&key.kind)) {
            let detail = format!("the daemon keeps no {} of {}", key.kind, key.appid);
            let fix = format!("add \"{}\" to tickets of its [[account]], then reload the daemon", key.kind);
            found.push(Finding::fail(PROFILE.group, "tickets", detail, fix).about(account.path.clone()));
        }
    }
    found
}

fn pages(settings: &JssdkSettings) -> Vec<Finding> {
    let Some(directory) = &settings.pages else { return Vec::new() };
    let about = |finding: Finding| finding.about(directory.display().to_string());
    let fix = "correct it (a service that runs keeps the pages that it has, and starts with no bad ones), \
               or name another directory in [jssdk] pages";
    match Pages::open(directory) {
        Ok((pages, _)) => {
            let detail = format!("{}, all of them valid", words::count(pages.names().len(), "page"));
            vec![about(Finding::ok(PROFILE.group, "pages", detail))]
        }
        Err(PagesError::Invalid { problems, .. }) => {
            let found =
                problems.iter().map(|one| Finding::fail(PROFILE.group, "pages", one.to_string(), fix));
            found.map(about).collect()
        }
        Err(error @ PagesError::Unreadable { .. }) => {
            vec![about(Finding::fail(PROFILE.group, "pages", crate::cli::chain(&error), fix))]
        }
    }
}

/// A host that has no address has no page, and is most likely a slip.
async fn hosts(accounts: &[Account]) -> Vec<Finding> {
    let names: BTreeSet<&str> =
        accounts.iter().flat_map(|account| &account.hosts).filter_map(HostRule::exact).collect();
    let mut found = Vec::new();
    let count = names.len().min(MOST_HOSTS);
    for name in names.into_iter().take(MOST_HOSTS) {
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let resolved = timeout(RESOLVE, lookup_host((bare, 443))).await;
        let has_address = resolved.is_ok_and(|found| found.is_ok_and(|mut all| all.next().is_some()));
        if !has_address {
            let detail = "has no address as seen from this machine: its pages cannot be opened".to_owned();
            let fix = "correct hosts, or the name server";
            found.push(Finding::warn(PROFILE.group, "hosts", detail, fix).about(name));
        }
    }
    if found.is_empty() && count > 0 {
        found.push(Finding::ok(
            PROFILE.group,
            "hosts",
            format!("{}: each has an address", words::count(count, "name")),
        ));
    }
    found
}
