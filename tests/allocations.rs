//! How much the hot paths allocate: what a clock cannot tell on a busy machine.
//!
//! A program of its own, because what is counted is the whole process.

use std::alloc::System;
use std::collections::BTreeSet;
use std::hint::black_box;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use hot::Hot;

mod hot;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Of a read that is a look-up, in the daemon and in the client library's copy.
const LOOK_UP: usize = 0;
/// Of a `GetToken`, from head and body as they come out of HTTP/2 to those that go into it.
const CALL: usize = 32;
/// Of a text in safe mode that a rule answers. The bare cryptography of it has 6.
const MESSAGE: usize = 21;
/// Of a page that the local copy's ticket signs.
const SIGNATURE: usize = 9;
/// Of tables that grow: the desk's three.
const GROWTH: usize = 3;
const WALKS: usize = 100;
/// Messages before those that are counted.
const WARM: usize = 300;

#[test]
fn hot_paths_allocate_as_often_as_is_stated() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut hot = runtime.block_on(Hot::start()).unwrap();
    // Inside for its clock, and in no task of it: nothing has a turn, and no budget of turns ends.
    let _inside = runtime.enter();

    let reads = each(|_| hot.hub_read());
    assert_eq!(counts(&reads), [LOOK_UP], "a read in the daemon");
    Hot::turn(&runtime);
    let reads = each(|_| hot.cached_read());
    assert_eq!(counts(&reads), [LOOK_UP], "a read of the client library");
    let reads = each(|_| hot.resolved_read().map(drop));
    assert_eq!(counts(&reads), [LOOK_UP], "a read of the client library, of a key that was resolved once");
    let calls: Vec<_> = (0..WALKS + 2).map(|_| hot.call().unwrap()).collect();
    let mut calls = calls.into_iter();
    let answered = hot.grpc_read(calls.next().unwrap()).unwrap();
    assert!(answered.token().is_ok_and(|token| !token.value.is_empty()), "what is counted is no read");
    let reads = each(|_| hot.grpc_read(calls.next()?));
    assert_eq!(counts(&reads), [CALL], "a read over gRPC");
    let signatures = each(|_| hot.signature().ok());
    assert_eq!(counts(&signatures), [SIGNATURE], "a signature");

    // The desk's memory of messages grows now and then, the fuller it is the more seldom.
    for _ in 0..WARM {
        let push = hot.push();
        hot.message(&push).unwrap();
    }
    let pushes: Vec<_> = (0..=WALKS).map(|_| hot.push()).collect();
    let messages = each(|walk| hot.message(&pushes[walk]).ok());
    let usual = messages.iter().filter(|count| **count == MESSAGE).count();
    assert!(usual * 10 >= WALKS * 9, "a message takes {:?}", counts(&messages));
    assert!(
        messages.iter().all(|count| *count <= MESSAGE + GROWTH),
        "a message takes {:?}",
        counts(&messages)
    );
}

/// The different ones among them, the least first.
fn counts(walks: &[usize]) -> Vec<usize> {
    let different: BTreeSet<usize> = walks.iter().copied().collect();
    different.into_iter().collect()
}

/// Allocations of each walk but the first, which fills tables.
fn each<T>(mut walk: impl FnMut(usize) -> Option<T>) -> Vec<usize> {
    let mut counts = Vec::with_capacity(WALKS + 1);
    for number in 0..=WALKS {
        let heap = Region::new(COUNTED);
        let walked = black_box(walk(number));
        let change = heap.change();
        assert!(walked.is_some(), "walk {number} led nowhere");
        counts.push(change.allocations + change.reallocations);
    }
    counts.split_off(1)
}
