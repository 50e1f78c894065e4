//! What came of the last reload, for `zhongkong reload`: a small file next to the pid file.
//!
//! A signal has no answer; this is it. Written by the daemon of that pid, with a count, so that a
//! reader knows a new answer from an old one. Where the daemon's user may not write there is no
//! such file, and `reload` says that the log tells.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::daemon::Reloaded;

/// The daemon's side.
#[derive(Debug)]
pub(super) struct Note(PathBuf);

/// What stands in the file.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Noted {
    pub(super) pid: u32,
    pub(super) count: u64,
    pub(super) ok: bool,
    pub(super) text: String,
}

impl Note {
    pub(super) fn beside(pid_file: &Path) -> Self {
        Self(pid_file.with_extension("reload"))
    }

    /// Replaces the file in one step.
    pub(super) fn write(&self, Reloaded { count, last }: Reloaded) -> io::Result<()> {
        let (ok, text) = match last {
            None => (true, String::new()),
            Some(Ok(text)) => (true, text),
            Some(Err(text)) => (false, text),
        };
        let noted = Noted { pid: std::process::id(), count, ok, text };
        let new = self.0.with_extension("reload-new");
        std::fs::write(&new, serde_json::to_vec(&noted)?)?;
        std::fs::rename(&new, &self.0)
    }

    /// What the daemon with this pid noted last.
    pub(super) fn read(&self, pid: i32) -> Option<Noted> {
        let noted: Noted = serde_json::from_slice(&std::fs::read(&self.0).ok()?).ok()?;
        (i64::from(noted.pid) == i64::from(pid)).then_some(noted)
    }

    /// Takes the file away.
    pub(super) fn remove(&self) {
        // One that stays is of another pid and is not believed.
        let _ = std::fs::remove_file(&self.0);
    }
}
