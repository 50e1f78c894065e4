//! What a key costs while nothing happens: bytes on the heap, and the size of its future; and what
//! it costs a read to be measured.
//!
//! A program of its own, because one that counts its allocations is slower by each of them.

use std::hint::black_box;
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
use zhongkong::refresh::handle::Feeds;
use zhongkong::refresh::task::{Arrival, Refresher};
use zhongkong::telemetry::latency::Latency;

use support::{LIFE, accounts, appid, fraction, issued, surroundings};
use table::{row, title};

mod support;
#[allow(dead_code, reason = "this is short")]
#[path = "scale/table.rs"]
mod table;

#[global_allocator]
static COUNTED: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const ACCOUNTS: usize = 10_000;
const KEYS: usize = 2 * ACCOUNTS;
/// Nobody listens there, and nobody asks.
const NOWHERE: &str = "http://127.0.0.1:9";
const READS: u32 = 1_000_000;

fn main() -> anyhow::Result<()> {
    Runtime::new()?.block_on(idle())?;
    measured_read();
    Ok(())
}

async fn idle() -> anyhow::Result<()> {
    title("An idle key, of 20,000");
    let clock = Clock::system();
    let ledger = Arc::new(MemoryLedger::new(clock.clone()));
    for number in 0..ACCOUNTS {
        for (kind, mode) in [(Kind::AccessToken, CallMode::Classic), (Kind::JsapiTicket, CallMode::Ticket)] {
            let age = LIFE.mul_f64(fraction(number) / 2.0);
            let (call, value) = issued(&clock, &Key::new(appid(number), kind), mode, age);
            ledger.commit(&call, &value).await?;
        }
    }
    future_size(&clock, &ledger)?;

    let accounts = accounts(ACCOUNTS, TokenMode::Classic, &[Kind::JsapiTicket]);
    let heap = Region::new(COUNTED);
    let around = surroundings(NOWHERE, &clock, ledger)?;
    let begun = Instant::now();
    let (hub, tasks) = Hub::build(around, accounts).await?;
    row("hub built from records in memory within", format!("{:?}", begun.elapsed()), "");
    let built = live(&heap);
    let stop = CancellationToken::new();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(tasks.run(stop.clone()));
    // Every task has polled once when the last of them waits; a second is plenty.
    tokio::time::sleep(Duration::from_secs(1)).await;
    anyhow::ensure!(hub.keys().iter().all(|handle| handle.read().is_ok()), "a key has no value");
    row("heap a key, hub built", format!("{} bytes", built / KEYS), "");
    row("heap a key, tasks running", format!("{} bytes", live(&heap) / KEYS), "");
    stop.cancel();
    running.join_all().await;
    Ok(())
}

fn live(heap: &Region<'_, std::alloc::System>) -> usize {
    let change = heap.change();
    change.bytes_allocated.saturating_sub(change.bytes_deallocated)
}

fn future_size(clock: &Clock, ledger: &Arc<MemoryLedger>) -> anyhow::Result<()> {
    let around = surroundings(NOWHERE, clock, ledger.clone())?;
    let settings = Arc::new(ArcSwap::from_pointee(accounts(1, TokenMode::Classic, &[]).remove(0)));
    let (changes, plans) = (broadcast::channel(1).0, broadcast::channel(1).0);
    let rung = Arc::new(Rung::default());
    let feeds = Arc::new(Feeds { changes, plans, complaints: broadcast::channel(1).0, rung });
    let key = Key::new(appid(0), Kind::AccessToken);
    let (mut refresher, handle) =
        Refresher::new(key, Record::default(), Arrival::Start, around, settings, None, feeds);
    let stop = CancellationToken::new();
    row("size of a refresher", format!("{} bytes", size_of_val(&refresher)), "");
    row("size of its future", format!("{} bytes", size_of_val(&refresher.run(&stop))), "");
    row("size of its view", format!("{} bytes", size_of_val(&*handle.view())), "");
    Ok(())
}

/// Two looks at the clock and two additions.
fn measured_read() {
    title("A measured read");
    let latency = Latency::new();
    let heap = Region::new(COUNTED);
    let begun = Instant::now();
    for _ in 0..READS {
        let read = black_box(Instant::now());
        black_box(&latency).record(read.elapsed());
    }
    row("what a measured read pays", format!("{:?}", begun.elapsed() / READS), "");
    row("  allocations in a million", heap.change().allocations, "0");
}
