//! Whether the hot paths still take the instructions that they took: a guard that times nothing,
//! so that a busy machine cannot move it.
//!
//! Valgrind's callgrind counts them in this program itself, as `make test` has built it. Of code that
//! is not optimised the figures say nothing about speed, and about work that is new or gone all.
//! tests/instructions.toml holds what they were, and with what they were counted: another compiler
//! or processor gives other counts, which are then told and not judged.

#![allow(
    clippy::unwrap_used,
    reason = "a test that is wrong fails by panicking; clippy's setting spares only test functions, not what they call"
)]

use std::io::Write as _;

use kept::{Kept, With};

#[path = "../hot/mod.rs"]
mod hot;

mod callgrind;
mod kept;

/// Of each path; the tables of some grow now and then, which shall not count much.
const WALKS: usize = 200;
/// After so many walks what stands behind the paths has its turn, in none of them.
const TURN: usize = 10;
/// Set by `make instructions`.
const RENEW: &str = "ZHONGKONG_RENEW_INSTRUCTIONS";

#[test]
fn hot_paths_do_what_is_counted() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut hot = runtime.block_on(hot::Hot::start()).unwrap();
    // Inside for its clock, and in no task of it: nothing has a turn, and no budget of turns ends.
    let _inside = runtime.enter();
    for walk in 0..WALKS {
        if walk % TURN == 0 {
            hot::Hot::turn(&runtime);
        }
        let good = hot.hub_read().expect("the daemon has a value");
        let held = hot.cached_read().expect("the copy has a value");
        assert_eq!(held.value, good.value.secret);
        assert!(hot.resolved_read().is_some_and(|resolved| resolved.value == held.value));
        let call = hot.call().unwrap();
        let answered = hot.grpc_read(call).expect("a read waits for nobody");
        assert_eq!(answered.token().unwrap().value, good.value.secret.expose());
        let push = hot.push();
        let answer = hot.message(&push).unwrap();
        assert!(answer.contains("<MsgSignature>"), "{answer}");
        assert_eq!(hot.signature().unwrap().len(), 40);
    }
}

#[test]
fn hot_paths_take_the_instructions_that_they_took() {
    let Some(with) = With::here() else {
        say(
            "the instructions of the hot paths were not counted: there is no valgrind here (Debian: apt install valgrind)",
        );
        return;
    };
    let now = callgrind::count("hot_paths_do_what_is_counted", WALKS);
    if std::env::var_os(RENEW).is_some() {
        Kept { with, instructions: now }.write();
        return;
    }
    let kept = Kept::read();
    if kept.with != with {
        say(&format!(
            "the instructions of the hot paths were counted and not judged, because they were kept with {} and are now counted with {with}",
            kept.with
        ));
        return;
    }
    if let Err(changed) = kept.judge(&now) {
        panic!("{changed}");
    }
}

/// Past the test harness, which shows what a test prints only when it fails.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
