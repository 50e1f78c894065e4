//! All tests over real sockets, in one crate so that they link once.

mod simulator;
mod simulator_faults;
mod simulator_oauth;
mod support;
