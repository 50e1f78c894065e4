//! What only looks: `show`, `pull`, `try`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::error::CliError;
use crate::cli::output::{Form, Output, Tone, note};
use crate::config::Environment;
use crate::services::menu::{self, Live, Menu, Menus, Problem, Read};

use super::account::Desk;
use super::{Found, Whose, found, read, warn};

/// What `menu show` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowArgs {
    /// Draw this file's menus instead of the live ones; - for stdin
    file: Option<PathBuf>,
    #[command(flatten)]
    whose: Whose,
}

/// What `menu pull` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PullArgs {
    /// Write it here instead of to stdout; a file that exists is not replaced
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    whose: Whose,
}

/// What `menu try` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TryArgs {
    /// The user: an openid of this account, or a WeChat id
    #[arg(value_name = "USER")]
    user: String,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Serialize)]
struct Shown<'a> {
    appid: Option<&'a str>,
    made_by: Option<&'static str>,
    menus: &'a Menus,
    /// WeChat's numbers of the conditional menus.
    menuids: Vec<&'a str>,
    notes: Vec<Found>,
}

pub(super) async fn show(
    args: ShowArgs,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    let ShowArgs { file, whose } = args;
    if let Some(file) = file {
        let Read { menus, warnings } = read(&file)?;
        let document =
            Shown { appid: None, made_by: None, menus: &menus, menuids: Vec::new(), notes: found(&warnings) };
        if out.form == Form::Human {
            warn(&warnings);
        }
        return out.result(&document, |_| drawn(&menus, &[]));
    }
    let desk = Desk::open(whose, config, env).await?;
    let live = desk.menus.live().await.map_err(desk.failed())?;
    let (menus, menuids) = (live.menus(), menuids(&live));
    let document = Shown {
        appid: Some(desk.menus.appid().as_str()),
        made_by: Some(live.maker.as_str()),
        menus: &menus,
        menuids: menuids.clone(),
        notes: Vec::new(),
    };
    out.result(&document, |colour| {
        let made = match live.maker {
            menu::Maker::Program => "live, made by a program",
            menu::Maker::Console => "live, made in WeChat's console",
            menu::Maker::Nobody => "no menu is live, or it is switched off in the console",
        };
        let heading = colour.paint(Tone::Strong, &format!("{}: {made}", desk.called));
        format!("{heading}\n\n{}", drawn(&menus, &menuids))
    })
}

fn menuids(live: &Live) -> Vec<&str> {
    live.conditional.iter().map(|live| live.menuid.as_str()).collect()
}

pub(super) fn drawn(menus: &Menus, menuids: &[&str]) -> String {
    let mut text = menu::draw(&menus.default, "");
    for (nth, conditional) in menus.conditional.iter().enumerate() {
        let id = menuids.get(nth).map(|id| format!(", number {id}")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(text, "\nconditional[{nth}]: {}{id}\n\n", conditional.rule);
        text.push_str(&menu::draw(&conditional.menu, &format!("conditional[{nth}].")));
    }
    text
}

pub(super) async fn pull(
    args: PullArgs,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    let PullArgs { out: file, whose } = args;
    let desk = Desk::open(whose, config, env).await?;
    let live = desk.menus.live().await.map_err(desk.failed())?;
    let (menus, notes) = live.settable();
    if menus.default.buttons.is_empty() && menus.conditional.is_empty() {
        return Err(CliError::NoMenu { called: desk.called });
    }
    let text = match out.form {
        Form::Human => menu::to_toml(&menus, &notes),
        Form::Json => serde_json::to_string(&menus).map_err(|error| CliError::Stdout(error.into()))? + "\n",
    };
    warn(&notes);
    unsettable(&menus);
    match file {
        None => out.text(&text),
        Some(path) => {
            let new = std::fs::File::options().write(true).create_new(true).open(&path);
            new.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
                let why = match error.kind() {
                    std::io::ErrorKind::AlreadyExists => {
                        "it exists, and is not replaced: choose another name, or remove it".to_owned()
                    }
                    _ => error.to_string(),
                };
                CliError::File { path: path.clone(), why }
            })?;
            note(&format!("wrote {}", path.display()));
            Ok(())
        }
    }
}

/// Says of each button that a push would not take why that is.
fn unsettable(menus: &Menus) {
    for Problem { place, line: _, message } in menu::check(menus).errors {
        note(&format!("warning: {place}: before you push this: {message}"));
    }
}

#[derive(Serialize)]
struct Tried<'a> {
    user: &'a str,
    /// The number of the conditional menu in the order of publication; null for the default one,
    /// or one that is not among the live ones.
    conditional: Option<usize>,
    is_default: bool,
    #[serde(flatten)]
    menu: &'a Menu,
}

pub(super) async fn try_user(
    args: TryArgs,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    let TryArgs { user, whose } = args;
    let desk = Desk::open(whose, config, env).await?;
    let menu = desk.menus.seen_by(&user).await.map_err(desk.failed())?;
    let live = desk.menus.live().await.map_err(desk.failed())?;
    // The last one is asked first.
    let conditional = live.conditional.iter().rposition(|live| live.conditional.menu == menu);
    let is_default = conditional.is_none() && live.default == menu;
    let document = Tried { user: &user, conditional, is_default, menu: &menu };
    out.result(&document, |colour| {
        let which = match conditional.and_then(|nth| Some((nth, live.conditional.get(nth)?))) {
            Some((nth, live)) => {
                format!("conditional[{nth}] ({}, number {})", live.conditional.rule, live.menuid)
            }
            None if is_default => "the default menu".to_owned(),
            None => "a menu that is none of the live ones: it may have changed this moment".to_owned(),
        };
        let heading = colour.paint(Tone::Strong, &format!("{user} sees {which}"));
        format!("{heading}\n\n{}", menu::draw(&menu, ""))
    })
}
