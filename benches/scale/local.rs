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

use crate::report::{Bound, Findings, Measurement, Unit, effort};
use crate::support::appid;
use crate::support::jssdk::Service;

const ROUNDS: usize = 7;
const READS: usize = 2_000_000;
const LOOKED_UP: &str = "looked up by its key";
const CLOCK: &str = "the clock alone";

pub(crate) async fn run() -> anyhow::Result<Findings> {
    let service = Service::start().await?;
    let key = Key::new(appid(0), Kind::JsapiTicket);
    let (copy, clock) = (service.copy.clone(), Clock::system());
    let cores = std::thread::available_parallelism()?.get();
    tokio::task::spawn_blocking(move || {
        let mut found = Findings::new("Reads of the client library's copy");
        for threads in [1, cores] {
            let mut rounds: [Vec<f64>; 3] = Default::default();
            for _ in 0..effort::rounds(ROUNDS) {
                let mut reader = copy.reader(key.clone());
                anyhow::ensure!(reader.read().is_some(), "the copy has no value");
                rounds[0].push(each(threads, || {
                    let mut reader = reader.clone();
                    move || black_box(reader.read().is_some())
                })?);
                rounds[1].push(each(threads, || {
                    let (copy, key): (Cache, Key) = (copy.clone(), key.clone());
                    move || black_box(copy.get(black_box(&key)).is_some())
                })?);
                rounds[2].push(each(threads, || {
                    let clock = clock.clone();
                    move || black_box(clock.boot().0 > 0)
                })?);
            }
            let [ours, looked_up, clock] = rounds;
            let what = if threads == 1 {
                "a read, one thread".to_owned()
            } else {
                format!("a read, {threads} threads, each on its core")
            };
            found.add(
                Measurement::new(&what, Unit::Seconds)
                    .ours(ours)
                    .beside(LOOKED_UP, looked_up)
                    .beside(CLOCK, clock)
                    .goal(Bound::Below(50e-9)),
            );
        }
        let [one, all] = [0, 1].map(|place| found.measurements[place].sides[0].rounds.clone());
        let one_thread = "one thread";
        found.add(
            Measurement::new("a read on all cores ÷ on one", Unit::Seconds)
                .ours(all)
                .beside(one_thread, one)
                .ratio(one_thread, Bound::AtMost(1.25)),
        );
        Ok(found)
    })
    .await?
}

/// How long one read takes of so many threads that read at the same time: the mean of the slowest.
fn each<F: FnMut() -> bool + Send>(threads: usize, reader: impl Fn() -> F) -> anyhow::Result<f64> {
    let reads = effort::count(READS);
    let together = Barrier::new(threads);
    let readers: Vec<F> = (0..threads).map(|_| reader()).collect();
    let slowest = std::thread::scope(|scope| {
        let running: Vec<_> = readers
            .into_iter()
            .map(|mut read| {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    let begun = Instant::now();
                    let good = (0..reads).filter(|_| read()).count();
                    (begun.elapsed(), good)
                })
            })
            .collect();
        running.into_iter().try_fold(Duration::ZERO, |slowest, thread| {
            let (took, good) = thread.join().ok()?;
            (good == reads).then_some(slowest.max(took))
        })
    });
    let slowest = slowest.context("a read found nothing")?;
    #[expect(clippy::cast_precision_loss, reason = "two million")]
    Ok(slowest.as_secs_f64() / reads as f64)
}
