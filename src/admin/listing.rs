//! Which keys are on a page, and how many there are of each sort.
//!
//! One pass over all keys where they lie; what is kept of those that match is a rank and a
//! handle, and only the page's own keys are described ([`super::row`]). Who may not see a key
//! does not count it either.

use std::cmp::Ordering;

use serde::Serialize;

use crate::access::{Action, Caller};
use crate::clock::BootTime;
use crate::hub::{self, Hub};
use crate::model::Key;
use crate::refresh::handle::Handle;
use crate::refresh::view::{Next, ProblemClass, State, View};

use super::query::{PAGE, Query, Show, Sort};
use super::row::Row;

/// Whose eyes look.
#[derive(Clone, Debug)]
pub(super) enum Eyes {
    /// Anybody's: all is shown.
    Everything,
    /// A client's: what it has the action `status` for.
    Granted(Caller),
}

impl Eyes {
    /// Whether they see this key.
    pub(super) fn see(&self, key: &Key) -> bool {
        match self {
            Self::Everything => true,
            Self::Granted(caller) => caller.may(Action::Status, key.appid.as_str(), key.kind),
        }
    }
}

/// How many keys there are. Each is fresh, degraded or without a value; the others count besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    pub(super) all: usize,
    pub(super) fresh: usize,
    pub(super) degraded: usize,
    pub(super) no_value: usize,
    pub(super) operator: usize,
    pub(super) paused: usize,
    pub(super) problems: usize,
}

/// The keys of one page.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listing {
    pub(super) totals: Totals,
    /// Keys that match, on all pages.
    pub(super) matches: usize,
    /// The page shown, from 1; less than asked for if there are not so many.
    pub(super) page: usize,
    pub(super) pages: usize,
    pub(super) rows: Vec<Row>,
}

/// How a key is, as far as filters and the order ask.
#[derive(Clone, Copy)]
struct Standing {
    value: ValueState,
    operator: bool,
    paused: bool,
    trouble: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ValueState {
    Fresh,
    Degraded,
    Missing,
}

impl Standing {
    fn of(view: &View, now: BootTime) -> Self {
        let value = match view.good(now).map(|good| good.state) {
            Some(State::Fresh | State::Refreshing) => ValueState::Fresh,
            Some(State::Degraded(_)) => ValueState::Degraded,
            None => ValueState::Missing,
        };
        Self {
            value,
            operator: view.problem.as_deref().is_some_and(|problem| problem.class == ProblemClass::Operator),
            paused: matches!(view.next, Next::Paused(_)),
            trouble: view.problem.is_some(),
        }
    }

    fn is_problem(self) -> bool {
        self.value != ValueState::Fresh || self.operator || self.paused || self.trouble
    }

    fn is(self, show: Show) -> bool {
        match show {
            Show::All => true,
            Show::Problems => self.is_problem(),
            Show::Fresh => self.value == ValueState::Fresh,
            Show::Degraded => self.value == ValueState::Degraded,
            Show::NoValue => self.value == ValueState::Missing,
            Show::Operator => self.operator,
            Show::Paused => self.paused,
        }
    }

    /// What comes first is smallest: who waits for a person, then who is without a value.
    fn rank(self) -> u8 {
        match self {
            Self { operator: true, .. } => 0,
            Self { value: ValueState::Missing, .. } => 1,
            Self { value: ValueState::Degraded, .. } => 2,
            Self { paused: true, .. } => 3,
            Self { trouble: true, .. } => 4,
            Self { value: ValueState::Fresh, .. } => 5,
        }
    }

    fn count(self, totals: &mut Totals) {
        totals.all += 1;
        match self.value {
            ValueState::Fresh => totals.fresh += 1,
            ValueState::Degraded => totals.degraded += 1,
            ValueState::Missing => totals.no_value += 1,
        }
        totals.operator += usize::from(self.operator);
        totals.paused += usize::from(self.paused);
        totals.problems += usize::from(self.is_problem());
    }
}

/// A key that matches.
struct Found {
    rank: u8,
    dies: BootTime,
    handle: Handle,
}

/// The page that is asked for, as it is now.
pub(super) fn list(hub: &Hub, query: &Query, eyes: &Eyes) -> Listing {
    let now = hub.clock().boot();
    let mut totals = Totals::default();
    let mut found = Vec::new();
    hub::survey(hub, |handle, name| {
        let key = handle.key();
        if !eyes.see(key) {
            return;
        }
        let view = handle.view();
        let standing = Standing::of(&view, now);
        standing.count(&mut totals);
        if standing.is(query.show) && matches(query, key, name) {
            let dies = if view.value.is_some() { view.dead_by } else { BootTime::FAR };
            found.push(Found { rank: standing.rank(), dies, handle: handle.clone() });
        }
    });
    let matches = found.len();
    let pages = matches.div_ceil(PAGE).max(1);
    let page = query.page.min(pages);
    let shown = nth_page(found, page, query.sort);
    let rows = shown.iter().map(|handle| Row::of(hub, handle, now)).collect();
    Listing { totals, matches, page, pages, rows }
}

fn matches(query: &Query, key: &Key, name: Option<&str>) -> bool {
    let Query { show: _, kind, search, sort: _, page: _, lang: _ } = query;
    let has = |text: &str| text.to_lowercase().contains(search.as_str());
    kind.is_none_or(|kind| kind == key.kind)
        && (search.is_empty() || has(key.appid.as_str()) || name.is_some_and(has))
}

/// The handles of one page in their order. What lies before and behind it is not sorted.
fn nth_page(mut found: Vec<Found>, page: usize, sort: Sort) -> Vec<Handle> {
    let order = |a: &Found, b: &Found| -> Ordering {
        let names = || a.handle.key().cmp(b.handle.key());
        match sort {
            Sort::Urgency => (a.rank, a.dies).cmp(&(b.rank, b.dies)).then_with(names),
            Sort::Name => names(),
        }
    };
    let first = (page - 1) * PAGE;
    if first > 0 && first < found.len() {
        found.select_nth_unstable_by(first, order);
    }
    let mut rest = found.split_off(first.min(found.len()));
    if rest.len() > PAGE {
        rest.select_nth_unstable_by(PAGE, order);
        rest.truncate(PAGE);
    }
    rest.sort_unstable_by(order);
    rest.into_iter().map(|found| found.handle).collect()
}
