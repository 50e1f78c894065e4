//! The daemon as a Unix process: what it must not leak, what it is told by signals, and what it
//! tells the service manager.

pub mod hardening;
pub mod notify;
pub mod signals;
