//! From the live menus to a file's, in the fewest calls and in an order that harms nobody.
//!
//! WeChat replaces the default menu at a stroke and has no change of conditional ones: they are
//! added and removed. So the default menu comes first, because the others need one; then the new
//! conditional menus, which users see at once because WeChat asks the last one first; then the
//! old ones go. Menus that stay the same are not touched. When it stops half-way, users see old or
//! new menus and nobody sees none, and a second push does only what is left.

use std::fmt;

use crate::services::wechat_api::ApiError;

use super::account::{AccountMenus, MenuError};
use super::answer::{Live, Maker};
use super::button::{Conditional, MatchRule, Menus};
use super::check::check;
use super::problem::Problem;

/// Conditional menus that an account keeps at once; old and new ones count together.
const TOGETHER: usize = 20;

/// One call of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Makes the default menu.
    Create,
    /// Adds a conditional menu.
    Add {
        /// Its number in the file, from 0.
        nth: usize,
        /// Whom it is for.
        rule: MatchRule,
    },
    /// Removes a conditional menu.
    Remove {
        /// WeChat's number of it.
        menuid: String,
        /// Whom it was for.
        rule: MatchRule,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create => f.write_str("make the default menu"),
            Self::Add { nth, rule } => write!(f, "add conditional[{nth}] ({rule})"),
            Self::Remove { menuid, rule } => write!(f, "remove the old conditional menu {menuid} ({rule})"),
        }
    }
}

/// The calls that make these menus live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    before: Menus,
    wanted: Menus,
    known: Vec<String>,
    steps: Vec<Step>,
}

/// A push that stopped.
#[derive(Debug, thiserror::Error)]
#[error("the push stopped: it could not {at}")]
pub struct Stopped {
    /// What was live before it.
    pub before: Menus,
    /// What was to be live.
    pub wanted: Menus,
    /// What was done, in order.
    pub done: Vec<Step>,
    /// What could not be done.
    pub at: Step,
    /// What would have come after it.
    pub left: Vec<Step>,
    /// Why.
    #[source]
    pub why: MenuError,
    /// What is live now, as far as WeChat tells.
    pub live: Result<Live, MenuError>,
}

impl Stopped {
    /// Whether all is as it was before: no call was carried out.
    pub fn changed_nothing(&self) -> bool {
        let first = self.done.is_empty();
        match &self.why {
            // The call may have been carried out; only what is live tells.
            MenuError::Api(ApiError::Lost(_)) | MenuError::Answer(_) => {
                first && self.live.as_ref().is_ok_and(|live| live.menus() == self.before)
            }
            MenuError::Api(_) => first,
        }
    }
}

impl Plan {
    /// What there is to do.
    ///
    /// # Errors
    /// WeChat would refuse the menus: everything that is wrong with them.
    pub fn of(live: &Live, wanted: &Menus) -> Result<Self, Vec<Problem>> {
        let found = check(wanted);
        if !found.errors.is_empty() {
            return Err(found.errors);
        }
        let mut steps = Vec::new();
        if live.maker != Maker::Program || live.default != wanted.default {
            steps.push(Step::Create);
        }
        // Those behind the first difference have another place in the order, which is their age.
        let same = live.conditional.iter().zip(&wanted.conditional);
        let kept = same.take_while(|(live, wanted)| live.conditional == **wanted).count();
        let mut added: Vec<Step> = (kept..wanted.conditional.len())
            .filter_map(|nth| Some(Step::Add { nth, rule: wanted.conditional.get(nth)?.rule.clone() }))
            .collect();
        let mut removed: Vec<Step> = live
            .conditional
            .iter()
            .skip(kept)
            .map(|old| Step::Remove { menuid: old.menuid.clone(), rule: old.conditional.rule.clone() })
            .collect();
        if live.conditional.len() + added.len() > TOGETHER {
            steps.append(&mut removed);
            steps.append(&mut added);
        } else {
            steps.append(&mut added);
            steps.append(&mut removed);
        }
        let known = live.conditional.iter().map(|old| old.menuid.clone()).collect();
        Ok(Self { before: live.menus(), wanted: wanted.clone(), known, steps })
    }

    /// What is to be live after it.
    pub fn wanted(&self) -> &Menus {
        &self.wanted
    }

    /// The calls, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Makes the calls. Dropped midway, it may have been stopped after any of them.
    ///
    /// # Errors
    /// It stopped at one of them; the calls before it are done.
    pub async fn perform(&self, account: &AccountMenus) -> Result<Vec<Step>, Box<Stopped>> {
        for (nth, step) in self.steps.iter().enumerate() {
            if let Err(why) = self.one(step, account).await {
                let (done, left) = self.steps.split_at(nth);
                return Err(Box::new(Stopped {
                    before: self.before.clone(),
                    wanted: self.wanted.clone(),
                    done: done.to_vec(),
                    at: step.clone(),
                    left: left.iter().skip(1).cloned().collect(),
                    why,
                    live: account.live().await,
                }));
            }
        }
        Ok(self.steps.clone())
    }

    async fn one(&self, step: &Step, account: &AccountMenus) -> Result<(), MenuError> {
        let lost = match step {
            Step::Create => account.create(&self.wanted.default).await,
            Step::Add { nth, rule: _ } => match self.wanted.conditional.get(*nth) {
                Some(conditional) => account.add(conditional).await,
                None => Ok(()),
            },
            Step::Remove { menuid, rule: _ } => account.remove(menuid).await,
        };
        let lost = match lost {
            Ok(()) => return Ok(()),
            Err(lost @ ApiError::Lost(_)) => lost,
            Err(error) => return Err(error.into()),
        };
        // The answer was lost: WeChat itself says whether the call was carried out.
        let Ok(live) = account.live().await else { return Err(lost.into()) };
        let carried_out = match step {
            Step::Create => live.maker == Maker::Program && live.default == self.wanted.default,
            Step::Add { nth, rule: _ } => self.added(*nth, &live),
            Step::Remove { menuid, rule: _ } => live.conditional.iter().all(|left| left.menuid != *menuid),
        };
        if carried_out { Ok(()) } else { Err(lost.into()) }
    }

    /// Whether WeChat has this menu among those that were not there before the push, as often as
    /// it should by now: the file may have it twice.
    fn added(&self, nth: usize, live: &Live) -> bool {
        let Some(wanted) = self.wanted.conditional.get(nth) else { return false };
        let ours = |conditional: &&Conditional| *conditional == wanted;
        let first = self.steps.iter().find_map(|step| match step {
            Step::Add { nth, rule: _ } => Some(*nth),
            Step::Create | Step::Remove { menuid: _, rule: _ } => None,
        });
        let until = self.wanted.conditional.iter().take(nth + 1).skip(first.unwrap_or_default());
        let news = live.conditional.iter().filter(|live| !self.known.contains(&live.menuid));
        news.map(|live| &live.conditional).filter(ours).count() >= until.filter(ours).count()
    }
}
