//! What `stop` and `reload` need to find a daemon: read from any file, however wrong.
//!
//! The one lenient reader: a mistake in `[[account]]` must not keep an operator from stopping the
//! daemon. Nothing else is read, no secret above all.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::daemon::{GRACE, PID_FILE};

/// Where the daemon is found, and how long its end may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The pid file.
    pub pid_file: PathBuf,
    /// How long a stop may take.
    pub grace: Duration,
    /// Why the file could not be read at all, and the defaults stand here.
    pub doubt: Option<String>,
}

impl Control {
    /// Reads what can be read.
    pub fn read(path: &Path) -> Self {
        match std::fs::read_to_string(path) {
            Err(error) => Self { doubt: Some(error.kind().to_string()), ..Self::default() },
            Ok(text) => match text.parse::<toml::Table>() {
                // The parser's message quotes the file.
                Err(_) => Self { doubt: Some("it is no TOML".to_owned()), ..Self::default() },
                Ok(table) => Self::of(&table, path.parent().unwrap_or(Path::new("/"))),
            },
        }
    }

    fn of(table: &toml::Table, base: &Path) -> Self {
        let daemon = table.get("daemon").and_then(toml::Value::as_table);
        let text = |key: &str| daemon?.get(key)?.as_str().filter(|text| !text.is_empty());
        let default = Self::default();
        Self {
            pid_file: text("pid_file").map_or(default.pid_file, |path| base.join(path)),
            grace: text("grace")
                .and_then(|span| humantime::parse_duration(span).ok())
                .unwrap_or(default.grace),
            doubt: None,
        }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self { pid_file: PID_FILE.into(), grace: GRACE, doubt: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_account_hides_neither_pid_file_nor_grace() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, "[daemon]\npid_file = \"here.pid\"\ngrace = \"1m\"\n[[account]]\nno = 1\n")
            .unwrap();
        let read = Control::read(&file);
        assert_eq!(read.pid_file, dir.path().join("here.pid"));
        assert_eq!((read.grace, read.doubt), (Duration::from_mins(1), None));
    }

    #[test]
    fn file_that_is_no_toml_leaves_the_defaults_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, "[daemon\n").unwrap();
        let read = Control::read(&file);
        assert_eq!(read.pid_file, Path::new(PID_FILE));
        assert!(read.doubt.is_some());
        assert!(Control::read(Path::new("/nonexistent")).doubt.is_some());
    }
}
