//! The process's edges: what a signal becomes, and what the kernel is told to protect.
//!
//! Hardening changes the whole process, so it is tried in a child: this test binary again,
//! with the one test that is the child's body.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::low_level::raise;
use zhongkong::process::hardening::harden;
use zhongkong::process::signals::{Intent, Intents};

/// Set in the child only, to a directory that it may write to.
const CHILD: &str = "ZHONGKONG_TEST_HARDENED_CHILD";

#[test]
fn a_hardened_process_is_not_dumpable_and_its_files_are_its_users_alone() {
    if let Some(directory) = std::env::var_os(CHILD) {
        harden().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
        let file = std::path::Path::new(&directory).join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let name = "process::a_hardened_process_is_not_dumpable_and_its_files_are_its_users_alone";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(CHILD, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn signals_arrive_as_intents_and_the_second_stop_stops_at_once() {
    // The one test of this process that installs handlers and raises signals.
    let mut intents = Intents::install().unwrap();
    let story = [(SIGHUP, Intent::Reload), (SIGTERM, Intent::Stop), (SIGTERM, Intent::StopNow)];
    for (signal, expected) in story {
        raise(signal).unwrap();
        assert_eq!(intents.next().await, expected);
    }
}
