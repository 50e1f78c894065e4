//! A QR code from a program of yours: made once, kept, drawn.
//!
//! ```sh
//! cargo run --example qrcode -- wx0123456789abcdef table-7    # ZHONGKONG_ADDR, ZHONGKONG_TOKEN
//! ```

#![allow(clippy::print_stdout, reason = "it talks to whoever runs it")]

use std::time::Duration;

use anyhow::Context as _;
use zhongkong::client::{Client, Credentials};
use zhongkong::clock::Clock;
use zhongkong::model::AppId;
use zhongkong::services::business::SCHEMA;
use zhongkong::services::database::{Database, Place};
use zhongkong::services::qrcode::{Codes, Drawing, Life, Limits, Png, Reserve, Scene, Spec};
use zhongkong::services::wechat_api::{Settings, WechatApi};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let appid: AppId = args.next().context("which account?")?.parse()?;
    let scene = Scene::of(&args.next().context("which scene?")?);

    // The daemon has the token; the AppSecret never leaves it.
    let daemon = std::env::var("ZHONGKONG_ADDR")?;
    let token = std::env::var("ZHONGKONG_TOKEN").ok().map(Into::into);
    let client = Client::connect(&daemon, Credentials { token, ..Credentials::default() }).await?;
    let api_base = std::env::var("WECHAT").unwrap_or_else(|_| "https://api.weixin.qq.com".to_owned());
    let settings = Settings {
        api_base: api_base.parse()?,
        connect_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        proxy: None,
        daemon,
    };
    let api = WechatApi::new(client, settings)?;

    // WeChat makes 100,000 permanent codes and takes none back: what was made is kept, and handed out again.
    let database = Database::new(&Place::Sqlite("business.db".into()), &SCHEMA)?;
    let limits = Limits { permanent: 100_000, reserve: 1_000 };
    let codes = Codes::new(api, appid, database, Clock::system(), limits);
    codes.prepare().await?;
    let spec = Spec::new(scene, Life::Temporary(Duration::from_secs(30 * 86_400)))?;
    let (code, how) = codes.create(&spec, "from the example", Reserve::Kept).await?;
    println!("{how:?}: {} (works until {:?})", code.url, code.ends.map(|at| at.to_string()));
    let Png(png) = Drawing::of(&code.url, None)?.png(430)?;
    std::fs::write("code.png", png)?;
    println!("code.png");
    Ok(())
}
