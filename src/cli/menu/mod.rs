//! `menu`: the account's menu as a file.
//!
//! What is printed to stdout is the result; differences that are asked about, warnings and
//! questions go to stderr, so that `--yes --json` is for scripts and the rest for people.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::Environment;
use crate::process::privileges::current_user;
use crate::services::menu::{self, Problem, Read};

use super::error::CliError;
use super::output::{Output, note};

mod account;
mod history;
mod push;
mod shown;
mod view;

use super::account::Whose;

/// What can be done about menus.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  zhongkong menu validate menu.toml
  zhongkong menu pull --account shop --out menu.toml
  zhongkong menu diff menu.toml --account shop
  zhongkong menu push menu.toml --account shop --yes

FILE is menu.toml or WeChat's JSON; docs/menus.md says what stands in it. The account is one of the daemon's, by \
its appid or its name; where the daemon has one only, it is that.")]
pub(super) enum Command {
    /// Say everything that is wrong with a file; needs neither daemon nor WeChat
    Validate {
        /// The file; - for stdin
        file: PathBuf,
    },
    /// Draw a menu as the phone shows it: a file's, or the live one
    Show(view::ShowArgs),
    /// Say what a push of the file would change; exit code 1 if it would change anything
    Diff(push::DiffArgs),
    /// Make the file's menus live: validated, shown, confirmed; conditional menus after the default one
    Push(push::PushArgs),
    /// Write the live menus as a file, also those that were made in WeChat's console
    Pull(view::PullArgs),
    /// List every push: what, who, when, why; with a number, draw what was pushed
    History(history::Args),
    /// Make the menus of an earlier push live again
    Rollback(push::RollbackArgs),
    /// Remove all menus of the account
    Delete(push::DeleteArgs),
    /// Show which menu a user sees
    Try(view::TryArgs),
}

pub(super) async fn run(
    command: Command,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    match command {
        Command::Validate { file } => validate(&file, out),
        Command::Show(args) => view::show(args, config, out, env).await,
        Command::Diff(args) => push::diff(args, config, out, env).await,
        Command::Push(args) => push::push(args, config, out, env).await,
        Command::Pull(args) => view::pull(args, config, out, env).await,
        Command::History(args) => history::run(args, config, out, env).await,
        Command::Rollback(args) => push::rollback(args, config, out, env).await,
        Command::Delete(args) => push::delete(args, config, out, env).await,
        Command::Try(args) => view::try_user(args, config, out, env).await,
    }
}

/// Who changes the menu, and why: for the history.
#[derive(Debug, clap::Args)]
struct Why {
    /// Why, for the history
    #[arg(short = 'm', long, value_name = "TEXT", default_value = "")]
    why: String,
    /// Who, for the history; the user of this machine by default
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
}

impl Why {
    /// Who and why.
    fn given(self, env: &Environment) -> (String, String) {
        let Self { why, who } = self;
        // Behind sudo stands a person.
        let user = || env.get("SUDO_USER").map_or_else(current_user, str::to_owned);
        (who.filter(|who| !who.is_empty()).unwrap_or_else(user), why)
    }
}

/// A problem as a document.
#[derive(Serialize)]
struct Found {
    place: String,
    line: Option<usize>,
    message: String,
}

impl From<&Problem> for Found {
    fn from(problem: &Problem) -> Self {
        let Problem { place, line, message } = problem.clone();
        Self { place, line, message }
    }
}

fn found(problems: &[Problem]) -> Vec<Found> {
    problems.iter().map(Found::from).collect()
}

#[derive(Serialize)]
struct Validated {
    ok: bool,
    buttons: usize,
    conditional: usize,
    warnings: Vec<Found>,
    problems: Vec<Found>,
}

fn validate(file: &Path, out: Output) -> Result<(), CliError> {
    let document = match read(file) {
        Ok(Read { menus, warnings }) => Validated {
            ok: true,
            buttons: menus.default.buttons.len(),
            conditional: menus.conditional.len(),
            warnings: found(&warnings),
            problems: Vec::new(),
        },
        Err(CliError::Menu { path: _, problems }) if out.form == super::output::Form::Json => Validated {
            ok: false,
            buttons: 0,
            conditional: 0,
            warnings: Vec::new(),
            problems: found(&problems),
        },
        Err(error) => return Err(error),
    };
    out.result(&document, |_| {
        for warning in &document.warnings {
            note(&format!("warning: {}: {}", warning.place, warning.message));
        }
        format!(
            "ok: {}, {}",
            super::words::count(document.buttons, "button"),
            super::words::count(document.conditional, "conditional menu")
        )
    })?;
    if document.ok { Ok(()) } else { Err(CliError::TOLD_WRONG) }
}

/// A file that WeChat would take.
fn read(file: &Path) -> Result<Read, CliError> {
    let unusable = |why: std::io::Error| CliError::File { path: file.to_owned(), why: why.to_string() };
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map_err(unusable)?;
        bytes
    } else {
        std::fs::read(file).map_err(unusable)?
    };
    menu::read(&bytes).map_err(|problems| CliError::Menu { path: file.to_owned(), problems })
}

/// Says what is odd, to whoever looks on.
fn warn(warnings: &[Problem]) {
    for warning in warnings {
        note(&format!("warning: {warning}"));
    }
}
