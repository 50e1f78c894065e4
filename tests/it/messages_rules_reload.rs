//! A rules file that changes while the rules are at work, in every way in which files change.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use zhongkong::clock::Clock;
use zhongkong::services::messages::rules::{Beside, Forwards, Looked, Rules, RulesError, Watcher};

use crate::support::logged::Logged;

/// A file of rules and who watches it.
struct Bench {
    dir: TempDir,
    rules: Rules,
    watcher: Watcher,
}

impl Bench {
    fn open(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("rules.toml"), text).unwrap();
        Self::open_in(dir)
    }

    fn open_in(dir: TempDir) -> Self {
        let path = dir.path().join("rules.toml");
        let (rules, watcher) =
            Rules::open(path, Forwards::new(), Beside::default(), Clock::system()).unwrap();
        Self { dir, rules, watcher }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("rules.toml")
    }

    /// Replaces the file by a rename, as an editor does.
    fn replace(&self, text: &str) {
        let other = self.dir.path().join("other");
        fs::write(&other, text).unwrap();
        fs::rename(other, self.path()).unwrap();
    }

    /// Looks until nothing is under way; what the last look said.
    async fn look(&mut self) -> Looked {
        loop {
            match self.watcher.look().await {
                Looked::Unsettled => {}
                settled => return settled,
            }
        }
    }

    fn count(&self) -> usize {
        self.rules.book().len()
    }
}

/// A file of so many rules.
fn rules(count: usize) -> String {
    "[[rule]]\nreply.success = true\nwhen.type = 'text'\n".repeat(count)
}

#[tokio::test]
async fn file_is_taken_over_when_it_is_good_and_refused_once_when_it_is_not() {
    let mut bench = Bench::open(&rules(1));
    assert!(matches!(bench.look().await, Looked::Same));
    // Written in place.
    fs::write(bench.path(), rules(2)).unwrap();
    assert!(matches!(bench.look().await, Looked::Taken(2)));
    // Bad: the old ones stay, and it is said once, with everything that is wrong.
    fs::write(bench.path(), "[[rule]]\nrepl = 'a'\n[[rule]]\nforward = 'x'").unwrap();
    let Looked::Refused(error) = bench.look().await else { panic!("it is bad") };
    let RulesError::Invalid { problems, .. } = &error else { panic!("{error}") };
    assert!(problems.len() >= 2, "{problems:?}");
    assert!(matches!(bench.look().await, Looked::Same));
    assert_eq!(bench.count(), 2);
    assert!(bench.rules.reload().is_err());
    // Gone, also said once.
    fs::remove_file(bench.path()).unwrap();
    assert!(matches!(bench.look().await, Looked::Refused(RulesError::Unreadable { .. })));
    assert!(matches!(bench.look().await, Looked::Same));
    assert_eq!(bench.count(), 2);
    // Back as it was: said, so that the last word is not that something is wrong.
    fs::write(bench.path(), rules(2)).unwrap();
    assert!(matches!(bench.look().await, Looked::Taken(2)));
    // Replaced by a rename.
    bench.replace(&rules(3));
    assert!(matches!(bench.look().await, Looked::Taken(3)));
    // Something else by a reload, which does not wait for a second look.
    bench.replace(&rules(4));
    assert_eq!(bench.rules.reload().unwrap(), 4);
    assert_eq!(bench.count(), 4);
}

#[tokio::test]
async fn half_of_a_file_that_would_do_is_not_taken_for_the_whole() {
    // An editor truncates and writes in pieces; each is a good file of its own.
    let mut bench = Bench::open(&rules(3));
    assert!(matches!(bench.look().await, Looked::Same));
    for written in [String::new(), rules(1), rules(2)] {
        fs::write(bench.path(), &written).unwrap();
        assert!(matches!(bench.watcher.look().await, Looked::Unsettled), "{written}");
        assert_eq!(bench.count(), 3);
    }
    fs::write(bench.path(), rules(4)).unwrap();
    assert!(matches!(bench.watcher.look().await, Looked::Unsettled));
    assert!(matches!(bench.watcher.look().await, Looked::Taken(4)));
}

