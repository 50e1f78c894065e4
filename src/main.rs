//! The executable: parse, log, run, say what went wrong, exit.
//!
//! Exit codes: 0 ok, 1 failed, 2 wrong usage or configuration.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use zhongkong::clock::Clock;
use zhongkong::config::{Config, Environment};
use zhongkong::daemon::{Daemon, Store, demo};
use zhongkong::process::hardening::harden;
use zhongkong::process::signals::Intents;
use zhongkong::telemetry::{self, metrics};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    let counters = metrics::install().expect("once");
    let _ = harden();
    match args.next().as_deref() {
        Some("demo") => runtime.block_on(async {
            let mut intents = Intents::install().expect("signals");
            let settings = demo::Settings { life: Duration::from_secs(60), ports: demo::Ports::Documented };
            demo::run(settings, counters, async || intents.next().await).await.expect("demo");
        }),
        _ => runtime.block_on(async {
            let path = PathBuf::from(args.nth(1).expect("config"));
            let env = Environment::of_process();
            let loaded = Config::load(&path, &env).expect("config");
            telemetry::init(&loaded.config.daemon.log).expect("log");
            let daemon =
                Daemon::build(loaded.config, Clock::system(), Store::File, counters).await.expect("build");
            let mut intents = Intents::install().expect("signals");
            daemon.run(async || intents.next().await, move || Config::load(&path, &env)).await.expect("run");
        }),
    }
    ExitCode::SUCCESS
}
