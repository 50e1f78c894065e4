//! What changes the live menus: `push`, `delete`; and `diff`, which says what a push would do.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::confirm::{Agreed, confirm};
use crate::cli::error::CliError;
use crate::cli::output::{Colour, Form, Output, note};
use crate::cli::words;
use crate::config::Environment;
use crate::services::menu::{Diff, Kind, Menus, New, Number, Plan, Read, Step, Stopped};

use super::account::Desk;
use super::{Whose, Why, read, shown, warn};

/// What `menu diff` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DiffArgs {
    /// The file; - for stdin
    file: PathBuf,
    #[command(flatten)]
    whose: Whose,
}

/// What `menu push` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PushArgs {
    /// The file; - for stdin
    file: PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    reason: Why,
    #[command(flatten)]
    whose: Whose,
}

/// What `menu rollback` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RollbackArgs {
    /// The number of the push in `menu history`
    #[arg(value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    number: i64,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    reason: Why,
    #[command(flatten)]
    whose: Whose,
}

/// What `menu delete` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DeleteArgs {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    reason: Why,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Serialize)]
struct Differing<'a> {
    appid: &'a str,
    equal: bool,
    diff: &'a Diff,
}

pub(super) async fn diff(
    args: DiffArgs,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    let DiffArgs { file, whose } = args;
    let Read { menus, warnings } = read(&file)?;
    warn(&warnings);
    let desk = Desk::open(whose, config, env).await?;
    let live = desk.menus.live().await.map_err(desk.failed())?;
    let diff = Diff::between(&live.menus(), &menus);
    let equal = diff.is_empty();
    let document = Differing { appid: desk.menus.appid().as_str(), equal, diff: &diff };
    out.result(&document, |colour| {
        if equal {
            return format!("The live menus of {} are those of the file.", desk.called);
        }
        shown::diff(&diff, colour)
    })?;
    if equal { Ok(()) } else { Err(CliError::TOLD_FAILED) }
}

/// What a push came to.
#[derive(Serialize)]
struct Pushed<'a> {
    appid: &'a str,
    /// Whether anything was changed.
    changed: bool,
    /// The push's number in the history; null where nothing was changed.
    number: Option<i64>,
    diff: &'a Diff,
    /// The calls that were made, in words.
    done: Vec<String>,
    /// What WeChat has otherwise than it was told; empty if all is well.
    unlike: Diff,
}

pub(super) async fn push(
    args: PushArgs,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    let PushArgs { file, yes, reason, whose } = args;
    let Read { menus, warnings } = read(&file)?;
    warn(&warnings);
    let desk = Desk::open(whose, config, env).await?;
    let (who, why) = reason.given(env);
    let new = New { kind: Kind::Push, back_to: None, who, why };
    make_live(&desk, &menus, &file, &new, Agreed::by(yes), out).await
}

pub(super) async fn rollback(
    args: RollbackArgs,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    let RollbackArgs { number, yes, reason, whose } = args;
    let desk = Desk::open(whose, config, env).await?;
    desk.keep_history().await?;
    let number = Number(number);
    let entry = desk.pushes.entry(number).await?;
    let entry = entry.ok_or_else(|| {
        CliError::Usage(format!("{} has no {number}: `zhongkong menu history` lists them", desk.called))
    })?;
    entry.way_back().map_err(|why| CliError::Usage(format!("there is no way back to {number}: {why}")))?;
    let (who, why) = reason.given(env);
    let new = New { kind: Kind::Rollback, back_to: Some(number), who, why };
    let called = PathBuf::from(number.to_string());
    let (menus, notes) = entry.settable();
    warn(&notes);
    make_live(&desk, &menus, &called, &new, Agreed::by(yes), out).await
}

