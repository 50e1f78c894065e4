//! `qrcode`: the account's parametric QR codes, made once and remembered.
//!
//! What a code is comes from the business database; only `create`, `bulk` and `image --wechat` call
//! WeChat.

use std::path::Path;

use serde::Serialize;

use crate::clock::{Clock, WallTime};
use crate::config::Environment;
use crate::services::business::SCHEMA;
use crate::services::database::Database;
use crate::services::qrcode::{Code, CodeError, Codes, Life, Scene, Spec, picture_host};

use super::account::{Opened, Whose, make_place};
use super::error::CliError;
use super::output::Output;

mod bulk;
mod image;
mod list;
mod make;

/// What can be done about codes.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  zhongkong qrcode create 1001 --for 30d --account shop
  zhongkong qrcode create table-7 --permanent --note \"table 7\" --account shop
  zhongkong qrcode show table-7 --account shop
  zhongkong qrcode image table-7 --out table-7.png --size 860 --logo logo.png --account shop
  zhongkong qrcode bulk tables.csv --permanent --images codes --account shop

A scene that is a number is asked for as one, any other as a text; the event of a scan brings it back. \
docs/qrcodes.md says more.")]
pub(super) enum Command {
    /// Make a code, or show the one that exists: a permanent one is never made twice
    Create(make::Args),
    /// List what was made, and how many permanent codes are used
    List(list::Args),
    /// Draw a code in the terminal
    Show(image::ShowArgs),
    /// Write a code as PNG or SVG, or as WeChat draws it
    Image(image::ImageArgs),
    /// Make every code of a CSV file; run it again and it goes on where it was interrupted
    Bulk(bulk::Args),
}

pub(super) async fn run(
    command: Command,
    config: &Path,
    out: Output,
    env: &Environment,
) -> Result<(), CliError> {
    match command {
        Command::Create(args) => make::run(args, config, out, env).await,
        Command::List(args) => list::run(args, config, out, env).await,
        Command::Show(args) => image::show(args, config, out, env).await,
        Command::Image(args) => image::image(args, config, out, env).await,
        Command::Bulk(args) => bulk::run(args, config, out, env).await,
    }
}

/// An account's codes, and how they are called in messages.
struct Desk {
    codes: Codes,
    called: String,
    appid: String,
    /// Where WeChat draws codes.
    pictures: url::Url,
    clock: Clock,
}

impl Desk {
    async fn open(whose: Whose, config: &Path, env: &Environment) -> Result<Self, CliError> {
        let Opened { api, appid, called, tools } = whose.open(config, env).await?;
        make_place(&tools.database);
        let database = Database::new(&tools.database, &SCHEMA)?;
        let clock = Clock::system();
        let pictures = picture_host(&tools.wechat.api_base);
        let name = appid.to_string();
        let codes = Codes::new(api, appid, database, clock.clone(), tools.codes);
        let desk = Self { codes, called, appid: name, pictures, clock };
        desk.codes.prepare().await.map_err(desk.failed())?;
        Ok(desk)
    }

    fn failed(&self) -> impl Fn(CodeError) -> CliError + '_ {
        |source| CliError::Codes { called: self.called.clone(), source: Box::new(source) }
    }

    fn document(&self, code: &Code) -> CodeDocument {
        CodeDocument::of(code, self.clock.wall())
    }
}

/// A code as a document.
#[derive(Serialize)]
struct CodeDocument {
    scene: String,
    /// `int`, `str`.
    kind: &'static str,
    /// `permanent`, `temporary`.
    life: &'static str,
    url: String,
    ticket: String,
    note: String,
    made: String,
    ends: Option<String>,
    works: bool,
}

impl CodeDocument {
    fn of(code: &Code, now: WallTime) -> Self {
        Self {
            scene: code.scene.to_string(),
            kind: code.scene.kind(),
            life: code.life.as_str(),
            url: code.url.clone(),
            ticket: code.ticket.clone(),
            note: code.note.clone(),
            made: code.made.to_string(),
            ends: code.ends.map(|ends| ends.to_string()),
            works: code.works(now),
        }
    }
}

/// A scene as it is typed.
#[derive(Debug, clap::Args)]
struct Typed {
    /// What the event of a scan brings back: a number, or a text of 64 characters
    scene: String,
    /// Take it as a text, although it is a number
    #[arg(long)]
    text: bool,
}

impl Typed {
    fn scene(&self) -> Scene {
        if self.text { Scene::Text(self.scene.clone()) } else { Scene::of(&self.scene) }
    }
}

/// A code that WeChat would make.
fn spec(scene: Scene, life: Life) -> Result<Spec, CliError> {
    Spec::new(scene, life).map_err(|error| CliError::Usage(error.to_string()))
}
