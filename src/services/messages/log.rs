//! The message log: one JSON line for each push, to see what came and what was said.
//!
//! docs/message-log.md has every key. Guarantees that writing never holds an answer up (what finds
//! no room is dropped, counted and said), that the file is bounded by size and age, that users'
//! words and openids are in it only as the settings allow, and that who sends refused pushes can
//! neither fill the disk nor rotate evidence away: of those a few a minute have a line, the others
//! are counted.
//!
//! The same, without words, is a line at `debug` in the service's own log; `debug` because a busy
//! account would drown everything else.

mod entry;
mod line;
mod refusals;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use crate::clock::Clock;
use crate::telemetry::file::{LogFile, Rotation};

pub use entry::{Delivery, Entry, Outcome, Refused};
pub use writer::Writer;

use refusals::Refusals;

/// The most lines that wait for the disk: seconds of the busiest service.
const MOST_LINES: usize = 16_384;
/// The most bytes of them, for lines with content.
const MOST_BYTES: usize = 4 << 20;

/// What is written where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file. Its directory must exist.
    pub path: PathBuf,
    /// When it is put aside.
    pub rotation: Rotation,
    /// What it tells of users' words and of ours.
    pub content: ContentPolicy,
    /// How it names users.
    pub openid: OpenIdPolicy,
}

/// What a line tells of the words of a message and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentPolicy {
    /// Nothing.
    None,
    /// How many bytes they are.
    Length,
    /// The words, and how many bytes they are; very long ones are cut.
    Full,
}

/// How a line names a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenIdPolicy {
    /// The first 16 hex digits of the openid's SHA-256: who knows the openid finds its lines.
    Hash,
    /// The openid.
    Full,
}

/// Why there is no message log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file can be neither opened nor made.
    #[error(
        "the message log {} cannot be written; make its directory, or let the service's user write there",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

/// Where pushes are noted. A clone is the same log.
#[derive(Clone, Debug)]
pub struct MessageLog {
    shared: Arc<Shared>,
    /// None without a file.
    file: Option<ToFile>,
    openid: OpenIdPolicy,
}

#[derive(Clone, Debug)]
struct ToFile {
    lines: mpsc::Sender<Box<[u8]>>,
    content: ContentPolicy,
}

/// What the log and its writer share.
#[derive(Debug)]
struct Shared {
    clock: Clock,
    /// Bytes of the lines that wait. A bound need not be exact.
    waiting: AtomicUsize,
    /// Lines that found no room since the writer last looked.
    dropped: AtomicU64,
    refusals: Mutex<Refusals>,
    reopen: Notify,
}

impl MessageLog {
    /// A log with a file, and what writes it.
    ///
    /// # Errors
    /// The file can be neither opened nor made.
    pub fn new(settings: Settings, clock: Clock) -> Result<(Self, Writer), LogError> {
        let Settings { path, rotation, content, openid } = settings;
        let file = match LogFile::open(&path, rotation, clock.clone()) {
            Ok(file) => file,
            Err(source) => return Err(LogError::Open { path, source }),
        };
        let (lines, queue) = mpsc::channel(MOST_LINES);
        let shared = Arc::new(Shared::new(clock));
        let log = Self { shared: shared.clone(), file: Some(ToFile { lines, content }), openid };
        Ok((log, Writer::new(shared, queue, file, path)))
    }

    /// A log without a file: the lines at `debug` only.
    pub fn without_file(openid: OpenIdPolicy, clock: Clock) -> Self {
        Self { shared: Arc::new(Shared::new(clock)), file: None, openid }
    }

    /// Notes a push whose signature was right. Never waits.
    pub fn note(&self, entry: Entry<'_>) {
        line::say(&entry, self.openid);
        if let Some(file) = &self.file {
            let now = self.shared.clock.wall();
            file.put(&self.shared, line::of(&entry, now, file.content, self.openid));
        }
    }

    /// Notes a push that was refused. Never waits.
    pub fn refuse(&self, refused: Refused<'_>) {
        line::say_refused(&refused);
        let Some(file) = &self.file else { return };
        let clock = &self.shared.clock;
        let (wall, boot) = (clock.wall(), clock.boot());
        if self.shared.refusals().has_room_for(&refused, wall, boot) {
            file.put(&self.shared, line::of_refused(&refused, wall));
        }
    }

    /// Opens the file anew: somebody has put it aside.
    pub fn reopen(&self) {
        self.shared.reopen.notify_one();
    }
}

impl ToFile {
    fn put(&self, shared: &Shared, line: Box<[u8]>) {
        let bytes = line.len();
        let before = shared.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > MOST_BYTES || self.lines.try_send(line).is_err() {
            shared.waiting.fetch_sub(bytes, Ordering::Relaxed);
            shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Shared {
    fn new(clock: Clock) -> Self {
        let refusals = Mutex::new(Refusals::new(clock.boot()));
        let (waiting, dropped) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { clock, waiting, dropped, refusals, reopen: Notify::new() }
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        // Sound: nothing in between can panic.
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
