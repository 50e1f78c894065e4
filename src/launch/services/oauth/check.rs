//! What the login service would serve.

use std::path::Path;

use serde::Serialize;

use crate::config::oauth::{OAuthSettings, SessionsIn};
use crate::launch::services::check::writable;
use crate::services::database::{Database, DatabaseError, Place};
use crate::services::oauth::SCHEMA;
use crate::services::oauth::account::{Account, App, AssertionMode};

use super::error::OAuthError;
use super::standing::{Counts, summary};

/// What would be served.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedOAuth {
    /// Where browsers reach it.
    pub base_url: String,
    /// Where users and keys are, without a password.
    pub database: String,
    /// Where sessions are: `database`, or the memcached servers.
    pub sessions: Vec<String>,
    /// Whether people may be made up.
    pub debug_login: bool,
    /// The accounts, in the order of the file.
    pub accounts: Vec<ServedAccount>,
    /// The applications, in the order of the file.
    pub apps: Vec<ServedApp>,
}

/// An account.
#[derive(Clone, Debug, Serialize)]
pub struct ServedAccount {
    /// Where somebody logs in.
    pub login: String,
    /// What WeChat is given as `redirect_uri`.
    pub callback: String,
    /// Whose it is.
    pub appid: String,
}

/// An application.
#[derive(Clone, Debug, Serialize)]
pub struct ServedApp {
    /// Its name.
    pub name: String,
    /// Where its pages are.
    pub origins: Vec<String>,
    /// The most it may ask for.
    pub scope: &'static str,
    /// How a login comes home: `none` or `fragment`.
    pub assertion: &'static str,
    /// The paths of its accounts; none is all of them.
    pub accounts: Option<Vec<String>>,
}

/// Makes what a start would make, as far as that leaves nothing behind, with its summary.
pub(in crate::launch::services) fn check(
    settings: &OAuthSettings,
) -> Result<(String, CheckedOAuth), OAuthError> {
    let OAuthSettings { site, sessions, debug_login, .. } = settings;
    let database = Database::new(&settings.database, &SCHEMA)?;
    if let Place::Sqlite(path) = &settings.database {
        // SQLite makes files beside it.
        for path in [path, path.parent().unwrap_or(Path::new("/"))] {
            writable(path).map_err(DatabaseError::from)?;
        }
    }
    let sessions = match sessions {
        SessionsIn::Database => vec!["database".to_owned()],
        SessionsIn::Memcached(servers) => servers.clone(),
    };
    let account = |account: &Account| ServedAccount {
        login: format!("{}/oauth/{}/login", site.base(), account.path),
        callback: site.callback(account),
        appid: account.appid.to_string(),
    };
    let checked = CheckedOAuth {
        base_url: site.base().to_string(),
        database: database.shown().to_owned(),
        sessions,
        debug_login: *debug_login == crate::services::oauth::flow::DebugLogin::On,
        accounts: site.accounts().iter().map(account).collect(),
        apps: site.apps().iter().map(ServedApp::of).collect(),
    };
    Ok((summary(Counts::of(site)), checked))
}

impl ServedApp {
    fn of(app: &App) -> Self {
        let App { name, accounts, origins, scope, assertion } = app;
        Self {
            name: name.clone(),
            origins: origins.iter().map(ToString::to_string).collect(),
            scope: scope.as_str(),
            assertion: match assertion {
                AssertionMode::None => "none",
                AssertionMode::Fragment => "fragment",
            },
            accounts: accounts.clone(),
        }
    }
}
