//! What a key has only while something is wrong or under way: on the heap for as long.
//!
//! Of a hundred thousand keys nearly all have nothing of this at nearly every moment, so each
//! carries a pointer for it and no more. Reads as if it were always there.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::clock::BootTime;
use crate::ledger::{Call, StoredValue};
use crate::model::{Fingerprint, Generation};

use super::policy::{Failing, LastChance};
use super::view::{Foreign, Problem};

/// [`Troubles`], if there are any.
#[derive(Default)]
pub(super) struct Rare(Option<Box<Troubles>>);

/// What is wrong or under way.
pub(super) struct Troubles {
    pub(super) unknown: Option<Unknown>,
    /// The issuing call that is under way: set before it, cleared after it. Still set when a
    /// round begins, it was cut off by a panic and is of unknown outcome.
    pub(super) in_flight: Option<Call>,
    pub(super) failing: Option<Failing>,
    pub(super) problem: Option<Arc<Problem>>,
    pub(super) paused_until: Option<BootTime>,
    /// A value that the ledger does not have yet.
    pub(super) unstored: Option<Box<Unstored>>,
    /// A death that the ledger does not know of yet: a restart would serve the value again.
    pub(super) untold_death: Option<UntoldDeath>,
    /// The second call after a leak.
    pub(super) leak: Option<Leak>,
    pub(super) last_ticket_complaint: Option<BootTime>,
    pub(super) foreign: Foreign,
}

/// Issuing calls of unknown outcome since the held value's commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// When the first was sent. A retry never moves it.
    pub(super) first: BootTime,
    /// When the first forced one was sent.
    pub(super) first_forced: Option<BootTime>,
    /// From when on the last one cannot be processed any more, as far as we can tell.
    pub(super) last_ended: BootTime,
    /// The number of the last one.
    pub(super) through: Generation,
    pub(super) chance: LastChance,
}

/// A commit that the ledger still owes.
pub(super) struct Unstored {
    pub(super) call: Call,
    pub(super) value: StoredValue,
    pub(super) retry_at: BootTime,
    pub(super) tries: u32,
}

/// A value that the ledger still takes for alive.
#[derive(Clone, Copy, Debug)]
pub(super) struct UntoldDeath {
    pub(super) generation: Generation,
    pub(super) retry_at: BootTime,
}

/// A leaked value on its way to certain death.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leak {
    pub(super) leaked: Option<Fingerprint>,
    pub(super) second_at: BootTime,
}

const NONE: Troubles = Troubles {
    unknown: None,
    in_flight: None,
    failing: None,
    problem: None,
    paused_until: None,
    unstored: None,
    untold_death: None,
    leak: None,
    last_ticket_complaint: None,
    foreign: Foreign { count: 0, latest: None },
};

impl Rare {
    /// Gives the room back if there is nothing in it.
    pub(super) fn tidy(&mut self) {
        if self.0.as_deref().is_some_and(Troubles::is_nothing) {
            self.0 = None;
        }
    }
}

impl Deref for Rare {
    type Target = Troubles;

    fn deref(&self) -> &Troubles {
        static NOTHING: Troubles = NONE;
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for Rare {
    fn deref_mut(&mut self) -> &mut Troubles {
        self.0.get_or_insert_with(|| Box::new(NONE))
    }
}

impl Troubles {
    fn is_nothing(&self) -> bool {
        let Self {
            unknown,
            in_flight,
            failing,
            problem,
            paused_until,
            unstored,
            untold_death,
            leak,
            last_ticket_complaint,
            foreign,
        } = self;
        unknown.is_none()
            && in_flight.is_none()
            && failing.is_none()
            && problem.is_none()
            && paused_until.is_none()
            && unstored.is_none()
            && untold_death.is_none()
            && leak.is_none()
            && last_ticket_complaint.is_none()
            && *foreign == Foreign::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_for_as_long_as_there_is_anything_in_it() {
        let mut rare = Rare::default();
        assert!(rare.paused_until.is_none() && rare.0.is_none());
        rare.paused_until = Some(BootTime(1));
        rare.foreign.count = 1;
        rare.paused_until = None;
        rare.tidy();
        assert_eq!(rare.foreign.count, 1);
        rare.foreign = Foreign::default();
        rare.tidy();
        assert!(rare.0.is_none());
    }
}
