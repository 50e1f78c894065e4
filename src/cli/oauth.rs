//! `oauth`: the login service's users and keys, for its administrator.
//!
//! Works on the database itself, beside a service that runs or not. With SQLite it must be the
//! service's user: another's files beside the database would shut the service out.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{Uid, User};
use serde::Serialize;

use crate::clock::Clock;
use crate::config::oauth::OAuthSettings;
use crate::config::serve::LoadedServe;
use crate::config::{Environment, ServeConfig, Service, ServiceSet};
use crate::model::AppId;
use crate::services::database::{Database, Place};
use crate::services::oauth::SCHEMA;
use crate::services::oauth::assertion::{Assertions, Revoke};
use crate::services::oauth::records::sql::SqlRecords;
use crate::services::oauth::users::{OpenId, Users};

use super::confirm::{Agreed, confirm};
use super::error::CliError;
use super::output::{Form, Output};
use super::words;

/// What can be done about logins.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Say how many people have logged in, by account; with APPID and OPENID what is known of one
    Users(UsersArgs),
    /// Print all that is known of everybody, a line of JSON each
    Export,
    /// Delete what is known of a person, and end their sessions
    Delete(DeleteArgs),
    /// Make a new key for assertions; the old ones go when nobody needs them any more
    RotateKey(RotateArgs),
    /// Seal everything that is kept for long with the first seal key, so that others can be removed
    Reseal,
    /// Remove logins and sessions that have ended; the service does it every minute
    Sweep,
}

/// What `oauth users` takes.
#[derive(Debug, clap::Args)]
pub(super) struct UsersArgs {
    /// The account
    #[arg(requires = "openid")]
    appid: Option<AppId>,
    /// The person there
    openid: Option<OpenId>,
}

/// What `oauth delete` takes.
#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// The account
    appid: AppId,
    /// The person there
    openid: OpenId,
    /// The whole person, in every account
    #[arg(long)]
    person: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// What `oauth rotate-key` takes.
#[derive(Debug, clap::Args)]
pub(super) struct RotateArgs {
    /// Drop all old keys at once: when one may be known to others
    #[arg(long)]
    revoke: bool,
}

/// What the commands work on.
struct Store {
    settings: OAuthSettings,
    database: Database,
    users: Users,
}

pub(super) async fn run(
    command: Command,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    let store = Store::open(config, env).await?;
    let done = match command {
        Command::Users(UsersArgs { appid: Some(appid), openid: Some(openid) }) => {
            one(&store, &appid, &openid, out).await
        }
        Command::Users(UsersArgs { .. }) => counts(&store, out).await,
        Command::Export => export(&store, out).await,
        Command::Delete(args) => delete(&store, &args, out).await,
        Command::RotateKey(args) => rotate(&store, &args, out).await,
        Command::Reseal => reseal(&store, out).await,
        Command::Sweep => sweep(&store, out).await,
    };
    store.database.close().await;
    done
}

impl Store {
    async fn open(config: &Path, env: &Environment) -> Result<Self, CliError> {
        let wanted = ServiceSet::from([Service::OAuth]);
        let LoadedServe { config, warnings: _ } = ServeConfig::load(config, env, &wanted)?;
        let settings = config.oauth.expect("a section that was asked for is there, or an error");
        if let Place::Sqlite(path) = &settings.database {
            as_its_owner(path)?;
        }
        let database = Database::new(&settings.database, &SCHEMA)?;
        database.prepare().await?;
        let users = Users::new(database.clone(), settings.seal.clone());
        Ok(Self { settings, database, users })
    }

    fn assertions(&self) -> Assertions {
        let (seal, base) = (self.settings.seal.clone(), self.settings.site.base().clone());
        Assertions::new(self.database.clone(), seal, base, self.settings.assertion_life, Clock::system())
    }
}

/// SQLite makes files beside the database, for whoever runs it.
fn as_its_owner(path: &Path) -> Result<(), CliError> {
    let Ok(meta) = path.metadata() else {
        return Err(CliError::NoDatabase(path.to_owned()));
    };
    let (owner, ours) = (Uid::from_raw(meta.uid()), Uid::effective());
    if owner == ours {
        return Ok(());
    }
    let name = User::from_uid(owner).ok().flatten().map_or_else(|| owner.to_string(), |user| user.name);
    Err(CliError::Usage(format!(
        "{} is {name}'s: run it as that user: runuser -u {name} -- zhongkong oauth …",
        path.display()
    )))
}

