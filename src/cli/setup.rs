//! Commands that need no daemon: `check-config`, `new-client`, `completions`.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use serde::Serialize;

use crate::config::new_client::NewClient;
use crate::config::{self, Config, ConfigError, Environment, Loaded, Problem};
use crate::{daemon, grpc, launch};

use super::error::CliError;
use super::output::{Form, Output, note};
use super::{Cli, words};

/// What `new-client` takes.
#[derive(Debug, clap::Args)]
pub(super) struct NewClientArgs {
    /// The program's name, as it will stand in logs
    name: String,
}

/// What `completions` takes.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    config: &'a Path,
    accounts: usize,
    clients: usize,
    warnings: Vec<Found>,
    problems: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    line: Option<usize>,
    key: String,
    message: String,
}

impl From<&Problem> for Found {
    fn from(problem: &Problem) -> Self {
        let Problem { line, key, message } = problem;
        Self { line: *line, key: key.clone(), message: message.clone() }
    }
}

pub(super) fn check_config(path: &Path, out: Output, env: &Environment) -> Result<(), CliError> {
    let (loaded, wrong) = match Config::load(path, env) {
        Ok(loaded) => match fits_together(&loaded.config)
            .and_then(|()| Ok(launch::check_as_user(path, env, &loaded.config)?))
        {
            Ok(()) => (Some(loaded), None),
            Err(error) => (Some(loaded), Some(error)),
        },
        Err(error) => (None, Some(CliError::from(error))),
    };
    let warnings = loaded.as_ref().map(|loaded| loaded.warnings.as_slice()).unwrap_or_default();
    let (accounts, clients) = loaded.as_ref().map_or((0, 0), counts);
    match (out.form, wrong) {
        (Form::Json, wrong) => {
            let document = Checked {
                ok: wrong.is_none(),
                config: path,
                accounts,
                clients,
                warnings: warnings.iter().map(Found::from).collect(),
                problems: wrong.as_ref().map(problems).unwrap_or_default(),
            };
            out.document(&document)?;
            wrong.map_or(Ok(()), |_| Err(CliError::TOLD_WRONG))
        }
        (Form::Human, wrong) => {
            for warning in warnings {
                note(&format!("warning: {warning}"));
            }
            match wrong {
                Some(error) => Err(error),
                None => out.text(&format!(
                    "ok: {}, {}",
                    words::count(accounts, "account"),
                    words::count(clients, "client")
                )),
            }
        }
    }
}

/// What only the parts themselves can say about their settings.
pub(super) fn fits_together(config: &Config) -> Result<(), CliError> {
    grpc::check(&config.grpc)?;
    daemon::check_layouts(config)?;
    daemon::ledger_settings(config)?;
    Ok(())
}

fn counts(loaded: &Loaded) -> (usize, usize) {
    (loaded.config.accounts.len(), loaded.config.grpc.clients.len())
}

fn problems(error: &CliError) -> Vec<Found> {
    match error {
        CliError::Config(ConfigError::Invalid { problems, .. }) => problems.iter().map(Found::from).collect(),
        other => vec![Found { line: None, key: String::new(), message: super::chain(other) }],
    }
}

#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    token: &'a str,
    stanza: &'a str,
}

pub(super) fn new_client(args: &NewClientArgs, out: Output) -> Result<(), CliError> {
    let NewClientArgs { name } = args;
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(CliError::Usage("a client needs a name in one line: it stands in logs".to_owned()));
    }
    let NewClient { token, stanza } = config::new_client::new_client(name);
    let document = Made { name, token: token.expose(), stanza: &stanza };
    out.result(&document, |_| {
        format!(
            "The bearer token of {name}, shown this once and stored nowhere:\n\n    {}\n\n\
             Give it to {name} alone. Add this to the configuration and send the daemon HUP:\n\n{stanza}",
            token.expose()
        )
    })
}

pub(super) fn completions(args: &CompletionsArgs, out: Output) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "zhongkong", &mut script);
    out.text(&String::from_utf8_lossy(&script))
}
