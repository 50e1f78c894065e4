//! The task that writes the file, on a thread that a hanging disk may keep.
//!
//! Lines are written in their order. What is missing, because the disk was too slow or took
//! nothing, is said once in the service's log and stands as a line where the others would be.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use super::{Shared, line};
use crate::telemetry::file::{LogFile, Note};

/// How many lines are written without looking up.
const BATCH: usize = 256;
/// How often counts of refusals are written.
const COUNTS: Duration = Duration::from_mins(1);
/// How long the last lines may hold up a stop.
const AT_STOP: Duration = Duration::from_secs(2);

/// Writes the message log.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    lines: mpsc::Receiver<Box<[u8]>>,
    /// None while it is being written, and after the disk kept it at a stop.
    file: Option<LogFile>,
    path: PathBuf,
    /// Lines that found no room, until it is told in the file.
    missing: u64,
}

/// What to do with the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Write,
    Reopen,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        lines: mpsc::Receiver<Box<[u8]>>,
        file: LogFile,
        path: PathBuf,
    ) -> Self {
        Self { shared, lines, file: Some(file), path, missing: 0 }
    }

    /// Writes until `stop`, and then what is left, for two seconds at most.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut counts = interval_at(Instant::now() + COUNTS, COUNTS);
        counts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shared = self.shared.clone();
        let mut batch = Vec::with_capacity(BATCH);
        while self.file.is_some() {
            let first = tokio::select! {
                () = stop.cancelled() => break,
                () = shared.reopen.notified() => First::Reopen,
                // Nothing comes once every log has gone; the stop ends it.
                Some(line) = self.lines.recv() => {
                    batch.push(line);
                    First::Write
                }
                _ = counts.tick() => {
                    self.add_counts(&mut batch);
                    First::Write
                }
            };
            self.add_waiting(&mut batch);
            self.put(first, &mut batch, &stop).await;
        }
        self.lines.close();
        while self.file.is_some() {
            self.add_waiting(&mut batch);
            self.add_counts(&mut batch);
            if batch.is_empty() {
                return;
            }
            self.put(First::Write, &mut batch, &stop).await;
        }
        let lines = batch.len() + self.lines.len();
        tracing::warn!(lines, "the message log's disk hangs at the end; {lines} lines and more are missing");
    }

    /// The refusals that have no line, and the lines that are missing.
    fn add_counts(&mut self, batch: &mut Vec<Box<[u8]>>) {
        let now = self.shared.clock.wall();
        let counted = self.shared.refusals().take();
        self.add(batch, counted.iter().map(|counted| line::of_counted(counted, now)));
    }

    /// What waits already, up to a batch.
    fn add_waiting(&mut self, batch: &mut Vec<Box<[u8]>>) {
        while batch.len() < BATCH
            && let Ok(line) = self.lines.try_recv()
        {
            batch.push(line);
        }
        self.tell_missing(batch);
    }

    /// Says that lines find no room, and then, where there is room again, how many did not.
    fn tell_missing(&mut self, batch: &mut Vec<Box<[u8]>>) {
        let dropped = self.shared.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 && self.missing == 0 {
            tracing::warn!("the message log's disk is too slow; lines are missing until it keeps up");
        }
        self.missing += dropped;
        if self.missing > 0 && dropped == 0 && self.lines.is_empty() {
            let lines = std::mem::take(&mut self.missing);
            tracing::info!(lines, "the message log's disk keeps up again; {lines} lines are missing");
            let gap = line::of_gap(lines, self.shared.clock.wall());
            self.add(batch, [gap].into_iter());
        }
    }

    /// Adds lines of our own, which did not wait.
    fn add(&self, batch: &mut Vec<Box<[u8]>>, lines: impl Iterator<Item = Box<[u8]>>) {
        for line in lines {
            self.shared.waiting.fetch_add(line.len(), Ordering::Relaxed);
            batch.push(line);
        }
    }

    /// Writes a batch, and leaves it empty; without a file if the disk kept it at a stop.
    async fn put(&mut self, first: First, batch: &mut Vec<Box<[u8]>>, stop: &CancellationToken) {
        let Some(mut file) = self.file.take() else { return };
        let lines = std::mem::replace(batch, Vec::with_capacity(BATCH));
        let bytes: usize = lines.iter().map(|line| line.len()).sum();
        let clock = self.shared.clock.clone();
        let writing = spawn_blocking(move || {
            if first == First::Reopen {
                file.reopen();
            }
            let mut notes = Vec::new();
            for line in &lines {
                let note = file.write(line);
                if let Note::Recovered(missing) = note {
                    // What becomes of it shows at the next line.
                    let _ = file.write(&line::of_gap(missing, clock.wall()));
                }
                if !matches!(note, Note::Nothing) {
                    notes.push(note);
                }
            }
            (file, notes)
        });
        let stopped = async {
            stop.cancelled().await;
            sleep(AT_STOP).await;
        };
        let written = tokio::select! {
            written = writing => written,
            () = stopped => return,
        };
        self.shared.waiting.fetch_sub(bytes, Ordering::Relaxed);
        // It is only cancelled with the runtime, and a panic ends the task, as its own would.
        let Ok((file, notes)) = written else { panic!("the message log's thread ended") };
        self.file = Some(file);
        for note in notes {
            self.tell(note);
        }
    }

    fn tell(&self, note: Note) {
        let path = self.path.display();
        match note {
            Note::Nothing => {}
            Note::Failed(error) => tracing::warn!(
                %path,
                %error,
                "the message log {path} cannot be written, and its lines are lost until it can: {error}"
            ),
            Note::NotRotated(error) => {
                tracing::warn!(%path, %error, "the message log {path} cannot be put aside and grows: {error}");
            }
            Note::Recovered(lines) => {
                tracing::warn!(%path, lines, "the message log is written again; {lines} lines are missing");
            }
        }
    }
}
