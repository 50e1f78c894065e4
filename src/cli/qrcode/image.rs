//! `qrcode show` and `qrcode image`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::cli::account::Whose;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::words;
use crate::config::Environment;
use crate::services::qrcode::{Code, Drawing, Life, Logo, Png};

use super::{CodeDocument, Desk, Typed, list, spec};

/// Largest logo that is read, in bytes.
const LARGEST_LOGO: u64 = 2 * 1024 * 1024;

/// What `qrcode show` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowArgs {
    #[command(flatten)]
    typed: Typed,
    #[command(flatten)]
    whose: Whose,
}

/// What `qrcode image` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ImageArgs {
    #[command(flatten)]
    typed: Typed,
    #[command(flatten)]
    look: Look,
    /// The picture as WeChat draws it
    #[arg(long, conflicts_with_all = ["size", "logo"])]
    wechat: bool,
    /// Where to write it; what it ends with says what it is: .png or .svg. A file that exists is not
    /// replaced
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    whose: Whose,
}

/// How a code is drawn.
#[derive(Debug, clap::Args)]
pub(super) struct Look {
    /// Its width and height in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 430)]
    size: usize,
    /// A PNG for its middle
    #[arg(long, value_name = "FILE")]
    logo: Option<PathBuf>,
}

/// What the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Picture {
    Png,
    Svg,
}

#[derive(Serialize)]
struct Known {
    #[serde(flatten)]
    code: CodeDocument,
    #[serde(flatten)]
    scans: list::ScansDocument,
}

#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
    #[serde(flatten)]
    code: CodeDocument,
}

pub(super) async fn show(
    args: ShowArgs,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    let ShowArgs { typed, whose } = args;
    let desk = Desk::open(whose, config, env).await?;
    let code = found(&desk, &typed).await?;
    let drawing = Drawing::of(&code.url, None).map_err(|error| CliError::Usage(error.to_string()))?;
    let scans = desk.codes.scans_of(&code).await.map_err(desk.failed())?;
    let document = Known { code: desk.document(&code), scans: scans.into() };
    out.result(&document, |_| {
        let end = match code.ends {
            None => "permanent".to_owned(),
            Some(ends) => format!("ends {}", words::until(desk.clock.wall(), ends)),
        };
        let scene = words::plain(&code.scene.to_string());
        let scans = list::scans(&desk, scans);
        format!("{}scene {scene}, {end}, {scans}\n{}", drawing.terminal(), code.url)
    })
}

pub(super) async fn image(
    args: ImageArgs,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    let ImageArgs { typed, look, wechat, out: file, whose } = args;
    let picture = if wechat { None } else { Some(Picture::of(&file)?) };
    let logo = look.logo()?;
    let desk = Desk::open(whose, config, env).await?;
    let code = found(&desk, &typed).await?;
    let bytes = match picture {
        None => {
            let (bytes, kind) = desk.codes.picture(&desk.pictures, &code).await.map_err(desk.failed())?;
            if !kind.starts_with("image/") {
                let why = format!("WeChat sent no picture but {}", words::plain(&kind));
                return Err(CliError::File { path: file, why });
            }
            bytes
        }
        Some(picture) => drawn(&code, picture, &look, logo)?,
    };
    write_new(&file, &bytes)?;
    let document = Written { file: &file, code: desk.document(&code) };
    out.result(&document, |_| format!("Wrote {}.", file.display()))
}

impl Picture {
    /// By what a file's name ends with.
    fn of(file: &Path) -> Result<Self, CliError> {
        match file.extension().and_then(|end| end.to_str()) {
            Some("png") => Ok(Self::Png),
            Some("svg") => Ok(Self::Svg),
            _ => Err(CliError::Usage(format!(
                "{} must end with .png or .svg, which says what it becomes",
                file.display()
            ))),
        }
    }
}

impl Look {
    /// The logo, if there is to be one.
    pub(super) fn logo(&self) -> Result<Option<Logo>, CliError> {
        let Some(path) = &self.logo else { return Ok(None) };
        let unusable = |why: String| CliError::File { path: path.clone(), why };
        let length = path.metadata().map_err(|error| unusable(error.to_string()))?.len();
        if length > LARGEST_LOGO {
            return Err(unusable("it has over two million bytes: no logo needs them".to_owned()));
        }
        let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        Logo::read(&bytes).map(Some).map_err(|error| unusable(error.to_string()))
    }
}

/// The file of a code.
pub(super) fn drawn(
    code: &Code,
    picture: Picture,
    look: &Look,
    logo: Option<Logo>,
) -> Result<Vec<u8>, CliError> {
    let wrong = |error: crate::services::qrcode::DrawError| CliError::Usage(error.to_string());
    let drawing = Drawing::of(&code.url, logo).map_err(wrong)?;
    Ok(match picture {
        Picture::Svg => drawing.svg(look.size).into_bytes(),
        Picture::Png => {
            let Png(bytes) = drawing.png(look.size).map_err(wrong)?;
            bytes
        }
    })
}

/// Writes a file that does not exist yet.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let new = std::fs::File::options().write(true).create_new(true).open(path);
    new.and_then(|mut file| file.write_all(bytes)).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                "it exists, and is not replaced: choose another name, or remove it".to_owned()
            }
            _ => error.to_string(),
        };
        CliError::File { path: path.to_owned(), why }
    })
}

/// The code of a scene: the permanent one, or else one that works.
async fn found(desk: &Desk, typed: &Typed) -> Result<Code, CliError> {
    let none = || {
        CliError::Usage(format!(
            "{} has no code of the scene \"{}\" that works: `zhongkong qrcode create` makes one, `list` shows what there \
             is",
            desk.called,
            words::plain(&typed.scene().to_string())
        ))
    };
    // What it is looked up by is the same for every span.
    for life in [Life::Permanent, Life::Temporary(Duration::from_secs(60))] {
        let Ok(spec) = spec(typed.scene(), life) else { continue };
        let code = desk.codes.find(&spec).await.map_err(desk.failed())?;
        if let Some(code) = code.filter(|code| code.works(desk.clock.wall())) {
            return Ok(code);
        }
    }
    Err(none())
}
