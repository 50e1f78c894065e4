//! The log file by itself: put aside by size and by age, reopened, and on bad days.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use zhongkong::clock::{BootTime, Clock};
use zhongkong::telemetry::file::{LogFile, Note, Rotation};

use super::support::frozen::Frozen;

const ROOMY: Rotation = Rotation { max_bytes: 1 << 20, max_age: Duration::from_secs(86_400), keep: 2 };
const SECOND: Duration = Duration::from_secs(1);

struct Place {
    dir: TempDir,
    clock: Clock,
}

impl Place {
    fn new() -> Self {
        // Files are born by the machine's clock.
        let clock = Clock::manual(Clock::system().wall(), BootTime(0), "boot");
        Self { dir: tempfile::tempdir().unwrap(), clock }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("log/zk.log")
    }

    fn open(&self, rotation: Rotation) -> LogFile {
        fs::create_dir_all(self.dir.path().join("log")).unwrap();
        LogFile::open(&self.path(), rotation, self.clock.clone()).unwrap()
    }

    /// The file and those put aside, by their names.
    fn texts(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.dir.path().join("log")).unwrap();
        let mut texts: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), read(&path)))
            .collect();
        texts.sort();
        texts
    }

    fn has(&self, expected: &[(&str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        assert_eq!(self.texts(), expected);
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[expect(clippy::needless_pass_by_value, reason = "each call wraps a call")]
fn well(note: Note) {
    assert!(matches!(note, Note::Nothing), "{note:?}");
}

#[tokio::test]
async fn a_file_is_put_aside_before_it_is_too_big_and_the_oldest_goes() {
    // Ten bytes a file, a line of six: one line each, and no line is ever in two files.
    let _frozen = Frozen::start();
    let place = Place::new();
    let mut log = place.open(Rotation { max_bytes: 10, ..ROOMY });
    for line in ["one..\n", "two..\n", "three\n", "four.\n"] {
        well(log.write(line.as_bytes()));
    }
    place.has(&[("zk.log", "four.\n"), ("zk.log.1", "three\n"), ("zk.log.2", "two..\n")]);
    // A line beyond the limit has a file to itself.
    well(log.write(b"much more than ten bytes\n"));
    assert_eq!(place.texts()[0].1, "much more than ten bytes\n");

    // With a lower limit those beyond it go, too; with none, the file itself does.
    let mut log = place.open(Rotation { max_bytes: 10, keep: 1, ..ROOMY });
    well(log.write(b"five.\n"));
    place.has(&[("zk.log", "five.\n"), ("zk.log.1", "much more than ten bytes\n")]);
    let mut log = place.open(Rotation { max_bytes: 10, keep: 0, ..ROOMY });
    well(log.write(b"six..\n"));
    place.has(&[("zk.log", "six..\n")]);
}

#[tokio::test]
async fn a_file_is_put_aside_when_it_is_too_old_also_across_a_restart() {
    let frozen = Frozen::start();
    let place = Place::new();
    let mut log = place.open(ROOMY);
    well(log.write(b"monday\n"));
    frozen.advance_secs(86_390).await;
    well(log.write(b"still monday\n"));
    frozen.advance_secs(20).await;
    well(log.write(b"tuesday\n"));
    place.has(&[("zk.log", "tuesday\n"), ("zk.log.1", "monday\nstill monday\n")]);

    // Made long before this process: the file's birth counts, not our start.
    fs::write(place.path(), "born now\n").unwrap();
    place.clock.step_wall(2 * 86_400_000);
    let mut log = place.open(ROOMY);
    well(log.write(b"two days later\n"));
    assert_eq!(place.texts()[0].1, "two days later\n");

    // An empty file has no age: a quiet week does not fill the directory.
    fs::write(place.path(), "").unwrap();
    frozen.advance_secs(10 * 86_400).await;
    let mut log = place.open(ROOMY);
    well(log.write(b"quiet\n"));
    assert_eq!(place.texts().len(), 3, "{:?}", place.texts());
}

#[tokio::test]
async fn a_file_that_was_moved_and_reopened_gets_the_lines_that_follow() {
    let _frozen = Frozen::start();
    let place = Place::new();
    let mut log = place.open(ROOMY);
    well(log.write(b"before\n"));
    fs::rename(place.path(), place.dir.path().join("log/moved")).unwrap();
    well(log.write(b"between\n"));
    log.reopen();
    well(log.write(b"after\n"));
    place.has(&[("moved", "before\nbetween\n"), ("zk.log", "after\n")]);
    let mode = fs::metadata(place.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}: nobody else may write, and strangers not even read");
}

#[tokio::test]
async fn a_file_that_was_removed_without_a_word_is_made_again_within_a_second() {
    let frozen = Frozen::start();
    let place = Place::new();
    let mut log = place.open(ROOMY);
    well(log.write(b"before\n"));
    fs::remove_file(place.path()).unwrap();
    frozen.advance(SECOND).await;
    well(log.write(b"after\n"));
    place.has(&[("zk.log", "after\n")]);
}

#[tokio::test]
async fn lines_of_a_vanished_directory_are_counted_and_it_is_taken_up_again_when_it_is_back() {
    let frozen = Frozen::start();
    let place = Place::new();
    let mut log = place.open(ROOMY);
    well(log.write(b"before\n"));
    fs::remove_dir_all(place.dir.path().join("log")).unwrap();
    frozen.advance(SECOND).await;
    assert!(matches!(log.write(b"lost\n"), Note::Failed(_)), "it is said once");
    well(log.write(b"lost, too\n"));
    fs::create_dir(place.dir.path().join("log")).unwrap();
    // The very next line, without waiting for anything.
    assert!(matches!(log.write(b"back\n"), Note::Recovered(2)));
    well(log.write(b"as always\n"));
    place.has(&[("zk.log", "back\nas always\n")]);
}

#[tokio::test]
async fn lines_that_a_full_disk_refuses_are_counted_and_the_first_that_fits_tells_it() {
    // The device of a disk that is always full.
    let frozen = Frozen::start();
    let place = Place::new();
    drop(place.open(ROOMY));
    fs::remove_file(place.path()).unwrap();
    symlink("/dev/full", place.path()).unwrap();
    let mut log = place.open(ROOMY);
    let Note::Failed(error) = log.write(b"lost\n") else { panic!("it is said once") };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    well(log.write(b"lost, too\n"));
    fs::remove_file(place.path()).unwrap();
    frozen.advance(SECOND).await;
    assert!(matches!(log.write(b"back\n"), Note::Recovered(2)));
    place.has(&[("zk.log", "back\n")]);
}

#[tokio::test]
async fn a_file_that_cannot_be_put_aside_grows_and_is_put_aside_later() {
    // A directory with the name that is needed: no rename can replace it.
    let frozen = Frozen::start();
    let place = Place::new();
    let mut log = place.open(Rotation { max_bytes: 10, keep: 1, ..ROOMY });
    let blocked = place.dir.path().join("log/zk.log.1");
    fs::create_dir_all(blocked.join("x")).unwrap();
    well(log.write(b"one..\n"));
    assert!(matches!(log.write(b"two..\n"), Note::NotRotated(_)), "it is said once");
    well(log.write(b"three\n"));
    fs::remove_dir_all(&blocked).unwrap();
    frozen.advance_secs(61).await;
    well(log.write(b"four.\n"));
    place.has(&[("zk.log", "four.\n"), ("zk.log.1", "one..\ntwo..\nthree\n")]);
}
