//! The daemon as a Unix process: what it must not leak and what it is told by signals.

pub mod hardening;
pub mod signals;
