//! zhongkong (中控): the one process of a company that fetches WeChat credentials.

pub mod admin;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod failpoint;
pub mod grpc;
pub mod hub;
pub mod jsapi;
pub mod ledger;
pub mod mirror;
pub mod model;
pub mod pb;
pub mod process;
pub mod refresh;
pub mod secret;
pub mod simulator;
pub mod telemetry;
pub mod wechat;
