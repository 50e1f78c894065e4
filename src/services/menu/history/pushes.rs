//! Pushes that are written down: before, after, and by the next command when nobody wrote.

use crate::failpoint;
use crate::model::{Key, Kind as Credential};
use crate::services::wechat_api::ApiError;

use super::super::account::{AccountMenus, MenuError};
use super::super::answer::{Live, Maker};
use super::super::button::Menus;
use super::super::problem::Problem;
use super::super::push::{Plan, Step, Stopped};
use super::super::selfmenu::translated;
use super::{Ending, Entry, History, HistoryError, Kind, New, Number, State};

/// The menus of one account with their history.
#[derive(Clone, Debug)]
pub struct Pushes {
    account: AccountMenus,
    history: History,
}

/// What was live when somebody looked. A push that is based on it is refused if there was another
/// one since: what was shown and agreed to would not be what happens.
#[derive(Clone, Debug)]
pub struct Seen {
    live: Live,
    last: Number,
}

impl Seen {
    /// What was live.
    pub fn live(&self) -> &Live {
        &self.live
    }
}

/// A push that a dead process had left open, and how it ended.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The push, as it is written down now.
    pub entry: Entry,
    /// What WeChat says.
    pub verdict: Verdict,
}

/// How a push had ended that nobody wrote down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is live.
    Live,
    /// What was live before it still is.
    Untouched,
    /// Something else is live: it had come half-way, or another program pushed since.
    HalfWay,
}

