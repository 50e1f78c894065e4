//! All tests over real sockets, in one crate so that they link once.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, like the tests"
)]

mod simulator;
mod simulator_faults;
mod simulator_oauth;
mod simulator_server;
mod simulator_stable;
mod support;
