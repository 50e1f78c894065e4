//! The figures of a page that are of no key: readiness, the mirror's servers, the ledger's file,
//! reads, the process, the runtime.

use std::ffi::OsString;
use std::path::Path;

use metrics_process::collector;
use tokio::runtime::RuntimeMetrics;

use crate::admin::{Readiness, Server};
use crate::telemetry::latency::{EDGES, Snapshot};
use crate::telemetry::metrics;
use crate::telemetry::text::{Family, Labels, Text, Type, Value};

use super::Sources;

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, of: Type::Gauge, help }
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, of: Type::Counter, help }
}

const BUILD: Family = gauge("zhongkong_build_info", "Always 1; the label says which version runs.");
const READY: Family = gauge("zhongkong_ready", "Whether callers get what they are granted, as /readyz says.");
const WALL_CLOCK: Family =
    gauge("zhongkong_wall_clock_timestamp_seconds", "The machine's wall clock at the scrape.");
const LEDGER_SIZE: Family =
    gauge("zhongkong_ledger_size_bytes", "Size of the ledger's file and its write-ahead log.");
const READ_SECONDS: Family = Family {
    name: "zhongkong_read_seconds",
    of: Type::Histogram,
    help: "Time of a served GetToken in the daemon, with the wait that its caller asked for.",
};

const MIRROR_UP: Family =
    gauge("zhongkong_mirror_up", "Whether the memcached server has answered on its connection.");
const MIRROR_PENDING: Family =
    gauge("zhongkong_mirror_pending_keys", "Keys that the server may not have in their latest state.");
const MIRROR_FAILURES: Family =
    gauge("zhongkong_mirror_failures", "Connections that failed since one last stood for a while.");
const MIRROR_LAST_SUCCESS: Family = gauge(
    "zhongkong_mirror_last_success_timestamp_seconds",
    "When the server last answered; absent if never.",
);
const MIRROR_WRITTEN: Family =
    counter("zhongkong_mirror_written_keys_total", "Keys written to the server or deleted from it.");
const MIRROR_REWRITES: Family = counter(
    "zhongkong_mirror_rewrites_total",
    "Times that the server had nothing of ours, so that everything was written.",
);

const CPU: Family = counter("process_cpu_seconds_total", "User and system CPU time.");
const OPEN_FDS: Family = gauge("process_open_fds", "Open file descriptors.");
const MAX_FDS: Family = gauge("process_max_fds", "Limit of open file descriptors; 0 for none.");
const RESIDENT: Family = gauge("process_resident_memory_bytes", "Resident memory.");
const VIRTUAL: Family = gauge("process_virtual_memory_bytes", "Virtual memory.");
const STARTED: Family = gauge("process_start_time_seconds", "Wall time of the process' start.");
const THREADS: Family = gauge("process_threads", "Threads of the operating system.");

const WORKERS: Family = gauge("zhongkong_runtime_workers", "Worker threads of the runtime.");
const TASKS: Family = gauge("zhongkong_runtime_tasks", "Tasks that have not ended.");
const QUEUED: Family = gauge(
    "zhongkong_runtime_queued_tasks",
    "Tasks that are ready and wait for a worker in the common queue.",
);

/// Writes them all.
pub(super) fn write(sources: &Sources, runtime: &RuntimeMetrics, text: &mut Text) {
    write_build(text);
    // A sender that is gone can have said "ready" last, but nobody vouches for it any more.
    let ready = sources.readiness.has_changed().is_ok() && *sources.readiness.borrow() == Readiness::Ready;
    text.single(&READY, Value::Count(u64::from(ready)));
    text.single(&WALL_CLOCK, Value::Millis(sources.hub.clock().wall().0));
    if let Some(size) = sources.ledger.as_deref().map(ledger_size) {
        text.single(&LEDGER_SIZE, Value::Count(size));
    }
    write_reads(&metrics::READ_SECONDS.snapshot(), text);
    write_mirror((sources.servers)(), text);
    write_process(text);
    write_runtime(runtime, text);
}

