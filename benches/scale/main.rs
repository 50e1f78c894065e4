//! Performance at scale and beside peers: scenarios, each a table of docs/performance.md.
//!
//! `cargo bench --bench scale` runs all and prints them, `cargo bench --bench scale -- watch day` these;
//! with `--write` the page and its data are written too. The daemon is the real one, over real
//! sockets; WeChat is the simulator. Numbers depend on the machine and on what else it does: quote
//! medians and ratios.

use std::process::ExitCode;
use std::time::Duration;

use report::Findings;

mod callback;
mod caller;
mod daemon;
mod day;
mod engine_day;
mod filled;
mod fleet;
mod grpc;
mod h2;
mod jssdk;
mod local;
mod login;
mod metrics;
mod page;
mod peers;
mod pinned;
mod pipeline;
mod posts;
mod reads;
#[path = "../report/mod.rs"]
mod report;
mod stampede;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod watchers;

/// No scenario's own waiting takes longer, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

const SCENARIOS: [&str; 16] = [
    "reads",
    "audit",
    "local",
    "watch",
    "stampede",
    "fleet",
    "day",
    "engine-day",
    "pipeline",
    "callback",
    "callback-peers",
    "signature",
    "jssdk",
    "login",
    "metrics",
    "page",
];

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    // A part that runs as a process of its own.
    match words[..] {
        ["watch-server", commits, apart] => {
            watchers::serve(commits.parse()?, Duration::from_millis(apart.parse()?))?;
        }
        ["callback-server", which] => callback::serve(which)?,
        ["jssdk-server", which] => jssdk::serve(which)?,
        ["grpc-server", which, socket] => grpc::serve(which, socket)?,
        _ => return report::run::main(&SCENARIOS, &args, run),
    }
    Ok(ExitCode::SUCCESS)
}

fn run(scenario: &str) -> anyhow::Result<Findings> {
    Ok(match scenario {
        "reads" => reads::run()?,
        "audit" => reads::audit()?,
        "local" => block_on_all_cores(local::run())?,
        "watch" => watchers::run()?,
        "stampede" => block_on_all_cores(stampede::run())?,
        "fleet" => block_on_all_cores(fleet::run())?,
        "day" => day::run(),
        "engine-day" => engine_day::run()?,
        "pipeline" => pipeline::messages()?,
        "callback" => callback::run()?,
        "callback-peers" => callback::beside_others()?,
        "signature" => pipeline::signatures()?,
        "jssdk" => jssdk::run()?,
        "login" => block_on_all_cores(login::run())?,
        "metrics" => block_on_all_cores(metrics::run())?,
        "page" => block_on_all_cores(page::run())?,
        unknown => anyhow::bail!("no scenario {unknown:?}"),
    })
}

fn block_on_all_cores<T>(scenario: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async { tokio::time::timeout(PATIENCE, scenario).await? })
}
