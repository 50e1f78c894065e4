//! The daemon dies in the middle of an attempt, over the real file: what the next start knows.
//!
//! A death is the tasks aborted and the file copied as it stands, without a close. What
//! `process_kill` does to the true process, this does with a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use zhongkong::clock::{BootTime, Clock};
use zhongkong::failpoint::{self, Action};
use zhongkong::hub::AccountSettings;
use zhongkong::ledger::{CallEnd, Record};
use zhongkong::model::{CallMode, Generation, Kind, TokenMode};
use zhongkong::refresh::handle::Force;
use zhongkong::refresh::view::{Degraded, Next, State, View};
use zhongkong::simulator::{self, Endpoint, Fault, Script};

use crate::ledger_support::StateDir;
use crate::support::engine::{Engine, Setup, TICK, Tally, account, manual_clock, text};
use crate::support::frozen::Frozen;

const SECOND: Duration = Duration::from_secs(1);

/// An engine over a file.
struct Filed {
    engine: Engine,
    dir: StateDir,
}

impl Filed {
    async fn start(accounts: Vec<AccountSettings>) -> Self {
        let frozen = Frozen::start();
        let (dir, clock) = (StateDir::new(), manual_clock());
        let ledger = dir.open(&clock).await.ledger;
        let setup = Setup::new(accounts).ledger(Arc::new(ledger));
        let engine = Engine::start_with(frozen, clock, setup).await;
        engine.ready().await;
        let filed = Self { engine, dir };
        filed.stored().await;
        filed
    }

    async fn classic() -> Self {
        Self::start(vec![account("wx1", TokenMode::Classic)]).await
    }

    /// Waits until no call is without its end in the file, but for the held ones.
    async fn stored(&self) {
        let engine = &self.engine;
        engine.wait("every attempt has ended", |engine| engine.gate.free() > 60).await;
        loop {
            let mut open = 0;
            for handle in engine.hub.keys() {
                let record = engine.ledger.load_key(handle.key()).await.unwrap();
                open += record.calls.iter().filter(|past| past.end.is_none()).count();
            }
            if open <= engine.wechat.control.held() {
                return;
            }
        }
    }

    /// Dies, and starts again from what the file held at that instant, `down` later.
    async fn crash(self, down: Duration) -> Self {
        let Self { engine, dir } = self;
        let mut stopped = engine.crash().await;
        let left = dir.after_a_crash();
        stopped.advance(down).await;
        stopped.ledger = Arc::new(left.open(&stopped.clock).await.ledger);
        stopped.wechat.control.release();
        Self { engine: stopped.start().await, dir: left }
    }

    async fn record(&self) -> Record {
        self.engine.ledger.load_key(self.engine.token().key()).await.unwrap()
    }

    fn generation(&self) -> Generation {
        self.engine.token().read().unwrap().value.generation
    }

    /// An operator's refresh whose caller dies with the daemon; returns when WeChat holds it.
    async fn force_held(&self, endpoint: Endpoint, fault: Fault) {
        self.engine.wechat.control.script(Script::once(endpoint, fault));
        let handle = self.engine.token();
        let forced = handle.force(Force::Once);
        tokio::select! {
            answer = forced => panic!("answered: {answer:?}"),
            () = self.engine.wechat.control.wait_held(1) => {}
        }
    }
}

/// Whether there is a value without a reservation.
fn recovered(view: &View) -> bool {
    view.value.is_some() && view.degraded.is_none()
}

/// A clock of the next boot, on which `down` has passed.
fn next_boot(clock: &Clock, down: Duration) -> Clock {
    let mut wall = clock.wall();
    wall.0 += i64::try_from(down.as_millis()).unwrap();
    Clock::manual(wall, BootTime(30_000), "boot-b")
}

#[tokio::test]
async fn start_from_a_full_ledger_makes_no_call() {
    // Forty accounts of both modes with tickets, all good: a restart is not worth one call.
    let accounts: Vec<_> = (0..40)
        .map(|number| {
            let mode = if number % 2 == 0 { TokenMode::Classic } else { TokenMode::Stable };
            let tickets = vec![Kind::JsapiTicket, Kind::WxCardTicket];
            AccountSettings { tickets, ..account(&format!("wx{number}"), mode) }
        })
        .collect();
    let filed = Filed::start(accounts).await;
    let values: Vec<String> = filed.engine.hub.keys().iter().map(text).collect();
    assert_eq!(values.len(), 120);
    let before = filed.engine.tally();
    let filed = filed.crash(5 * SECOND).await;
    // Readable before any task has had its first turn.
    let served: Vec<String> = filed.engine.hub.keys().iter().map(text).collect();
    assert_eq!(served, values);
    filed.engine.settle().await;
    filed.engine.pass(60 * SECOND).await;
    assert_eq!(filed.engine.tally(), before);
}

