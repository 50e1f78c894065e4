//! The status page of 10,000 keys that all have a value: from the request to the last byte of the
//! first paint, over TCP, with the filters and searches that people use.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zhongkong::clock::Clock;
use zhongkong::hub::Hub;
use zhongkong::ledger::Ledger as _;
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::model::{CallMode, Key, Kind, TokenMode};

use crate::metrics::serve;
use crate::report::{Bound, Findings, Measurement, Unit, effort};
use crate::support::{LIFE, accounts, appid, fraction, issued, surroundings};
use crate::table::quantile;

const KEYS: usize = 10_000;
/// Nobody listens there, and nobody asks.
const NOWHERE: &str = "http://127.0.0.1:9";
const ROUNDS: usize = 5;
/// Enough for a p99 that is not the greatest.
const PAINTS: usize = 150;
const TOGETHER: usize = 32;

pub(crate) async fn run() -> anyhow::Result<Findings> {
    let mut found = Findings::new(
        "The first paint of the status page with 10,000 keys, from the request to the last byte",
    );
    let clock = Clock::system();
    let ledger = Arc::new(MemoryLedger::new(clock.clone()));
    for number in 0..KEYS {
        let key = Key::new(appid(number), Kind::AccessToken);
        let (call, value) = issued(&clock, &key, CallMode::Classic, LIFE.mul_f64(fraction(number) / 2.0));
        ledger.commit(&call, &value).await?;
    }
    let around = surroundings(NOWHERE, &clock, ledger)?;
    let (hub, _tasks) = Hub::build(around, accounts(KEYS, TokenMode::Classic, &[])).await?;
    let stop = CancellationToken::new();
    let mut serving = JoinSet::new();
    let addr = serve(&hub, 0, &stop, &mut serving).await?;
    let last = format!("/?q={}", appid(KEYS - 1));
    for (name, path) in [
        ("as it opens", "/"),
        ("problems only", "/?show=problems"),
        ("by name, the last page", "/?sort=name&page=9999"),
        ("a search for one account", last.as_str()),
    ] {
        let (mut p50s, mut p99s) = (Vec::new(), Vec::new());
        for _ in 0..effort::rounds(ROUNDS) {
            let mut took = Vec::new();
            for _ in 0..PAINTS {
                let begun = Instant::now();
                paint(&addr, path).await?;
                took.push(begun.elapsed());
            }
            p50s.push(quantile(&mut took, 0.5).as_secs_f64());
            p99s.push(quantile(&mut took, 0.99).as_secs_f64());
        }
        found.add(Measurement::new(&format!("{name}: p50"), Unit::Seconds).ours(p50s));
        let p99 = Measurement::new(&format!("{name}: p99"), Unit::Seconds).ours(p99s);
        found.add(p99.goal(Bound::Below(0.200)));
    }
    let mut together = Vec::new();
    for _ in 0..effort::rounds(ROUNDS) {
        let begun = Instant::now();
        let mut visitors = JoinSet::new();
        for _ in 0..TOGETHER {
            let addr = addr.clone();
            visitors.spawn(async move { paint(&addr, "/").await });
        }
        while let Some(done) = visitors.join_next().await {
            done??;
        }
        together.push(begun.elapsed().as_secs_f64());
    }
    found.add(
        Measurement::new(&format!("{TOGETHER} browsers at once, all painted"), Unit::Seconds).ours(together),
    );
    stop.cancel();
    serving.join_all().await;
    Ok(found)
}

/// The length of the answer.
async fn paint(addr: &str, path: &str) -> anyhow::Result<usize> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "no page for {path}");
    let wanted: &[u8] = b"</html>";
    anyhow::ensure!(answer.windows(wanted.len()).any(|part| part == wanted), "half a page for {path}");
    Ok(answer.len())
}
