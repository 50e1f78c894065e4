//! Pages from a directory of templates, with the configuration for `wx.config` inside.
//!
//! `NAME.html` is served as `/jssdk/{account}/page/NAME`; a name that begins with `_` is a part for
//! others to extend, include or import. All templates of the directory are read, checked and put
//! in force together: a bad one leaves the ones before it, and its line and reason are said. What
//! comes from the request (`query`, `url`) is a value and never a template, and is escaped wherever
//! it is put. A template runs on a limited number of steps and writes a limited number of bytes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

mod book;
mod helpers;
mod page;
#[cfg(test)]
mod tests;
mod watch;

pub use page::{RenderError, Shown, View};
pub use watch::{Looked, Watcher};

use book::Book;
use watch::Sight;

/// Longest name of a page.
const LONGEST_NAME: usize = 64;

/// The pages of a directory. Cheap to clone; clones share what is in force.
#[derive(Clone)]
pub struct Pages(Arc<Shared>);

struct Shared {
    directory: PathBuf,
    book: ArcSwap<Book>,
}

/// Why the pages of a directory are not taken.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// It cannot be read.
    #[error("the pages in {} cannot be read", directory.display())]
    Unreadable {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Templates that are none.
    #[error("the pages in {} are not taken: {}", directory.display(), listed(problems))]
    Invalid {
        /// The directory.
        directory: PathBuf,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong, or odd, in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `index.html`
    pub file: String,
    /// Where, if it is somewhere.
    pub line: Option<usize>,
    /// The rule and the fix.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what } = self;
        match line {
            Some(line) => write!(f, "{file}:{line}: {what}"),
            None => write!(f, "{file}: {what}"),
        }
    }
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Pages {
    /// Reads a directory. The watcher keeps up with it; whoever does without it gets what is there
    /// now. Blocks.
    ///
    /// # Errors
    /// A template must be changed.
    pub fn open(directory: &Path) -> Result<(Self, Watcher), PagesError> {
        let sight = Sight::of(directory);
        let (book, warnings) = Book::read(directory)?;
        watch::tell(directory, &warnings);
        let pages =
            Self(Arc::new(Shared { directory: directory.to_owned(), book: ArcSwap::from_pointee(book) }));
        let watcher = Watcher::new(pages.clone(), sight);
        Ok((pages, watcher))
    }

    /// The names of the pages, sorted; without parts.
    pub fn names(&self) -> Vec<String> {
        self.0.book.load().names()
    }

    /// Whether there is a page of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.book.load().has(name)
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// The HTML of a page; `None` if there is none of this name.
    pub fn render(&self, name: &str, view: &View<'_>) -> Option<Result<String, RenderError>> {
        let book = self.0.book.load_full();
        book.has(name).then(|| page::render(&book, name, view))
    }

    fn take_over(&self, book: Book) -> usize {
        let count = book.names().len();
        self.0.book.store(Arc::new(book));
        count
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({}, {:?})", self.0.directory.display(), self.names())
    }
}

/// Whether a file may be a page or a part: a name that an address can have, and nothing that could
/// lead out of the directory.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain)
}
