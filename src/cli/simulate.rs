//! `simulate`: WeChat's servers as their documentation says they behave, until Ctrl-C.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::process::signals::{Intent, Intents};
use crate::simulator::{Account, Accounts, Settings, Simulator};

use super::error::CliError;
use super::output::Output;
use super::words;

/// What `simulate` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7770")]
    listen: SocketAddr,
    /// How long tokens and tickets live
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = parse_life)]
    life: Duration,
    /// How long an old and a new token both work; 5m, or a third of a life under 15m
    #[arg(long, value_name = "DURATION", value_parser = words::parse_span)]
    overlap: Option<Duration>,
    /// An account and its secret; may be repeated. Others are refused, as is a wrong secret
    #[arg(long = "account", value_name = "APPID:SECRET", value_parser = parse_account)]
    accounts: Vec<Account>,
    /// Let any appid in with any secret; so it is without --account
    #[arg(long, conflicts_with = "accounts")]
    open: bool,
}

/// Lives are told in whole seconds.
fn parse_life(text: &str) -> Result<Duration, String> {
    let life = words::parse_span(text)?;
    if life < Duration::from_secs(1) {
        return Err("WeChat tells lives in whole seconds: 1s at least".to_owned());
    }
    Ok(life)
}

fn parse_account(text: &str) -> Result<Account, String> {
    match text.split_once(':') {
        Some((appid, secret)) if !appid.is_empty() && !secret.is_empty() => Ok(Account::new(appid, secret)),
        _ => Err("an account is written APPID:SECRET".to_owned()),
    }
}

#[derive(Serialize)]
struct Started {
    /// For `wechat.api_base`.
    api_base: String,
    /// The page for people and scripts.
    control: String,
    life_seconds: f64,
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), CliError> {
    let Args { listen, life, overlap, accounts, open: _ } = args;
    let mut settings = Settings::with_life(life);
    if let Some(overlap) = overlap {
        if overlap >= life {
            return Err(CliError::Usage("--overlap must be shorter than --life".to_owned()));
        }
        settings.overlap = overlap;
    }
    let known = accounts.first().map(|account| (account.appid.clone(), account.secret.clone()));
    if !accounts.is_empty() {
        settings.accounts = Accounts::Listed(accounts);
    }
    let mut intents = Intents::install().map_err(CliError::Serve)?;
    let in_use = |source| CliError::Listen { addr: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(in_use)?;
    let base = format!("http://{}", listener.local_addr().map_err(in_use)?);
    let started =
        Started { control: format!("{base}/_sim/"), life_seconds: life.as_secs_f64(), api_base: base };
    out.result(&started, |_| guide(&started, life, known.as_ref()))?;

    let stop = CancellationToken::new();
    let mut served = pin!(Simulator::new(settings).serve(listener, stop.clone()));
    loop {
        tokio::select! {
            ended = &mut served => return ended.map_err(CliError::Serve),
            intent = intents.next() => match intent {
                Intent::Stop => stop.cancel(),
                Intent::StopNow => return Ok(()),
                // There is nothing to read or to open again.
                Intent::Reload | Intent::ReopenLog => {}
            },
        }
    }
}

fn guide(started: &Started, life: Duration, account: Option<&(String, String)>) -> String {
    let Started { api_base, control, life_seconds: _ } = started;
    let (who, appid, secret) = match account {
        Some((appid, secret)) => ("the accounts of the command line", appid.as_str(), secret.as_str()),
        None => ("any account with any secret", "wx0123456789abcdef", "any"),
    };
    // http:// is refused elsewhere than on loopback unless it is wanted so.
    let loopback = api_base.starts_with("http://127.") || api_base.starts_with("http://[::1]");
    let insecure = if loopback { "" } else { "\n    insecure = true" };
    let life = words::span(life);
    format!(
        "A simulated WeChat on {api_base}: {who}; tokens live {life}. Ctrl-C ends it.

A daemon uses it with this in its configuration:

    [wechat]
    api_base = \"{api_base}\"{insecure}

    [[account]]
    appid = \"{appid}\"
    secret_env = \"SIMULATED_SECRET\"

and SIMULATED_SECRET={secret} in its environment. What it was asked, how to make it fail, how to kill a
token:

    curl {control}
"
    )
}
