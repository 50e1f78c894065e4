//! `[business]`: where menus and QR codes keep what was done.

use crate::services::database::Place as DatabasePlace;

use super::context::Context;
use super::place::Place;
use super::raw;
use super::secrets::{Depth, Sources};

/// The file of an installed package.
const DATABASE: &str = "/var/lib/zhongkong-business/business.db";

/// Validates the section.
pub(super) fn check(raw: &raw::Business, depth: Depth, cx: &mut Context<'_>) -> Option<DatabasePlace> {
    let table = Place::root().key("business");
    let raw::Business { database, database_url_file, database_url_credential, database_url_env } = raw;
    let url = Sources {
        prefix: "database_url",
        file: database_url_file.as_deref(),
        credential: database_url_credential.as_deref(),
        env: database_url_env.as_deref(),
    };
    if url.is_empty() {
        return Some(DatabasePlace::Sqlite(cx.path(database.as_deref().unwrap_or(DATABASE))));
    }
    if database.is_some() {
        let rule = "database_url_… beside it names another database: remove one of them";
        cx.report.error(&table.key("database"), rule);
        return None;
    }
    let place = DatabasePlace::Postgres(url.load_to(depth, &table, cx)?);
    if depth == Depth::Secrets && !place.is_sound() {
        let rule = "what database_url_… names is no address of a PostgreSQL: write it as \
                    postgres://user:password@host/database";
        cx.report.error(&table, rule);
        return None;
    }
    Some(place)
}
