//! What the message service would serve.

use std::path::PathBuf;

use serde::Serialize;
use url::Position;

use crate::clock::Clock;
use crate::config::messages::{CallbackSettings, ForwardSettings, MessagesSettings};
use crate::launch::services::check::writable;
use crate::services::messages::envelope::Mode;
use crate::services::messages::log::LogError;
use crate::services::messages::rules::Beside;

use super::build::{Forwarders, Live, summary};
use super::error::MessagesError;

/// What would be served.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedMessages {
    /// The accounts, in the order of the file.
    pub accounts: Vec<ServedAccount>,
    /// The file of the rules.
    pub rules_file: Option<PathBuf>,
    /// Its rules, in the order in which they are asked.
    pub rules: Vec<ServedRule>,
    /// The business programs, in the order of the file.
    pub programs: Vec<ServedProgram>,
}

/// An account.
#[derive(Clone, Debug, Serialize)]
pub struct ServedAccount {
    /// Where WeChat posts to: `/wechat/shop`.
    pub path: String,
    /// Whose it is.
    pub appid: String,
    /// As in WeChat's console.
    pub mode: &'static str,
    /// Who gets what no rule answers.
    pub forward: Option<String>,
}

/// A rule.
#[derive(Clone, Debug, Serialize)]
pub struct ServedRule {
    /// Where it begins in the file.
    pub line: usize,
    /// `rule 3 "hours"`, or `fallback`.
    pub name: String,
}

/// A business program.
#[derive(Clone, Debug, Serialize)]
pub struct ServedProgram {
    /// Its name in rules and accounts.
    pub name: String,
    /// Where it is, without the query, which may hold a key.
    pub url: String,
}

/// Makes what a start would make, with its summary: "2 accounts, 5 rules, 1 program".
pub(in crate::launch::services) fn check(
    settings: &MessagesSettings,
) -> Result<(String, CheckedMessages), MessagesError> {
    let live = Live::new(settings, &Forwarders::new(), &Beside::default(), &Clock::system())?;
    if let Some(log) = &settings.log {
        writable(&log.path).map_err(|source| LogError::Open { path: log.path.clone(), source })?;
    }
    let book = live.rules.map(|(rules, _)| rules.book());
    let rules = book.iter().flat_map(|book| book.names());
    let rules: Vec<_> = rules.map(|(line, name)| ServedRule { line, name: name.to_owned() }).collect();
    let summary = summary(live.table.accounts(), book.as_ref().map(|book| book.len()), live.forwarders.len());
    let checked = CheckedMessages {
        accounts: settings.accounts.iter().map(ServedAccount::of).collect(),
        rules_file: settings.rules.clone(),
        rules,
        programs: settings.forwards.iter().map(ServedProgram::of).collect(),
    };
    Ok((summary, checked))
}

impl ServedAccount {
    fn of(settings: &CallbackSettings) -> Self {
        Self {
            path: format!("/wechat/{}", settings.account.path),
            appid: settings.account.appid.as_str().to_owned(),
            mode: match settings.mode {
                Mode::Plain => "plain",
                Mode::Compatible => "compatible",
                Mode::Safe => "safe",
            },
            forward: settings.forward.clone(),
        }
    }
}

impl ServedProgram {
    fn of(settings: &ForwardSettings) -> Self {
        let ForwardSettings { name, url, .. } = settings;
        Self { name: name.clone(), url: url[..Position::AfterPath].to_owned() }
    }
}
