//! The JS-SDK service: what a page needs to use WeChat's JS-SDK, without anybody seeing a ticket.
//!
//! ```text
//! HTTP ─ door ─ limit ─ asked ─ site ─ sign ─ JSON     who may ask, which URL, whose, with what
//!             └ card ────────────────┤
//!             ├ pages ───────────────┘ HTML            templates with the configuration inside
//!             └ script                 JavaScript      zhongkong.js, which asks for pages
//! check                                                why a signature is invalid: pure
//! ```
//!
//! **Invariant:** a ticket goes into a hash and into nothing else; no answer, log line or metric has it.
//! **Invariant:** what is signed is the text that the page sent, and leads to a host of its account.
//! **Invariant:** the daemon may be away: a ticket that is held signs to its own end.

pub mod account;
pub mod asked;
pub mod card;
pub mod check;
pub mod configuration;
pub mod door;
pub mod pages;
pub mod script;
pub mod sign;
pub mod site;
