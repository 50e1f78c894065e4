//! The keys of a page: sums and extremes of all, and series of each while there are few.
//!
//! One look at every key, in no order. What is wanted of a key is copied out of its view: a
//! row of numbers, and its labels behind those of the others in one text.

use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::{BootTime, Clock};
use crate::hub::{self, Hub};
use crate::model::{Key, Kind};
use crate::refresh::view::{Next, ProblemClass, State, View};
use crate::telemetry::text::{Family, Labels, Text, Type, Value};

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, of: Type::Gauge, help }
}

const KEYS: Family = gauge("zhongkong_keys", "Keys by kind and state.");
const HELD: Family = gauge("zhongkong_keys_held", "Keys that make no attempt, by kind and reason.");
const FAILING: Family = gauge("zhongkong_keys_failing", "Keys whose latest attempt failed, by kind.");
const NEEDING_OPERATOR: Family =
    gauge("zhongkong_keys_needing_operator", "Keys that wait for an operator, by kind.");
const SOONEST_EXPIRY: Family =
    gauge("zhongkong_soonest_expiry_timestamp_seconds", "The earliest end of a value, by kind.");
const OLDEST_SUCCESS: Family = gauge(
    "zhongkong_oldest_success_timestamp_seconds",
    "The last success of the key whose last success is longest ago, by kind.",
);
const SOONEST_ATTEMPT: Family = gauge(
    "zhongkong_soonest_attempt_timestamp_seconds",
    "The earliest planned attempt, by kind; long past if nobody makes it.",
);
const LEAST_BUDGET: Family =
    gauge("zhongkong_least_budget_left", "Upstream calls left in 24 h to the key with the fewest, by kind.");
const LEAST_BUDGET_RATIO: Family = gauge(
    "zhongkong_least_budget_left_ratio",
    "The same as a share of what the key is granted, of the key with the least share, by kind.",
);
const PER_KEY: Family =
    gauge("zhongkong_per_key_series", "Whether there are series of each key (admin.metrics_per_key).");

const EXPIRY: Family =
    gauge("zhongkong_key_expiry_timestamp_seconds", "When the key's value ends; absent without a value.");
const LAST_SUCCESS: Family =
    gauge("zhongkong_key_last_success_timestamp_seconds", "When WeChat last answered the key with a value.");
const NEXT_ATTEMPT: Family = gauge(
    "zhongkong_key_next_attempt_timestamp_seconds",
    "When the key asks WeChat next; absent if it waits.",
);
const FAILURES: Family = gauge("zhongkong_key_failures", "The key's failures since its last success.");
const HAS_VALUE: Family = gauge("zhongkong_key_has_value", "Whether the key has a good value.");
const NEEDS_OPERATOR: Family =
    gauge("zhongkong_key_needs_operator", "Whether the key waits for an operator.");
const BUDGET: Family = gauge("zhongkong_key_budget_left", "The key's upstream calls left in 24 h.");

/// Two clocks are read one after the other and cut to milliseconds, on a machine that is busy.
const ROUNDING_MS: u64 = 100;
/// What a key's lines take: seven, of a name and labels.
const LINES: usize = 7 * 120;
const STATES: [&str; 4] = ["fresh", "refreshing", "degraded", "no_value"];
const HOLDS: [&str; 2] = ["paused", "parent_missing"];

/// What was seen of all keys.
pub(super) struct Keys {
    kinds: [OfKind; Kind::ALL.len()],
    each: Each,
}

/// All keys of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct OfKind {
    states: [u64; STATES.len()],
    held: [u64; HOLDS.len()],
    failing: u64,
    needing_operator: u64,
    soonest_expiry: Option<i64>,
    oldest_success: Option<i64>,
    soonest_attempt: Option<i64>,
    least_budget: Option<u32>,
    least_ratio: Option<f64>,
}

/// The keys one by one, unless there are too many.
struct Each {
    limit: usize,
    seen: usize,
    labels: String,
    rows: Vec<Row>,
}

