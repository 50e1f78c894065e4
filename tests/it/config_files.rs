//! tests/config/good and tests/config/bad: files as people write them, and what they are told.

use std::fs;
use std::path::{Path, PathBuf};

use zhongkong::config::{Config, ConfigError, Environment};

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(directory);
    let mut files: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", directory.display());
    files
}

fn environment() -> Environment {
    Environment::from_iter([("APPSECRET", "0123456789abcdef0123456789abcdef"), ("BLANK", " \n")])
}

#[test]
fn every_bad_file_is_refused_with_the_expected_words_and_no_others() {
    // The first lines of a bad file say what its author is told, one line a problem.
    for file in files("bad") {
        let text = fs::read_to_string(&file).unwrap();
        let expected: Vec<_> = text.lines().map_while(|line| line.strip_prefix("# expect: ")).collect();
        assert!(!expected.is_empty(), "{} expects nothing", file.display());
        let problems = match Config::load(&file, &environment()) {
            Err(ConfigError::Invalid { problems, .. }) => problems,
            other => panic!("{} gave {other:?}", file.display()),
        };
        let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
        for words in &expected {
            let found = said.iter().any(|problem| problem.contains(words));
            assert!(found, "{}: no problem says {words:?}: {said:#?}", file.display());
        }
        assert_eq!(said.len(), expected.len(), "{}: {said:#?}", file.display());
    }
}

#[test]
fn every_good_file_is_taken() {
    for file in files("good") {
        if let Err(error) = Config::load(&file, &environment()) {
            panic!("{}: {error}", file.display());
        }
    }
}
