//! How much a message allocates on its way to its answer: what a clock cannot tell on a busy machine.
//!
//! A program of its own, because what is counted is the whole process.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use zhongkong::clock::Clock;

use callback::{Bare, Service};

#[path = "../benches/support/callback.rs"]
mod callback;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Of a text in safe mode that a rule answers. The bare cryptography of it has 6.
const MOST: usize = 23;

#[tokio::test]
async fn message_takes_no_more_allocations_than_it_has_to() {
    let clock = Clock::system();
    let (bare, service) = (Bare::new().unwrap(), Service::new(&clock).unwrap());
    let count = |number| {
        let push = bare.push(number, clock.wall().seconds());
        let heap = Region::new(COUNTED);
        let answer = service.answer(&push).unwrap();
        let change = heap.change();
        assert!(answer.contains("<MsgSignature>"), "{answer}");
        change.allocations + change.reallocations
    };
    // The desk's memory grows now and then, and another thread may allocate: neither does always.
    let least = (0..100).map(count).min().unwrap();
    assert!(least > 6, "nothing was counted: {least}");
    assert!(least <= MOST, "a message takes {least} allocations, and {MOST} were enough: which are new?");
}
