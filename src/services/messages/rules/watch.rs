//! Takes over what changes in a rules file, without a signal and without a restart.
//!
//! It looks at the file's name, not at the file: an editor and a deployment replace it by a
//! rename. Metadata are looked at, not contents, so a look costs nothing; a file system without
//! notifications (NFS, a bind mount) is as good as any other.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Problem, Rules, RulesError, chain};

/// Write permission of the group's others.
const OTHERS_WRITE: u32 = 0o002;

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// `None` if there is no file, or none that can be looked at.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let facts = std::fs::metadata(path).ok()?;
        Some(Self {
            device: facts.dev(),
            inode: facts.ino(),
            size: facts.size(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        })
    }
}

/// What a look at the file came to.
#[derive(Debug)]
pub enum Looked {
    /// It is the file that was looked at before.
    Same,
    /// It has changed, and so many rules are in force.
    Taken(usize),
    /// It has changed and is bad, or it has gone: the rules stay. The next look says this no more.
    Refused(RulesError),
}

/// Keeps [`Rules`] as the file says. One task runs it.
#[derive(Debug)]
pub struct Watcher {
    rules: Rules,
    seen: Option<Identity>,
}

impl Watcher {
    /// How often to look: a new rule works this late at most.
    pub const PAUSE: Duration = Duration::from_secs(1);

    pub(super) fn new(rules: Rules, seen: Option<Identity>) -> Self {
        Self { rules, seen }
    }

    /// Looks until `stop`. A change is said once: what is wrong with it, or how many rules there
    /// are now.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Self::PAUSE) => {}
            }
            self.look().await;
        }
    }

    /// Looks once, takes over what has changed, and logs what came of it.
    pub async fn look(&mut self) -> Looked {
        let (rules, seen) = (self.rules.clone(), self.seen);
        let path = rules.0.path.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let found = Identity::of(&rules.0.path);
            if found == seen {
                return (seen, Looked::Same);
            }
            let read = rules.read();
            // Written to meanwhile: perhaps half of it was read, so the next look reads again.
            if Identity::of(&rules.0.path) != found {
                return (seen, Looked::Same);
            }
            match read {
                Ok(read) => (found, Looked::Taken(rules.take_over(read))),
                Err(error) => (found, Looked::Refused(error)),
            }
        });
        // A panic is logged by the process; the next look tries again.
        let Ok((seen, looked)) = looked.await else { return Looked::Same };
        self.seen = seen;
        match &looked {
            Looked::Same => {}
            Looked::Taken(count) => {
                tracing::info!(count, "{}: {count} rules are in force now", path.display());
            }
            Looked::Refused(error) => tracing::error!("the rules stay as they were: {}", chain(error)),
        }
        looked
    }
}

/// Logs what is odd in a file that is taken.
pub(super) fn tell(path: &Path, warnings: &[Problem]) {
    for warning in warnings {
        tracing::warn!("rules: {}: {warning}", path.display());
    }
    let others = std::fs::metadata(path).is_ok_and(|facts| facts.mode() & OTHERS_WRITE != 0);
    if others {
        tracing::warn!(
            "{} can be written by everybody on this machine, who could answer in your name: chmod o-w {}",
            path.display(),
            path.display()
        );
    }
}
