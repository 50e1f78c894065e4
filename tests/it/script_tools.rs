//! zhongkong.js and what is made of it, judged by terser, acorn and TypeScript, of npm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn source(name: &str) -> PathBuf {
    root().join("src/services/jssdk/script").join(name)
}

/// Runs a tool of target/npm, which must like what it is given; what it printed.
fn tool(name: &str, arguments: &[&Path]) -> String {
    let tool = root().join("target/npm/node_modules/.bin").join(name);
    assert!(tool.exists(), "{name} is not installed: run `make needs-npm-tools`");
    let ran = Command::new(tool).args(arguments).current_dir(root()).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(ran.status.success(), "{name} says: {}{}", said(&ran.stdout), said(&ran.stderr));
    said(&ran.stdout)
}

#[test]
fn committed_small_script_is_what_the_source_gives() {
    let config = root().join("tests/npm/terser.json");
    let made = tool("terser", &[&source("zhongkong.js"), Path::new("--config-file"), &config]);
    let committed = fs::read_to_string(source("zhongkong.min.js")).unwrap();
    assert_eq!(made.trim_end(), committed.trim_end(), "zhongkong.js was changed: run `make js`");
}

#[test]
fn script_has_no_syntax_that_old_web_views_cannot_read() {
    for name in ["zhongkong.js", "zhongkong.min.js"] {
        tool("acorn", &[Path::new("--ecma2015"), Path::new("--silent"), &source(name)]);
    }
}

#[test]
fn types_let_right_pages_pass_and_hold_wrong_ones_up() {
    tool("tsc", &[Path::new("--project"), &root().join("tests/npm/tsconfig.json")]);
}
