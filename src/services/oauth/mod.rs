//! The OAuth service: one login for every H5 page of a company, by WeChat's web authorization.
//!
//! ```text
//! login ─ return_to ─ site ─ authorize ─▶ WeChat ─▶ callback ─ exchange ─ userinfo     who it is
//!                     pending                      arrivals, notes │
//!                        └────────── records ─────────┘            ▼
//!                                       │                  users   sessions     who it was, who is there
//!                                       └───── database ─────┘       │
//!                                                  identity  assertion   what pages, proxies, back ends ask
//! ```
//!
//! **Invariant:** a browser is sent to WeChat and to addresses that were checked, nowhere else ([`return_to`]).
//! **Invariant:** a code is spent only for the browser that began the login, and once ([`flow`]).
//! **Invariant:** what only a browser may have (state, session id) is stored as its hash.
//! **Invariant:** a session is alive only while its person's identity has the epoch it began in.
//! **Invariant:** no token of WeChat's is stored, and none leaves the service.

pub mod account;
mod arrivals;
pub mod assertion;
pub mod authorize;
mod callback;
mod debug;
mod exchange;
pub mod flow;
mod home;
pub mod identity;
mod login;
mod notes;
mod page;
mod pending;
mod query;
pub mod records;
pub mod return_to;
pub mod sessions;
pub mod site;
mod throng;
mod userinfo;
pub mod users;

use crate::services::database::Schema;

/// The tables that the service keeps.
pub static SCHEMA: Schema = Schema {
    migrations: "oauth_migrations",
    sqlite: &[include_str!("migrations/0001_sqlite.sql")],
    postgres: &[include_str!("migrations/0001_postgres.sql")],
    seal_keys: Some(
        "SELECT seal_key FROM oauth_identities WHERE seal_key IS NOT NULL
         UNION SELECT seal_key FROM oauth_keys WHERE seal_key IS NOT NULL",
    ),
};
