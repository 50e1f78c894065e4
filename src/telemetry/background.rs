//! The thread that writes the log file, so that a disk that hangs holds up no reader.
//!
//! stderr and the journal are written to directly instead: whoever reads them is what restarts
//! us, and a last line that was still queued would be the one that matters. A file shares its
//! disk with others, and a rotation there may take seconds.
//!
//! Lines are written in their order and a request to reopen takes its place among them. At
//! most [`MOST_BYTES`] wait; what comes on top is dropped and counted. [`Background::flush`]
//! is called when a panic was logged and at the end, and waits for a limited time.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::file::{LogFile, Note};

/// Some ten thousand lines: half a minute of a busy daemon at `debug`.
const MOST_BYTES: usize = 4 << 20;
/// How long the last lines may hold up an end.
const FLUSH: Duration = Duration::from_secs(2);

/// The way to the thread.
pub(super) struct Background {
    queue: Mutex<Queue>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Lines that found no room since the thread last looked.
    dropped: u64,
    accepted: u64,
    done: u64,
}

enum Entry {
    Line(Box<[u8]>),
    Reopen,
}

impl Background {
    /// Starts the thread; it ends with the process.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub(super) fn start(file: LogFile, path: &Path) -> io::Result<Arc<Self>> {
        let shared =
            Arc::new(Self { queue: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new() });
        let (own, path) = (shared.clone(), path.display().to_string());
        std::thread::Builder::new().name("log file".to_owned()).spawn(move || own.run(file, &path))?;
        Ok(shared)
    }

    /// Hands a line over, or drops it.
    pub(super) fn push(&self, line: Box<[u8]>) {
        let mut queue = self.lock();
        if queue.bytes + line.len() > MOST_BYTES {
            queue.dropped += 1;
        } else {
            queue.bytes += line.len();
            queue.add(Entry::Line(line));
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// Has the file opened anew, after the lines that came before.
    pub(super) fn reopen(&self) {
        let mut queue = self.lock();
        if !matches!(queue.entries.back(), Some(Entry::Reopen)) {
            queue.add(Entry::Reopen);
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// Waits until what came before is written, two seconds at most.
    pub(super) fn flush(&self) {
        let queue = self.lock();
        let target = queue.accepted;
        // Late or poisoned: the lines are as far as they get.
        drop(self.emptied.wait_timeout_while(queue, FLUSH, |queue| queue.done < target));
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Sound: every change of the queue is complete before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut file: LogFile, path: &str) {
        loop {
            let waiting = self.filled.wait_while(self.lock(), |queue| queue.entries.is_empty());
            let mut queue = waiting.unwrap_or_else(PoisonError::into_inner);
            let entries = std::mem::take(&mut queue.entries);
            let dropped = std::mem::take(&mut queue.dropped);
            drop(queue);
            if dropped > 0 {
                tracing::warn!(
                    lines = dropped,
                    "the log file's disk was too slow; {dropped} lines are missing"
                );
            }
            for entry in entries {
                let bytes = match entry {
                    Entry::Line(line) => {
                        tell(file.write(&line), path);
                        line.len()
                    }
                    Entry::Reopen => {
                        file.reopen();
                        0
                    }
                };
                let mut queue = self.lock();
                queue.bytes -= bytes;
                queue.done += 1;
                drop(queue);
                self.emptied.notify_all();
            }
        }
    }
}

impl Queue {
    fn add(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        self.accepted += 1;
    }
}

/// What the file cannot say goes to stderr; what it lacks is said in it.
fn tell(note: Note, path: &str) {
    let sentence = match note {
        Note::Nothing => return,
        Note::Failed(error) => format!(
            "the log file {path} cannot be written ({error}); the daemon goes on and log lines are lost until it \
             can: free space, or give back its directory"
        ),
        Note::NotRotated(error) => {
            tracing::warn!(path, %error, "the log file {path} cannot be put aside and grows: {error}");
            return;
        }
        Note::Recovered(lines) => {
            tracing::warn!(
                path,
                lines,
                "the log file could not be written for a while; {lines} lines are missing"
            );
            format!("the log file {path} is written again; {lines} lines are missing")
        }
    };
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(io::stderr().lock(), "zhongkong: {sentence}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::telemetry::file::Rotation;

    #[test]
    fn lines_beyond_the_limit_are_dropped_and_the_others_keep_their_order() {
        // A disk that hangs: nobody takes lines, and whoever logs is not held up.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let shared =
            Arc::new(Background { queue: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new() });
        let line = |number: usize| format!("{number:01023}\n").into_bytes().into_boxed_slice();
        for number in 0..5_000 {
            shared.push(line(number));
        }
        let waiting = |queue: &Queue| (queue.entries.len(), queue.bytes, queue.dropped);
        assert_eq!(waiting(&shared.lock()), (4_096, 4 << 20, 904));

        // It comes back: what waited is written, in order, and there is room again.
        let file = LogFile::open(&path, Rotation::default(), Clock::system()).unwrap();
        let (own, name) = (shared.clone(), path.display().to_string());
        drop(std::thread::spawn(move || own.run(file, &name)));
        shared.flush();
        shared.push(line(9_999));
        shared.flush();
        let text = std::fs::read_to_string(&path).unwrap();
        let numbers: Vec<usize> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert!(numbers.iter().copied().eq((0..4_096).chain([9_999])), "{}", numbers.len());
        assert_eq!(waiting(&shared.lock()), (0, 0, 0));
    }
}
