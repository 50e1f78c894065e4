//! What menus and QR codes keep of what was done at WeChat: one database for both.
//!
//! Owns the tables and who is at work on them; what stands in them is the business of
//! [`menu`](super::menu) and [`qrcode`](super::qrcode). A process that died is known by its number and its start, so that what it
//! left half done is found by the next one.

mod owner;

use crate::services::database::Schema;

pub use owner::{Fate, Owner};

/// The tables.
pub static SCHEMA: Schema = Schema {
    migrations: "business_migrations",
    sqlite: &[include_str!("0001_menus.sql"), include_str!("0002_codes.sql"), include_str!("0003_scans.sql")],
    postgres: &[
        include_str!("0001_menus.sql"),
        include_str!("0002_codes.sql"),
        include_str!("0003_scans.sql"),
    ],
    seal_keys: None,
};
