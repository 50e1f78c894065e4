//! What came of the last reload, for `zhongkong reload`: a small file next to the pid file.
//!
//! A signal has no answer; this is it. Written by the daemon of that pid, with a count, so that a
//! reader knows a new answer from an old one. Where the daemon's user may not write there is no
//! such file, and `reload` says that the log tells.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::daemon::{ReloadOutcome, ReloadState};
use crate::hub;

/// More than any reason has.
const LARGEST: u64 = 1 << 20;

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
    pub(super) fn write(&self, ReloadOutcome { number, state }: ReloadOutcome) -> io::Result<()> {
        let (ok, text) = match state {
            // The number of a reload that has not ended yet would be taken for its answer.
            ReloadState::UnderWay => return Ok(()),
            ReloadState::Never => (true, String::new()),
            ReloadState::TakenOver { at: _, done, later } => (true, taken_over(done, &later)),
            ReloadState::Partly { at: _, why } => (
                false,
                format!("clients and TLS files are taken over, but the accounts stay as they were: {why}"),
            ),
            ReloadState::Refused { at: _, why } => {
                (false, format!("the configuration was not taken over, everything goes on as before: {why}"))
            }
        };
        let count = number;
        let noted = Noted { pid: std::process::id(), count, ok, text };
        let new = self.0.with_extension("reload-new");
        // The directory may be everybody's, like /tmp: what lies there already is not written
        // through, least of all a link.
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = File::options().write(true).create_new(true).open(&new)?;
        file.write_all(&serde_json::to_vec(&noted)?)?;
        std::fs::rename(&new, &self.0)
    }

    /// What the daemon with this pid noted last.
    pub(super) fn read(&self, pid: i32) -> Option<Noted> {
        // The directory may be another user's, who must not hold up root with a pipe.
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
        let file = File::options().read(true).custom_flags(flags).open(&self.0).ok()?;
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text).ok()?;
        let noted: Noted = serde_json::from_slice(&text).ok()?;
        (i64::from(noted.pid) == i64::from(pid)).then_some(noted)
    }

    /// Takes the file away.
    pub(super) fn remove(&self) {
        // One that stays is of another pid and is not believed.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn taken_over(hub::Reloaded { added, changed, removed }: hub::Reloaded, later: &[&str]) -> String {
    let mut text = format!("configuration taken over: {added} added, {changed} changed, {removed} removed");
    if !later.is_empty() {
        text.push_str("; a restart is needed for ");
        text.push_str(&later.join(", "));
    }
    text
}
