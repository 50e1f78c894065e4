//! A simulated day of the schedule: up to 200,000 keys walked through `refresh::policy` alone.
//!
//! Every attempt succeeds 200 ms after it is due. Counts attempts a minute.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use zhongkong::clock::BootTime;
use zhongkong::model::{Key, Kind};
use zhongkong::refresh::policy::{self, Facts, LastChance, Life, Parent, Plan, STABLE_WINDOW, Shape};

use crate::report::{Bound, Findings, Measurement, Plot, Unit};
use crate::support::{LIFE, appid, fraction, sizes};

/// The size that the goals are of.
const JUDGED: usize = 100_000;
const DAY: usize = 24 * 60;
const CALL: Duration = Duration::from_millis(200);
/// When five rounds of every classic key are over, in minutes: 6,600 s each at the most.
const AFTER_FIVE_ROUNDS: usize = 5 * 110;

/// How old the values are at the start.
#[derive(Clone, Copy)]
enum Ages {
    /// Evenly between fetched just now and due.
    Spread,
    /// All fetched in this moment: a cold start.
    Equal,
}

pub(crate) fn run() -> Findings {
    let mut found = Findings::new("A day of the schedule: upstream calls a minute (the policy alone)");
    for keys in sizes() {
        let judged = |measurement: Measurement, bound| {
            if keys == JUDGED { measurement.goal(bound) } else { measurement }
        };
        let ratio = |what: &str, minutes: &[u32]| {
            let (most, mean) = busiest(minutes);
            Measurement::new(what, Unit::Times).at(keys, "keys").ours([f64::from(most) / mean])
        };
        let share = |what: &str, minutes: &[u32]| {
            let (most, _) = busiest(minutes);
            Measurement::new(what, Unit::Times).at(keys, "keys").ours([f64::from(most) / count(keys)])
        };
        let spread = classic(keys, Ages::Spread);
        let cold = classic(keys, Ages::Equal);
        let below = Bound::Below(1.3);
        let from_spread = "classic, from spread ages: busiest minute ÷ mean";
        found.add(judged(ratio(from_spread, &spread[..DAY]), below));
        let running = "classic, the day after that: busiest minute ÷ mean";
        found.add(judged(ratio(running, &spread[DAY..]), below));
        found.add(ratio("classic, all fetched at once: busiest minute ÷ mean", &cold[..DAY]));
        let later = "classic, all fetched at once, after five rounds: busiest minute ÷ mean";
        found.add(judged(ratio(later, &cold[AFTER_FIVE_ROUNDS..DAY]), below));
        for (from, ages) in [("spread phases", Ages::Spread), ("all fetched at once", Ages::Equal)] {
            let what = format!("stable, {from}: busiest minute ÷ keys");
            found.add(judged(share(&what, &stable(keys, ages)[..DAY]), Bound::AtMost(0.35)));
        }
    }
    found.plot(Plot::curve(
        "day",
        "Busiest minute of a day ÷ mean, classic",
        [
            "classic, from spread ages: busiest minute ÷ mean",
            "classic, the day after that: busiest minute ÷ mean",
            "classic, all fetched at once, after five rounds: busiest minute ÷ mean",
        ],
    ));
    found.note(
        "A steered key takes back a third of what it is off its place in each round. Keys of one moment can only be \
         spread over the window of the first renewals, 30 of 95 minutes (3.2 × the mean), whatever the schedule. What \
         is above 1 later is chance: the fewer keys, the more.",
    );
    found
}

/// Calls of each minute of two days.
fn classic(keys: usize, ages: Ages) -> Vec<u32> {
    walk(keys, |number| {
        // A life in a running system is cut off by its renewal, at two thirds at the earliest.
        let age = match ages {
            Ages::Spread => LIFE.mul_f64(fraction(number) * 2.0 / 3.0),
            Ages::Equal => Duration::ZERO,
        };
        let phase = policy::phase(&Key::new(appid(number), Kind::AccessToken));
        let mut asked = BootTime(0) - age;
        let mut times = Vec::new();
        loop {
            let jitter = policy::steered(&value(asked, asked + LIFE), phase);
            let at = due(Shape::Classic, asked, asked + LIFE, jitter).max(asked + Duration::from_secs(1));
            if at >= END {
                return times;
            }
            times.push(at);
            asked = at;
        }
    })
}

fn stable(keys: usize, ages: Ages) -> Vec<u32> {
    let mut random = StdRng::seed_from_u64(2);
    walk(keys, |number| {
        // WeChat's phase: its token ends at `end`, and only the last 300 s bring another.
        let mut end = match ages {
            Ages::Spread => BootTime(0) + LIFE.mul_f64(fraction(number)),
            Ages::Equal => BootTime(0) + LIFE,
        };
        let mut asked = BootTime(0);
        let mut times = Vec::new();
        loop {
            let at = due(Shape::Stable, asked, end, random.random()).max(asked + Duration::from_secs(1));
            if at >= END {
                return times;
            }
            times.push(at);
            asked = at;
            if at + STABLE_WINDOW >= end {
                end = at + LIFE;
            }
        }
    })
}

/// Two days.
const END: BootTime = BootTime(2 * 86_400_000);

fn value(asked: BootTime, expires: BootTime) -> Life {
    Life { asked, expires, dead_by: expires, life: LIFE, last_chance: LastChance::NotNeeded }
}

fn due(shape: Shape, asked: BootTime, expires: BootTime, jitter: f64) -> BootTime {
    let facts = Facts {
        now: asked,
        shape,
        value: Some(value(asked, expires)),
        failing: None,
        paused_until: None,
        parent: Parent::Ready,
        not_before: asked,
        jitter,
    };
    match policy::next(&facts) {
        Plan::At(at) => at + CALL,
        Plan::Hold(_) => END,
    }
}

/// All keys' attempts in each minute.
fn walk(keys: usize, mut attempts: impl FnMut(usize) -> Vec<BootTime>) -> Vec<u32> {
    let mut minutes = vec![0_u32; 2 * DAY];
    for number in 0..keys {
        for at in attempts(number) {
            let minute = usize::try_from(at.0 / 60_000).unwrap_or(0);
            if let Some(count) = minutes.get_mut(minute) {
                *count += 1;
            }
        }
    }
    minutes
}

/// The busiest of these minutes, and their mean.
pub(crate) fn busiest(minutes: &[u32]) -> (u32, f64) {
    let busiest = minutes.iter().copied().max().unwrap_or(0);
    let mean = f64::from(minutes.iter().sum::<u32>()) / count(minutes.len());
    (busiest, mean)
}

#[expect(clippy::cast_precision_loss, reason = "200,000 keys")]
fn count(number: usize) -> f64 {
    number as f64
}
