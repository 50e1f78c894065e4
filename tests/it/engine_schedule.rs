//! When the engine calls WeChat if nothing is wrong, and what readers get meanwhile (L1).

use std::time::Duration;

use zhongkong::model::TokenMode;
use zhongkong::refresh::view::State;
use zhongkong::simulator::{Endpoint, Fault, Script};

use crate::support::engine::{Engine, Setup, Tally, account};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const LIFE: Duration = Duration::from_secs(7_200);

/// Nobody ever reads a value that WeChat calls dead, and there is always one.
fn readers_are_well(engine: &Engine) {
    for handle in engine.hub.keys() {
        let good = handle.read().unwrap_or_else(|why| panic!("{why}: {}", engine.report()));
        assert!(engine.alive(good.value.secret.expose()), "dead value served: {}", engine.report());
    }
}

#[tokio::test]
async fn classic_token_is_renewed_in_its_window_over_days_with_one_call_each() {
    // L1, S1: five simulated days. A classic token is renewed when a third of its life to ten
    // minutes are left, by exactly one call, and readers never see a gap or a dead value.
    let engine = Engine::classic().await;
    let mut calls = 1;
    let end = engine.now() + DAY * 5;
    while engine.now() < end {
        let view = engine.view();
        let left_at_next = match view.next {
            zhongkong::refresh::view::Next::At(at) => view.dead_by.since(at),
            other => panic!("{other:?}"),
        };
        assert!(left_at_next >= Duration::from_secs(600) && left_at_next <= LIFE / 3, "{left_at_next:?}");
        let old = engine.value();
        engine.step_to_next().await;
        calls += 1;
        assert_eq!(engine.tally(), Tally { classic: calls, ..Tally::default() }, "{}", engine.report());
        assert_ne!(engine.value(), old);
        readers_are_well(&engine);
    }
    // 4,800 to 6,600 s a round.
    assert!((65..=91).contains(&calls), "{calls}");
}
