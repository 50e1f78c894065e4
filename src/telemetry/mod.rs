//! What the daemon says about itself: logs here, numbers in [`metrics`], repeated failures in
//! [`ErrorTracker`].
//!
//! Logs go to stderr, to a file ([`mod@file`]) or to the journal, one line an event. Levels say who
//! must act: `error` an operator now, `warn` an operator some day, `info` nobody, `debug` and
//! `trace` developers; docs/logging.md has every message. A failure is logged once, where it is
//! handled. A value or a secret never is (S7): the types that hold one have no `Display`.
//!
//! A process has one log, as it has one stderr; that is why [`reopen`] and [`change_filter`] are
//! functions of the process. Before [`init`] they do nothing.

use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::clock::Clock;

mod background;
pub mod file;
pub mod labels;
pub mod latency;
mod lines;
pub mod metrics;
mod panics;
mod said;
pub mod services;
pub mod text;
mod tracker;

pub use panics::safe_text;
pub use said::Said;
pub use tracker::{ErrorTracker, Report};

use background::Background;
use file::{LogFile, Rotation};
use lines::Lines;

/// Where a daemon without a stderr logs, unless it is told otherwise.
pub const DETACHED_FILE: &str = "/var/log/zhongkong/zhongkong.log";
/// Before the names of our fields in the journal; systemd's own have no such prefix.
const JOURNAL_PREFIX: &str = "ZHONGKONG";
/// What `journalctl -t` finds.
const IDENTIFIER: &str = "zhongkong";

/// The log of the process.
static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    file: Option<Arc<Background>>,
}

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The form of a line.
    pub format: LogFormat,
    /// A level, or directives as `tracing_subscriber` reads them.
    pub filter: String,
    /// When to use colour.
    pub colour: Colour,
    /// The file to write instead of stderr.
    pub file: Option<PathBuf>,
    /// When that file is put aside.
    pub rotation: Rotation,
    /// systemd's `JOURNAL_STREAM`: which file the journal reads our stderr from.
    pub journal_stream: Option<String>,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For a collector.
    Json,
    /// Fields of the systemd journal, by its native protocol.
    Journald,
}

/// When a text line has colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// When stderr is a terminal.
    OnTerminal,
    /// Not even then.
    Never,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("the log filter is neither a level nor a list of directives")]
    Filter,
    /// The file can be neither opened nor made.
    #[error(
        "the log file {} cannot be written; make its directory, let the daemon's user write there, or change \
         daemon.log.file",
        path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The process logs already.
    #[error("logging is set up already")]
    LogsAlready,
    /// The process counts already.
    #[error("metrics are set up already")]
    CountsAlready,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".to_owned(),
            colour: Colour::OnTerminal,
            file: None,
            rotation: Rotation::default(),
            journal_stream: None,
        }
    }
}

impl LogSettings {
    /// The same for a daemon that gives up its stderr: to a file, unless the journal is asked for.
    #[must_use]
    pub fn detached(mut self) -> Self {
        if self.format != LogFormat::Journald {
            self.file.get_or_insert_with(|| PathBuf::from(DETACHED_FILE));
        }
        self
    }
}

/// Writes the last lines when it is dropped. Kept until the process ends.
#[must_use = "lines that wait would be lost"]
pub struct LogGuard(());

impl Drop for LogGuard {
    fn drop(&mut self) {
        flush();
    }
}

/// Lets the process log from now on, panics included. Once per process, after it has detached:
/// a log file has a thread.
///
/// # Errors
/// The filter is wrong ([`is_log_filter`] says so beforehand), the file cannot be opened, or the
/// process logs already.
pub fn init(settings: &LogSettings) -> Result<LogGuard, TelemetryError> {
    let LogSettings { format, filter, colour, file, rotation, journal_stream } = settings;
    let filter = parse_filter(filter).ok_or(TelemetryError::Filter)?;
    if LOG.get().is_some() {
        return Err(TelemetryError::LogsAlready);
    }
    let file = file.as_deref().map(|path| open(path, *rotation)).transpose()?;
    let (filter, handle) = reload::Layer::new(filter);
    let journal = match format {
        LogFormat::Journald => Some(journal()),
        LogFormat::Text | LogFormat::Json => None,
    };
    let (journal, missing) = match journal.transpose() {
        Ok(journal) => (journal, None),
        Err(error) => (None, Some(error)),
    };
    let written: Box<dyn Layer<_> + Send + Sync> = match (journal, format) {
        (Some(journal), _) => journal.boxed(),
        (None, LogFormat::Json) => {
            let lines = file.clone().map_or(Lines::Stderr, Lines::File);
            let layer = tracing_subscriber::fmt::layer().json().flatten_event(true);
            layer.with_ansi(false).with_writer(lines).boxed()
        }
        (None, LogFormat::Text | LogFormat::Journald) => {
            let layer = tracing_subscriber::fmt::layer();
            match &file {
                Some(file) => layer.with_ansi(false).with_writer(Lines::File(file.clone())).boxed(),
                // The journal has its own time.
                None if is_journal(journal_stream.as_deref()) => {
                    layer.with_ansi(false).without_time().with_writer(Lines::JournalStream).boxed()
                }
                None => layer.with_ansi(colour.on_stderr()).with_writer(Lines::Stderr).boxed(),
            }
        }
    };
    let set = tracing_subscriber::registry().with(filter).with(written).try_init();
    set.map_err(|_| TelemetryError::LogsAlready)?;
    // Nobody was before us: then the subscriber above would not have been taken.
    let _ = LOG.set(Log { filter: handle, file });
    panics::install();
    if let Some(error) = missing {
        tracing::warn!(%error, "the journal cannot be reached, and logs go to stderr as text: {error}");
    }
    Ok(LogGuard(()))
}