#[tokio::test]
async fn answer_lost_by_a_crash_is_known_and_bounds_the_value() {
    // S2, S8: WeChat has issued a token that nobody received. The stored one lives 300 s from
    // that call, the start asks whether it lives, and fetches the next.
    let filed = Filed::classic().await;
    let (old, generation) = (filed.engine.value(), filed.generation());
    let sent = filed.engine.now();
    filed.force_held(Endpoint::Token, Fault::HoldAnswer).await;
    let filed = filed.crash(20 * SECOND).await;
    let record = filed.record().await;
    let open = record.calls.last().unwrap();
    assert_eq!((open.end, open.call.mode), (None, CallMode::Classic), "the open intent");
    assert!(open.call.attempt > generation);
    let read = filed.engine.token().read().unwrap();
    assert_eq!(read.value.secret.expose(), old);
    assert_eq!(read.dead_by, sent + 300 * SECOND);
    assert_eq!(read.state, State::Degraded(Degraded::UnknownOutcome));
    let lost = open.call.attempt;
    filed.engine.until("a new value", |view| view.dead_by > sent + 300 * SECOND).await;
    assert!(filed.generation() > lost);
    filed.engine.readers_are_well();
    assert_eq!(filed.engine.tally(), Tally { classic: 3, probes: 1, ..Tally::default() });
    filed.stored().await;
    let ends: Vec<_> = filed.record().await.calls.iter().map(|past| past.end).collect();
    assert_eq!(ends, [Some(CallEnd::Issued), Some(CallEnd::Settled), Some(CallEnd::Issued)]);
}

#[tokio::test]
async fn value_is_not_served_past_the_bound_however_often_the_daemon_dies() {
    // S2: WeChat is silent, and the daemon crashes and starts again and again. The bound stays
    // where the first call put it.
    let mut filed = Filed::classic().await;
    let sent = filed.engine.now();
    filed.force_held(Endpoint::Token, Fault::HoldAnswer).await;
    filed.engine.always(Endpoint::ApiDomainIp, Fault::HoldRequest);
    for _ in 0..4 {
        filed = filed.crash(55 * SECOND).await;
        assert_eq!(filed.engine.view().dead_by, sent + 300 * SECOND);
        filed.engine.wechat.control.wait_held(1).await;
        assert!(filed.engine.token().read().is_ok());
    }
    let mut filed = filed.crash(80 * SECOND).await;
    assert!(filed.engine.token().read().is_err());
    filed.engine.wechat.control.wait_held(1).await;
    assert_eq!(filed.engine.tally().classic, 2, "no issuing call without a verdict");
    filed.engine.wechat.control.clear_faults();
    filed.engine.wechat.control.release();
    filed = filed.crash(SECOND).await;
    filed.engine.until("recovered", recovered).await;
    filed.engine.readers_are_well();
}

#[tokio::test]
async fn call_that_died_before_wechat_saw_it_costs_one_question_and_one_call() {
    let filed = Filed::classic().await;
    let old = filed.engine.value();
    filed.force_held(Endpoint::Token, Fault::HoldRequest).await;
    let filed = filed.crash(SECOND).await;
    assert_eq!(filed.engine.value(), old);
    filed.engine.until("recovered", recovered).await;
    filed.engine.readers_are_well();
    let Tally { probes, forced, .. } = filed.engine.tally();
    assert_eq!((probes, forced), (1, 0));
    // The held request was released after the crash and processed late: S3's question finds out.
    let verify = filed.record().await;
    filed.stored().await;
    assert!(verify.value.is_some());
    let due = filed.record().await.value.unwrap().verify_at.unwrap();
    let at = filed.engine.clock.resolve(&due).at;
    filed.engine.pass(at.since(filed.engine.now()) + TICK).await;
    assert_eq!(filed.engine.tally().probes, 2, "{}", filed.engine.report());
    filed.engine.until("a good value", recovered).await;
    filed.engine.readers_are_well();
}

#[tokio::test]
async fn forced_call_lost_by_a_crash_leaves_nothing_to_serve_and_one_normal_call_brings_it() {
    // S2: a forced call kills at once, so the stored stable token is dead from that instant. A
    // normal call brings the one that WeChat issued meanwhile: nothing at all is lost.
    let filed = Filed::start(vec![account("wx1", TokenMode::Stable)]).await;
    let old = filed.engine.value();
    filed.force_held(Endpoint::StableToken, Fault::HoldAnswer).await;
    let filed = filed.crash(SECOND).await;
    assert!(filed.engine.token().read().is_err(), "a value that a forced call killed is served");
    filed.engine.ready().await;
    assert_ne!(filed.engine.value(), old);
    filed.engine.readers_are_well();
    assert_eq!(filed.engine.tally(), Tally { stable: 3, forced: 1, ..Tally::default() });
}

