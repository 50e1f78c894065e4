//! The OAuth service: one login for every page of a company.
//!
//! ```text
//! GET login ─ return_to ─ account ─ pending ─ authorize ─→ WeChat's page
//! GET callback ─ pending ─ exchange (daemon) ─ userinfo ─ users, sessions ─→ return_to
//! ```
//!
//! **Invariant:** a browser is sent to WeChat and to addresses that were checked, nowhere else ([`return_to`]).

pub mod account;
pub mod authorize;
mod page;
mod pending;
mod query;
pub mod return_to;
pub mod site;
