//! The message service: its keys, its rules.

use std::time::Duration;

use crate::access::Action;
use crate::cli::words;
use crate::config::messages::{CallbackSettings, MessagesSettings};
use crate::config::{ServeConfig, Service};
use crate::model::Kind;
use crate::services::messages::envelope::{self, Envelope};
use crate::services::messages::rules::{Book, Names};

use super::super::finding::{Finding, Group};
use super::super::memcached::{self, Purpose};
use super::{Look, Needed, Profile, correct, link};

pub(super) const PROFILE: Profile = Profile {
    service: Service::Messages,
    group: Group::Messages,
    needs: &[Action::Read, Action::Complain],
    kinds: &[Kind::AccessToken],
    without: "late answers cannot be sent",
    well: "it answers messages",
};

const MEMCACHED: Purpose = Purpose {
    group: PROFILE.group,
    evicted: "a message may be handled twice",
    down: "instances do not know what the others have handled",
    key: "[messages] memcached",
};

pub(super) async fn findings(form: &MessagesSettings, look: &Look<'_>) -> Vec<Finding> {
    if form.accounts.is_empty() {
        return Vec::new();
    }
    let (mut found, loaded) = look.configuration(&PROFILE);
    let loaded = loaded.and_then(|ServeConfig { messages, .. }| messages);
    found.extend(loaded.iter().flat_map(secrets));
    found.extend(rules(form));
    let daemon = async {
        let Some(MessagesSettings { daemon, accounts, .. }) = &loaded else { return Vec::new() };
        let appids = accounts.iter().map(|account| &account.account.appid).collect();
        link::findings(&PROFILE, &Needed { link: daemon, appids }, look.callers).await
    };
    let shared = memcached::shared(&form.memcached, &MEMCACHED, look.clock);
    let (shared, daemon, runs) = tokio::join!(shared, daemon, look.runs(&PROFILE));
    found.extend(daemon.into_iter().chain(shared).chain(runs));
    found
}

/// What is wrong with the keys of an account, or that nothing is.
fn secrets(settings: &MessagesSettings) -> Vec<Finding> {
    let unusable: Vec<_> = settings.accounts.iter().filter_map(unusable).collect();
    if !unusable.is_empty() {
        return unusable;
    }
    let accounts = words::count(settings.accounts.len(), "account");
    let detail = format!("{accounts}: each Token and EncodingAESKey can be read and has its form");
    vec![Finding::ok(PROFILE.group, "secrets", detail)]
}

fn unusable(account: &CallbackSettings) -> Option<Finding> {
    let settings = envelope::Settings {
        token: account.token.clone(),
        aes_key: account.aes_key.clone(),
        previous_aes_key: account.previous_aes_key.clone(),
        receive_id: account.receive_id.clone(),
        mode: account.mode,
        window: Duration::ZERO,
    };
    let error = Envelope::new(settings).err()?;
    let path = format!("/wechat/{}", account.account.path);
    Some(
        Finding::fail(PROFILE.group, "secrets", crate::cli::chain(&error), correct(PROFILE.service))
            .about(path),
    )
}

fn rules(settings: &MessagesSettings) -> Vec<Finding> {
    let Some(path) = &settings.rules else { return Vec::new() };
    let programs = settings.forwards.iter().map(|forward| forward.name.as_str()).collect();
    let about = |finding: Finding| finding.about(path.display().to_string());
    match Book::read(path, &Names::These(programs)) {
        Ok((book, warnings)) => {
            let count = words::count(book.len(), "rule");
            let good = Finding::ok(PROFILE.group, "rules", format!("{count}, all of them valid"));
            let odd = warnings.iter().map(|warning| {
                Finding::warn(PROFILE.group, "rules", warning.to_string(), "correct the file, or leave it")
            });
            std::iter::once(good).chain(odd).map(about).collect()
        }
        Err(error) => {
            let fix = "correct it (a service that runs keeps the rules that it has, and starts with no bad ones), \
                       or name another file in [messages] rules";
            vec![about(Finding::fail(PROFILE.group, "rules", crate::cli::chain(&error), fix))]
        }
    }
}
