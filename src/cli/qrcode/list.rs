//! `qrcode list`.

use std::fmt::Write as _;
use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::account::Whose;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::words;
use crate::config::Environment;
use crate::services::qrcode::{Code, Counted, Scans, Shown, Stray};

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
    codes: Vec<Listed>,
    /// Permanent ones whose answer was lost, or is awaited.
    unanswered: Vec<Unanswered>,
    /// Scans of codes that are not kept here, or cannot be told apart.
    other_scans: Vec<Other>,
    /// Permanent codes that WeChat may have made.
    permanent_used: u32,
    /// Of these, questions whose answer was lost.
    permanent_unsure: u32,
    permanent_limit: u32,
    permanent_reserve: u32,
    /// Temporary ones that work now.
    temporary: u32,
}

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    code: CodeDocument,
    #[serde(flatten)]
    scans: ScansDocument,
}

#[derive(Serialize)]
struct Unanswered {
    scene: String,
    kind: &'static str,
    asked: String,
}

#[derive(Serialize)]
struct Other {
    scene: String,
    #[serde(flatten)]
    scans: ScansDocument,
}

/// How often a code was scanned, as a document.
#[derive(Serialize)]
pub(super) struct ScansDocument {
    scans: u64,
    /// Of these, the ones that made somebody follow the account.
    follows: u64,
    first_scan: Option<String>,
    last_scan: Option<String>,
}

impl From<Scans> for ScansDocument {
    fn from(scans: Scans) -> Self {
        let Scans { count, follows, first, last } = scans;
        Self {
            scans: count,
            follows,
            first_scan: first.map(|at| at.to_string()),
            last_scan: last.map(|at| at.to_string()),
        }
    }
}

/// Lines about scenes that are no row of the table.
const MOST_LINES: usize = 20;

pub(super) async fn run(args: Args, config: &Path, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { all, limit, whose } = args;
    let desk = Desk::open(whose, config, env).await?;
    let shown = if all { Shown::All } else { Shown::Working };
    let codes = desk.codes.list(shown, limit).await.map_err(desk.failed())?;
    let count = desk.codes.count().await.map_err(desk.failed())?;
    let counted = desk.codes.scans().await.map_err(desk.failed())?;
    let unanswered = desk.codes.unanswered(limit).await.map_err(desk.failed())?;
    let strays = counted.strays(limit);
    let limits = desk.codes.limits();
    let listed = |code| Listed { code: desk.document(code), scans: counted.of(code).into() };
    let document = Document {
        appid: &desk.appid,
        codes: codes.iter().map(listed).collect(),
        unanswered: unanswered
            .iter()
            .map(|code| Unanswered {
                scene: code.scene.to_string(),
                kind: code.scene.kind(),
                asked: code.made.to_string(),
            })
            .collect(),
        other_scans: strays
            .iter()
            .map(|Stray { scene, scans }| Other { scene: scene.clone(), scans: (*scans).into() })
            .collect(),
        permanent_used: count.permanent,
        permanent_unsure: count.unsure,
        permanent_limit: limits.permanent,
        permanent_reserve: limits.reserve,
        temporary: count.temporary,
    };
    out.result(&document, |_| {
        let mut text = String::new();
        if !codes.is_empty() {
            text = format!("{}\n\n", table(&desk, &codes, &counted));
        }
        let mut text = format!("{text}{} {} temporary ones work.", make::used(&desk, count), count.temporary);
        for code in unanswered.iter().take(MOST_LINES) {
            let scene = words::plain(&code.scene.to_string());
            let (kind, made) = (code.scene.kind(), code.made);
            let _ = write!(text, "\nNo answer: scene {scene} ({kind}), asked for {made}.");
        }
        for Stray { scene, scans } in strays.iter().take(MOST_LINES) {
            let (scene, told) = (words::plain(scene), self::scans(&desk, *scans));
            let _ = write!(text, "\nOf a code that is not kept here: scene {scene}, {told}.");
        }
        text
    })
}

/// How often, in words.
pub(super) fn scans(desk: &Desk, scans: Scans) -> String {
    let Scans { count, follows, first: _, last } = scans;
    let Some(last) = last else { return "never scanned".to_owned() };
    let ago = words::ago(desk.clock.wall(), last);
    let times = words::count(usize::try_from(count).unwrap_or(usize::MAX), "time");
    format!("scanned {times}, {follows} of them to follow, the last one {ago}")
}

fn table(desk: &Desk, codes: &[Code], counted: &Counted) -> Table {
    let now = desk.clock.wall();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "SCENE",
        "KIND",
        "LIFE",
        "MADE",
        "ENDS",
        "SCANS",
        "FOLLOWS",
        "LAST SCAN",
        "URL",
        "NOTE",
    ]);
    for code in codes {
        let ends = match code.ends {
            None => "never".to_owned(),
            Some(ends) if code.works(now) => words::until(now, ends),
            Some(ends) => words::ago(now, ends),
        };
        let scans = counted.of(code);
        table.add_row([
            words::plain(&code.scene.to_string()),
            code.scene.kind().to_owned(),
            code.life.as_str().to_owned(),
            code.made.to_string(),
            ends,
            scans.count.to_string(),
            scans.follows.to_string(),
            scans.last.map_or_else(|| "-".to_owned(), |last| words::ago(now, last)),
            words::plain(&code.url),
            words::plain(&code.note),
        ]);
    }
    table
}
