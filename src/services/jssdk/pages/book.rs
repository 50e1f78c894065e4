//! The templates of a directory, compiled, or everything that is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use regex::Regex;

use super::page::KNOWN;
use super::{PagesError, Problem, is_name};

/// Largest template, in bytes. What is larger is no page for a phone.
const LARGEST: u64 = 256 * 1024;
/// Most templates of a directory.
const MOST: usize = 500;
/// Instructions that one page may take: some ten thousand rows of a list.
const FUEL: u64 = 500_000;
/// Names this alike are one, mistyped.
const ALIKE: f64 = 0.85;

/// `{% extends "_layout.html" %}` and its like, with a name that is written out.
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\{%[-+]?\s*(?:extends|include|import|from)\s+["']([^"']+)["']"#)
        .expect("a constant expression that a test compiles")
});

/// Compiled templates.
pub(super) struct Book {
    env: Environment<'static>,
    /// With parts, without `.html`.
    names: BTreeSet<String>,
}

impl Book {
    /// Reads all `*.html` of a directory; the second is what is odd.
    pub(super) fn read(directory: &Path) -> Result<(Self, Vec<Problem>), PagesError> {
        let unreadable = |source| PagesError::Unreadable { directory: directory.to_owned(), source };
        let mut files = BTreeMap::new();
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let file = entry.file_name().to_string_lossy().into_owned();
            let Some(name) = file.strip_suffix(".html").filter(|_| !file.starts_with('.')) else { continue };
            if !is_name(name) {
                let what = "is no page: a name has 1 to 64 letters, digits, - and _".to_owned();
                warnings.push(Problem { file, line: None, what });
                continue;
            }
            if files.len() == MOST {
                let what = format!("is one template too many: a directory has {MOST} at most");
                problems.push(Problem { file, line: None, what });
                break;
            }
            match text(&entry.path()) {
                Ok(text) => drop(files.insert(name.to_owned(), text)),
                Err(what) => problems.push(Problem { file, line: None, what }),
            }
        }
        let names: BTreeSet<String> = files.keys().cloned().collect();
        let mut book = Self { env: engine(), names };
        for (name, text) in files {
            book.add(&name, text, &mut problems, &mut warnings);
        }
        if problems.is_empty() {
            Ok((book, warnings))
        } else {
            problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
            Err(PagesError::Invalid { directory: directory.to_owned(), problems })
        }
    }

    fn add(&mut self, name: &str, text: String, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
        let file = format!("{name}.html");
        for found in REFERENCE.captures_iter(&text) {
            let (Some(whole), Some(wanted)) = (found.get(0), found.get(1)) else { continue };
            let wanted = wanted.as_str();
            if wanted.strip_suffix(".html").is_none_or(|wanted| !self.names.contains(wanted)) {
                let line = Some(text[..whole.start()].matches('\n').count() + 1);
                let what = format!("there is no template \"{wanted}\" beside it");
                problems.push(Problem { file: file.clone(), line, what });
            }
        }
        if let Err(error) = self.env.add_template_owned(file.clone(), text) {
            let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            problems.push(Problem { file, line: error.line(), what });
            return;
        }
        let Ok(template) = self.env.get_template(&file) else { return };
        let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        unknown.sort_unstable();
        for name in unknown.iter().filter(|name| !KNOWN.contains(&name.as_str())) {
            // A part may get its names from whoever uses it, so only what looks like a slip is said.
            if let Some(near) = KNOWN.iter().find(|known| strsim::jaro_winkler(known, name) >= ALIKE) {
                let what = format!("no page has a `{name}`: did you mean {near}?");
                warnings.push(Problem { file: file.clone(), line: None, what });
            }
        }
    }

    /// The engine with all of them.
    pub(super) fn env(&self) -> &Environment<'static> {
        &self.env
    }

    /// The pages, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        self.names.iter().filter(|name| !name.starts_with('_')).cloned().collect()
    }

    /// Whether there is a page of this name, which is no part.
    pub(super) fn has(&self, name: &str) -> bool {
        !name.starts_with('_') && self.names.contains(name)
    }
}

fn engine() -> Environment<'static> {
    let mut env = Environment::new();
    // A name that is mistyped must not make an empty page.
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    // Whatever a template is called, it makes HTML.
    env.set_auto_escape_callback(|_| AutoEscape::Html);
    env.set_fuel(Some(FUEL));
    env
}

fn text(path: &Path) -> Result<String, String> {
    let said = |error: &io::Error| format!("cannot be read: {}", error.kind());
    let facts = fs::metadata(path).map_err(|error| said(&error))?;
    if !facts.is_file() {
        return Err("is not a file".to_owned());
    }
    if facts.len() > LARGEST {
        return Err(format!("is larger than {} KiB", LARGEST / 1024));
    }
    let bytes = fs::read(path).map_err(|error| said(&error))?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}
