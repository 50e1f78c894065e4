//! `qrcode bulk`: the codes of a table, one after the other.
//!
//! Each is kept before the next is asked for, so a run that is cut off goes on when it is started
//! again: what is there is used, and is not asked for a second time.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::account::Whose;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::words;
use crate::config::Environment;
use crate::services::qrcode::{Code, CodeError, How, Life, Listed, Reserve, read_list};

use super::image::{Look, Picture, drawn};
use super::{Desk, make};

/// Largest table, in bytes.
const LARGEST: u64 = 32 * 1024 * 1024;

/// What `qrcode bulk` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file has a heading and these columns, of which only scene is needed:
  scene,kind,life,note
  1001,int,permanent,the door
  table-7,,30d,\"table 7, upstairs\"")]
pub(in crate::cli) struct Args {
    /// The table; - for stdin
    file: PathBuf,
    /// Lines that say no life are permanent
    #[arg(long, conflicts_with = "span")]
    permanent: bool,
    /// Lines that say no life live for so long
    #[arg(long = "for", value_name = "DURATION", value_parser = words::parse_span)]
    span: Option<Duration>,
    /// Go on when only the reserve is left
    #[arg(long)]
    use_reserve: bool,
    /// Write a picture of each into this directory, as SCENE.png; what is there is not written again
    #[arg(long, value_name = "DIRECTORY")]
    images: Option<PathBuf>,
    /// Write SVG instead of PNG
    #[arg(long, requires = "images")]
    svg: bool,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    whose: Whose,
}

/// How far a run came.
#[derive(Debug, Default, Serialize)]
struct Tally {
    lines: usize,
    made: usize,
    reused: usize,
    failed: Vec<Failed>,
}

#[derive(Debug, Serialize)]
struct Failed {
    line: u64,
    scene: String,
    why: String,
}

pub(super) async fn run(args: Args, config: &Path, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { file, permanent, span, use_reserve, images, svg, look, whose } = args;
    let life = if permanent { Some(Life::Permanent) } else { span.map(Life::Temporary) };
    let list =
        read_list(&read(&file)?, life).map_err(|problems| CliError::List { path: file.clone(), problems })?;
    let pictures = match &images {
        None => None,
        Some(directory) => {
            let unusable =
                |error: std::io::Error| CliError::File { path: directory.clone(), why: error.to_string() };
            std::fs::create_dir_all(directory).map_err(unusable)?;
            let picture = if svg { Picture::Svg } else { Picture::Png };
            Some(Pictures { directory, picture, logo: look.logo()?, look: &look })
        }
    };
    let desk = Desk::open(whose, config, env).await?;
    let reserve = make::reserve(use_reserve);
    enough(&desk, &list, reserve).await?;
    let bar = ProgressBar::new(u64::try_from(list.len()).unwrap_or(u64::MAX));
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left") {
        bar.set_style(style);
    }
    let mut tally = Tally { lines: list.len(), ..Tally::default() };
    for Listed { line, spec, note } in &list {
        match desk.codes.create(spec, note, reserve).await {
            Ok((code, how)) => {
                match how {
                    How::Made => tally.made += 1,
                    How::Reused => tally.reused += 1,
                }
                if let Some(pictures) = &pictures {
                    pictures.write(&code)?;
                }
            }
            Err(error) if error.ends_a_run() => {
                bar.abandon();
                let done = tally.made + tally.reused;
                return Err(stopped(&desk, error, done, &tally));
            }
            Err(error) => {
                let scene = spec.scene().to_string();
                tally.failed.push(Failed { line: *line, scene, why: crate::cli::chain(&error) });
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let count = desk.codes.count().await.map_err(desk.failed())?;
    out.result(&tally, |_| {
        let mut text = format!("{} made, {} were there, of {}.", tally.made, tally.reused, tally.lines);
        for Failed { line, scene, why } in &tally.failed {
            text.push_str(
                &words::plain(&format!("\u{2028}line {line}, {scene}: {why}")).replacen('\u{2028}', "\n", 1),
            );
        }
        format!("{text}\n{}", make::used(&desk, count))
    })?;
    if tally.failed.is_empty() { Ok(()) } else { Err(CliError::TOLD_FAILED) }
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    let unusable = |why: String| CliError::File { path: file.to_owned(), why };
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| unusable(error.to_string()))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST) {
        Ok(bytes)
    } else {
        Err(unusable(format!("it has over {LARGEST} bytes")))
    }
}

/// Whether all permanent codes of a table can be made, before the first one is.
async fn enough(desk: &Desk, list: &[Listed], reserve: Reserve) -> Result<(), CliError> {
    let mut new = 0_u32;
    for Listed { line: _, spec, note: _ } in list {
        if spec.life() == Life::Permanent && desk.codes.find(spec).await.map_err(desk.failed())?.is_none() {
            new += 1;
        }
    }
    let limits = desk.codes.limits();
    let count = desk.codes.count().await.map_err(desk.failed())?;
    // A question whose answer was lost is put again, and counts again.
    let most = match reserve {
        Reserve::Kept => limits.permanent.saturating_sub(limits.reserve),
        Reserve::Used => limits.permanent,
    };
    let left = most.saturating_sub(count.permanent);
    if new <= left {
        return Ok(());
    }
    Err(CliError::Usage(format!(
        "the table needs {new} new permanent codes, and {left} can be made: {} of {} are used, and {} are a reserve \
         (--use-reserve)",
        count.permanent, limits.permanent, limits.reserve
    )))
}

/// A run that stopped, and how far it came.
fn stopped(desk: &Desk, error: CodeError, done: usize, tally: &Tally) -> CliError {
    let said = vec![
        format!("{done} of {} are there, {} of them made now", tally.lines, tally.made),
        "the same command goes on from here; what is there is not asked for again".to_owned(),
    ];
    CliError::Bulk { called: desk.called.clone(), said, source: Box::new(error) }
}

/// Where pictures go.
struct Pictures<'a> {
    directory: &'a Path,
    picture: Picture,
    logo: Option<crate::services::qrcode::Logo>,
    look: &'a Look,
}

impl Pictures<'_> {
    /// Writes the picture of a code, unless it is there: whole, or not at all.
    fn write(&self, code: &Code) -> Result<(), CliError> {
        let end = match self.picture {
            Picture::Png => "png",
            Picture::Svg => "svg",
        };
        let path = self.directory.join(format!("{}.{end}", file_name(&code.scene.to_string())));
        if path.exists() {
            return Ok(());
        }
        let bytes = drawn(code, self.picture, self.look, self.logo.clone())?;
        let unusable = |error: std::io::Error| CliError::File { path: path.clone(), why: error.to_string() };
        let begun = path.with_extension("part");
        std::fs::write(&begun, bytes).and_then(|()| std::fs::rename(&begun, &path)).map_err(unusable)
    }
}

/// A scene as the name of a file: what could lead elsewhere is percent-encoded.
fn file_name(scene: &str) -> String {
    let mut name = String::new();
    for letter in scene.chars() {
        if letter.is_alphanumeric() || matches!(letter, '-' | '_' | ' ' | '@') {
            name.push(letter);
        } else {
            let mut bytes = [0; 4];
            name.extend(letter.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    name
}
