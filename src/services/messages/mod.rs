//! The message service: WeChat's pushes in, passive replies out, within five seconds.
//!
//! ```text
//! HTTP ─ door ─ envelope ─ fields ─ message ─┐            who may speak, what was said
//!                                            desk ─ dedup one handler run for one message
//!          rules  forward  Rust handlers ─ dispatch       who answers
//!                                            │
//! HTTP ─ envelope ─ reply ───────────────────┤ in time
//!               late ─ wechat_api ───────────┘ too late: a customer-service message
//! ```
//!
//! **Invariant:** nothing is parsed, let alone done, before its signature is right.
//! **Invariant:** a message's handlers run once, however often WeChat sends it.
//! **Invariant:** a reply can only be written to the sender of the message that it answers.

pub mod account;
pub mod dedup;
pub mod desk;
pub mod dispatch;
pub mod door;
pub mod envelope;
pub mod fields;
pub mod forward;
pub mod handler;
pub mod late;
pub mod log;
pub mod message;
pub mod reply;
pub mod rules;
