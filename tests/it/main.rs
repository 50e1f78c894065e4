//! All tests over real sockets, files and processes, in one crate so that they link once.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, like the tests")]

mod engine_budget;
mod engine_complaints;
mod engine_faults;
mod engine_lost_answers;
mod engine_random;
mod engine_schedule;
mod engine_stable;
mod engine_time;
mod ledger;
mod ledger_agreement;
mod ledger_bad_days;
mod ledger_file;
mod ledger_support;
mod simulator;
mod simulator_faults;
mod simulator_oauth;
mod simulator_server;
mod simulator_stable;
mod support;
