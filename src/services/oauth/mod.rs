//! The OAuth service: one login for every H5 page of a company, by WeChat's web authorization.
//!
//! ```text
//! login ─ authorize ─▶ WeChat ─▶ callback ─ exchange      who it is
//!            pending          claims, results    │
//!               └── records ──┘                  ▼
//!                      │                users   sessions   who it was, who is there
//!                      └──── database ─────┘       │
//!                                     me  gate  assertion  what pages, proxies, back ends ask
//! ```
//!
//! **Invariant:** what only a browser may have (state, session id) is stored as its hash.
//! **Invariant:** a session is alive only while its person's identity has the epoch it began in.
//! **Invariant:** no token of WeChat's is stored, and none leaves the service.

pub mod account;
pub mod database;
pub mod records;
pub mod sessions;
pub mod users;
