//! The tests at the sockets: one crate, one module per subject.

#![allow(clippy::unwrap_used, reason = "clippy's setting spares only test functions, not their helpers")]

mod wechat;
