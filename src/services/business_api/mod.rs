//! Menus and QR codes over HTTP, for programs of the company.
//!
//! ```text
//! HTTP ─ door ─ callers ─┬ menus ─ menu   ─┬ WeChat, with the token that the caller may read
//!                        └ codes ─ qrcode ─┤ business database
//!      └ events, signed by the message service: scans are counted
//! ```
//!
//! JSON in and out, as docs/business.openapi.json describes it, which is served, too ([`Api::router`]).
//!
//! **Invariant:** who may is the daemon's word, asked in the caller's own name; a stranger learns
//! nothing, also not which accounts there are.
//! **Invariant:** what changes something goes on to its end when its caller hangs up.
//! **Invariant:** a permanent code is asked for once, and one push of an account is under way,
//! however many ask at once.
//!
//! Deliberately absent: a list of clients, sessions, pages.

mod asked;
mod callers;
mod codes;
mod documents;
mod door;
mod events;
mod image;
mod menus;
mod operations;
mod problem;
mod turns;

pub use callers::REMEMBERED;
pub use door::{Api, Live, Parts};
pub use operations::{OPERATIONS, Operation};
