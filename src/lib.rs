//! zhongkong (中控): the one process of a company that fetches WeChat credentials, and services
//! that use them.
//!
//! ```text
//! 4  whole        config  daemon  process  launch  cli  main
//! 3  edges in     grpc  admin  access  audit   ask the hub, never what lies below it (audit: the ledger)
//! 2  engine       hub  refresh               one refresher per credential
//! 1  edges out    wechat  ledger  mirror  http   one foreign thing each, not each other
//! 0  words        model  secret  clock  telemetry  jsapi  seal  failpoint
//!
//! B  services     client, http and words; not each other
//! A  client       words and pb only          simulator  nothing of ours
//! ```
//!
//! A module imports downwards; `tests/it/tidy.rs` fails otherwise. docs/protocol.md tells the
//! refresh protocol and names the test of every invariant.
//!
//! **Invariant:** only a key's own refresher calls WeChat for it, one call at a time ([`refresh`]).
//! **Invariant:** a reader waits for nobody: one table look-up, one atomic load ([`hub`]).
//! **Invariant:** what can kill a value is on disk before it is sent ([`ledger`]).
//! **Invariant:** a mirror is written and never read back, so no store can cause a call ([`mirror`]).
//! **Invariant:** a secret is shown by one method only, which no log calls ([`secret`]).
//! **Invariant:** a service knows no AppSecret, and the daemon only as any other client does ([`services`]).
//! **Invariant:** the simulator shares no type with the client that it tests ([`simulator`]).

pub mod access;
pub mod admin;
pub mod audit;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod failpoint;
pub mod grpc;
pub mod http;
pub mod hub;
pub mod jsapi;
pub mod launch;
pub mod ledger;
pub mod mirror;
pub mod model;
pub mod pb;
pub mod process;
pub mod refresh;
pub mod seal;
pub mod secret;
pub mod services;
pub mod simulator;
pub mod telemetry;
pub mod wechat;