/// Shows, asks, and does.
async fn make_live(
    desk: &Desk,
    menus: &Menus,
    file: &Path,
    new: &New,
    agreed: Agreed,
    out: Output,
) -> Result<(), CliError> {
    desk.keep_history().await?;
    let mut seen = desk.pushes.look().await.map_err(desk.unpushed())?;
    let diff = Diff::between(&seen.live().menus(), menus);
    let plan = Plan::of(seen.live(), menus)
        .map_err(|problems| CliError::Menu { path: file.to_owned(), problems })?;
    let appid = desk.menus.appid().as_str();
    if plan.steps().is_empty() {
        let document = Pushed {
            appid,
            changed: false,
            number: None,
            diff: &diff,
            done: Vec::new(),
            unlike: Diff::default(),
        };
        return out.result(&document, |_| {
            format!("Nothing to push: the live menus of {} are those of the file.", desk.called)
        });
    }
    if out.form == Form::Human || agreed == Agreed::Ask {
        note(shown::diff(&diff, Colour::Off).trim_end());
        if diff.is_empty() {
            note("The same menus, but the default one was made in WeChat's console: it becomes a program's.");
        }
    }
    confirm(agreed, &format!("This changes what users of {} see.", desk.called))?;
    if let Some(found) = desk.pushes.note_found(&mut seen).await.map_err(desk.unpushed())? {
        note(&format!("What was live was not pushed from here; it is kept as {found}."));
    }
    let (number, done) = desk.pushes.push(&plan, new, &seen).await.map_err(desk.unpushed())?;
    let now = desk.menus.live().await.map_err(desk.failed())?;
    let unlike = Diff::between(&now.menus(), menus);
    let steps = done.iter().map(Step::to_string).collect();
    let document = Pushed { appid, changed: true, number: Some(number.0), diff: &diff, done: steps, unlike };
    out.result(&document, |colour| {
        let mut text = format!(
            "Pushed to {} in {}, as {number}. Phones show it within five minutes; to see it at once, unfollow the account and \
             follow it again.",
            desk.called,
            words::count(done.len(), "call")
        );
        if !document.unlike.is_empty() {
            text.push_str("\nWeChat took it and has something else all the same; a push would change:\n");
            text.push_str(&shown::diff(&document.unlike, colour));
        }
        text
    })
}

/// A push that stopped, in words: what was done, what is live, and the ways on.
pub(super) fn half_way(desk: &Desk, stopped: Stopped) -> CliError {
    let Stopped { before: _, wanted, done, at, left, why, live } = stopped;
    let mut said = Vec::new();
    match done.as_slice() {
        [] => said.push("nothing was done before it".to_owned()),
        done => said.push(format!("done before it: {}", listed(done))),
    }
    if !left.is_empty() {
        said.push(format!("not done: {}", listed(&left)));
    }
    match &live {
        Err(_) => said.push(
            "what is live now cannot be asked; `zhongkong menu show` tells when WeChat answers again"
                .to_owned(),
        ),
        Ok(live) => {
            let diff = Diff::between(&live.menus(), &wanted);
            if diff.is_empty() {
                said.push("what is live now is the file's menus, all the same".to_owned());
            } else {
                let diff = shown::diff(&diff, Colour::Off).trim_end().replace('\n', "\n    ");
                said.push(format!("live now is the file's, but for this:\n    {diff}"));
            }
        }
    }
    CliError::HalfWay { called: desk.called.clone(), at: Box::new(at), said, source: Box::new(why) }
}

fn listed(steps: &[Step]) -> String {
    steps.iter().map(Step::to_string).collect::<Vec<_>>().join("; ")
}

#[derive(Serialize)]
struct Deleted<'a> {
    appid: &'a str,
    deleted: bool,
}

pub(super) async fn delete(
    args: DeleteArgs,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    let DeleteArgs { yes, reason, whose } = args;
    let desk = Desk::open(whose, config, env).await?;
    desk.keep_history().await?;
    let mut seen = desk.pushes.look().await.map_err(desk.unpushed())?;
    let appid = desk.menus.appid().as_str();
    if seen.live().menus() == Menus::default() {
        let document = Deleted { appid, deleted: false };
        return out.result(&document, |_| format!("{} has no menu.", desk.called));
    }
    let conditional = match seen.live().conditional.len() {
        0 => String::new(),
        count => format!(" and {}", words::count(count, "conditional menu")),
    };
    let question = format!("This removes the default menu{conditional} of {}.", desk.called);
    confirm(Agreed::by(yes), &question)?;
    let found = desk.pushes.note_found(&mut seen).await.map_err(desk.unpushed())?;
    let (who, why) = reason.given(env);
    let new = New { kind: Kind::Delete, back_to: None, who, why };
    let before = desk.pushes.current().await?.map(|entry| entry.number);
    desk.pushes.delete(&new, &seen).await.map_err(desk.unpushed())?;
    let document = Deleted { appid, deleted: true };
    out.result(&document, |_| {
        let back =
            found.or(before).map(|number| format!(" The way back: `zhongkong menu rollback {}`.", number.0));
        format!("Removed all menus of {}.{}", desk.called, back.unwrap_or_default())
    })
}
