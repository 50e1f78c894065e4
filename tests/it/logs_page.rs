//! docs/logging.md and the source say the same: every error and warning is explained, at its
//! level, and nothing is explained that is never said.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What is logged at a level, with `…` for what changes.
type Messages = BTreeSet<String>;

/// The message of every call of this macro in a text: its first literal that is no field.
fn messages(text: &str, call: &str, found: &mut Messages) {
    for (at, _) in text.match_indices(call) {
        let arguments = &text[at + call.len()..];
        let mut before = '(';
        let mut rest = arguments;
        let message = loop {
            let next = rest.chars().next().unwrap_or_else(|| panic!("no message: {arguments:.80}"));
            if next == '"' {
                let (literal, after) = literal(&rest[1..]);
                if before != '=' {
                    break literal;
                }
                rest = after;
                continue;
            }
            if !next.is_whitespace() {
                before = next;
            }
            rest = &rest[next.len_utf8()..];
        };
        found.insert(shortened(&message));
    }
}

/// A literal's text from behind its first quote, and what follows it.
fn literal(text: &str) -> (String, &str) {
    let mut chars = text.char_indices();
    let mut said = String::new();
    while let Some((at, next)) = chars.next() {
        match next {
            '"' => return (said, &text[at + 1..]),
            '\\' => match chars.next().map(|(_, escaped)| escaped) {
                // The line goes on behind the indentation.
                Some('\n') => {
                    let indent = chars.as_str().len() - chars.as_str().trim_start().len();
                    for _ in 0..indent {
                        chars.next();
                    }
                }
                Some(escaped) => said.push(escaped),
                None => break,
            },
            other => said.push(other),
        }
    }
    panic!("a literal without end: {text:.80}")
}

/// With `…` for each placeholder.
fn shortened(message: &str) -> String {
    let mut short = String::new();
    let mut rest = message;
    while let Some((before, placeholder)) = rest.split_once('{') {
        short.push_str(before);
        short.push('…');
        rest = placeholder.split_once('}').expect("a placeholder has an end").1;
    }
    short + rest
}

fn said(folder: &Path, call: &str, found: &mut Messages) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            said(&path, call, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            messages(&fs::read_to_string(&path).unwrap(), call, found);
        }
    }
}

/// The first column of the table below a heading.
fn explained(page: &str, heading: &str) -> Messages {
    let (_, section) = page.split_once(heading).expect("the page has the section");
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut found = Messages::new();
    for row in rows {
        let (message, rest) = row.split_once("` |").expect("a message ends with its column");
        let columns: Vec<&str> = rest.trim_end_matches('|').split('|').map(str::trim).collect();
        assert!(columns.len() == 2 && columns.iter().all(|text| !text.is_empty()), "{row}");
        assert!(found.insert(message.to_owned()), "twice: {message}");
    }
    found
}

#[test]
fn the_page_explains_every_error_and_warning_of_the_source_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/logging.md")).unwrap();
    for (call, heading, at_least) in
        [("tracing::error!(", "### Errors", 10), ("tracing::warn!(", "### Warnings", 15)]
    {
        let mut source = Messages::new();
        said(&root.join("src"), call, &mut source);
        let page = explained(&page, heading);
        assert!(source.len() >= at_least, "{call} was found {} times: the search is broken", source.len());
        let missing: Vec<_> = source.difference(&page).collect();
        let stale: Vec<_> = page.difference(&source).collect();
        assert!(missing.is_empty(), "docs/logging.md, {heading}, lacks: {missing:#?}");
        assert!(stale.is_empty(), "docs/logging.md, {heading}, has what nobody says: {stale:#?}");
    }
}

#[test]
fn every_event_of_ours_is_logged_by_the_full_name_of_its_macro() {
    // An imported `warn!` would escape the page.
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for name in ["error!(", "warn!(", "event!("] {
                for (at, _) in text.match_indices(name) {
                    if !text[..at].ends_with("tracing::") || name == "event!(" {
                        found.push(format!("{}: {}", path.display(), &text[at..].lines().next().unwrap()));
                    }
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