async fn one(store: &Store, appid: &AppId, openid: &OpenId, out: Output) -> Result<(), CliError> {
    match store.users.find(appid, openid).await? {
        Some(user) => out.text(&user.to_json()),
        None => Err(CliError::NoUser),
    }
}

async fn counts(store: &Store, out: Output) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Count {
        appid: String,
        users: u64,
        last_seen: String,
    }
    let counts: Vec<Count> = store
        .users
        .counts()
        .await?
        .into_iter()
        .map(|(appid, users, last)| Count { appid, users, last_seen: last.to_string() })
        .collect();
    out.result(&counts, |_| {
        let mut text = String::new();
        for Count { appid, users, last_seen } in &counts {
            let users = words::count(usize::try_from(*users).unwrap_or(usize::MAX), "user");
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{appid}: {users}, the last login at {last_seen}");
        }
        if counts.is_empty() { "Nobody has logged in yet.".to_owned() } else { text }
    })
}

async fn export(store: &Store, out: Output) -> Result<(), CliError> {
    let mut after = None;
    loop {
        let (users, next) = store.users.page(after.as_ref()).await?;
        let lines: String = users.iter().map(|user| user.to_json() + "\n").collect();
        out.text(&lines)?;
        if next.is_none() {
            return Ok(());
        }
        after = next;
    }
}

async fn delete(store: &Store, args: &DeleteArgs, out: Output) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Deleted {
        deleted: u64,
    }
    let DeleteArgs { appid, openid, person, yes } = args;
    let whom = if *person { " and of the same person in every other account" } else { "" };
    let question =
        format!("What is known of {openid} in {appid}{whom} will be deleted, and their sessions end.");
    confirm(Agreed::by(*yes), &question)?;
    let deleted = if *person {
        store.users.delete_person(appid, openid).await?
    } else {
        u64::from(store.users.delete(appid, openid).await?)
    };
    if deleted == 0 {
        return Err(CliError::NoUser);
    }
    out.result(&Deleted { deleted }, |_| {
        let accounts = words::count(usize::try_from(deleted).unwrap_or(usize::MAX), "account");
        format!("Deleted what is known of them in {accounts}. Their sessions have ended.")
    })
}

async fn rotate(store: &Store, args: &RotateArgs, out: Output) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Made {
        kid: String,
        signs_from: String,
        dropped: u64,
    }
    let revoke = if args.revoke { Revoke::Now } else { Revoke::InTime };
    let rotated = store.assertions().rotate(revoke).await?;
    let signs_from = rotated.signs_from.to_string();
    let made = Made { kid: rotated.kid, signs_from, dropped: rotated.dropped };
    out.result(&made, |_| {
        let Made { kid, signs_from, dropped } = &made;
        let dropped = words::count(usize::try_from(*dropped).unwrap_or(usize::MAX), "old key");
        format!("Key {kid} is published now and signs from {signs_from}; {dropped} dropped.")
    })
}

async fn reseal(store: &Store, out: Output) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Resealed {
        profiles: u64,
        keys: u64,
    }
    let done = Resealed { profiles: store.users.reseal().await?, keys: store.assertions().reseal().await? };
    let first = store.settings.seal.active().map_or_else(String::new, ToString::to_string);
    out.result(&done, |_| {
        let Resealed { profiles, keys } = &done;
        let profiles = words::count(usize::try_from(*profiles).unwrap_or(usize::MAX), "profile");
        let keys = words::count(usize::try_from(*keys).unwrap_or(usize::MAX), "key");
        format!(
            "Sealed {profiles} and {keys} anew with {first}. The others may go when the sessions of now have ended, \
             after session_life."
        )
    })
}

async fn sweep(store: &Store, out: Output) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Swept {
        swept: u64,
    }
    let (database, seal) = (store.database.clone(), store.settings.seal.clone());
    let swept = SqlRecords::new(database, seal, Clock::system()).sweep().await?;
    match out.form {
        Form::Json => out.document(&Swept { swept }),
        Form::Human => {
            let records = words::count(usize::try_from(swept).unwrap_or(usize::MAX), "record");
            out.text(&format!("Removed {records} of logins and sessions that had ended."))
        }
    }
}
