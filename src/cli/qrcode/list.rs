//! `qrcode list`.

use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::account::Whose;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::words;
use crate::config::Environment;
use crate::services::qrcode::{Code, Shown};

use super::{CodeDocument, Desk, make};

/// What `qrcode list` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Also temporary ones that have ended
    #[arg(long)]
    all: bool,
    /// At most so many, the newest first
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    limit: u32,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Serialize)]
struct Document<'a> {
    appid: &'a str,
    codes: Vec<CodeDocument>,
    /// Permanent codes that WeChat may have made.
    permanent_used: u32,
    /// Of these, questions whose answer was lost.
    permanent_unsure: u32,
    permanent_limit: u32,
    permanent_reserve: u32,
    /// Temporary ones that work now.
    temporary: u32,
}

pub(super) async fn run(args: Args, config: &Path, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { all, limit, whose } = args;
    let desk = Desk::open(whose, config, env).await?;
    let shown = if all { Shown::All } else { Shown::Working };
    let codes = desk.codes.list(shown, limit).await.map_err(desk.failed())?;
    let count = desk.codes.count().await.map_err(desk.failed())?;
    let limits = desk.codes.limits();
    let document = Document {
        appid: &desk.appid,
        codes: codes.iter().map(|code| desk.document(code)).collect(),
        permanent_used: count.permanent,
        permanent_unsure: count.unsure,
        permanent_limit: limits.permanent,
        permanent_reserve: limits.reserve,
        temporary: count.temporary,
    };
    out.result(&document, |_| {
        let mut text = String::new();
        if !codes.is_empty() {
            text = format!("{}\n\n", table(&desk, &codes));
        }
        format!("{text}{} {} temporary ones work.", make::used(&desk, count), count.temporary)
    })
}

fn table(desk: &Desk, codes: &[Code]) -> Table {
    let now = desk.clock.wall();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["SCENE", "KIND", "LIFE", "MADE", "ENDS", "URL", "NOTE"]);
    for code in codes {
        let ends = match code.ends {
            None => "never".to_owned(),
            Some(ends) if code.works(now) => words::until(now, ends),
            Some(ends) => words::ago(now, ends),
        };
        table.add_row([
            words::plain(&code.scene.to_string()),
            code.scene.kind().to_owned(),
            code.life.as_str().to_owned(),
            code.made.to_string(),
            ends,
            words::plain(&code.url),
            words::plain(&code.note),
        ]);
    }
    table
}
