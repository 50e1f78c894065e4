//! The account's menus on the operator's desk: with their history, and what it has to say first.

use std::path::Path;

use crate::cli::account::{Opened, Whose, make_place};
use crate::cli::error::CliError;
use crate::cli::output::note;
use crate::cli::words;
use crate::clock::Clock;
use crate::config::Environment;
use crate::services::business::SCHEMA;
use crate::services::database::{Database, Place};
use crate::services::menu::{AccountMenus, Entry, History, MenuError, PushError, Pushes, Settled, Verdict};

use super::push::half_way;

/// An account that was found.
pub(super) struct Desk {
    pub(super) menus: AccountMenus,
    /// Its history. Nothing is made or opened before it is used.
    pub(super) pushes: Pushes,
    database: Place,
    /// `shop (wx1)`, or the appid alone.
    pub(super) called: String,
}

impl Desk {
    /// Connects, finds the account, and says how a push ended that was cut off.
    pub(super) async fn open(whose: Whose, config: &Path, env: &Environment) -> Result<Self, CliError> {
        let Opened { api, appid, called, tools } = whose.open(config, env).await?;
        let menus = AccountMenus::new(api, appid);
        let history = History::new(Database::new(&tools.database, &SCHEMA)?, Clock::system());
        let pushes = Pushes::new(menus.clone(), history);
        let desk = Self { menus, pushes, database: tools.database, called };
        if desk.database_exists() {
            desk.settle().await?;
        }
        Ok(desk)
    }

    /// Makes sure of the history before WeChat is called.
    pub(super) async fn keep_history(&self) -> Result<(), CliError> {
        make_place(&self.database);
        self.pushes.prepare().await?;
        Ok(())
    }

    /// Whether there is a history to look into: looking makes none.
    fn database_exists(&self) -> bool {
        match &self.database {
            Place::Sqlite(path) => path.exists(),
            Place::Postgres(_) => true,
        }
    }

    /// Says how a push ended whose process died before it could.
    async fn settle(&self) -> Result<(), CliError> {
        let Some(Settled { entry, verdict }) = self.pushes.settle().await.map_err(self.unpushed())? else {
            return Ok(());
        };
        let Entry { number, who, began, .. } = entry;
        let ended = match verdict {
            Verdict::Live => "WeChat has it: it is live, and is noted as such".to_owned(),
            Verdict::Untouched => "WeChat does not have it: what was live before still is".to_owned(),
            Verdict::HalfWay => {
                "what is live is neither it nor what was before: push it again, or go back with `zhongkong menu \
                 rollback`"
                    .to_owned()
            }
        };
        note(&format!(
            "{number} of {}, by {}, {began}, was cut off before its end was written down: {ended}",
            self.called,
            words::plain(&who)
        ));
        Ok(())
    }

    /// What a push came to, as a failure of the command.
    pub(super) fn unpushed(&self) -> impl Fn(PushError) -> CliError + '_ {
        |error| match error {
            PushError::Menu(source) => self.failed()(source),
            PushError::History(source) => CliError::History(Box::new(source)),
            PushError::Unrecorded { number, source } => {
                CliError::Unrecorded { number, source: Box::new(source) }
            }
            PushError::Stopped(stopped) => half_way(self, *stopped),
        }
    }

    pub(super) fn failed(&self) -> impl Fn(MenuError) -> CliError + '_ {
        |source| CliError::Menus { called: self.called.clone(), source: Box::new(source) }
    }
}
