//! The login service: its database, its keys, its address.

use std::time::Duration;

use url::Url;

use crate::access::Action;
use crate::cli::words;
use crate::clock::Clock;
use crate::config::oauth::{OAuthSettings, SessionsIn};
use crate::config::{ServeConfig, Service};
use crate::services::database::{Database, DatabaseError, Looked};
use crate::services::oauth::SCHEMA;

use super::super::finding::{Finding, Group};
use super::super::http;
use super::super::memcached::{self, Purpose};
use super::{LIMIT, Look, Needed, Profile, link};

pub(super) const PROFILE: Profile = Profile {
    service: Service::OAuth,
    group: Group::OAuth,
    needs: &[Action::Exchange],
    kinds: &[],
    without: "nobody can log in",
    well: "it logs people in",
};

const MEMCACHED: Purpose = Purpose {
    group: PROFILE.group,
    evicted: "people were logged out early",
    down: "nobody can log in or be recognised",
    key: "[oauth] memcached",
};

/// A certificate that ends sooner is soon a fault.
const SOON: Duration = Duration::from_hours(14 * 24);

pub(super) async fn findings(form: &OAuthSettings, look: &Look<'_>) -> Vec<Finding> {
    if form.site.accounts().is_empty() {
        return Vec::new();
    }
    let (mut found, loaded) = look.configuration(&PROFILE);
    let loaded = loaded.and_then(|ServeConfig { oauth, .. }| oauth);
    let daemon = async {
        let Some(OAuthSettings { daemon, site, .. }) = &loaded else { return Vec::new() };
        let appids = site.accounts().iter().map(|account| &account.appid).collect();
        link::findings(&PROFILE, &Needed { link: daemon, appids }, look.callers).await
    };
    let database = async {
        match &loaded {
            Some(settings) => database(settings).await,
            None => Vec::new(),
        }
    };
    let servers = match &form.sessions {
        SessionsIn::Database => &[][..],
        SessionsIn::Memcached(servers) => servers,
    };
    let shared = memcached::shared(servers, &MEMCACHED, look.clock);
    let address = address(form, look.clock);
    let (daemon, database, shared, address, runs) =
        tokio::join!(daemon, database, shared, address, look.runs(&PROFILE));
    found.extend(daemon.into_iter().chain(database).chain(shared).chain(address).chain(runs));
    found
}

/// Whether it is there, has its tables, and whether the keys are those that it was sealed with.
async fn database(settings: &OAuthSettings) -> Vec<Finding> {
    const NAME: &str = "database";
    let looked = match Database::new(&settings.database, &SCHEMA) {
        Ok(database) => (database.look().await, database.shown().to_owned()),
        Err(error) => (Err(error), String::new()),
    };
    let (looked, shown) = looked;
    let group = PROFILE.group;
    let found = match looked {
        Ok(Looked { migrations: 0, .. }) | Err(DatabaseError::Gone) => {
            let detail = "there is nothing yet; the service's first start makes it";
            vec![Finding::warn(
                group,
                NAME,
                detail,
                "start the service, unless it has run before: then bring it back",
            )]
        }
        Ok(Looked { seal_keys, .. }) => {
            let lost: Vec<String> = seal_keys.into_iter().filter(|id| !settings.seal.knows(id)).collect();
            if lost.is_empty() {
                vec![Finding::ok(
                    group,
                    NAME,
                    "it can be read, has its tables, and the seal keys are its own",
                )]
            } else {
                let lost = lost.join(", ");
                let detail =
                    format!("something there is sealed with {lost}, which is not among the seal keys");
                vec![Finding::fail(group, NAME, detail, "add the key again to what seal_keys… names")]
            }
        }
        Err(error) => {
            vec![Finding::fail(group, NAME, error.chain(), "start it, or correct database… in [oauth]")]
        }
    };
    found.into_iter().map(|finding| finding.about(&shown)).collect()
}

/// Whether browsers reach it, and what must stand in WeChat's console.
async fn address(form: &OAuthSettings, clock: &Clock) -> Vec<Finding> {
    const NAME: &str = "address";
    let group = PROFILE.group;
    let base = form.site.base();
    let Ok(url) = Url::parse(&format!("{base}/oauth/jwks.json")) else { return Vec::new() };
    let host = url.host_str().unwrap_or_default().to_owned();
    let accounts = words::count(form.site.accounts().len(), "account");
    let console = format!(
        "in WeChat's console of {accounts} 网页授权域名 must be {host}, with nothing before or after it"
    );
    let finding = match http::get(url, LIMIT, 4_096, clock).await {
        Ok(answer) if answer.status == 200 && answer.body.contains("\"keys\"") => {
            let left = answer.cert_ends.map(|ends| ends.0.saturating_sub(clock.wall().0));
            match left {
                Some(left) if u128::try_from(left).is_ok_and(|left| left < SOON.as_millis()) => {
                    let days = left / 86_400_000;
                    let detail = format!("browsers reach it, but its certificate ends in {days} days");
                    Finding::warn(group, NAME, detail, "renew the certificate")
                }
                Some(_) | None => Finding::ok(group, NAME, "the service answers there").advice(console),
            }
        }
        Ok(answer) => {
            let detail =
                format!("something else answers there (status {}): nobody can log in", answer.status);
            let fix = format!("let the proxy pass /oauth/ to [serve] listen; {console}");
            Finding::fail(group, NAME, detail, fix)
        }
        Err(error) => {
            let detail = format!("not reached from here: {error}");
            let fix = format!("put a proxy with TLS before the service, or correct base_url; {console}");
            Finding::warn(group, NAME, detail, fix)
        }
    };
    vec![finding.about(base.as_str())]
}
