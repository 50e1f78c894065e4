//! How the keys are: what readiness and the service manager's status line ask after each change.

use std::sync::Arc;

use crate::model::Key;
use crate::refresh::handle::NoValue;
use crate::refresh::view::{Next, Problem, ProblemClass, View};

use super::{Hub, survey};
use crate::clock::BootTime;

/// How many keys are how, and which of them comes first.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    /// All keys.
    pub keys: usize,
    /// Those without a value.
    pub missing: usize,
    /// The first of them.
    pub first: Option<(Key, NoValue)>,
    /// Those that have a good value, and nothing is wrong.
    pub fresh: usize,
    /// Those that an operator paused.
    pub paused: usize,
    /// Those with a concern; [`Concern`] counts each key once.
    pub concerns: [usize; Concern::ALL.len()],
    /// The first key of the gravest concern.
    pub worst: Option<Worst>,
}

/// What is wrong with a key, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// An operator must act, whether there is still a good value or not.
    NeedsOperator,
    /// There is no value, and it comes by itself.
    WithoutValue,
    /// There is a good value with a reservation: its renewal fails, or the ledger.
    Degraded,
}

impl Concern {
    /// All of them, the gravest first.
    pub const ALL: [Self; 3] = [Self::NeedsOperator, Self::WithoutValue, Self::Degraded];
}

/// The first key of the gravest concern.
#[derive(Clone, Debug)]
pub struct Worst {
    /// How grave.
    pub concern: Concern,
    /// Which key.
    pub key: Key,
    /// What is known about it.
    pub problem: Option<Arc<Problem>>,
}

/// How many keys have a value now.
pub fn stock(hub: &Hub) -> Stock {
    let mut stock = Stock::default();
    let now = hub.clock().boot();
    survey(hub, |handle, _| stock.add(&handle.view(), now));
    stock
}

impl Stock {
    /// How many keys have this concern.
    pub fn with(&self, concern: Concern) -> usize {
        self.concerns[concern as usize]
    }

    fn add(&mut self, view: &View, now: BootTime) {
        self.keys += 1;
        let good = view.good(now).is_some();
        if !good {
            self.missing += 1;
            if self.first.as_ref().is_none_or(|(first, _)| view.key < *first) {
                self.first = Some((view.key.clone(), view.no_value(now)));
            }
        }
        let operator = view.problem.as_ref().is_some_and(|problem| problem.class == ProblemClass::Operator);
        let concern = match view.next {
            Next::Paused(_) => {
                self.paused += 1;
                return;
            }
            Next::At(_) | Next::ParentMissing | Next::Removed if operator => Concern::NeedsOperator,
            Next::At(_) | Next::ParentMissing | Next::Removed if !good => Concern::WithoutValue,
            Next::At(_) | Next::ParentMissing | Next::Removed if view.degraded.is_some() => Concern::Degraded,
            Next::At(_) | Next::ParentMissing | Next::Removed => {
                self.fresh += 1;
                return;
            }
        };
        self.concerns[concern as usize] += 1;
        let graver = |worst: &Worst| (concern, &view.key) < (worst.concern, &worst.key);
        if self.worst.as_ref().is_none_or(graver) {
            self.worst = Some(Worst { concern, key: view.key.clone(), problem: view.problem.clone() });
        }
    }
}