#[tokio::test]
async fn normal_stable_call_lost_by_a_crash_is_simply_asked_again() {
    let filed = Filed::start(vec![account("wx1", TokenMode::Stable)]).await;
    let old = filed.engine.value();
    filed.engine.once(Endpoint::StableToken, Fault::HoldAnswer);
    let Next::At(due) = filed.engine.view().next else { panic!("no plan") };
    filed.engine.advance(due.since(filed.engine.now()) + TICK).await;
    filed.engine.wechat.control.wait_held(1).await;
    let filed = filed.crash(SECOND).await;
    assert_eq!(filed.engine.value(), old, "the old one is good to its end");
    // Its renewal is spread anew over the window.
    filed.engine.walk(205 * SECOND, 5 * SECOND, Engine::readers_are_well).await;
    assert_ne!(filed.engine.value(), old);
    filed.engine.readers_are_well();
    assert_eq!(filed.engine.tally(), Tally { stable: 3, ..Tally::default() });
}

#[tokio::test]
async fn value_reported_dead_is_not_served_after_a_crash_in_its_repair() {
    // S2: WeChat called it dead, the repair's answer is on its way, and the daemon dies.
    let filed = Filed::classic().await;
    let dead = filed.engine.value();
    filed.engine.wechat.control.kill("wx1", simulator::Kind::Classic);
    filed.engine.once(Endpoint::Token, Fault::HoldAnswer);
    tokio::select! {
        answer = filed.engine.complain() => panic!("answered: {answer:?}"),
        () = filed.engine.wechat.control.wait_held(1) => {}
    }
    let filed = filed.crash(SECOND).await;
    assert!(filed.engine.token().read().is_err(), "{dead} is served again");
    filed.engine.ready().await;
    filed.engine.readers_are_well();
}

#[tokio::test]
async fn value_that_the_ledger_missed_is_lost_by_a_crash_and_nothing_else() {
    // A disk that fails between intent and commit, and then the process dies: one answer is
    // lost, the intent tells the next start, and what readers get works.
    let name = "wxcrashcommit";
    let filed = Filed::start(vec![account(name, TokenMode::Classic)]).await;
    let handle = filed.engine.handle(name, Kind::AccessToken);
    let old = text(&handle);
    failpoint::set("ledger.commit", name, Action::Error);
    let sent = filed.engine.now();
    handle.force(Force::Once).await.unwrap();
    assert_ne!(text(&handle), old, "published all the same");
    failpoint::clear("ledger.commit", name);
    let filed = filed.crash(SECOND).await;
    let handle = filed.engine.handle(name, Kind::AccessToken);
    let read = handle.read().unwrap();
    assert_eq!((read.value.secret.expose(), read.dead_by), (old.as_str(), sent + 300 * SECOND));
    filed.engine.wait("recovered", |_| recovered(&handle.view())).await;
    assert!(filed.engine.alive(&text(&handle)));
    assert_eq!(filed.engine.tally().classic, 3);
}

#[tokio::test]
async fn open_intent_is_known_after_a_reboot_too() {
    // The machine itself went down in the middle of a call and is back after two minutes, with
    // another boot clock: wall time decides, and the bound is the same instant.
    let filed = Filed::classic().await;
    filed.force_held(Endpoint::Token, Fault::HoldAnswer).await;
    let Filed { engine, dir } = filed;
    let mut stopped = engine.crash().await;
    let left = dir.after_a_crash();
    stopped.clock = next_boot(&stopped.clock, 120 * SECOND);
    stopped.advance(Duration::ZERO).await;
    stopped.ledger = Arc::new(left.open(&stopped.clock).await.ledger);
    let engine = stopped.start().await;
    let read = engine.token().read().unwrap();
    assert_eq!(read.remaining, 180 * SECOND);
    engine.until("recovered", recovered).await;
    engine.readers_are_well();
}

#[tokio::test]
async fn generations_grow_over_crashes_and_a_clock_that_was_set_back() {
    // S3: the fence compares numbers, so they only ever grow, whatever the wall clock does.
    let mut filed = Filed::classic().await;
    let mut last = filed.generation();
    for round in 0..4 {
        filed.engine.clock.step_wall(if round % 2 == 0 { -86_400_000 } else { 3_600_000 });
        filed.force_held(Endpoint::Token, Fault::HoldAnswer).await;
        filed = filed.crash(40 * SECOND).await;
        filed.engine.until("recovered", recovered).await;
        assert!(filed.generation() > last, "round {round}");
        last = filed.generation();
        filed.engine.readers_are_well();
        filed.stored().await;
    }
}
