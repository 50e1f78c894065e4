//! `doctor`: is the world as the daemon needs it, and if not, what to do.
//!
//! One file per group of checks: each looks, then judges what it saw by a pure function that
//! has the table of its cases. Every look has a limit of time and they run side by side, so
//! that all is said within some 20 s; the order of the lines is fixed. Nothing is changed, and
//! no value or secret is shown. It works with and without a running daemon, and with a broken
//! configuration as far as that can be read.
//!
//! The one thing that WeChat counts is the stable call for each account (see [`accounts`]).

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::config::survey::{Callback, Parts, Survey};
use crate::config::{Config, ConfigError, Environment};
use crate::hub::AccountSettings;
use crate::model::{AppId, Key, Kind};
use crate::secret::Secret;

use super::connection::Connection;
use super::error::CliError;
use super::output::Output;
use super::setup::fits_together;

mod accounts;
mod admin;
mod budget;
mod business;
mod callback;
mod daemon;
mod files;
mod finding;
mod http;
mod machine;
mod memcached;
mod service;
mod setting;
mod upstream;

use accounts::Asked;
use daemon::{Holder, View};
use finding::{Finding, Group, Summary};
use service::Service;
use upstream::Way;

/// Limit for all looks at files: a network disk that is gone answers never.
const DISK: Duration = Duration::from_secs(5);
/// Where systemd puts the credentials of the packaged unit; only root and the service see it.
const CREDENTIALS: &str = "/run/credentials/zhongkong.service";

/// What `doctor` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 nothing failed (there may be warnings), 1 something failed, 2 the configuration is not right.

The check of the secrets makes one stable normal call per account. WeChat counts it among the stable calls, \
of which it grants 500,000 a day; it kills no token: it brings the stable token that is there, and classic \
tokens live apart from it.

Run it as root: only root can look at every file, and the daemon's user is judged apart.")]
pub(super) struct Args {
    /// Ask WeChat only about this account; may be repeated
    #[arg(long = "account", value_name = "APPID")]
    accounts: Vec<AppId>,
    /// Ask about every account; without it about the first 20
    #[arg(long, conflicts_with = "accounts")]
    all: bool,
    /// Do not ask WeChat whether it accepts the secrets
    #[arg(long)]
    no_secret_check: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Which accounts WeChat is to be asked about, as it was typed.
enum Choice {
    /// As many as one screen holds.
    First,
    /// Every one.
    All,
    /// The named ones.
    These(Vec<AppId>),
    /// None.
    None,
}

impl Choice {
    /// The callbacks that are asked for; those of the chosen accounts where any are named.
    fn callbacks<'a>(&self, all: &'a [Callback]) -> Vec<&'a Callback> {
        match self {
            Self::First | Self::None => all.iter().take(accounts::BY_DEFAULT).collect(),
            Self::All => all.iter().collect(),
            Self::These(wanted) => {
                let is = |callback: &&Callback| wanted.iter().any(|appid| appid.as_str() == callback.appid);
                all.iter().filter(is).collect()
            }
        }
    }
}

/// Which accounts WeChat is asked about.
enum Ask<'a> {
    These(Vec<&'a AccountSettings>),
    None,
}

impl Args {
    fn choice(&self) -> Choice {
        let Self { accounts, all, no_secret_check, connection: _ } = self;
        match (no_secret_check, all, accounts.as_slice()) {
            (true, _, _) => Choice::None,
            (false, true, _) => Choice::All,
            (false, false, []) => Choice::First,
            (false, false, accounts) => Choice::These(accounts.to_vec()),
        }
    }
}

/// The document. Its fields stay; later versions add some.
#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    config: &'a Path,
    version: &'static str,
    checked_at: String,
    /// This machine's address as WeChat named it, if it did.
    seen_ip: Option<IpAddr>,
    summary: Summary,
    findings: &'a [Finding],
}

