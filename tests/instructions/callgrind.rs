//! Callgrind over one test of this program, and what its file says about the hot paths.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Instructions of one walk, by path.
pub(crate) type Counted = BTreeMap<String, u64>;

/// What follows [`PATHS`] in a name is the path's.
const PATHS: [&str; 6] = ["cached_read", "grpc_read", "hub_read", "message", "resolved_read", "signature"];

/// Runs the test, which walks each path so many times.
pub(crate) fn count(test: &str, walks: usize) -> Counted {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("callgrind.out");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
    read(&std::fs::read_to_string(&file).unwrap(), walks)
}

fn read(text: &str, walks: usize) -> Counted {
    let mut counted = Counted::new();
    let mut lines = text.lines();
    let mut called = None;
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("cfn=") {
            called = path(name);
        } else if line.starts_with("calls=")
            && let Some(path) = called.take()
        {
            // The line after it: where from, and what the call took with all that it called.
            let took = lines.next().and_then(|line| line.split_once(' '));
            let took: u64 = took.unwrap().1.parse().unwrap();
            *counted.entry(path.to_owned()).or_default() += took;
        }
    }
    for took in counted.values_mut() {
        *took /= u64::try_from(walks).unwrap();
    }
    counted
}

/// The path whose function this is, not one of its closures.
fn path(name: &str) -> Option<&'static str> {
    let (_, method) = name.split_once("hot::Hot")?;
    let method = method.trim_start_matches(['>', ':']);
    PATHS.into_iter().find(|path| method.strip_prefix(path).is_some_and(|rest| !rest.contains("closure")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_counts_with_what_it_calls_and_without_its_callers_and_closures() {
        let text = "fn=walks\n20 7\ncfn=<instructions::hot::Hot>::hub_read\ncalls=2 40\n20 300\n22 5\n\
                    fn=<instructions::hot::Hot>::hub_read\n40 100\n\
                    cfn=<instructions::hot::Hot>::hub_read::{closure#0}\ncalls=2 41\n40 200\n\
                    fn=others\n30 1\ncfn=instructions::hot::Hot::message\ncalls=1 50\n30 80\n\
                    fn=<instructions::hot::Hot>::hub_read::{closure#0}\n41 200\n";
        let counted = read(text, 2);
        assert_eq!(counted, [("hub_read".to_owned(), 150), ("message".to_owned(), 40)].into());
    }
}
