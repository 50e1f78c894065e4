//! The refresh protocol of one key.
//!
//! A [`handle::Handle`] is what everybody else holds: it reads without waiting and posts
//! complaints and commands. One refresher per key (`task`) is the only caller of WeChat for
//! it and the only writer of its [`view::View`]. While it has nothing to do it rests, without
//! a task of its own, until its hour comes or its `bell` rings.
//!
//! ```text
//! policy (pure) ── when ──> task ──> attempt: gate → intent → call → commit ──> ledger
//!                            │  └──> verdict: probe a complaint, repair, force
//! callers ── mail ──────────>│
//!         <── view ──────────┘ publishes
//! ```
//!
//! **Invariant:** an attempt once started is awaited to its end; nothing selects over it.
//! **Invariant:** what must outlive a panic lives in `state`, outside of every future.

mod agenda;
mod attempt;
pub mod bell;
mod books;
pub mod budget;
pub mod gate;
pub mod handle;
mod held;
mod mail;
mod orders;
pub mod policy;
mod rare;
mod renew;
mod state;
pub mod steps;
pub mod task;
mod troubles;
mod verdict;
pub mod view;
