//! `menu history`: what was pushed, by whom, when and why.

use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::error::CliError;
use crate::cli::output::{Output, Tone};
use crate::cli::words;
use crate::config::Environment;
use crate::services::menu::{self, Entry, MOST, Menus, Number};

use super::Whose;
use super::account::Desk;

/// What `menu history` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Draw the menus of this push
    #[arg(value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    number: Option<i64>,
    /// At most so many, the newest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    limit: u32,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Serialize)]
struct Document<'a> {
    appid: &'a str,
    pushes: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    number: i64,
    kind: &'static str,
    back_to: Option<i64>,
    state: &'static str,
    current: bool,
    who: &'a str,
    why: &'a str,
    began: String,
    ended: Option<String>,
    outcome: &'a str,
    menus: &'a Menus,
}

impl<'a> From<&'a Entry> for Row<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            number: entry.number.0,
            kind: entry.kind.as_str(),
            back_to: entry.back_to.map(|number| number.0),
            state: entry.state.as_str(),
            current: entry.is_current,
            who: &entry.who,
            why: &entry.why,
            began: entry.began.to_string(),
            ended: entry.ended.map(|at| at.to_string()),
            outcome: &entry.outcome,
            menus: &entry.menus,
        }
    }
}

pub(super) async fn run(args: Args, config: &Path, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { number, limit, whose } = args;
    let desk = Desk::open(whose, config, env).await?;
    desk.keep_history().await?;
    let appid = desk.menus.appid().as_str();
    if let Some(number) = number.map(Number) {
        let entry = desk.pushes.entry(number).await?.ok_or_else(|| {
            CliError::Usage(format!("{} has no {number}: `zhongkong menu history` lists them", desk.called))
        })?;
        let document = Document { appid, pushes: vec![Row::from(&entry)] };
        return out.result(&document, |colour| {
            let heading = colour.paint(Tone::Strong, &format!("{number} of {}", desk.called));
            format!(
                "{heading}\n{}\n{}",
                table(std::slice::from_ref(&entry)),
                super::view::drawn(&entry.menus, &[])
            )
        });
    }
    let entries = desk.pushes.list(limit).await?;
    let document = Document { appid, pushes: entries.iter().map(Row::from).collect() };
    out.result(&document, |_| {
        if entries.is_empty() {
            return format!("Nothing was pushed to {} from here.", desk.called);
        }
        format!("{}\n\n* is live. `zhongkong menu rollback N` makes another one live again.", table(&entries))
    })
}

fn table(entries: &[Entry]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["", "N", "WHEN", "WHAT", "HOW", "WHO", "WHY"]);
    for entry in entries {
        let what = match entry.back_to {
            Some(number) => format!("{} to {}", entry.kind.as_str(), number.0),
            None if entry.kind == menu::Kind::Delete => "delete".to_owned(),
            None => format!(
                "{}, {}",
                entry.kind.as_str(),
                words::count(1 + entry.menus.conditional.len(), "menu")
            ),
        };
        let why = if entry.outcome.is_empty() { &entry.why } else { &entry.outcome };
        table.add_row([
            if entry.is_current { "*" } else { "" }.to_owned(),
            entry.number.0.to_string(),
            entry.began.to_string(),
            what,
            entry.state.as_str().to_owned(),
            words::plain(&entry.who),
            words::plain(why),
        ]);
    }
    table
}
