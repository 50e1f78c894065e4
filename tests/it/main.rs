//! All tests over real sockets, files and processes, in one crate so that they link once.

#![allow(
    clippy::unwrap_used,
    clippy::unchecked_time_subtraction,
    reason = "a test that is wrong fails by panicking; clippy's setting spares only test functions, not what they call"
)]

mod admin;
mod admin_audit;
mod admin_forms;
mod admin_live;
mod admin_many;
mod admin_page;
mod admin_recent;
mod admin_support;
mod audit;
mod audit_process;
mod browser_acts;

mod browser_looks;
mod browser_many;
mod browser_page;
mod cli;
mod cli_explain;
mod cli_setup;
mod cli_support;
mod config;
mod config_files;
mod doctor;
mod doctor_files;
mod doctor_support;
mod engine_budget;
mod engine_complaints;
mod engine_crash;
mod engine_dead_values;
mod engine_faults;
mod engine_ledger;
mod engine_lost_answers;
mod engine_panic;
mod engine_pulse;
mod engine_random;
mod engine_reload;
mod engine_schedule;
mod engine_stable;
mod engine_tickets;
mod engine_time;
mod grpc_auth;
mod grpc_rpcs;
mod grpc_server;
mod grpc_support;
mod grpc_tls;
mod grpc_watch;
mod ledger;
mod ledger_agreement;
mod ledger_audit;
mod ledger_bad_days;
mod ledger_file;
mod ledger_support;
mod logs_file;
mod logs_journal;
mod logs_page;
mod logs_process;
mod logs_support;
mod messages_instances;
mod metrics;
mod mirror;
mod mirror_trouble;
mod monitoring;
mod notify;
mod notify_start;
mod process;
mod process_cli;
mod process_demo;
mod process_kill;
mod process_page;
mod process_restart;
mod process_secrecy;
mod process_signals;
mod process_start;
mod secrecy;
mod simulator;
mod simulator_faults;
mod simulator_oauth;
mod simulator_server;
mod simulator_stable;
mod support;
mod telemetry;
mod tidy;
mod units;
mod unix_pid_file;
mod unix_privileges;
mod unix_sockets;
mod unix_start;
mod unix_stop;
mod unix_support;
mod wechat;
