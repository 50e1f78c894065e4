//! A menu from a program of yours: what is live, what a push would change, the push, and its history.
//!
//! ```sh
//! cargo run --example menu -- wx0123456789abcdef menu.toml    # ZHONGKONG_ADDR, ZHONGKONG_TOKEN
//! ```

#![allow(clippy::print_stdout, reason = "it talks to whoever runs it")]

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use zhongkong::client::{Client, Credentials};
use zhongkong::clock::Clock;
use zhongkong::model::AppId;
use zhongkong::services::business::SCHEMA;
use zhongkong::services::database::{Database, Place};
use zhongkong::services::menu::{self, AccountMenus, Diff, History, Kind, New, Plan, Pushes};
use zhongkong::services::wechat_api::{Settings, WechatApi};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let appid: AppId = args.next().context("which account?")?.parse()?;
    let file = std::fs::read(args.next().context("which file?")?)?;

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
    let account = AccountMenus::new(WechatApi::new(client, settings)?, appid);

    // Every push is written down before WeChat hears of it.
    let database = Database::new(&Place::Sqlite("business.db".into()), &SCHEMA)?;
    let pushes = Pushes::new(account, History::new(database, Clock::system()));
    pushes.prepare().await?;
    pushes.settle().await?;

    let wanted = menu::read(&file).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("the file is not valid: {}", problems.join("; "))
    })?;
    let mut seen = pushes.look().await?;
    let diff = Diff::between(&seen.live().menus(), &wanted.menus);
    println!("{} menus differ", diff.parts.len());
    let plan = Plan::of(seen.live(), &wanted.menus).map_err(|problems| anyhow!("{problems:?}"))?;
    if plan.steps().is_empty() {
        return Ok(());
    }
    pushes.note_found(&mut seen).await?;
    let new = New { kind: Kind::Push, back_to: None, who: "the example".to_owned(), why: String::new() };
    let (number, steps) = pushes.push(&plan, &new, &seen).await?;
    println!("{number} is live, after {} calls", steps.len());
    for entry in pushes.list(10).await? {
        println!("{} {} {} {}", entry.number, entry.state.as_str(), entry.who, entry.began);
    }
    Ok(())
}
