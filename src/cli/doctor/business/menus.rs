//! Menus and QR codes: their database, and the service if it runs.
//!
//! The commands work without the service, so that it is no fault if it does not run.

use crate::cli::doctor::finding::{Finding, Group, Level};
use crate::client::Client;
use crate::config::business::BusinessSettings;
use crate::config::link::DaemonLink;
use crate::config::{ServeConfig, Service};
use crate::services::business_api::Api;
use crate::services::database::{Database, DatabaseError, Looked, Place};

use super::{LIMIT, Look, Profile};

const PROFILE: Profile = Profile {
    service: Service::Business,
    group: Group::Business,
    // It asks nothing in its own name.
    needs: &[],
    kinds: &[],
    without: "no program is let in",
    well: "it serves programs",
};

pub(super) async fn findings(form: &BusinessSettings, look: &Look<'_>) -> Vec<Finding> {
    if let Place::Sqlite(path) = &form.database
        && !path.exists()
    {
        return Vec::new();
    }
    let (mut found, loaded) = look.configuration(&PROFILE);
    if let Some(BusinessSettings { database, .. }) = loaded.and_then(|ServeConfig { business, .. }| business)
    {
        found.push(kept(&database).await);
    }
    let runs = look.runs(&PROFILE).await;
    // What is not there is not meant to be.
    let there =
        runs.iter().any(|finding| finding.level == Level::Ok || finding.detail.starts_with("it says"));
    if there {
        found.push(daemon(&form.daemon).await);
        found.extend(runs);
    }
    found
}

/// Whether the database is there and has its tables.
async fn kept(place: &Place) -> Finding {
    const NAME: &str = "database";
    let (looked, shown) = match Database::new(place, Api::schema()) {
        Ok(database) => (database.look().await, database.shown().to_owned()),
        Err(error) => (Err(error), String::new()),
    };
    let finding = match looked {
        Ok(Looked { migrations: 0, .. }) | Err(DatabaseError::Gone) => {
            let detail = "there is nothing yet; the first push, code or start of the service makes it";
            Finding::warn(
                PROFILE.group,
                NAME,
                detail,
                "nothing, unless there was something: then bring it back",
            )
        }
        Ok(Looked { .. }) => Finding::ok(PROFILE.group, NAME, "it can be read and has its tables"),
        Err(error) => {
            Finding::fail(PROFILE.group, NAME, error.chain(), "start it, or correct database… in [business]")
        }
    };
    finding.about(&shown)
}

/// Whether the daemon that knows the callers serves.
async fn daemon(link: &DaemonLink) -> Finding {
    const NAME: &str = "daemon";
    let DaemonLink { addr, credentials } = link;
    let asked = async { Client::connect(addr, credentials.clone()).await?.serving().await };
    let fix = "start it (systemctl start zhongkong), or correct [business] daemon";
    let finding = match tokio::time::timeout(LIMIT, asked).await {
        Ok(Ok(true)) => Finding::ok(PROFILE.group, NAME, "it serves, and knows the callers of the service"),
        Ok(Ok(false)) => {
            Finding::warn(PROFILE.group, NAME, "it does not serve yet", "see the daemon's lines here")
        }
        Ok(Err(error)) => {
            let detail = format!("cannot be reached, so {}: {}", PROFILE.without, crate::cli::chain(&error));
            Finding::fail(PROFILE.group, NAME, detail, fix)
        }
        Err(_) => Finding::fail(PROFILE.group, NAME, "it does not answer", fix),
    };
    finding.about(addr)
}