/// Writes what every process of ours has: for one that has no keys.
pub(crate) fn write_common(ready: &Readiness, runtime: &RuntimeMetrics, text: &mut Text) {
    write_build(text);
    text.single(&READY, Value::Count(u64::from(*ready == Readiness::Ready)));
    write_process(text);
    write_runtime(runtime, text);
}

fn write_build(text: &mut Text) {
    text.begin(&BUILD);
    let version = Labels::of(&[("version", env!("CARGO_PKG_VERSION"))]);
    text.sample(&BUILD, version.as_str(), Value::Count(1));
}

fn write_runtime(runtime: &RuntimeMetrics, text: &mut Text) {
    let number = |count: usize| Value::Count(u64::try_from(count).unwrap_or(u64::MAX));
    text.single(&WORKERS, number(runtime.num_workers()));
    text.single(&TASKS, number(runtime.num_alive_tasks()));
    text.single(&QUEUED, number(runtime.global_queue_depth()));
}

/// What the ledger takes on disk; nothing for a part that is not there.
fn ledger_size(file: &Path) -> u64 {
    let mut log = OsString::from(file);
    log.push("-wal");
    [file, Path::new(&log)].iter().filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum()
}

fn write_reads(reads: &Snapshot, text: &mut Text) {
    let Snapshot { cumulative, count, sum } = reads;
    text.begin(&READ_SECONDS);
    for (edge, so_far) in EDGES.iter().zip(cumulative) {
        let labels = Labels::of(&[("le", &edge.as_secs_f64().to_string())]);
        text.part(&READ_SECONDS, "_bucket", labels.as_str(), Value::Count(*so_far));
    }
    text.part(&READ_SECONDS, "_bucket", Labels::of(&[("le", "+Inf")]).as_str(), Value::Count(*count));
    text.part(&READ_SECONDS, "_sum", "", Value::Number(sum.as_secs_f64()));
    text.part(&READ_SECONDS, "_count", "", Value::Count(*count));
}

fn write_mirror(servers: Vec<Server>, text: &mut Text) {
    let labelled = |server: Server| (Labels::of(&[("server", &server.name)]), server);
    let servers: Vec<_> = servers.into_iter().map(labelled).collect();
    if servers.is_empty() {
        return;
    }
    text.begin(&MIRROR_UP);
    for (labels, server) in &servers {
        text.sample(&MIRROR_UP, labels.as_str(), Value::Count(u64::from(server.connected)));
    }
    text.begin(&MIRROR_PENDING);
    for (labels, server) in &servers {
        let pending = u64::try_from(server.pending).unwrap_or(u64::MAX);
        text.sample(&MIRROR_PENDING, labels.as_str(), Value::Count(pending));
    }
    text.begin(&MIRROR_FAILURES);
    for (labels, server) in &servers {
        text.sample(&MIRROR_FAILURES, labels.as_str(), Value::Count(server.failures.into()));
    }
    text.begin(&MIRROR_LAST_SUCCESS);
    for (labels, server) in &servers {
        if let Some(at) = server.last_success {
            text.sample(&MIRROR_LAST_SUCCESS, labels.as_str(), Value::Millis(at.0));
        }
    }
    text.begin(&MIRROR_WRITTEN);
    for (labels, server) in &servers {
        text.sample(&MIRROR_WRITTEN, labels.as_str(), Value::Count(server.written));
    }
    text.begin(&MIRROR_REWRITES);
    for (labels, server) in &servers {
        text.sample(&MIRROR_REWRITES, labels.as_str(), Value::Count(server.rewrites));
    }
}

/// What the kernel says of this process; nothing of what it does not say.
fn write_process(text: &mut Text) {
    let seen = collector::collect();
    let counts = [
        (&OPEN_FDS, seen.open_fds),
        (&MAX_FDS, seen.max_fds),
        (&RESIDENT, seen.resident_memory_bytes),
        (&VIRTUAL, seen.virtual_memory_bytes),
        (&STARTED, seen.start_time_seconds),
        (&THREADS, seen.threads),
    ];
    if let Some(seconds) = seen.cpu_seconds_total {
        text.single(&CPU, Value::Number(seconds));
    }
    for (family, count) in counts {
        if let Some(count) = count {
            text.single(family, Value::Count(count));
        }
    }
}