/// A key's numbers; instants are wall milliseconds.
struct Row {
    labels: Range<usize>,
    expiry: Option<i64>,
    last_success: Option<i64>,
    next_attempt: Option<i64>,
    failures: u32,
    has_value: bool,
    needs_operator: bool,
    budget: u32,
}

/// What lies between the boot clock and the wall clock, in milliseconds, the same from page to
/// page while it moves by roundings only: an expiry that flickers would look like a rotation.
#[derive(Debug, Default)]
pub(super) struct ToWall(AtomicI64);

impl ToWall {
    fn read(&self, clock: &Clock) -> i64 {
        let (known, seen) = (self.0.load(Ordering::Relaxed), clock.wall().0 - clock.boot().0);
        if seen.abs_diff(known) <= ROUNDING_MS {
            return known;
        }
        self.0.store(seen, Ordering::Relaxed);
        seen
    }
}

/// Looks at every key once.
pub(super) fn look(hub: &Hub, per_key: u32, to_wall: &ToWall) -> Keys {
    let clock = hub.clock();
    let now = clock.boot();
    // Read once: a key has three instants.
    let to_wall = to_wall.read(clock);
    let limit = usize::try_from(per_key).unwrap_or(usize::MAX);
    let each = Each { limit, seen: 0, labels: String::new(), rows: Vec::new() };
    let mut keys = Keys { kinds: Default::default(), each };
    hub::survey(hub, |handle, _| {
        let view = handle.view();
        let row = row(&view, now, to_wall);
        keys.kinds[view.key.kind.index()].count(&view, &row, now);
        keys.each.add(&view.key, row);
    });
    keys
}

fn row(view: &View, now: BootTime, to_wall: i64) -> Row {
    let wall = |at: BootTime| at.0.saturating_add(to_wall);
    Row {
        labels: 0..0,
        expiry: view.value.is_some().then(|| wall(view.dead_by)),
        last_success: view.last_success.map(wall),
        next_attempt: match view.next {
            Next::At(at) => Some(wall(at)),
            Next::Paused(_) | Next::ParentMissing | Next::Removed => None,
        },
        failures: view.failures,
        has_value: view.value.is_some() && view.dead_by > now,
        // One that an operator paused waits for nobody.
        needs_operator: !matches!(view.next, Next::Paused(_))
            && view.problem.as_ref().is_some_and(|problem| problem.class == ProblemClass::Operator),
        budget: view.budget.limit.saturating_sub(view.budget.used),
    }
}

impl OfKind {
    fn count(&mut self, view: &View, row: &Row, now: BootTime) {
        let state = match view.good(now).map(|good| good.state) {
            Some(State::Fresh) => 0,
            Some(State::Refreshing) => 1,
            Some(State::Degraded(_)) => 2,
            None => 3,
        };
        self.states[state] += 1;
        match view.next {
            Next::Paused(_) => self.held[0] += 1,
            Next::ParentMissing => self.held[1] += 1,
            Next::At(_) | Next::Removed => {}
        }
        self.failing += u64::from(row.failures > 0);
        self.needing_operator += u64::from(row.needs_operator);
        self.soonest_expiry = least(self.soonest_expiry, row.expiry);
        self.oldest_success = least(self.oldest_success, row.last_success);
        self.soonest_attempt = least(self.soonest_attempt, row.next_attempt);
        self.least_budget = least(self.least_budget, Some(row.budget));
        let ratio = f64::from(row.budget) / f64::from(view.budget.limit.max(1));
        self.least_ratio = Some(self.least_ratio.map_or(ratio, |least| least.min(ratio)));
    }
}

fn least<T: Ord>(known: Option<T>, seen: Option<T>) -> Option<T> {
    match (known, seen) {
        (Some(known), Some(seen)) => Some(known.min(seen)),
        (known, seen) => known.or(seen),
    }
}

