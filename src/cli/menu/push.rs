//! What changes the live menus: `push`, `delete`; and `diff`, which says what a push would do.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::confirm::{Agreed, confirm};
use crate::cli::error::CliError;
use crate::cli::output::{Colour, Form, Output, note};
use crate::cli::words;
use crate::config::Environment;
use crate::services::menu::{Diff, Menus, Plan, Read, Step, Stopped};

use super::account::Desk;
use super::{Whose, read, shown, warn};

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
    whose: Whose,
}

/// What `menu delete` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DeleteArgs {
    /// Do not ask
    #[arg(long)]
    yes: bool,
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
    let desk = whose.open(config, env).await?;
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
    let PushArgs { file, yes, whose } = args;
    let Read { menus, warnings } = read(&file)?;
    warn(&warnings);
    let desk = whose.open(config, env).await?;
    make_live(&desk, &menus, &file, Agreed::by(yes), out).await
}

/// Shows, asks, and does.
async fn make_live(
    desk: &Desk,
    menus: &Menus,
    file: &Path,
    agreed: Agreed,
    out: Output,
) -> Result<(), CliError> {
    let live = desk.menus.live().await.map_err(desk.failed())?;
    let diff = Diff::between(&live.menus(), menus);
    let plan =
        Plan::of(&live, menus).map_err(|problems| CliError::Menu { path: file.to_owned(), problems })?;
    let appid = desk.menus.appid().as_str();
    if plan.steps().is_empty() {
        let document =
            Pushed { appid, changed: false, diff: &diff, done: Vec::new(), unlike: Diff::default() };
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
    let done = plan.perform(&desk.menus).await.map_err(|stopped| half_way(desk, menus, *stopped))?;
    let now = desk.menus.live().await.map_err(desk.failed())?;
    let unlike = Diff::between(&now.menus(), menus);
    let steps = done.iter().map(Step::to_string).collect();
    let document = Pushed { appid, changed: true, diff: &diff, done: steps, unlike };
    out.result(&document, |colour| {
        let mut text = format!(
            "Pushed to {} in {}. Phones show it within five minutes; to see it at once, unfollow the account and \
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
fn half_way(desk: &Desk, menus: &Menus, stopped: Stopped) -> CliError {
    let Stopped { done, at, left, why, live } = stopped;
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
            let diff = Diff::between(&live.menus(), menus);
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
    let DeleteArgs { yes, whose } = args;
    let desk = whose.open(config, env).await?;
    let live = desk.menus.live().await.map_err(desk.failed())?;
    let appid = desk.menus.appid().as_str();
    if live.menus() == Menus::default() {
        let document = Deleted { appid, deleted: false };
        return out.result(&document, |_| format!("{} has no menu.", desk.called));
    }
    let conditional = match live.conditional.len() {
        0 => String::new(),
        count => format!(" and {}", words::count(count, "conditional menu")),
    };
    let question = format!("This removes the default menu{conditional} of {}.", desk.called);
    confirm(Agreed::by(yes), &question)?;
    desk.menus.delete().await.map_err(desk.failed())?;
    let document = Deleted { appid, deleted: true };
    out.result(&document, |_| format!("Removed all menus of {}.", desk.called))
}
