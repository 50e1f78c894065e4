//! What the daemon says about itself: logs here, numbers in [`metrics`], repeated failures in
//! [`ErrorTracker`].
//!
//! Logs go to stderr, one line an event, as text or JSON. Levels say who must act: `error` an
//! operator now, `warn` an operator some day, `info` nobody, `debug` and `trace` developers.
//! A failure is logged once, where it is handled. A value or a secret never is (S7): the types
//! that hold one have no `Display`.

use std::fs::File;
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

pub mod metrics;
mod tracker;

pub use tracker::{ErrorTracker, Report};

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The form of a line.
    pub format: LogFormat,
    /// A level, or directives as `tracing_subscriber` reads them.
    pub filter: String,
    /// When to use colour.
    pub colour: Colour,
    /// A file instead of stderr.
    pub file: Option<PathBuf>,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For a collector.
    Json,
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
    /// The log file cannot be written.
    #[error("the log file {} cannot be written: let the daemon's user write to it and to its directory (chown), or name another one in [daemon.log] file", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
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
        Self { format: LogFormat::Text, filter: "info".to_owned(), colour: Colour::OnTerminal, file: None }
    }
}

/// Lets the process log to stderr from now on. Once per process.
///
/// # Errors
/// The filter is wrong ([`is_log_filter`] says so beforehand), or the process logs already.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    let LogSettings { format, filter, colour, file } = settings;
    let filter = parse_filter(filter).ok_or(TelemetryError::Filter)?;
    let colour = match colour {
        Colour::OnTerminal => file.is_none() && std::io::stderr().is_terminal(),
        Colour::Never => false,
    };
    let writer = match file {
        Some(path) => BoxMakeWriter::new(Arc::new(open(path)?)),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    let builder = tracing_subscriber::fmt().with_writer(writer).with_env_filter(filter);
    let set = match format {
        LogFormat::Text => builder.with_ansi(colour).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_ansi(false).try_init(),
    };
    set.map_err(|_| TelemetryError::LogsAlready)
}

fn open(path: &Path) -> Result<File, TelemetryError> {
    let opened = File::options().append(true).create(true).mode(0o640).open(path);
    opened.map_err(|source| TelemetryError::File { path: path.to_owned(), source })
}

/// Whether a text is a log filter.
pub fn is_log_filter(text: &str) -> bool {
    parse_filter(text).is_some()
}

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
    EnvFilter::try_new(directives.join(",")).ok()
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