pub(super) async fn run(args: Args, path: &Path, out: Output, env: &Environment) -> Result<(), CliError> {
    let clock = Clock::system();
    let own = env;
    let env = &if Path::new(CREDENTIALS).is_dir() {
        env.clone().or("CREDENTIALS_DIRECTORY", CREDENTIALS)
    } else {
        env.clone()
    };
    let survey = Survey::read(path, env);
    let unfit = match &survey {
        Ok(survey) if survey.errors.is_empty() => unfit(path, env),
        Ok(_) | Err(_) => None,
    };
    let valid = unfit.is_none() && survey.as_ref().is_ok_and(|survey| survey.errors.is_empty());
    let Seen { mut findings, seen_ip } = match survey {
        Ok(survey) => {
            let business = business::findings(path, &survey, own, &clock);
            let (seen, business) =
                tokio::join!(Box::pin(examine(args, &survey, unfit, env, &clock)), Box::pin(business));
            let mut seen = seen?;
            seen.findings.extend(business);
            seen
        }
        Err(error) => without_configuration(args, &error, env).await,
    };
    // Within a group the order is that of the checks.
    findings.sort_by_key(|finding| finding.group);
    let summary = Summary::of(&findings);
    let document = Document {
        ok: summary.fail == 0,
        config: path,
        version: env!("CARGO_PKG_VERSION"),
        checked_at: clock.wall().to_string(),
        seen_ip,
        summary,
        findings: &findings,
    };
    out.result(&document, |colour| finding::page(&findings, colour))?;
    match (valid, summary.fail) {
        (false, _) => Err(CliError::TOLD_WRONG),
        (true, 0) => Ok(()),
        (true, _) => Err(CliError::TOLD_FAILED),
    }
}

/// Everything that was found.
struct Seen {
    findings: Vec<Finding>,
    seen_ip: Option<IpAddr>,
}

/// What only the parts themselves can say about a valid configuration.
fn unfit(path: &Path, env: &Environment) -> Option<String> {
    // It was valid a moment ago; what was changed since is the next run's business.
    let loaded = Config::load(path, env).ok()?;
    fits_together(&loaded.config).err().map(|error| super::chain(&error))
}

async fn without_configuration(args: Args, error: &ConfigError, env: &Environment) -> Seen {
    let fix = "--config or ZHONGKONG_CONFIG names the file; the daemon's user must be able to read it";
    let unread = Finding::fail(Group::Configuration, "file", super::chain(error), fix);
    let (mut findings, view) = daemon::ask(args.connection, None, None, env).await;
    findings.insert(0, unread);
    if let View::Listed(_, listed) = &view {
        findings.extend(budget::told(&listed.keys));
    }
    Seen { findings, seen_ip: None }
}

async fn examine(
    args: Args,
    survey: &Survey,
    unfit: Option<String>,
    env: &Environment,
    clock: &Clock,
) -> Result<Seen, CliError> {
    let choice = args.choice();
    let Args { connection, accounts: _, all: _, no_secret_check: _ } = args;
    let mut findings = setting::findings(survey, unfit, clock.wall());
    let parts = survey.parts.as_ref();
    let (ask, skipped) = choose(parts, &choice)?;
    findings.extend(skipped);
    let holder = parts.and_then(|parts| Holder::of(&parts.daemon.state_dir));
    let disk = on_disk(survey, holder);
    let daemon = async {
        let (mut found, view) = daemon::ask(connection, parts.map(|parts| &parts.grpc), holder, env).await;
        match (&view, parts) {
            (View::Listed(_, listed), Some(parts)) => {
                found.extend(admin::findings(parts.admin.listen, clock).await);
                found.extend(budget::told(&listed.keys));
            }
            (View::Listed(_, listed), None) => found.extend(budget::told(&listed.keys)),
            (View::Mute | View::Away, Some(parts)) => {
                found.extend(budget::looked_up(&parts.daemon.state_dir, &parts.accounts, clock).await);
            }
            (View::Mute | View::Away, None) => {}
        }
        (found, view)
    };
    let upstream = upstream(parts, ask, clock);
    let copies = async {
        match parts {
            Some(parts) => memcached::findings(&parts.mirror, clock).await,
            None => Vec::new(),
        }
    };
    let callbacks = parts.map(|parts| choice.callbacks(&parts.callbacks)).unwrap_or_default();
    let from_here = join_all(callbacks.iter().map(|callback| callback::from_here(callback, clock)));
    let (disk, (daemon, view), (upstream, way, asked), copies, from_here) =
        tokio::join!(disk, daemon, upstream, copies, from_here);
    let Asked { findings: secrets, tokens, seen_ip } = asked;
    for part in [disk, daemon, upstream, secrets, copies] {
        findings.extend(part);
    }
    let from_wechat = join_all(callbacks.iter().map(async |callback| {
        match (&way, token(callback, &tokens, &view).await) {
            (Way::Open(wechat), Some(token)) => callback::from_wechat(wechat, callback, &token).await,
            (Way::Open(_) | Way::Closed, _) => callback::not_asked(callback),
        }
    }));
    for (from_wechat, from_here) in from_wechat.await.into_iter().zip(from_here) {
        findings.push(from_wechat);
        findings.extend(from_here);
    }
    Ok(Seen { findings, seen_ip })
}