#[tokio::test]
async fn file_that_is_away_for_a_moment_is_not_worth_a_word() {
    let mut bench = Bench::open(&rules(1));
    assert!(matches!(bench.look().await, Looked::Same));
    let (logged, _guard) = Logged::start();
    let away = bench.dir.path().join("away");
    fs::rename(bench.path(), &away).unwrap();
    assert!(matches!(bench.watcher.look().await, Looked::Unsettled));
    fs::rename(&away, bench.path()).unwrap();
    assert!(matches!(bench.look().await, Looked::Same));
    // Nor is one that is written anew as it was.
    bench.replace(&rules(1));
    assert!(matches!(bench.look().await, Looked::Same));
    assert_eq!(logged.lines(), [""; 0]);
}

#[tokio::test]
async fn empty_file_is_an_accident_and_one_of_comments_is_meant() {
    let mut bench = Bench::open(&rules(1));
    for accident in [&b""[..], b"\n", &[0; 64]] {
        fs::write(bench.path(), accident).unwrap();
        assert!(matches!(bench.look().await, Looked::Refused(RulesError::Invalid { .. })), "{accident:?}");
        assert_eq!(bench.count(), 1);
    }
    fs::write(bench.path(), "# nothing for now").unwrap();
    assert!(matches!(bench.look().await, Looked::Taken(0)));
}

#[tokio::test]
async fn file_that_is_no_file_is_refused_and_another_one_taken() {
    let mut bench = Bench::open(&rules(1));
    fs::remove_file(bench.path()).unwrap();
    fs::create_dir(bench.path()).unwrap();
    assert!(matches!(bench.look().await, Looked::Refused(RulesError::Unreadable { .. })));
    fs::remove_dir(bench.path()).unwrap();
    // A link that leads nowhere, and then somewhere.
    symlink("elsewhere", bench.path()).unwrap();
    bench.look().await;
    assert_eq!(bench.count(), 1);
    fs::write(bench.dir.path().join("elsewhere"), rules(2)).unwrap();
    assert!(matches!(bench.look().await, Looked::Taken(2)));
}

#[tokio::test]
async fn directory_that_is_exchanged_behind_a_link_is_followed() {
    // As Kubernetes mounts a ConfigMap: rules.toml -> ..data/rules.toml, ..data -> ..2026_1, and a
    // new version is a new directory and a rename of the middle link.
    let dir = tempfile::tempdir().unwrap();
    let version = |name: &str, text: &str| {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("rules.toml"), text).unwrap();
    };
    let swap = |to: &str| {
        let other: PathBuf = dir.path().join("..data_tmp");
        symlink(to, &other).unwrap();
        fs::rename(other, dir.path().join("..data")).unwrap();
    };
    version("..2026_1", &rules(1));
    swap("..2026_1");
    symlink(Path::new("..data").join("rules.toml"), dir.path().join("rules.toml")).unwrap();
    version("..2026_2", &rules(2));
    let (path, root) = (dir.path().to_owned(), dir.path().join("..2026_1"));
    let mut bench = {
        let path = path.join("rules.toml");
        let (rules, watcher) =
            Rules::open(path, Forwards::new(), Beside::default(), Clock::system()).unwrap();
        Bench { rules, watcher, dir: tempfile::tempdir().unwrap() }
    };
    assert!(matches!(bench.look().await, Looked::Same));
    swap("..2026_2");
    fs::remove_dir_all(root).unwrap();
    assert!(matches!(bench.look().await, Looked::Taken(2)));
    assert_eq!(bench.count(), 2);
}

#[tokio::test]
async fn write_right_after_the_start_is_seen_though_size_and_times_may_be_the_same() {
    // Kernels note times by a clock that ticks in milliseconds: what is read at the start may be
    // written over within the same tick. So a young file is read once more.
    for _ in 0..20 {
        let mut bench = Bench::open("[[rule]]\nreply = 'one'");
        fs::write(bench.path(), "[[rule]]\nreply = 'two'").unwrap();
        assert!(matches!(bench.look().await, Looked::Taken(1)));
        assert!(matches!(bench.look().await, Looked::Same));
    }
}
