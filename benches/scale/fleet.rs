//! A real `zhongkong run` process with 1,000 to 200,000 keys: start, memory, idle CPU, and the rate
//! at which its ledger takes a renewal of all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::daemon::Daemon;
use crate::filled::{self, VALUE};
use crate::report::{Bound, Findings, Measurement, Plot, Unit, effort};
use crate::support::{Upstream, sizes};

/// The size that the goals are of.
const JUDGED: usize = 100_000;
/// The size of the cold start, which asks the simulator once for each key.
const COLD: usize = 20_000;
const STARTS: usize = 3;
/// How long a started daemon is left alone before it is looked at, and how long it is looked at.
const SETTLE: Duration = Duration::from_secs(4);
const IDLE: Duration = Duration::from_secs(16);

const READY: &str = "process start to ready, from a full ledger";
const START_CPU: &str = "CPU time of a start, a key";
const RESIDENT: &str = "resident memory, a key beyond its value";
const IDLE_CPU: &str = "idle CPU, of a core";
const COMMITS: &str = "values committed, through the gate of 64";
const COMMIT_CPU: &str = "CPU time of a commit";

pub(crate) async fn run() -> anyhow::Result<Findings> {
    let mut found = Findings::new("Many keys: a daemon of its own, half of its keys tickets");
    // What a daemon has without keys, all but one account's.
    let nothing = one(2, 1, &mut Findings::new("")).await?.resident;
    found.add(Measurement::new("resident memory with two keys", Unit::Bytes).ours([nothing]));
    for keys in sizes() {
        let starts = effort::rounds(if keys > JUDGED { 1 } else { STARTS });
        let seen = one(keys, starts, &mut found).await?;
        let of = |what: &str, unit| Measurement::new(what, unit).at(keys, "keys");
        let judged = |measurement: Measurement, bound| {
            if keys == JUDGED { measurement.goal(bound) } else { measurement }
        };
        found.add(judged(of(READY, Unit::Seconds).ours(seen.ready), Bound::Below(5.0)));
        let each = |total: f64| total / count(keys);
        found.add(of(START_CPU, Unit::Seconds).ours(seen.cpu.into_iter().map(each).collect::<Vec<_>>()));
        found.add(of("resident memory", Unit::Bytes).ours([seen.resident]));
        let beyond = each(seen.resident - nothing) - count(VALUE);
        found.add(judged(of(RESIDENT, Unit::Bytes).ours([beyond]), Bound::Below(1_500.0)));
        found.add(judged(of(IDLE_CPU, Unit::Percent).ours([seen.idle]), Bound::Below(5.0)));
    }
    cold(&mut found).await?;
    found.plot(Plot::curve("memory", "Resident memory a key, beyond its value", [RESIDENT]));
    found.plot(Plot::curve("start", "Process start to ready", [READY]));
    found.note(format!(
        "Each ledger holds the calls of a day: 14 of each token, 84 of each ticket. Values have {VALUE} bytes. Nothing \
         is due, and a listener in WeChat's place counts who comes: nobody does. Resident memory is looked at {} s \
         after a start, so it contains what the start left in the allocator; the daemon with two keys is subtracted. \
         It has MALLOC_ARENA_MAX=2, as in its unit file.",
        SETTLE.as_secs() + IDLE.as_secs(),
    ));
    Ok(found)
}

/// What was seen of the daemon with one number of keys.
struct Seen {
    ready: Vec<f64>,
    cpu: Vec<f64>,
    resident: f64,
    idle: f64,
}

/// Fills a ledger, starts from it, and watches the last of these daemons do nothing.
async fn one(keys: usize, starts: usize, found: &mut Findings) -> anyhow::Result<Seen> {
    let dir = tempfile::tempdir()?;
    let filled = filled::fill(&dir.path().join("state/ledger.db"), keys / 2).await?;
    let of = |what: &str, unit| Measurement::new(what, unit).at(keys, "keys");
    found.add(of(COMMITS, Unit::PerSecond).ours([count(keys) / filled.took.as_secs_f64()]));
    found.add(of(COMMIT_CPU, Unit::Seconds).ours([filled.cpu.as_secs_f64() / count(keys)]));
    found.add(of("the ledger's file", Unit::Bytes).ours([filled.bytes]));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let calls = Arc::new(AtomicUsize::new(0));
    let mut counting = JoinSet::new();
    let seen = calls.clone();
    counting.spawn(async move {
        while listener.accept().await.is_ok() {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    });
    let config = filled::configure(dir.path(), keys / 2)?;
    let mut seen = Seen { ready: Vec::new(), cpu: Vec::new(), resident: 0.0, idle: 0.0 };
    for start in 1..=starts {
        let daemon = config.start(&base).await?;
        seen.ready.push(daemon.took.as_secs_f64());
        seen.cpu.push(daemon.cpu()?.as_secs_f64());
        if start == starts {
            watch(&daemon, &mut seen).await?;
        }
        daemon.stop().await?;
    }
    let calls = calls.load(Ordering::Relaxed);
    anyhow::ensure!(calls == 0, "{calls} upstream calls from a ledger in which nothing is due");
    Ok(seen)
}

async fn watch(daemon: &Daemon, seen: &mut Seen) -> anyhow::Result<()> {
    let idle = effort::seconds(IDLE.as_secs_f64());
    tokio::time::sleep(SETTLE.min(idle)).await;
    let before = daemon.cpu()?;
    tokio::time::sleep(idle).await;
    let used = daemon.cpu()?.saturating_sub(before).as_secs_f64() / idle.as_secs_f64();
    seen.idle = used * 100.0;
    seen.resident = daemon.resident()?;
    Ok(())
}

/// Starts with no ledger at all; WeChat is the simulator.
async fn cold(found: &mut Findings) -> anyhow::Result<()> {
    let keys = effort::count(COLD);
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("state"))?;
    let upstream = Upstream::start().await?;
    let daemon = filled::configure(dir.path(), keys / 2)?.start(&upstream.base).await?;
    let of = |what: &str, unit| Measurement::new(what, unit).at(keys, "keys");
    let took = daemon.took.as_secs_f64();
    found.add(of("cold start: every key has a value within", Unit::Seconds).ours([took]));
    found.add(of("cold start: resident memory after it", Unit::Bytes).ours([daemon.resident()?]));
    daemon.stop().await
}

#[expect(clippy::cast_precision_loss, reason = "200,000 keys")]
fn count(number: usize) -> f64 {
    number as f64
}
