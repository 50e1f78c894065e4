//! Takes over what changes in the directory of the pages, without a signal and without a restart.
//!
//! It looks at names, sizes and times, never at contents, so a look costs little; a file system
//! without notifications is as good as any other. A change counts once two looks in a row have
//! seen the same, so that a deployment that is half done, or a file that is half written, is
//! not taken for the whole. A bad template is said once, with its line.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use super::book::Book;
use super::{Pages, PagesError, Problem};

/// The directory as one look finds it; `None` if it cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sight(Option<Vec<File>>);

/// What changes when a file is written, replaced, renamed or removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct File {
    name: std::ffi::OsString,
    identity: [i64; 7],
}

impl Sight {
    /// Looks.
    pub(super) fn of(directory: &Path) -> Self {
        Self(files(directory).ok())
    }
}

fn files(directory: &Path) -> std::io::Result<Vec<File>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if Path::new(&name).extension().is_none_or(|kind| kind != "html") {
            continue;
        }
        // Of the file that a link leads to. One that has gone meanwhile is seen at the next look.
        let Ok(facts) = fs::metadata(entry.path()) else { continue };
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let [device, inode, size] = [facts.dev(), facts.ino(), facts.size()].map(number);
        let times = [facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec()];
        let [modified, modified_ns, changed, changed_ns] = times;
        let identity = [device, inode, size, modified, modified_ns, changed, changed_ns];
        files.push(File { name, identity });
    }
    files.sort_unstable();
    Ok(files)
}

/// What a look at the directory came to.
#[derive(Debug)]
pub enum Looked {
    /// It is as before.
    Same,
    /// It has changed since the last look; the next one reads it, if it stays as it is.
    Unsettled,
    /// It has changed, and so many pages are in force.
    Taken(usize),
    /// It has changed and is bad: the pages before stay. The next look says this no more.
    Refused(PagesError),
}

/// Keeps [`Pages`] as the directory has them. One task runs it.
#[derive(Debug)]
pub struct Watcher {
    pages: Pages,
    /// What was read, or could not be.
    judged: Sight,
    /// Another one, at the last look.
    new: Option<Sight>,
}

impl Watcher {
    /// How often to look: a changed page is there after two looks at most.
    pub const PAUSE: Duration = Duration::from_secs(1);

    pub(super) fn new(pages: Pages, judged: Sight) -> Self {
        Self { pages, judged, new: None }
    }

    /// Looks once, takes over what has changed, and logs what came of it.
    pub async fn look(&mut self) -> Looked {
        let pages = self.pages.clone();
        let (judged, new) = (self.judged.clone(), self.new.take());
        let looked = tokio::task::spawn_blocking(move || look(&pages, judged, new.as_ref())).await;
        // A panic is logged by the process; the next look tries again.
        let Ok((looked, judged, new)) = looked else { return Looked::Same };
        (self.judged, self.new) = (judged, new);
        match &looked {
            Looked::Same | Looked::Unsettled => {}
            Looked::Taken(count) => {
                let directory = self.pages.directory().display();
                tracing::info!(count, "{directory}: pages in force now: {count}");
            }
            Looked::Refused(error) => {
                let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
                let why = format!("{error}{}", cause.unwrap_or_default());
                tracing::error!("the pages stay as they were: {why}");
            }
        }
        looked
    }
}

fn look(pages: &Pages, judged: Sight, new: Option<&Sight>) -> (Looked, Sight, Option<Sight>) {
    let found = Sight::of(pages.directory());
    if judged == found {
        return (Looked::Same, judged, None);
    }
    if new != Some(&found) {
        return (Looked::Unsettled, judged, Some(found));
    }
    let read = Book::read(pages.directory());
    let now = Sight::of(pages.directory());
    if now != found {
        // Perhaps half of it was read.
        return (Looked::Unsettled, judged, Some(now));
    }
    let looked = match read {
        Ok((book, warnings)) => {
            tell(pages.directory(), &warnings);
            Looked::Taken(pages.take_over(book))
        }
        Err(error) => Looked::Refused(error),
    };
    (looked, found, None)
}

/// Logs what is odd in templates that are taken.
pub(super) fn tell(directory: &Path, warnings: &[Problem]) {
    for warning in warnings {
        tracing::warn!("pages: {}: {warning}", directory.display());
    }
}