/// Why a push did not end well.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// It was not begun.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// WeChat did not answer a question.
    #[error(transparent)]
    Menu(#[from] MenuError),
    /// It stopped, and that is written down.
    #[error(transparent)]
    Stopped(#[from] Box<Stopped>),
    /// It is live, and the row still says that it is under way. The next command sets that right.
    #[error("{number} is live, but its end could not be written down")]
    Unrecorded {
        /// Which.
        number: Number,
        /// Why.
        source: HistoryError,
    },
}

impl Pushes {
    /// Of this account, in this history.
    pub fn new(account: AccountMenus, history: History) -> Self {
        Self { account, history }
    }

    /// The menus at WeChat.
    pub fn account(&self) -> &AccountMenus {
        &self.account
    }

    /// Makes sure of the history: without it nothing is pushed.
    pub async fn prepare(&self) -> Result<(), HistoryError> {
        self.history.prepare().await
    }

    /// The last rows, newest first.
    pub async fn list(&self, most: u32) -> Result<Vec<Entry>, HistoryError> {
        self.history.list(self.account.appid(), most).await
    }

    /// What is live, as far as is known here.
    pub async fn current(&self) -> Result<Option<Entry>, HistoryError> {
        self.history.current(self.account.appid()).await
    }

    /// One row.
    pub async fn entry(&self, number: Number) -> Result<Option<Entry>, HistoryError> {
        self.history.entry(self.account.appid(), number).await
    }

    /// Finds a push whose process died before it wrote down the end, asks WeChat how it ended, and
    /// writes that. Whoever looks at the history, or adds to it, does this first.
    pub async fn settle(&self) -> Result<Option<Settled>, PushError> {
        let appid = self.account.appid();
        let Some(open) = self.history.open(appid).await? else { return Ok(None) };
        if !self.history.is_dead(&open) {
            return Ok(None);
        }
        let live = self.account.live().await?;
        let before = self.history.current(appid).await?;
        let (verdict, end) = if is(&live, &open.menus) {
            (Verdict::Live, Ending::Done)
        } else if before.is_some_and(|before| is(&live, &before.menus)) {
            let why = "its process ended before WeChat was called, or the calls did not arrive";
            (Verdict::Untouched, Ending::Nothing(why.to_owned()))
        } else {
            (Verdict::HalfWay, Ending::HalfWay("its process ended half-way".to_owned()))
        };
        if !self.history.end(appid, open.number, end).await? {
            return Ok(None);
        }
        let entry = self.history.entry(appid, open.number).await?;
        let entry = entry.ok_or(HistoryError::Row("it has gone"))?;
        Ok(Some(Settled { entry, verdict }))
    }

    /// Looks at what is live, for a push.
    ///
    /// # Errors
    /// Also while another push is under way: what is live is neither what was nor what will be.
    pub async fn look(&self) -> Result<Seen, PushError> {
        let appid = self.account.appid();
        // In this order: one that begins in between has a higher number, and is noticed.
        let last = self.history.last(appid).await?;
        if let Some(open) = self.history.open(appid).await? {
            return Err(HistoryError::UnderWay(Box::new(open)).into());
        }
        Ok(Seen { live: self.account.live().await?, last })
    }

    /// Writes down what is live, if it is not what was pushed last: menus of WeChat's console or of
    /// another program are a row, too, so that there is a way back to them.
    pub async fn note_found(&self, seen: &mut Seen) -> Result<Option<Number>, PushError> {
        let appid = self.account.appid();
        let Seen { live, last } = seen;
        let menus = live.menus();
        let current = self.history.current(appid).await?;
        if menus == Menus::default() || current.is_some_and(|current| is(live, &current.menus)) {
            return Ok(None);
        }
        let why = match live.maker {
            Maker::Console => "live before, made in WeChat's console",
            Maker::Program | Maker::Nobody => "live before, not by a push that is written down here",
        };
        *last = self.history.found(appid, *last, stored(&menus), why).await?;
        Ok(Some(*last))
    }

    /// Makes the plan's menus live, and writes down that, who, and why.
    ///
    /// # Errors
    /// Every one but [`PushError::Unrecorded`] says that it is not wholly live.
    pub async fn push(&self, plan: &Plan, new: &New, seen: &Seen) -> Result<(Number, Vec<Step>), PushError> {
        let appid = self.account.appid();
        let number = self.history.begin(appid, seen.last, new, stored(plan.wanted())).await?;
        let key = Key::new(appid.clone(), Credential::AccessToken);
        let _ = failpoint::hit("menu.begun", &key);
        let done = plan.perform(&self.account).await;
        let _ = failpoint::hit("menu.answered", &key);
        match done {
            Ok(steps) => match self.history.end(appid, number, Ending::Done).await {
                Ok(_) => Ok((number, steps)),
                Err(source) => Err(PushError::Unrecorded { number, source }),
            },
            Err(stopped) => {
                let why = format!("{stopped}: {}", stopped.why);
                let end = if stopped.changed_nothing() { Ending::Nothing(why) } else { Ending::HalfWay(why) };
                // If this fails, too, the row stays open, and the next command finds it.
                let _ = self.history.end(appid, number, end).await;
                Err(PushError::Stopped(stopped))
            }
        }
    }

    /// Removes all menus, and writes that down.
    pub async fn delete(&self, new: &New, seen: &Seen) -> Result<Number, PushError> {
        let appid = self.account.appid();
        let number = self.history.begin(appid, seen.last, new, stored(&Menus::default())).await?;
        let done = self.account.delete().await;
        let end = match &done {
            Ok(()) => Ending::Done,
            // Whether it was carried out, WeChat itself says.
            Err(MenuError::Api(error @ ApiError::Lost(_))) => match self.account.live().await {
                Ok(live) if is(&live, &Menus::default()) => Ending::Done,
                Ok(live) if is(&live, &seen.live.menus()) => Ending::Nothing(error.to_string()),
                Ok(_) | Err(_) => Ending::HalfWay(error.to_string()),
            },
            Err(error) => Ending::Nothing(error.to_string()),
        };
        let gone = end == Ending::Done;
        let written = self.history.end(appid, number, end).await;
        if !gone {
            done?;
        }
        written.map_err(|source| PushError::Unrecorded { number, source })?;
        Ok(number)
    }
}

/// Whether these menus are live.
fn is(live: &Live, menus: &Menus) -> bool {
    live.menus() == *menus
}

fn stored(menus: &Menus) -> String {
    serde_json::to_string(menus).unwrap_or_default()
}

impl Entry {
    /// Its menus as a program may set them, and what became of buttons that were made in WeChat's
    /// console: that is what is pushed on the way back to it.
    pub fn settable(&self) -> (Menus, Vec<Problem>) {
        let (default, notes) = translated(&self.menus.default, "");
        (Menus { default, conditional: self.menus.conditional.clone() }, notes)
    }

    /// Whether there is a way back to it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn way_back(&self) -> Result<(), &'static str> {
        match (self.kind, self.state) {
            (Kind::Delete, _) => Err("it removed all menus: `zhongkong menu delete` does that"),
            (_, State::Open) => Err("it is under way"),
            // One that failed has menus all the same, and they were meant.
            (Kind::Push | Kind::Rollback | Kind::Found, State::Done | State::Failed) => Ok(()),
        }
    }
}
