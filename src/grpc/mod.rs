//! The gRPC face of the daemon: `zhongkong.v1.TokenControl`, health and reflection.
//!
//! Asks the hub and never what lies below it. Guarantees that every rpc of the contract is
//! made by a known client inside its grants ([`auth`], [`access`](crate::access)), that a caller outside them cannot
//! tell which accounts exist ([`service`]), that a slow watcher costs nobody but itself
//! ([`watch`]), and that every failure says what to do next ([`errors`]).
//!
//! Absent on purpose: configuration files (`settings` comes filled), binding by itself
//! (listeners come bound), and any word to WeChat.

mod actions;
mod audit;
mod auth;
mod connection;
mod convert;
mod errors;
mod listen;
mod peer;
mod server;
mod service;
pub mod settings;
mod status;
mod tls;
mod watch;

pub use listen::{BindError, Listener, bind_tcp};
pub use server::{Control, Readiness, ServeError, Server, SettingsError, check};
pub use tls::TlsError;
