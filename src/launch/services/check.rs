//! `zhongkong serve messages --check`: what a start would serve, without serving it.
//!
//! Reads what a start reads and makes what it makes, but opens no socket and no connection.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use serde::Serialize;
use url::Position;

use crate::clock::Clock;
use crate::config::messages::{CallbackSettings, ForwardSettings};
use crate::config::serve::LoadedServe;
use crate::config::{Environment, ServeConfig};
use crate::launch::error::LaunchError;
use crate::process::hardening::harden;
use crate::services::messages::envelope::Mode;
use crate::services::messages::log::LogError;
use crate::services::messages::rules::Beside;

use super::build::{Forwarders, Live, summary};
use super::error::ServicesError;

/// What would be served.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// "2 accounts, 5 rules, 1 program".
    pub summary: String,
    /// What is allowed but probably not meant.
    pub warnings: Vec<String>,
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

/// All that a start would ask of its files, and no more.
///
/// # Errors
/// It would not start.
pub fn check(path: &Path, env: &Environment) -> Result<Checked, LaunchError> {
    harden()?;
    let LoadedServe { config, warnings } = ServeConfig::load(path, env)?;
    let live = Live::new(&config.messages, &Forwarders::new(), &Beside::default(), &Clock::system())?;
    if let Some(path) = &config.serve.log.file {
        writable(path).map_err(|source| ServicesError::OwnLog { path: path.clone(), source })?;
    }
    if let Some(log) = &config.messages.log {
        let unwritable = |source| LogError::Open { path: log.path.clone(), source };
        writable(&log.path).map_err(|source| ServicesError::Log(unwritable(source)))?;
    }
    let book = live.rules.map(|(rules, _)| rules.book());
    let rules = book.iter().flat_map(|book| book.names());
    let rules: Vec<_> = rules.map(|(line, name)| ServedRule { line, name: name.to_owned() }).collect();
    let summary = summary(live.table.accounts(), book.as_ref().map(|book| book.len()), live.forwarders.len());
    let messages = config.messages;
    Ok(Checked {
        summary,
        warnings: warnings.iter().map(ToString::to_string).collect(),
        accounts: messages.accounts.iter().map(ServedAccount::of).collect(),
        rules_file: messages.rules,
        rules,
        programs: messages.forwards.iter().map(ServedProgram::of).collect(),
    })
}

/// Whether a file could be opened for writing, or made. Makes none: a check leaves nothing behind.
fn writable(path: &Path) -> io::Result<()> {
    let there = if path.exists() { path } else { path.parent().unwrap_or(Path::new("/")) };
    Ok(accessat(CWD, there, Access::WRITE_OK, AtFlags::EACCESS)?)
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
