//! Days of random faults: no reader ever gets a dead value but where the protocol says so.
//!
//! The faults come from a seeded generator. The engine draws its own jitter and sockets are real,
//! so a seed does not repeat a failure for certain: run it some hundred times. Whatever fails
//! therefore prints its story ([`Story`]): the seed, the last steps, the view, the last calls.
//!
//! What is checked at every instant: a value that readers get as good is accepted by WeChat (S2);
//! generations only grow (S3); calls stay within the day's budget (S6); and when the faults end,
//! there is a good value within the time that the budget's pace allows (L1, L3).

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use zhongkong::model::{Generation, TokenMode};
use zhongkong::refresh::view::{Degraded, State};
use zhongkong::simulator::{Endpoint, Fault, Script, ServerMode};

use crate::support::engine::{CALL_TIMEOUT, Engine, Setup, account, manual_clock};
use crate::support::frozen::Frozen;

const SECOND: Duration = Duration::from_secs(1);
/// How many faults follow one another with every seed.
const FAULTS: u32 = 40;

fn random_fault(rng: &mut StdRng) -> Fault {
    match rng.random_range(0..16) {
        0 => Fault::HttpStatus(503),
        1 => Fault::HttpStatusAfter(502),
        2 => Fault::HtmlPage,
        3 => Fault::TruncatedJson,
        4 => Fault::GarbageJson,
        5 => Fault::EmptyBody,
        6 => Fault::Slow(SECOND * rng.random_range(1..25)),
        7 => Fault::TornConnection,
        8..=10 => Fault::AnswerLost,
        11 => Fault::HoldAnswer,
        12 => Fault::EmptyToken,
        13 => Fault::errcode(-1),
        14 => Fault::errcode(45011),
        _ => Fault::errcode(40164),
    }
}

/// What happened so far. Told when the test fails, wherever it does.
struct Story {
    mode: TokenMode,
    seed: u64,
    steps: Vec<String>,
}

impl Story {
    /// How many steps are told: a value lives through a dozen of them at most.
    const TOLD: usize = 12;

    fn tell(&mut self, engine: &Engine, step: &str) {
        self.steps.push(format!("{}: {:?} {step}", self.steps.len() + 1, engine.now()));
    }
}

impl Drop for Story {
    #[expect(clippy::print_stderr, reason = "the harness shows it with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let told = &self.steps[self.steps.len().saturating_sub(Self::TOLD)..];
            eprintln!("{:?}, seed {}, the last steps:\n{}", self.mode, self.seed, told.join("\n"));
        }
    }
}

/// What readers may be given at this instant.
fn look(engine: &Engine, newest: &mut Generation) {
    let Ok(good) = engine.token().read() else { return };
    assert!(good.value.generation >= *newest, "back to a value older than {newest:?}\n{}", engine.report());
    *newest = good.value.generation;
    if engine.alive(good.value.secret.expose()) {
        return;
    }
    match good.state {
        // Bounded to five minutes by a call of unknown outcome, or found dead and in repair.
        State::Degraded(Degraded::UnknownOutcome | Degraded::ReportedDead) => {}
        State::Fresh | State::Refreshing | State::Degraded(_) => {
            panic!("a dead value is served as {:?}\n{}", good.state, engine.report())
        }
    }
}

async fn storm(frozen: Frozen, mode: TokenMode, seed: u64) -> Frozen {
    let engine = Engine::start_with(frozen, manual_clock(), Setup::new(vec![account("wx1", mode)])).await;
    engine.ready().await;
    let endpoint = match mode {
        TokenMode::Classic => Endpoint::Token,
        TokenMode::Stable => Endpoint::StableToken,
    };
    let mut engine = engine;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut newest = Generation::default();
    let mut story = Story { mode, seed, steps: Vec::new() };
    for _ in 0..FAULTS {
        match rng.random_range(0..10) {
            0 => {
                let span = SECOND * rng.random_range(1..400);
                story.tell(&engine, &format!("an outage of {span:?}"));
                engine.wechat.control.set_mode(ServerMode::Refuses).await;
                engine.walk(span, SECOND * 7, |engine| look(engine, &mut newest)).await;
                engine.wechat.control.set_mode(ServerMode::Up).await;
            }
            1 => {
                story.tell(&engine, "a restart");
                engine = engine.restart().await;
            }
            2 => {
                story.tell(&engine, "a crash");
                engine = engine.crash().await.start().await;
            }
            3 => {
                let (fault, times) = (random_fault(&mut rng), rng.random_range(1..4));
                story.tell(&engine, &format!("probes: {times} × {fault:?}"));
                engine.wechat.control.script(Script::once(Endpoint::ApiDomainIp, fault).times(times));
            }
            4 => {
                story.tell(&engine, "a resume");
                drop(engine.token().resume().await);
            }
            _ => {
                let (fault, times) = (random_fault(&mut rng), rng.random_range(1..4));
                story.tell(&engine, &format!("fetches: {times} × {fault:?}"));
                engine.wechat.control.script(Script::once(endpoint, fault).times(times));
            }
        }
        // A third of the steps lead into the next renewal, the others stay close to the fault.
        let span = match rng.random_range(0..3) {
            0 => SECOND * rng.random_range(3_000..8_000),
            _ => SECOND * rng.random_range(1..600),
        };
        story.tell(&engine, &format!("{span:?} pass"));
        engine.walk(span, (span / 50).max(SECOND * 7), |engine| look(engine, &mut newest)).await;
        let used = engine.view().budget;
        assert!(used.used <= used.limit, "{used:?}\n{}", engine.report());
    }
    story.tell(&engine, "the faults end");
    engine.wechat.control.clear_faults();
    engine.walk(CALL_TIMEOUT + SECOND * 700, SECOND * 5, |engine| look(engine, &mut newest)).await;
    engine.readers_are_well();
    // The days were not idle: each of them has a dozen renewals.
    let calls = engine.calls(endpoint);
    assert!(calls > 20, "{calls} calls\n{}", engine.report());
    engine.end().await
}

#[tokio::test]
async fn no_classic_reader_gets_a_dead_value_in_a_storm_of_faults() {
    // S1 to S3, S5, S6, L1: lost, torn, slow, refused, in outages, over restarts and crashes.
    let frozen = storm(Frozen::start(), TokenMode::Classic, 1).await;
    storm(frozen, TokenMode::Classic, 2).await;
}

#[tokio::test]
async fn no_stable_reader_gets_a_dead_value_in_a_storm_of_faults() {
    // The same for the stable endpoint, where lost answers do no harm.
    let frozen = storm(Frozen::start(), TokenMode::Stable, 3).await;
    storm(frozen, TokenMode::Stable, 4).await;
}
