//! A simulated day of the schedule: 10,000 keys walked through `refresh::policy` alone.
//!
//! Every attempt succeeds 200 ms after it is due. Counts attempts a minute.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use zhongkong::clock::BootTime;
use zhongkong::refresh::policy::{self, Facts, LastChance, Life, Parent, Plan, STABLE_WINDOW, Shape};

use crate::support::{LIFE, fraction};
use crate::table::{row, title};

const KEYS: usize = 10_000;
const MINUTES: usize = 24 * 60;
const CALL: Duration = Duration::from_millis(200);

/// How old the values are at the start.
#[derive(Clone, Copy)]
enum Ages {
    /// Everywhere between fetched just now and due, as in a system that has run for long.
    Spread,
    /// All fetched in this moment: a cold start.
    Equal,
}

pub(crate) fn run() {
    title("A day of the schedule, 10,000 keys (the policy alone)");
    for (name, ages) in [("ages spread", Ages::Spread), ("all fetched at once", Ages::Equal)] {
        let (busiest, mean) = classic(ages);
        let wanted = if matches!(ages, Ages::Spread) { "< 2.00" } else { "" };
        row(
            &format!("classic, {name}: busiest minute / mean"),
            format!("{:.2} ({busiest} / {mean:.1})", f64::from(busiest) / mean),
            wanted,
        );
        let (busiest, mean) = stable(ages);
        row(
            &format!("stable, {name}: busiest minute / keys"),
            format!("{:.3} ({busiest}, mean {mean:.1})", share(busiest)),
            "<= 0.350",
        );
    }
}

fn classic(ages: Ages) -> (u32, f64) {
    let mut random = StdRng::seed_from_u64(1);
    walk(|number| {
        // A life in a running system is cut off by its renewal, at two thirds on average.
        let age = match ages {
            Ages::Spread => LIFE.mul_f64(fraction(number) * 2.0 / 3.0),
            Ages::Equal => Duration::ZERO,
        };
        let mut asked = BootTime(0) - age;
        let mut jitter: f64 = random.random();
        let mut times = Vec::new();
        loop {
            let at = due(Shape::Classic, asked, asked + LIFE, jitter).max(asked + Duration::from_secs(1));
            if at >= END {
                return times;
            }
            times.push(at);
            asked = at;
            jitter = random.random();
        }
    })
}

fn stable(ages: Ages) -> (u32, f64) {
    let mut random = StdRng::seed_from_u64(2);
    walk(|number| {
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

const END: BootTime = BootTime(86_400_000);

fn due(shape: Shape, asked: BootTime, expires: BootTime, jitter: f64) -> BootTime {
    let value = Life { asked, expires, dead_by: expires, life: LIFE, last_chance: LastChance::NotNeeded };
    let facts = Facts {
        now: asked,
        shape,
        value: Some(value),
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

/// The busiest minute of all keys' attempts, and the mean one.
fn walk(mut attempts: impl FnMut(usize) -> Vec<BootTime>) -> (u32, f64) {
    let mut minutes = vec![0_u32; MINUTES];
    for number in 0..KEYS {
        for at in attempts(number) {
            let minute = usize::try_from(at.0 / 60_000).unwrap_or(0);
            if let Some(count) = minutes.get_mut(minute) {
                *count += 1;
            }
        }
    }
    busiest(&minutes)
}

/// The busiest of these minutes, and their mean.
pub(crate) fn busiest(minutes: &[u32]) -> (u32, f64) {
    let busiest = minutes.iter().copied().max().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "1,440 minutes")]
    let mean = f64::from(minutes.iter().sum::<u32>()) / minutes.len() as f64;
    (busiest, mean)
}

#[expect(clippy::cast_precision_loss, reason = "10,000 keys")]
fn share(busiest: u32) -> f64 {
    f64::from(busiest) / KEYS as f64
}