/// Looks at files on a thread of its own, which may hang where a task must not.
async fn on_disk(survey: &Survey, holder: Option<Holder>) -> Vec<Finding> {
    let state_dir: Option<PathBuf> = survey.parts.as_ref().map(|parts| parts.daemon.state_dir.clone());
    let survey = survey.clone();
    let mut thread = JoinSet::new();
    thread.spawn_blocking(move || {
        let user = survey.parts.as_ref().and_then(|parts| parts.daemon.user.as_deref());
        let service = Service::of(user, state_dir.as_deref());
        let mut found = files::findings(&survey.files, survey.parts.as_ref(), &service);
        if let Some(user) = user.filter(|user| !service::exists(user)) {
            let detail = format!("there is no user {user}, as daemon.user wants");
            let fix = format!("useradd --system --no-create-home {user}, or correct daemon.user");
            found.push(Finding::fail(Group::Files, "user", detail, fix));
        }
        if let Some(dir) = &state_dir {
            found.extend(machine::findings(dir, holder.as_ref()));
        }
        found
    });
    if let Ok(Some(Ok(found))) = timeout(DISK, thread.join_next()).await {
        return found;
    }
    let detail = format!("the file system did not answer within {} s", DISK.as_secs());
    let fix = "look at dmesg and at network disks: mount, df";
    vec![Finding::fail(Group::Files, "modes", detail, fix)]
}

/// Which accounts to ask about, and what there is to say about the others.
fn choose<'a>(parts: Option<&'a Parts>, choice: &Choice) -> Result<(Ask<'a>, Vec<Finding>), CliError> {
    let listed = parts.map_or(&[][..], |parts| parts.accounts.as_slice());
    let mut said = accounts::modes(listed);
    let unread = parts.map_or(0, |parts| parts.listed_accounts.saturating_sub(parts.accounts.len()));
    if unread > 0 {
        let count = super::words::count(unread, "account");
        let fix = "correct the configuration first";
        said.push(Finding::warn(Group::Accounts, "unread", format!("{count} could not be read"), fix));
    }
    let chosen: Vec<_> = match choice {
        Choice::All => listed.iter().collect(),
        Choice::First => listed.iter().take(accounts::BY_DEFAULT).collect(),
        Choice::These(wanted) => {
            if let Some(strange) = wanted.iter().find(|appid| !listed.iter().any(|one| one.appid == **appid))
            {
                let rule = "the configuration has no usable account with this appid";
                return Err(CliError::Usage(format!("--account {strange}: {rule}")));
            }
            listed.iter().filter(|account| wanted.contains(&account.appid)).collect()
        }
        Choice::None => {
            let advice = "run it without --no-secret-check";
            said.push(Finding::ok(Group::Accounts, "secret", "not asked for").advice(advice));
            return Ok((Ask::None, said));
        }
    };
    if chosen.len() < listed.len() {
        let detail = format!("{} of {} accounts are asked about", chosen.len(), listed.len());
        said.push(Finding::ok(Group::Accounts, "chosen", detail).advice("--all asks about every one"));
    }
    Ok((Ask::These(chosen), said))
}

async fn upstream(parts: Option<&Parts>, ask: Ask<'_>, clock: &Clock) -> (Vec<Finding>, Way, Asked) {
    let Some(settings) = parts.and_then(|parts| parts.wechat.as_ref()) else {
        return (Vec::new(), Way::Closed, Asked::default());
    };
    let (found, way) = upstream::findings(settings, clock).await;
    let asked = match (&way, ask) {
        (_, Ask::None) => Asked::default(),
        (Way::Open(wechat), Ask::These(accounts)) => accounts::ask(wechat, &accounts).await,
        (Way::Closed, Ask::These(accounts)) if accounts.is_empty() => Asked::default(),
        (Way::Closed, Ask::These(_)) => {
            let detail = "not known: WeChat cannot be asked";
            let fix = "mend the way to WeChat first";
            let finding = Finding::warn(Group::Accounts, "secret", detail, fix);
            Asked { findings: vec![finding], ..Asked::default() }
        }
    };
    (found, way, asked)
}

/// A token of the account: from the check of its secret, or from the daemon.
async fn token(callback: &Callback, tokens: &[(AppId, Secret)], view: &View) -> Option<Secret> {
    let appid: AppId = callback.appid.parse().ok()?;
    if let Some((_, token)) = tokens.iter().find(|(of, _)| *of == appid) {
        return Some(token.clone());
    }
    let View::Listed(session, _) = view else { return None };
    let key = Key::new(appid, Kind::AccessToken);
    session.client.get(&key, Duration::ZERO).await.ok()?.value
}