impl Each {
    fn add(&mut self, key: &Key, mut row: Row) {
        self.seen += 1;
        if self.seen > self.limit {
            // None of them then: a part would look like the whole.
            self.labels = String::new();
            self.rows = Vec::new();
            return;
        }
        let begun = self.labels.len();
        Labels::write(&mut self.labels, &[("appid", key.appid.as_str()), ("kind", key.kind.as_str())]);
        row.labels = begun..self.labels.len();
        self.rows.push(row);
    }

    fn family(&self, text: &mut Text, family: &Family, value: impl Fn(&Row) -> Option<Value>) {
        text.begin(family);
        for row in &self.rows {
            if let Some(value) = value(row) {
                text.sample(family, &self.labels[row.labels.clone()], value);
            }
        }
    }
}

impl Keys {
    /// How long its text will be, about.
    pub(super) fn room(&self) -> usize {
        self.each.rows.len() * LINES
    }

    pub(super) fn write(&self, text: &mut Text) {
        self.write_sums(text);
        let Each { limit, seen, .. } = self.each;
        let per_key = limit > 0 && seen <= limit;
        text.single(&PER_KEY, Value::Count(u64::from(per_key)));
        if per_key {
            self.write_each(text);
        }
    }

    fn write_sums(&self, text: &mut Text) {
        text.begin(&KEYS);
        for (kind, of) in self.by_kind() {
            for (state, count) in STATES.into_iter().zip(of.states) {
                let labels = Labels::of(&[("kind", kind), ("state", state)]);
                text.sample(&KEYS, labels.as_str(), Value::Count(count));
            }
        }
        text.begin(&HELD);
        for (kind, of) in self.by_kind() {
            for (reason, count) in HOLDS.into_iter().zip(of.held) {
                let labels = Labels::of(&[("kind", kind), ("reason", reason)]);
                text.sample(&HELD, labels.as_str(), Value::Count(count));
            }
        }
        self.sum(text, &FAILING, |of| Some(Value::Count(of.failing)));
        self.sum(text, &NEEDING_OPERATOR, |of| Some(Value::Count(of.needing_operator)));
        self.sum(text, &SOONEST_EXPIRY, |of| of.soonest_expiry.map(Value::Millis));
        self.sum(text, &OLDEST_SUCCESS, |of| of.oldest_success.map(Value::Millis));
        self.sum(text, &SOONEST_ATTEMPT, |of| of.soonest_attempt.map(Value::Millis));
        self.sum(text, &LEAST_BUDGET, |of| of.least_budget.map(u64::from).map(Value::Count));
        self.sum(text, &LEAST_BUDGET_RATIO, |of| of.least_ratio.map(Value::Number));
    }

    fn write_each(&self, text: &mut Text) {
        let each = &self.each;
        let flag = |set: bool| Some(Value::Count(u64::from(set)));
        each.family(text, &EXPIRY, |row| row.expiry.map(Value::Millis));
        each.family(text, &LAST_SUCCESS, |row| row.last_success.map(Value::Millis));
        each.family(text, &NEXT_ATTEMPT, |row| row.next_attempt.map(Value::Millis));
        each.family(text, &FAILURES, |row| Some(Value::Count(row.failures.into())));
        each.family(text, &HAS_VALUE, |row| flag(row.has_value));
        each.family(text, &NEEDS_OPERATOR, |row| flag(row.needs_operator));
        each.family(text, &BUDGET, |row| Some(Value::Count(row.budget.into())));
    }

    fn by_kind(&self) -> impl Iterator<Item = (&'static str, &OfKind)> {
        Kind::ALL.into_iter().map(|kind| (kind.as_str(), &self.kinds[kind.index()]))
    }

    fn sum(&self, text: &mut Text, family: &Family, value: impl Fn(&OfKind) -> Option<Value>) {
        text.begin(family);
        for (kind, of) in self.by_kind() {
            if let Some(value) = value(of) {
                text.sample(family, Labels::of(&[("kind", kind)]).as_str(), value);
            }
        }
    }
}
