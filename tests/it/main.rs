//! All tests over real sockets, files and processes, in one crate so that they link once.

#![allow(clippy::unwrap_used, reason = "clippy's setting spares only test functions, not their helpers")]

mod admin;
mod cli;
mod cli_explain;
mod cli_setup;
mod cli_support;
mod config;
mod config_files;
mod engine_complaints;
mod engine_lost_answers;
mod engine_schedule;
mod engine_stable;
mod engine_tickets;
mod grpc_auth;
mod grpc_rpcs;
mod grpc_server;
mod grpc_support;
mod grpc_tls;
mod grpc_watch;
mod ledger;
mod ledger_agreement;
mod ledger_bad_days;
mod ledger_file;
mod ledger_support;
mod mirror;
mod mirror_trouble;
mod process;
mod simulator;
mod simulator_faults;
mod simulator_oauth;
mod simulator_server;
mod simulator_stable;
mod support;
mod telemetry;
mod tidy;
mod wechat;
