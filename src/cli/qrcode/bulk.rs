//! `qrcode bulk`: the codes of a table, one after the other.
//!
//! Each is kept before the next is asked for, so a run that is cut off goes on when it is started
//! again: what is there is used, and is not asked for a second time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::cli::account::Whose;
use crate::cli::error::CliError;
use crate::cli::output::{Output, note as note_to_people};
use crate::cli::words;
use crate::config::Environment;
use crate::services::qrcode::{Code, CodeError, How, Life, Listed, Logo, Reserve, Scene, Spec, read_list};

use super::image::{Look, Picture, drawn};
use super::{Desk, make};

/// Largest table, in bytes.
const LARGEST: u64 = 32 * 1024 * 1024;
/// So long codes are waited for that another run asks for: a little longer than it can take.
const PATIENCE: Duration = Duration::from_secs(330);
/// Pauses in a row after which it is no matter of minutes.
const PAUSES: usize = 5;
/// Refusals in a row after which it is not the codes that are wrong.
const REFUSALS: usize = 10;
/// Between two looks at them.
const PAUSE: Duration = Duration::from_millis(300);
/// Longest name of a file before what tells two of them apart; 255 bytes are the file system's limit.
const LONGEST_NAME: usize = 200;

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
    #[command(flatten)]
    last: make::Last,
    /// How long to wait when WeChat's calls of the minute are used up
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = words::parse_span)]
    pause: Duration,
    /// Write a picture of each into this directory, as SCENE.png
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

/// A run over a table.
struct Run<'a> {
    desk: &'a Desk,
    reserve: Reserve,
    /// Until WeChat has calls again.
    pause: Duration,
    /// Refusals since the last code that was had.
    refusals: usize,
    pictures: Option<Pictures<'a>>,
    bar: ProgressBar,
    tally: Tally,
}

/// Whether another run is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    Left,
    Over,
}

/// What came of a line.
enum Came {
    /// It is done, well or not.
    ToAnEnd,
    /// Another run asks for the same code.
    UnderWay,
}

pub(super) async fn run(args: Args, config: &Path, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { file, permanent, span, last, pause, images, svg, look, whose } = args;
    let life = if permanent { Some(Life::Permanent) } else { span.map(Life::Temporary) };
    let list =
        read_list(&read(&file)?, life).map_err(|problems| CliError::List { path: file.clone(), problems })?;
    let pictures = match &images {
        None => None,
        Some(directory) => {
            let picture = if svg { Picture::Svg } else { Picture::Png };
            Some(Pictures::of(directory, picture, &look, &list)?)
        }
    };
    let desk = Desk::open(whose, config, env).await?;
    let reserve = last.reserve();
    enough(&desk, &list, reserve).await?;
    let bar = ProgressBar::new(u64::try_from(list.len()).unwrap_or(u64::MAX));
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left") {
        bar.set_style(style);
    }
    let tally = Tally { lines: list.len(), ..Tally::default() };
    let mut run = Run { desk: &desk, reserve, pause, refusals: 0, pictures, bar, tally };
    run.over(&list).await?;
    let Run { bar, tally, .. } = run;
    bar.finish_and_clear();
    let count = desk.codes.count().await.map_err(desk.failed())?;
    out.result(&tally, |_| {
        let mut text = format!("{} made, {} were there, of {}.", tally.made, tally.reused, tally.lines);
        for Failed { line, scene, why } in &tally.failed {
            let _ = write!(text, "\nline {line}, {}: {}", words::plain(scene), words::plain(why));
        }
        format!("{text}\n{}", make::used(&desk, count))
    })?;
    if tally.failed.is_empty() { Ok(()) } else { Err(CliError::TOLD_FAILED) }
}

