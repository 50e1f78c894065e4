//! Performance at scale: one scenario a line of docs/performance.md, each printed as a table.
//!
//! `cargo bench --bench scale` runs all, `cargo bench --bench scale -- watch day` these. The
//! daemon is the real one, over real sockets; WeChat is the simulator. Quote medians of
//! several runs: the numbers depend on the machine and on what else it does.

use std::time::Duration;

use report::Findings;

mod callback;
mod day;
mod engine_day;
mod fleet;
mod grpc;
mod jssdk;
mod login;
mod metrics;
mod page;
#[path = "../report/mod.rs"]
mod report;
mod stampede;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod watchers;

/// No scenario takes longer, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

const SCENARIOS: [&str; 12] = [
    "stampede",
    "fleet",
    "day",
    "engine-day",
    "watch",
    "grpc",
    "audit",
    "metrics",
    "page",
    "callback",
    "jssdk",
    "login",
];

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    // A part that runs as a process of its own.
    match args.first().map(String::as_str) {
        Some("watch-server") => return watchers::serve(),
        Some("callback-server") => return callback::serve(args.get(1).map_or("ours", String::as_str)),
        Some("jssdk-server") => return jssdk::serve(args.get(1).map_or("ours", String::as_str)),
        Some("grpc-server") => return grpc::serve(args.get(1).map_or("ours", String::as_str)),
        _ => {}
    }
    if let Some(unknown) = args.iter().find(|arg| !SCENARIOS.contains(&arg.as_str())) {
        anyhow::bail!("no scenario {unknown:?}; there are: {}", SCENARIOS.join(", "));
    }
    for scenario in SCENARIOS {
        if !args.is_empty() && !args.iter().any(|arg| arg == scenario) {
            continue;
        }
        drop(run(scenario)?);
    }
    Ok(())
}

#[allow(clippy::unit_arg, reason = "some scenarios still print by themselves")]
fn run(scenario: &str) -> anyhow::Result<Findings> {
    Ok(match scenario {
        "stampede" => block_on_all_cores(stampede::run())?.into(),
        "fleet" => block_on_all_cores(fleet::run())?.into(),
        "day" => day::run().into(),
        "engine-day" => engine_day::run()?.into(),
        "watch" => watchers::run()?.into(),
        "grpc" => grpc::run()?.into(),
        "callback" => callback::run()?.into(),
        "jssdk" => jssdk::run()?.into(),
        "login" => block_on_all_cores(login::run())?.into(),
        "page" => block_on_all_cores(page::run())?.into(),
        "metrics" => block_on_all_cores(metrics::run())?.into(),
        "audit" => grpc::audit()?.into(),
        unknown => anyhow::bail!("no scenario {unknown:?}; there are: {}", SCENARIOS.join(", ")),
    })
}

fn block_on_all_cores<T>(scenario: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async { tokio::time::timeout(PATIENCE, scenario).await? })
}
