//! What the service of menus and QR codes would serve.

use std::path::Path;

use serde::Serialize;

use crate::config::business::BusinessSettings;
use crate::launch::services::check::writable;
use crate::services::business_api::Api;
use crate::services::database::{Database, DatabaseError, Place};

use super::error::BusinessError;
use super::standing::summary;

/// What would be served.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedBusiness {
    /// Where pushes and codes are, without a password.
    pub database: String,
    /// Who knows the callers.
    pub daemon: String,
    /// How many permanent codes an account may have.
    pub permanent_codes: u32,
    /// The last of them.
    pub permanent_reserve: u32,
    /// Whether the message service can tell of scans.
    pub events: bool,
}

/// Makes what a start would make, as far as that leaves nothing behind, with its summary.
pub(in crate::launch::services) fn check(
    settings: &BusinessSettings,
) -> Result<(String, CheckedBusiness), BusinessError> {
    let BusinessSettings { daemon, wechat: _, database: place, codes, events_secret } = settings;
    let database = Database::new(place, Api::schema())?;
    if let Place::Sqlite(path) = place {
        // SQLite makes files beside it.
        for path in [path, path.parent().unwrap_or(Path::new("/"))] {
            writable(path).map_err(DatabaseError::from)?;
        }
    }
    let checked = CheckedBusiness {
        database: database.shown().to_owned(),
        daemon: daemon.addr.clone(),
        permanent_codes: codes.permanent,
        permanent_reserve: codes.reserve,
        events: events_secret.is_some(),
    };
    Ok((summary().to_owned(), checked))
}
