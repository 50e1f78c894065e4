//! `/metrics` of 20,000 keys over HTTP, with and without series of each.

use std::sync::Arc;

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zhongkong::access::{Gate, Table};
use zhongkong::admin::exposition::{Exposition, Sources};
use zhongkong::admin::{self, Admin, Audience, Readiness, Recent};
use zhongkong::audit::Recorder;
use zhongkong::clock::Clock;
use zhongkong::hub::Hub;
use zhongkong::ledger::Ledger as _;
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::model::{CallMode, Key, Kind, TokenMode};

use crate::report::{Bound, Findings, Measurement, Unit, effort};
use crate::support::{LIFE, accounts, appid, fraction, issued, surroundings};
use crate::table::quantile;

const ACCOUNTS: usize = 10_000;
/// Nobody listens there, and nobody asks.
const NOWHERE: &str = "http://127.0.0.1:9";
const ROUNDS: usize = 5;
const SCRAPES: usize = 30;
const TOGETHER: usize = 20;

pub(crate) async fn run() -> anyhow::Result<Findings> {
    let mut found = Findings::new("A scrape of 20,000 keys over HTTP, from the request to the last byte");
    let clock = Clock::system();
    let ledger = Arc::new(MemoryLedger::new(clock.clone()));
    for number in 0..ACCOUNTS {
        for (kind, mode) in [(Kind::AccessToken, CallMode::Classic), (Kind::JsapiTicket, CallMode::Ticket)] {
            let (call, value) =
                issued(&clock, &Key::new(appid(number), kind), mode, LIFE.mul_f64(fraction(number) / 2.0));
            ledger.commit(&call, &value).await?;
        }
    }
    let around = surroundings(NOWHERE, &clock, ledger)?;
    let (hub, _tasks) =
        Hub::build(around, accounts(ACCOUNTS, TokenMode::Classic, &[Kind::JsapiTicket])).await?;
    for (name, per_key) in [("sums only", 0), ("series of each key", u32::MAX)] {
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        let addr = serve(&hub, per_key, &stop, &mut serving).await?;
        let (mut p50s, mut slowest, mut together, mut size) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for _ in 0..effort::rounds(ROUNDS) {
            let mut took = Vec::new();
            for _ in 0..SCRAPES {
                let begun = Instant::now();
                size = scrape(&addr).await?;
                took.push(begun.elapsed());
            }
            p50s.push(quantile(&mut took, 0.5).as_secs_f64());
            slowest.push(quantile(&mut took, 1.0).as_secs_f64());
            let begun = Instant::now();
            let mut scrapers = JoinSet::new();
            for _ in 0..TOGETHER {
                let addr = addr.clone();
                scrapers.spawn(async move { scrape(&addr).await });
            }
            while let Some(done) = scrapers.join_next().await {
                done??;
            }
            together.push(begun.elapsed().as_secs_f64());
        }
        let measured = |what: &str, rounds: Vec<f64>| {
            Measurement::new(&format!("{name}: {what}"), Unit::Seconds).ours(rounds)
        };
        found.add(measured("p50", p50s).goal(Bound::Below(0.050)));
        found.add(measured(&format!("the slowest of {SCRAPES}"), slowest));
        found.add(measured(&format!("{TOGETHER} at once, all answered"), together));
        #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
        let size = size as f64;
        found.add(Measurement::new(&format!("{name}: its size"), Unit::Bytes).ours([size]));
        stop.cancel();
        serving.join_all().await;
    }
    Ok(found)
}

pub(super) async fn serve(
    hub: &Arc<Hub>,
    per_key: u32,
    stop: &CancellationToken,
    serving: &mut JoinSet<()>,
) -> anyhow::Result<String> {
    let (ready, readiness) = watch::channel(Readiness::Ready);
    let exposition = Exposition::new(Sources {
        recorded: PrometheusBuilder::new().build_recorder().handle(),
        hub: hub.clone(),
        readiness: readiness.clone(),
        servers: Arc::new(Vec::new),
        ledger: None,
        per_key,
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?.to_string();
    let page = admin::Sources {
        hub: hub.clone(),
        gate: Gate::new(Table::default(), hub.clock().clone()),
        audit: Recorder::off(),
        recent: Recent::new(hub.clock().wall()),
        servers: Arc::new(Vec::new),
    };
    let settings = admin::Settings { view: Audience::Anyone, hosts: Vec::new() };
    let admin = Admin::new(listener, readiness, exposition, settings, page).run(stop.clone());
    serving.spawn(async move {
        let _ready = ready;
        admin.await;
    });
    Ok(addr)
}

/// The length of the answer.
async fn scrape(addr: &str) -> anyhow::Result<usize> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "no page");
    Some(answer.len()).filter(|length| *length > 1_000).context("an empty page")
}