/// Opens the log file anew, after what was logged before: somebody has put it aside.
pub fn reopen() {
    if let Some(file) = LOG.get().and_then(|log| log.file.as_deref()) {
        file.reopen();
        tracing::info!("the log file is opened anew");
    }
}

/// Logs by another filter from now on.
///
/// # Errors
/// It is no filter; the old one stays.
pub fn change_filter(filter: &str) -> Result<(), TelemetryError> {
    let filter = parse_filter(filter).ok_or(TelemetryError::Filter)?;
    // It fails only without its subscriber, which lives as long as the process.
    LOG.get().map_or(Ok(()), |log| log.filter.reload(filter).map_err(|_| TelemetryError::Filter))
}

/// Waits, for a limited time, until everything that was logged is written.
fn flush() {
    if let Some(file) = LOG.get().and_then(|log| log.file.as_deref()) {
        file.flush();
    }
}

fn open(path: &Path, rotation: Rotation) -> Result<Arc<Background>, TelemetryError> {
    let failed = |source| TelemetryError::File { path: path.to_owned(), source };
    let file = LogFile::open(path, rotation, Clock::system()).map_err(failed)?;
    Background::start(file, path).map_err(failed)
}

/// The journal, if its socket is there. What it cannot take is lost without a word, as it is
/// for every service; the socket is systemd's and stays while journald restarts.
fn journal() -> std::io::Result<tracing_journald::Layer> {
    use tracing_journald::{Priority, PriorityMappings};
    // The levels of this crate's own choice would make an `info` a "notice".
    let priorities = PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    };
    Ok(tracing_journald::layer()?
        .with_field_prefix(Some(JOURNAL_PREFIX.to_owned()))
        .with_syslog_identifier(IDENTIFIER.to_owned())
        .with_priority_mappings(priorities))
}

/// Whether the journal reads our stderr: `JOURNAL_STREAM` is "device:inode" of what systemd
/// gave us, which a shell may have redirected since.
fn is_journal(stream: Option<&str>) -> bool {
    let own = std::fs::metadata("/proc/self/fd/2").map(|found| format!("{}:{}", found.dev(), found.ino()));
    stream.is_some_and(|stream| own.is_ok_and(|own| own == stream))
}

impl Colour {
    fn on_stderr(self) -> bool {
        match self {
            Self::OnTerminal => std::io::stderr().is_terminal(),
            Self::Never => false,
        }
    }
}

/// Whether a text is a log filter.
pub fn is_log_filter(text: &str) -> bool {
    parse_filter(text).is_some()
}

/// A library that warns of every cookie whose session has ended: whoever has an old one could fill the
/// log. What is wrong with the store itself the login service says.
const QUIET: &str = "tower_sessions_core=error";

fn parse_filter(text: &str) -> Option<EnvFilter> {
    // Every directive needs a level: tracing takes a mistyped one, `inof`, for the name of a
    // module, and would then log nothing at all. It also takes no space after a comma.
    let directives: Vec<_> = text.split(',').map(str::trim).collect();
    let has_level = |directive: &&str| {
        let level = directive.rsplit_once('=').map_or(*directive, |(_, level)| level);
        !level.is_empty() && level.parse::<LevelFilter>().is_ok()
    };
    if !directives.iter().all(has_level) {
        return None;
    }
    // First, so that a directive of the operator's for the same module counts.
    EnvFilter::try_new(format!("{QUIET},{}", directives.join(","))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_level_is_no_filter() {
        for good in ["info", "WARN", "off", "info,zhongkong::hub=debug", "warn, zhongkong=trace"] {
            assert!(is_log_filter(good), "{good}");
        }
        for bad in ["", "inof", "info,", "zhongkong", "zhongkong=loud", "info;debug"] {
            assert!(!is_log_filter(bad), "{bad}");
        }
    }
}
