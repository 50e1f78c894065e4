//! Takes over what changes in a rules file, without a signal and without a restart.
//!
//! It looks at the file's name, not at the file: an editor and a deployment replace it by a
//! rename, or a link on the way to it. Metadata are looked at, not contents, so a look costs
//! nothing; a file system without notifications (NFS, a bind mount) is as good as any other.
//!
//! A change counts once two looks in a row have seen the same: half of a file that is being
//! written, or none in the moment between two, is not taken for the whole. And as a file is read
//! long after its times were noted, no write can hide in the same tick of the kernel's clock.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::WallTime;

use super::{Problem, Rules, RulesError, chain};

/// How long a file's times may stay the same while it is written to. The kernel's clock ticks in
/// milliseconds, that of some file systems in two seconds.
const TICK: Duration = Duration::from_secs(2);
/// Write permission of the group's others.
const OTHERS_WRITE: u32 = 0o002;

/// The file as one look finds it: `None` if there is none, or none that can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sight(Option<Identity>);

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Sight {
    /// Looks.
    pub(super) fn of(path: &Path) -> Self {
        Self(std::fs::metadata(path).ok().map(|facts| Identity {
            device: facts.dev(),
            inode: facts.ino(),
            size: facts.size(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }))
    }

    /// Whether it may be written to without a trace in its times: it has just been, or clocks
    /// disagree.
    pub(super) fn is_young(self, now: WallTime) -> bool {
        let ticks = i64::try_from(TICK.as_secs()).unwrap_or(i64::MAX);
        self.0.is_none_or(|found| now.seconds().saturating_sub(found.changed.0) <= ticks)
    }
}

/// What a look at the file came to.
#[derive(Debug)]
pub enum Looked {
    /// It says what it said before.
    Same,
    /// It has changed since the last look; the next one reads it, if it stays as it is.
    Unsettled,
    /// It has changed, and so many rules are in force.
    Taken(usize),
    /// It has changed and is bad, or it has gone: the rules stay. The next look says this no more.
    Refused(RulesError),
}

/// Keeps [`Rules`] as the file says. One task runs it.
#[derive(Debug)]
pub struct Watcher {
    rules: Rules,
    seen: Seen,
}

/// What was seen of the file so far.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The one that was read, or could not be.
    judged: Option<Sight>,
    /// Another one, at the last look.
    new: Option<Sight>,
    /// What was judged last was bad.
    refused: bool,
}

impl Watcher {
    /// How often to look: a new rule works after two looks at most.
    pub const PAUSE: Duration = Duration::from_secs(1);

    pub(super) fn new(rules: Rules, judged: Option<Sight>) -> Self {
        Self { rules, seen: Seen { judged, ..Seen::default() } }
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
        let (rules, mut seen) = (self.rules.clone(), self.seen);
        let path = rules.0.path.clone();
        let looked = tokio::task::spawn_blocking(move || (seen.look(&rules), seen));
        // A panic is logged by the process; the next look tries again.
        let Ok((looked, seen)) = looked.await else { return Looked::Same };
        self.seen = seen;
        match &looked {
            Looked::Same | Looked::Unsettled => {}
            Looked::Taken(count) => {
                tracing::info!(count, "{}: rules in force now: {count}", path.display());
            }
            Looked::Refused(error) => tracing::error!("the rules stay as they were: {}", chain(error)),
        }
        looked
    }
}

impl Seen {
    fn look(&mut self, rules: &Rules) -> Looked {
        let found = Sight::of(&rules.0.path);
        let before = self.new.take();
        if self.judged == Some(found) {
            return Looked::Same;
        }
        if before != Some(found) {
            self.new = Some(found);
            return Looked::Unsettled;
        }
        let read = rules.read();
        let now = Sight::of(&rules.0.path);
        if now != found {
            // Perhaps half of it was read.
            self.new = Some(now);
            return Looked::Unsettled;
        }
        self.judged = Some(found);
        let refused = std::mem::replace(&mut self.refused, read.is_err());
        match read {
            Ok((book, _)) if !refused && book.digest() == rules.book().digest() => Looked::Same,
            Ok(read) => Looked::Taken(rules.take_over(read)),
            Err(error) => Looked::Refused(error),
        }
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
