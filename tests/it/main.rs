//! All tests over real sockets, in one crate so that they link once.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, like the tests")]

mod admin;
mod config;
mod config_files;
mod process;
mod telemetry;
