//! `qrcode create`.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::cli::account::Whose;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::words;
use crate::config::Environment;
use crate::services::qrcode::{Count, How, Life, Reserve};

use super::{CodeDocument, Desk, Typed, spec};

/// What `qrcode create` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    typed: Typed,
    #[command(flatten)]
    life: Lived,
    /// What it is for, for people
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[command(flatten)]
    last: Last,
    #[command(flatten)]
    whose: Whose,
}

/// What is done about the last codes.
#[derive(Debug, clap::Args)]
pub(super) struct Last {
    /// Make permanent ones even if only the reserve is left
    #[arg(long)]
    use_reserve: bool,
}

impl Last {
    /// Whether the reserve may be touched.
    pub(super) fn reserve(&self) -> Reserve {
        if self.use_reserve { Reserve::Used } else { Reserve::Kept }
    }
}

/// How long a code lives.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Lived {
    /// For ever: an account has 100,000 of these, and none is ever given back
    #[arg(long)]
    permanent: bool,
    /// For so long, 30d at most; one of this scene that has half of it left is used again
    #[arg(long = "for", value_name = "DURATION", value_parser = words::parse_span)]
    span: Option<Duration>,
}

#[derive(Serialize)]
struct Made {
    /// Whether it was there already.
    reused: bool,
    #[serde(flatten)]
    code: CodeDocument,
    permanent_used: u32,
    permanent_limit: u32,
}

pub(super) async fn run(args: Args, config: &Path, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { typed, life: Lived { permanent: _, span }, note, last, whose } = args;
    // clap asks for one of both.
    let life = span.map_or(Life::Permanent, Life::Temporary);
    let spec = spec(typed.scene(), life)?;
    let desk = Desk::open(whose, config, env).await?;
    let (code, how) = desk.codes.create(&spec, &note, last.reserve()).await.map_err(desk.failed())?;
    let count = desk.codes.count().await.map_err(desk.failed())?;
    let document = Made {
        reused: how == How::Reused,
        code: desk.document(&code),
        permanent_used: count.permanent,
        permanent_limit: desk.codes.limits().permanent,
    };
    out.result(&document, |_| {
        let said = match how {
            How::Made => "Made",
            How::Reused => "It exists",
        };
        let end = code.ends.map_or_else(
            || "permanent".to_owned(),
            |ends| format!("works {}", words::until(desk.clock.wall(), ends).replace("in ", "for ")),
        );
        let used = match life {
            Life::Permanent => format!("\n{}", used(&desk, count)),
            Life::Temporary(_) => String::new(),
        };
        format!("{said}: scene {}, {end}\n{}{used}", words::plain(&code.scene.to_string()), code.url)
    })
}

/// How much of the account's permanent codes is used.
pub(super) fn used(desk: &Desk, count: Count) -> String {
    let limits = desk.codes.limits();
    let mut text = format!(
        "{} of {} permanent codes are used; the last {} are a reserve.",
        count.permanent, limits.permanent, limits.reserve
    );
    if count.unsure > 0 {
        let asked = words::count(usize::try_from(count.unsure).unwrap_or_default(), "question");
        text = format!("{text} Among them {asked} without an answer: create the same scene again.");
    }
    text
}
