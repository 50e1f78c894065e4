//! Reads from the client library's own copy of a value, which its watch keeps up to date.
//!
//! One thread, and then one a core at the same time: if they waited for each other, a read would
//! take longer. In turn in each round: a handle resolved once, a look-up by key, and a look at the
//! clock alone, below which no read that minds a value's end can come.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;
use zhongkong::client::cache::Cache;
use zhongkong::clock::Clock;
use zhongkong::model::{Key, Kind};

use crate::pinned;
use crate::report::{Bound, Findings, Measurement, Unit, effort};
use crate::support::appid;
use crate::support::jssdk::Service;

const ROUNDS: usize = 7;
const READS: usize = 2_000_000;
const LOOKED_UP: &str = "looked up by its key";
const CLOCK: &str = "the clock alone";
const ONE: &str = "one thread";

pub(crate) async fn run() -> anyhow::Result<Findings> {
    let service = Service::start().await?;
    let key = Key::new(appid(0), Kind::JsapiTicket);
    let (copy, clock) = (service.copy.clone(), Clock::system());
    let cores = std::thread::available_parallelism()?.get();
    tokio::task::spawn_blocking(move || measure(&copy, &key, &clock, cores)).await?
}

fn measure(copy: &Cache, key: &Key, clock: &Clock, cores: usize) -> anyhow::Result<Findings> {
    let reader = copy.reader(key.clone());
    anyhow::ensure!(reader.clone().read().is_some(), "the copy has no value");
    // Of one thread and of all, each of the three.
    let mut rounds: [[Vec<f64>; 3]; 2] = Default::default();
    let sizes: &[usize] = if cores > 1 { &[1, cores] } else { &[1] };
    for round in 0..effort::rounds(ROUNDS) {
        for turn in 0..3 {
            let side = (round + turn) % 3;
            for (size, threads) in sizes.iter().enumerate() {
                rounds[size][side].push(match side {
                    0 => each(*threads, || {
                        let mut reader = reader.clone();
                        move || black_box(reader.read().is_some())
                    })?,
                    1 => each(*threads, || {
                        let (copy, key) = (copy.clone(), key.clone());
                        move || black_box(copy.get(black_box(&key)).is_some())
                    })?,
                    _ => each(*threads, || {
                        let clock = clock.clone();
                        move || black_box(clock.boot().0 > 0)
                    })?,
                });
            }
        }
    }
    let mut found = Findings::new("Reads of the client library's copy");
    let [one, all] = rounds;
    let told = |what: &str, [ours, looked_up, clock]: [Vec<f64>; 3]| {
        let measurement = Measurement::new(what, Unit::Seconds).ours(ours).beside(LOOKED_UP, looked_up);
        measurement.beside(CLOCK, clock).goal(Bound::Below(50e-9))
    };
    let alone = one[0].clone();
    found.add(told("a read, one thread", one));
    if cores == 1 {
        found.note("There is one core: nothing is known of threads that read at the same time.");
        return Ok(found);
    }
    let contended = Measurement::new("a read on all cores ÷ on one", Unit::Seconds);
    let contended = contended.ours(all[0].clone()).beside(ONE, alone);
    found.add(told(&format!("a read, {cores} threads, each on its core"), all));
    found.add(contended.ratio(ONE, Bound::AtMost(1.25)));
    Ok(found)
}

/// How long one read takes of so many threads that read at the same time: the mean of the slowest.
fn each<F: FnMut() -> bool + Send>(threads: usize, reader: impl Fn() -> F) -> anyhow::Result<f64> {
    let reads = effort::count(READS);
    let together = Barrier::new(threads);
    let readers: Vec<F> = (0..threads).map(|_| reader()).collect();
    let slowest = std::thread::scope(|scope| {
        let running: Vec<_> = readers
            .into_iter()
            .enumerate()
            .map(|(core, mut read)| {
                let together = &together;
                scope.spawn(move || {
                    let held = pinned::hold_this_thread(core);
                    together.wait();
                    let begun = Instant::now();
                    let good = (0..reads).filter(|_| read()).count();
                    held.map(|()| (begun.elapsed(), good))
                })
            })
            .collect();
        running.into_iter().try_fold(Duration::ZERO, |slowest, thread| {
            let (took, good) = thread.join().ok().context("a thread panicked")??;
            anyhow::ensure!(good == reads, "{} of {reads} reads found nothing", reads - good);
            Ok(slowest.max(took))
        })
    })?;
    #[expect(clippy::cast_precision_loss, reason = "two million")]
    Ok(slowest.as_secs_f64() / reads as f64)
}
