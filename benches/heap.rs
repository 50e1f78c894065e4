//! What a key costs while nothing happens: bytes on the heap, and the size of its future; and what
//! it costs a read to be measured.
//!
//! A program of its own, because one that counts its allocations is slower by each of them.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::Runtime;
use tokio::sync::broadcast;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zhongkong::clock::Clock;
use zhongkong::hub::Hub;
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::ledger::{Ledger as _, Record};
use zhongkong::model::{CallMode, Key, Kind, TokenMode};
use zhongkong::refresh::bell::Rung;
use zhongkong::refresh::handle::{Feeds, Handle};
use zhongkong::refresh::task::{Arrival, Refresher};
use zhongkong::telemetry::latency::Latency;

use report::{Bound, Findings, Measurement, Unit, effort};
use support::{LIFE, accounts, appid, fraction, issued, surroundings};

mod report;
mod support;

#[global_allocator]
static COUNTED: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const ACCOUNTS: usize = 10_000;
const KEYS: usize = 2 * ACCOUNTS;
/// Nobody listens there, and nobody asks.
const NOWHERE: &str = "http://127.0.0.1:9";
const READS: u32 = 1_000_000;
const ROUNDS: usize = 5;

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    report::run::main(&["heap"], &args, |_| {
        let mut found = Findings::new("Bytes and allocations, counted");
        Runtime::new()?.block_on(idle(&mut found))?;
        measured_read(&mut found);
        Ok(found)
    })
}

async fn idle(found: &mut Findings) -> anyhow::Result<()> {
    let clock = Clock::system();
    let ledger = Arc::new(MemoryLedger::new(clock.clone()));
    for number in 0..ACCOUNTS {
        for (kind, mode) in [(Kind::AccessToken, CallMode::Classic), (Kind::JsapiTicket, CallMode::Ticket)] {
            let age = LIFE.mul_f64(fraction(number) / 2.0);
            let (call, value) = issued(&clock, &Key::new(appid(number), kind), mode, age);
            ledger.commit(&call, &value).await?;
        }
    }
    future_size(found, &clock, &ledger)?;

    let accounts = accounts(ACCOUNTS, TokenMode::Classic, &[Kind::JsapiTicket]);
    let heap = Region::new(COUNTED);
    let around = surroundings(NOWHERE, &clock, ledger)?;
    let (hub, tasks) = Hub::build(around, accounts).await?;
    let built = live(&heap);
    let stop = CancellationToken::new();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(tasks.run(stop.clone()));
    // Every task has polled once when the last of them waits; a second is plenty.
    tokio::time::sleep(Duration::from_secs(1)).await;
    anyhow::ensure!(hub.keys().iter().all(|handle| handle.read().is_ok()), "a key has no value");
    // Nothing to subtract for the values: their text was made before `heap` and is shared with the ledger.
    found.add(bytes("heap of an idle key of 20,000 beyond its value, hub built", built / KEYS));
    let at_rest = bytes("heap of an idle key of 20,000 beyond its value, at rest", live(&heap) / KEYS);
    found.add(at_rest.goal(Bound::Below(1_500.0)));
    count_reads(found, &hub);
    stop.cancel();
    running.join_all().await;
    Ok(())
}

fn bytes(what: &str, bytes: usize) -> Measurement {
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let bytes = bytes as f64;
    Measurement::new(what, Unit::Bytes).ours([bytes])
}

fn count_reads(found: &mut Findings, hub: &Hub) {
    let name = appid(ACCOUNTS / 2).to_string();
    let (mut rounds, mut spans) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        let heap = Region::new(COUNTED);
        let begun = Instant::now();
        for _ in 0..READS {
            let good = hub.with_handle(black_box(&name), Kind::AccessToken, Handle::read);
            assert!(matches!(good, Some(Ok(_))), "a key has no value");
        }
        spans.push(begun.elapsed().as_secs_f64() / f64::from(READS));
        rounds.push(allocations(&heap));
    }
    found.add(Measurement::new("a read of one key of 20,000, in the process", Unit::Seconds).ours(spans));
    let count = Measurement::new("allocations in a million reads of a key", Unit::Count);
    found.add(count.ours(rounds).goal(Bound::Exactly(0.0)));
}

#[expect(clippy::cast_precision_loss, reason = "none, as it should be")]
fn allocations(heap: &Region<'_, std::alloc::System>) -> f64 {
    heap.change().allocations as f64
}

fn live(heap: &Region<'_, std::alloc::System>) -> usize {
    let change = heap.change();
    change.bytes_allocated.saturating_sub(change.bytes_deallocated)
}

fn future_size(found: &mut Findings, clock: &Clock, ledger: &Arc<MemoryLedger>) -> anyhow::Result<()> {
    let around = surroundings(NOWHERE, clock, ledger.clone())?;
    let settings = Arc::new(ArcSwap::from_pointee(accounts(1, TokenMode::Classic, &[]).remove(0)));
    let (changes, plans) = (broadcast::channel(1).0, broadcast::channel(1).0);
    let rung = Arc::new(Rung::default());
    let feeds = Arc::new(Feeds { changes, plans, complaints: broadcast::channel(1).0, rung });
    let key = Key::new(appid(0), Kind::AccessToken);
    let (mut refresher, handle) =
        Refresher::new(key, Record::default(), Arrival::Start, around, settings, None, feeds);
    let stop = CancellationToken::new();
    found.add(bytes("size of a refresher", size_of_val(&refresher)));
    found.add(bytes(
        "size of its future, which it has only while it works",
        size_of_val(&refresher.run(&stop)),
    ));
    found.add(bytes("size of its view", size_of_val(&*handle.view())));
    Ok(())
}

/// Two looks at the clock and two additions.
fn measured_read(found: &mut Findings) {
    let latency = Latency::new();
    let (mut rounds, mut counts) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    for _ in 0..effort::rounds(ROUNDS) {
        let heap = Region::new(COUNTED);
        let begun = Instant::now();
        for _ in 0..READS {
            let read = black_box(Instant::now());
            black_box(&latency).record(read.elapsed());
        }
        rounds.push(begun.elapsed().as_secs_f64() / f64::from(READS));
        counts.push(allocations(&heap));
    }
    let count = Measurement::new("allocations in measuring a million reads", Unit::Count);
    found.add(count.ours(counts).goal(Bound::Exactly(0.0)));
    found.add(Measurement::new("what a read pays for being measured", Unit::Seconds).ours(rounds));
}