impl Run<'_> {
    /// Line by line; those that another run is at come again at the end.
    async fn over(&mut self, list: &[Listed]) -> Result<(), CliError> {
        let mut left: Vec<&Listed> = list.iter().collect();
        let begun = Instant::now();
        loop {
            let patience = if begun.elapsed() < PATIENCE { Patience::Left } else { Patience::Over };
            let mut later = Vec::new();
            for listed in left {
                match self.line(listed, patience).await? {
                    Came::ToAnEnd => self.bar.inc(1),
                    Came::UnderWay => later.push(listed),
                }
            }
            if later.is_empty() {
                return Ok(());
            }
            left = later;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn line(&mut self, listed: &Listed, patience: Patience) -> Result<Came, CliError> {
        let Listed { line, spec, note } = listed;
        match self.had(spec, note).await {
            Ok((code, how)) => {
                self.refusals = 0;
                match how {
                    How::Made => self.tally.made += 1,
                    How::Reused => self.tally.reused += 1,
                }
                let written = self.pictures.as_ref().map_or(Ok(()), |pictures| pictures.write(&code));
                written.inspect_err(|_| self.bar.abandon())?;
            }
            Err(CodeError::UnderWay) if patience == Patience::Left => return Ok(Came::UnderWay),
            Err(error) if error.ends_a_run() || self.refusals >= REFUSALS => {
                self.bar.abandon();
                return Err(stopped(self.desk, error, &self.tally));
            }
            Err(error) => {
                self.refusals += 1;
                let scene = spec.scene().to_string();
                self.tally.failed.push(Failed { line: *line, scene, why: crate::cli::chain(&error) });
            }
        }
        Ok(Came::ToAnEnd)
    }

    /// A code; where the calls of the minute are used up, after a pause.
    async fn had(&self, spec: &Spec, note: &str) -> Result<(Code, How), CodeError> {
        for _ in 0..PAUSES {
            match self.desk.codes.create(spec, note, self.reserve).await {
                Err(error) if error.asks_for_a_pause() => {
                    let pause = humantime::format_duration(self.pause);
                    let said = format!("WeChat's calls of this minute are used up: going on in {pause}");
                    self.bar.suspend(|| note_to_people(&said));
                    tokio::time::sleep(self.pause).await;
                }
                came => return came,
            }
        }
        self.desk.codes.create(spec, note, self.reserve).await
    }
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
    let there = desk.codes.permanent().await.map_err(desk.failed())?;
    let new = list
        .iter()
        .filter(|it| it.spec.life() == Life::Permanent && !there.contains(it.spec.scene()))
        .count();
    let new = u32::try_from(new).unwrap_or(u32::MAX);
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
    let unsure = match count.unsure {
        0 => String::new(),
        unsure => format!(", {unsure} of them perhaps not, because their answer was lost"),
    };
    Err(CliError::Usage(format!(
        "the table needs {new} new permanent codes, and {left} can be made: {} of {} are used{unsure}, and {} are a reserve \
         (--use-reserve)",
        count.permanent, limits.permanent, limits.reserve
    )))
}

/// A run that stopped, and how far it came.
fn stopped(desk: &Desk, error: CodeError, tally: &Tally) -> CliError {
    let done = tally.made + tally.reused;
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
    logo: Option<Logo>,
    look: &'a Look,
}

impl<'a> Pictures<'a> {
    /// Makes the directory, and sees to it that each line has a file of its own.
    fn of(directory: &'a Path, picture: Picture, look: &'a Look, list: &[Listed]) -> Result<Self, CliError> {
        let mut lines = BTreeMap::new();
        for Listed { line, spec, note: _ } in list {
            if let Some(first) = lines.insert(file_name(spec.scene()), *line) {
                return Err(CliError::Usage(format!(
                    "lines {first} and {line} have the same scene, and would have the same picture: make two tables \
                     of them, with two directories"
                )));
            }
        }
        let pictures = Self { directory, picture, logo: look.logo()?, look };
        std::fs::create_dir_all(directory).map_err(|error| unwritable(directory, &error))?;
        Ok(pictures)
    }

    /// Writes the picture of a code, unless it is there: whole, or not at all.
    fn write(&self, code: &Code) -> Result<(), CliError> {
        let end = match self.picture {
            Picture::Png => "png",
            Picture::Svg => "svg",
        };
        let path = self.directory.join(format!("{}.{end}", file_name(&code.scene)));
        let bytes = drawn(code, self.picture, self.look, self.logo.clone())?;
        // A temporary code that was made anew has another picture.
        if std::fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        // Another run may be at the same file.
        let begun = path.with_extension(format!("{}.part", std::process::id()));
        std::fs::write(&begun, bytes)
            .and_then(|()| std::fs::rename(&begun, &path))
            .map_err(|error| unwritable(&path, &error))
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    let why = format!("{error}; the codes themselves are kept, and the same command goes on from here");
    CliError::File { path: path.to_owned(), why }
}

/// A scene as the name of a file: what could lead elsewhere is percent-encoded, digits that are a
/// text are said to be one, and what is too long for a name ends with its hash.
fn file_name(scene: &Scene) -> String {
    let text = scene.to_string();
    let mut name = String::new();
    for letter in text.chars() {
        if letter.is_alphanumeric() || matches!(letter, '-' | '_' | ' ' | '@') {
            name.push(letter);
        } else {
            let mut bytes = [0; 4];
            name.extend(letter.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    if name.len() > LONGEST_NAME {
        let hash = hex::encode(&Sha256::digest(&text)[..8]);
        let cut = (0..=LONGEST_NAME).rev().find(|at| name.is_char_boundary(*at)).unwrap_or_default();
        name.truncate(cut);
        name = format!("{name}~{hash}");
    }
    match scene {
        Scene::Text(text) if Scene::of(text).kind() == "int" => format!("{name}.text"),
        Scene::Text(_) | Scene::Number(_) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scene_has_a_file_name_of_its_own_that_leads_nowhere_else() {
        let text = |text: &str| file_name(&Scene::Text(text.to_owned()));
        assert_eq!((file_name(&Scene::Number(7)), text("7")), ("7".to_owned(), "7.text".to_owned()));
        assert_eq!((text("门店 1"), text("../a.b")), ("门店 1".to_owned(), "%2E%2E%2Fa%2Eb".to_owned()));
        let long = |last: &str| text(&format!("{}{last}", "😀".repeat(63)));
        assert!(long("a").len() < 240 && long("a") != long("b"), "{}", long("a"));
    }
}
