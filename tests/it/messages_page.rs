//! What the README and docs/messages.md say about messages is so: their starts run as they are
//! printed, their code is that of an example, their table of refusals has every reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::ports::Kept;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// What stands between fences of this kind, from a heading to the next of its level.
fn blocks<'t>(page: &'t str, heading: &str, kind: &str) -> Vec<&'t str> {
    let (_, from) = page.split_once(heading).unwrap_or_else(|| panic!("no {heading:?}"));
    let section = from.split("\n## ").next().unwrap();
    let fence = format!("```{kind}\n");
    section.split(&fence).skip(1).map(|block| block.split("```\n").next().unwrap()).collect()
}

/// Types a start into a shell and tells what it printed. Ports are kept ones, because the real
/// ones may be taken, and what is waited for is waited for until it is there.
fn typed(start: &str) -> String {
    let kept = [Kept::new(), Kept::new(), Kept::new()];
    let [port, admin, program] = kept.each_ref().map(|kept| kept.port().to_string());
    let serve = format!("[serve]\nlisten = \"127.0.0.1:{port}\"\nadmin = \"127.0.0.1:{admin}\"\nEND\n");
    let open = |port: &str| {
        format!(
            "for i in {{1..600}}; do (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 0.05; done"
        )
    };
    let example = root().join("examples/forward/app.py");
    let start = start
        .replace("127.0.0.1:7790", &format!("127.0.0.1:{port}"))
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{program}"))
        .replace(" 8080 &", &format!(" {program} & {}", open(&program)))
        .replace("END\n", &serve)
        .replace("sleep 1", &open(&port))
        .replace("/usr/share/doc/zhongkong/examples/forward.py", example.to_str().unwrap());
    let home = tempfile::tempdir().unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_zhongkong")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let done = Command::new("bash")
        .arg("-c")
        .arg(format!("{start}\nstatus=$?; kill $(jobs -p); wait; exit $status"))
        .current_dir(&home)
        .env("PATH", path)
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(done.status.success(), "{start}\n{said}");
    said
}

#[test]
fn starts_of_both_readmes_are_ten_lines_and_answer_what_is_printed_below_them() {
    let (english, chinese) = (read("README.md"), read("README.zh-CN.md"));
    let starts = blocks(&english, "\n## Messages\n", "sh");
    assert_eq!(starts, blocks(&chinese, "\n## 消息\n", "sh"));
    let [rules, program] = starts[..] else { panic!("two starts: {starts:?}") };
    for (start, seen) in [(rules, "You wrote: hello"), (program, "hello")] {
        assert!(start.lines().count() <= 10, "{start}");
        let promised = format!("the user sees: \"{seen}\"\n");
        assert!(english.contains(&promised) && chinese.contains(&promised), "{promised}");
        let said = typed(start);
        assert!(said.contains(&promised), "{said}");
    }
}

#[test]
fn rust_of_the_page_is_that_of_the_example() {
    let (page, example) = (read("docs/messages.md"), read("examples/bot.rs"));
    let shown = blocks(&page, "\n## Who answers\n", "rust");
    assert!(!shown.is_empty());
    for block in shown {
        assert!(example.contains(block), "examples/bot.rs has no such lines: {block}");
    }
}

#[test]
fn every_reason_of_a_refusal_is_in_the_table_and_nothing_else() {
    let mut reasons = BTreeSet::new();
    for path in ["src/services/messages/door/refusal.rs", "src/services/messages/envelope/refusal.rs"] {
        let source = read(path);
        let (_, from) = source.split_once("fn reason(&self)").unwrap();
        let body = from.split("\n    }\n").next().unwrap();
        reasons.extend(body.split('"').skip(1).step_by(2).map(str::to_owned));
    }
    let page = read("docs/messages.md");
    let (_, from) = page.split_once("\n| reason | status |").unwrap();
    let table = from.split("\n\n").next().unwrap();
    let first = |row: &str| row.split('|').nth(1).unwrap_or_default().to_owned();
    let cells = table.lines().skip(2).map(first).collect::<String>();
    let told: BTreeSet<String> = cells.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(reasons.len() > 15, "{reasons:?}");
    assert_eq!(told, reasons);
}
