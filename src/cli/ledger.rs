//! `ledger forget-values`: the deliberate way on when a seal key is lost.

use std::path::Path;

use serde::Serialize;

use crate::config::{Config, Environment};
use crate::daemon;
use crate::ledger::seal::Keys;
use crate::ledger::sqlite;

use super::confirm::{Agreed, confirm};
use super::error::CliError;
use super::output::Output;
use super::words;

/// What can be done with the ledger.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Drop every stored value, and nothing else: when the key that seals them is lost. The next
    /// start fetches each credential once; budgets and pauses stay
    ForgetValues(ForgetArgs),
}

/// What `ledger forget-values` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ForgetArgs {
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Forgotten<'a> {
    ledger: &'a Path,
    forgotten: u64,
}

pub(super) async fn run(
    command: Command,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    let Command::ForgetValues(ForgetArgs { yes }) = command;
    let config = Config::load(config, env)?.config;
    // Nothing is opened, so no seal key is needed: the configured ones may be the lost ones.
    let settings = sqlite::Settings {
        path: config.daemon.state_dir.join(daemon::LEDGER_FILE),
        seal: Keys::none(),
        max_bytes: config.daemon.ledger_max_bytes,
    };
    // Looked for first: forgetting would make an empty one.
    if !settings.path.exists() {
        return Err(CliError::NoLedger(settings.path));
    }
    let question = format!(
        "Every value stored in {} will be dropped, and each credential fetched anew at the next start.",
        settings.path.display()
    );
    confirm(Agreed::by(yes), &question)?;
    let forgotten = sqlite::forget_values(&settings)
        .await
        .map_err(|source| CliError::Ledger { dir: config.daemon.state_dir.clone(), source })?;
    out.result(&Forgotten { ledger: &settings.path, forgotten }, |_| {
        let values = words::count(usize::try_from(forgotten).unwrap_or(usize::MAX), "value");
        format!("Forgot {values}. Start the daemon: it fetches what it needs.")
    })
}
