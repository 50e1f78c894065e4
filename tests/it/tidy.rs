//! Rules of the tree that neither the compiler nor clippy checks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder, with its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    assert!(found.len() > 5, "{folder} has only {} files: the walk is broken", found.len());
    found
}

/// The module of a source file: `src/refresh/policy.rs` → `refresh`.
fn module(path: &Path) -> String {
    let second = path.iter().nth(1).unwrap().to_str().unwrap();
    second.trim_end_matches(".rs").to_owned()
}

/// Which modules a module may import, besides itself. The layers of `lib.rs`.
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    let words = ["model", "secret", "clock", "telemetry", "failpoint", "jsapi", "seal"];
    let edges_out = ["wechat", "ledger", "mirror", "http"];
    let engine = ["refresh", "hub"];
    let with = |groups: &[&[&'static str]]| groups.concat();
    let mut table: BTreeMap<&'static str, Vec<&'static str>> = BTreeMap::new();
    for word in words {
        table.insert(word, words.to_vec());
    }
    for edge in edges_out {
        table.insert(edge, words.to_vec());
    }
    for part in engine {
        table.insert(part, with(&[&words, &["wechat", "ledger"], &engine]));
    }
    table.insert("access", words.to_vec());
    // Puts the engine's outcomes into the ledger's words.
    table.insert("audit", with(&[&words, &["access", "ledger", "refresh"]]));
    for edge in ["grpc", "admin"] {
        table.insert(edge, with(&[&words, &engine, &["access", "audit", "http", "pb"]]));
    }
    table.insert("pb", Vec::new());
    table.insert("client", with(&[&words, &["pb"]]));
    table.insert("services", with(&[&words, &["client", "http"]]));
    table.insert("simulator", Vec::new());
    let below = with(&[
        &words,
        &edges_out,
        &engine,
        &["access", "audit", "grpc", "admin", "pb", "client", "services", "simulator"],
    ]);
    for whole in ["config", "daemon", "process", "launch", "cli", "main", "lib"] {
        table.insert(whole, with(&[&below, &["config", "daemon", "process", "launch", "cli"]]));
    }
    table
}

/// The crate's modules that a text names after `crate::` or `zhongkong::`.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
        for prefix in ["crate::", "zhongkong::"] {
            for (at, _) in line.match_indices(prefix) {
                let rest = &line[at + prefix.len()..];
                let names: Vec<&str> = match rest.strip_prefix('{') {
                    Some(group) => group.split(',').map(str::trim).collect(),
                    None => vec![rest],
                };
                for name in names {
                    let name: String =
                        name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    if !name.is_empty() {
                        found.push(name);
                    }
                }
            }
        }
    }
    found
}

#[test]
fn modules_import_only_what_their_layer_may() {
    // The layers keep the AppSecret out of reach of what faces callers, and the simulator
    // from sharing a misspelt field with the client that it tests.
    let allowed = allowed();
    let modules: Vec<&str> = allowed.keys().copied().collect();
    let mut checked = 0;
    for (path, text) in sources("src") {
        let own = module(&path);
        let may = allowed.get(own.as_str()).unwrap_or_else(|| panic!("{own} has no layer in tidy.rs"));
        // Unit tests may look at more, e.g. at the other side of a contract.
        let code = if path.ends_with("tests.rs") { "" } else { text.split("#[cfg(test)]").next().unwrap() };
        for name in imports(code) {
            if name == own || !modules.contains(&name.as_str()) {
                continue;
            }
            checked += 1;
            assert!(may.contains(&name.as_str()), "{}: `{own}` may not import `{name}`", path.display());
        }
        if path.ends_with("refresh/policy.rs") {
            for name in imports(code) {
                assert!(
                    ["clock", "model"].contains(&name.as_str()),
                    "the policy is pure, and imports `{name}`"
                );
            }
        }
    }
    assert!(checked > 50, "only {checked} imports were seen: the search is broken");
}

#[test]
fn every_file_says_what_it_owns_and_none_hides_unfinished_work() {
    for folder in ["src", "tests", "benches", "proto"] {
        if folder == "proto" || folder == "benches" {
            continue;
        }
        for (path, text) in sources(folder) {
            assert!(text.starts_with("//!"), "{} does not begin with //!", path.display());
            if path.ends_with("tidy.rs") {
                continue;
            }
            for word in ["todo!(", "unimplemented!(", "dbg!(", "#[ignore", "FIXME", "XXX"] {
                assert!(!text.contains(word), "{} has {word}", path.display());
            }
            assert!(text.lines().count() <= 450, "{} has over 450 lines: split it by idea", path.display());
        }
    }
}

#[test]
fn tests_wait_for_events_and_not_for_time() {
    for (path, text) in sources("tests") {
        if path.ends_with("tidy.rs") {
            continue;
        }
        for call in ["thread::sleep", "time::sleep("] {
            assert!(!text.contains(call), "{} sleeps", path.display());
        }
    }
}

#[test]
fn every_test_that_the_protocol_page_names_exists() {
    // docs/protocol.md says which tests guard which invariant; a renamed test must not leave
    // an invariant unguarded without anybody noticing.
    let page = fs::read_to_string(root().join("docs/protocol.md")).unwrap();
    let mut code = String::new();
    for folder in ["src", "tests"] {
        for (_, text) in sources(folder) {
            code.push_str(&text);
        }
    }
    let mut guarded = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| **")) {
        let invariant = row.split("**").nth(1).unwrap();
        let tests: Vec<&str> = row
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| name.contains("::"))
            .filter_map(|name| name.rsplit("::").next())
            .collect();
        for test in &tests {
            assert!(code.contains(&format!("fn {test}(")), "{invariant}: there is no test `{test}`");
        }
        guarded.insert(invariant.to_owned(), tests.len());
    }
    for invariant in ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "L1", "L2", "L3", "L4"] {
        assert!(guarded.get(invariant).is_some_and(|tests| *tests > 0), "{invariant} has no test");
    }
}
