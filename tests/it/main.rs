//! All tests over real sockets, in one crate so that they link once.

#![expect(clippy::unwrap_used, reason = "what tests share fails by panicking, like the tests")]

mod admin;
mod config;
mod config_files;
mod process;
mod telemetry;
