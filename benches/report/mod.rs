//! What a bench found, and the page that is made of it.
//!
//! A scenario returns its [`Findings`]: measurements, each with what every round said of us and of
//! what stands beside us, and what it is to be. Medians, ratios within a round and verdicts are
//! computed here, from the rounds, and nowhere else; so the page, the plots and the printed table
//! cannot disagree. [`store`] keeps the raw data beside the page, a file a scenario, so that a run of
//! some leaves the others alone. Pure but for `store` and `place`: nothing here measures.

#![allow(dead_code, reason = "each program uses its part")]

use serde::{Deserialize, Serialize};

pub(crate) mod effort;
pub(crate) mod figures;
pub(crate) mod page;
pub(crate) mod place;
pub(crate) mod plot;
pub(crate) mod run;
pub(crate) mod store;
pub(crate) mod svg;

pub(crate) use plot::Plot;

/// The side that is ours, in every measurement.
pub(crate) const OURS: &str = "zhongkong";

/// What a number is of. Stored in the unit that the name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// So many a second.
    PerSecond,
    /// Seconds, shown with the unit that fits.
    Seconds,
    /// Bytes, shown with the unit that fits.
    Bytes,
    /// Hundredths: 1.1 is 1.1 %.
    Percent,
    /// How often something happened, or a mean of that.
    Count,
    /// So many times as much.
    Times,
}

/// One thing that was measured: each side's rounds, and what they are to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// Names it within its scenario, together with `at`.
    pub(crate) what: String,
    pub(crate) unit: Unit,
    /// Where the same was measured at several sizes: at which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<Size>,
    pub(crate) sides: Vec<Side>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) goals: Vec<Goal>,
}

/// 100,000 keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) number: f64,
    pub(crate) of: String,
}

/// What the rounds said of one of those that were compared; no rounds, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) rounds: Vec<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<String>,
}

/// What a side's median is to be; or the median of its ratio to another side, round by round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Goal {
    pub(crate) of: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) against: Option<String>,
    pub(crate) bound: Bound,
}

/// Where the good values lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    Below(f64),
    AtMost(f64),
    AtLeast(f64),
    Exactly(f64),
}

/// What became of a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// There is nothing to judge: a side is missing.
    Unknown,
}

/// The least, the middle one and the greatest of some rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Middle {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

/// All that a scenario has to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Findings {
    pub(crate) title: String,
    pub(crate) measurements: Vec<Measurement>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) plots: Vec<Plot>,
    /// Sentences below the table: what was left out in this run, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

impl Findings {
    pub(crate) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), measurements: Vec::new(), plots: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn add(&mut self, measurement: Measurement) {
        self.measurements.push(measurement);
    }

    pub(crate) fn plot(&mut self, plot: Plot) {
        self.plots.push(plot);
    }

    pub(crate) fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }
}

impl Measurement {
    /// A measurement without sides yet; `ours` and `beside` add them, a number for each round.
    pub(crate) fn new(what: &str, unit: Unit) -> Self {
        Self { what: what.to_owned(), unit, at: None, sides: Vec::new(), goals: Vec::new() }
    }

    /// The size at which this one was made, such as 100,000 keys. Measurements that share `what`
    /// and differ in it are rows beneath each other, and the points of a curve.
    pub(crate) fn at(mut self, number: usize, of: &str) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "sizes are round numbers below a billion")]
        let number = number as f64;
        self.at = Some(Size { number, of: of.to_owned() });
        self
    }

    pub(crate) fn ours(self, rounds: impl Into<Vec<f64>>) -> Self {
        self.beside(OURS, rounds)
    }

    /// A side besides ours, with as many rounds as it has.
    pub(crate) fn beside(mut self, name: &str, rounds: impl Into<Vec<f64>>) -> Self {
        self.sides.push(Side { name: name.to_owned(), rounds: rounds.into(), missing: None });
        self
    }

    /// A side that could not be measured, and why.
    pub(crate) fn missing(mut self, name: &str, why: impl Into<String>) -> Self {
        self.sides.push(Side { name: name.to_owned(), rounds: Vec::new(), missing: Some(why.into()) });
        self
    }

    /// What our median is to be.
    pub(crate) fn goal(self, bound: Bound) -> Self {
        self.goal_of(OURS, bound)
    }

    /// What the median of one side is to be.
    pub(crate) fn goal_of(mut self, side: &str, bound: Bound) -> Self {
        self.goals.push(Goal { of: side.to_owned(), against: None, bound });
        self
    }

    /// What ours ÷ this side is to be, in the median of the rounds.
    pub(crate) fn ratio(self, against: &str, bound: Bound) -> Self {
        self.ratio_of(OURS, against, bound)
    }

    /// What one side ÷ another is to be, in the median of the rounds.
    pub(crate) fn ratio_of(mut self, side: &str, against: &str, bound: Bound) -> Self {
        self.goals.push(Goal { of: side.to_owned(), against: Some(against.to_owned()), bound });
        self
    }

    pub(crate) fn side(&self, name: &str) -> Option<&Side> {
        self.sides.iter().find(|side| side.name == name)
    }

    /// What a goal speaks of: a side's rounds, or ratios of two sides, each within one round. None
    /// if a side is missing, if one has other rounds than the other, or if there is nothing to divide by.
    pub(crate) fn judged(&self, goal: &Goal) -> Option<Middle> {
        let rounds = &self.side(&goal.of)?.rounds;
        let Some(against) = &goal.against else { return Middle::of(rounds) };
        let against = &self.side(against)?.rounds;
        if rounds.len() != against.len() {
            return None;
        }
        let ratios: Vec<f64> = rounds.iter().zip(against).map(|(ours, theirs)| ours / theirs).collect();
        Middle::of(&ratios)
    }

    pub(crate) fn verdict(&self, goal: &Goal) -> Verdict {
        match self.judged(goal) {
            None => Verdict::Unknown,
            // What must never be otherwise is judged by every round, and not by most of them.
            Some(found) if matches!(goal.bound, Bound::Exactly(_)) => {
                if goal.bound.holds(found.least) && goal.bound.holds(found.most) {
                    Verdict::Met
                } else {
                    Verdict::Missed
                }
            }
            Some(found) if goal.bound.holds(found.median) => Verdict::Met,
            Some(_) => Verdict::Missed,
        }
    }
}

impl Bound {
    pub(crate) fn holds(self, value: f64) -> bool {
        match self {
            Self::Below(bound) => value < bound,
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
            Self::Exactly(bound) => (value - bound).abs() < f64::EPSILON,
        }
    }

    pub(crate) fn number(self) -> f64 {
        let (Self::Below(bound) | Self::AtMost(bound) | Self::AtLeast(bound) | Self::Exactly(bound)) = self;
        bound
    }
}

impl Middle {
    /// Of an even number of rounds, the mean of the two in the middle. None of no rounds, and of
    /// rounds that are no numbers.
    pub(crate) fn of(rounds: &[f64]) -> Option<Self> {
        if rounds.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sorted = rounds.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let upper = sorted.len() / 2;
        let lower = (sorted.len() - 1) / 2;
        Some(Self { least, median: f64::midpoint(sorted[lower], sorted[upper]), most })
    }
}
