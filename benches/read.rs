//! Reading one key of 20,000: alone, and while its refresher replaces the value all the time.
//!
//! Counts the allocations of a read too: none is what "one lookup and one clone" means.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use zhongkong::clock::Clock;
use zhongkong::hub::Hub;
use zhongkong::ledger::Ledger as _;
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::model::{CallMode, Key, Kind, TokenMode};
use zhongkong::refresh::handle::{Force, Handle};

use support::{Engine, LIFE, Upstream, accounts, appid, fraction, issued};

mod support;

#[global_allocator]
static COUNTED: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const ACCOUNTS: usize = 10_000;
/// The account that is read.
const READ: usize = 4_711;

fn reads(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let (engine, _upstream) = runtime.block_on(start()).expect("an engine over loopback");
    let hub = engine.hub.clone();
    let name = appid(READ).to_string();

    count_allocations(&hub, &name);
    criterion.bench_function("read one key of 20,000", |bench| {
        bench.iter(|| hub.with_handle(black_box(&name), Kind::AccessToken, Handle::read));
    });
    criterion.bench_function("read through a cloned handle", |bench| {
        bench.iter(|| hub.handle(black_box(&name), Kind::AccessToken).map(|handle| handle.read()));
    });

    let handle = hub.handle(&name, Kind::AccessToken).expect("the account is configured");
    let mut writer = JoinSet::new();
    writer.spawn_on(
        async move {
            loop {
                handle.force(Force::Once).await.expect("the simulator grants every call");
            }
        },
        runtime.handle(),
    );
    criterion.bench_function("read while its refresher publishes", |bench| {
        bench.iter(|| hub.with_handle(black_box(&name), Kind::AccessToken, Handle::read));
    });
    runtime.block_on(writer.shutdown());
}

async fn start() -> anyhow::Result<(Engine, Upstream)> {
    let upstream = Upstream::start().await?;
    let clock = Clock::system();
    let ledger = Arc::new(MemoryLedger::new(clock.clone()));
    for number in 0..ACCOUNTS {
        for (kind, mode) in [(Kind::AccessToken, CallMode::Classic), (Kind::JsapiTicket, CallMode::Ticket)] {
            let age = LIFE.mul_f64(fraction(number) / 2.0);
            let (call, value) = issued(&clock, &Key::new(appid(number), kind), mode, age);
            ledger.commit(&call, &value).await?;
        }
    }
    let accounts = accounts(ACCOUNTS, TokenMode::Classic, &[Kind::JsapiTicket]);
    let engine = Engine::start(&upstream.base, &clock, ledger, accounts).await?;
    // The tasks have begun to wait: from here on nothing allocates but what is measured.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok((engine, upstream))
}

#[expect(clippy::print_stdout, reason = "the result of the count")]
fn count_allocations(hub: &Hub, name: &str) {
    const READS: usize = 100_000;
    let region = Region::new(COUNTED);
    for _ in 0..READS {
        let good = hub.with_handle(black_box(name), Kind::AccessToken, Handle::read);
        assert!(matches!(good, Some(Ok(_))), "a key has no value");
    }
    println!("allocations in {READS} reads: {}", region.change().allocations);
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    reads(&mut criterion);
    criterion.final_summary();
}
