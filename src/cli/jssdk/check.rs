//! `jssdk check`: why a signature is invalid.
//!
//! With the ticket, which a caller with the action `read` gets from the daemon, it is certain what
//! was signed. Without it, what the URL and the configuration show is left. The ticket is never
//! printed. Exit code 0 means that nothing wrong was found.

use std::path::Path;

use crate::access::Action;
use crate::client::{Code, Error};
use crate::config::Environment;
use crate::model::{AppId, Key, Kind};
use crate::secret::Secret;
use crate::services::jssdk::check::{Question, Sent, Ticket, Verdict, explain};

use super::super::connection::{Connection, Session};
use super::super::error::CliError;
use super::super::output::Output;
use super::account::{Known, Meant};
use super::service;
use super::shown::{Asked, Shown};

/// What `jssdk check` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zhongkong jssdk check 'https://h5.example.com/page?from=singlemessage#/route'
  zhongkong jssdk check URL --signature 0f9d… --timestamp 1414587457 --nonce Wm3WZYTPz0wzccnW
  zhongkong jssdk check URL --account shop --landing https://h5.example.com/ --signature …
  zhongkong jssdk check URL --account shop --service https://h5.example.com

Give the URL as the page's address bar has it when wx.config is called, in quotes, and the other three \
as the page gives them to wx.config (debug: true shows them).

Exit codes: 0 nothing is wrong with it, 1 something is, 2 wrong usage.")]
pub(in crate::cli) struct Args {
    /// The URL in the page's address bar
    url: String,
    // Not a comment of rustdoc's, which takes the brackets for a link.
    #[arg(
        long,
        value_name = "PATH|APPID",
        help = "Whose page it is; by default the [[jssdk.account]] whose hosts have it"
    )]
    account: Option<String>,
    /// What the page gives to wx.config as signature
    #[arg(long, value_name = "HEX", requires_all = ["timestamp", "nonce"])]
    signature: Option<String>,
    /// As timestamp
    #[arg(long, value_name = "SECONDS", requires = "signature")]
    timestamp: Option<String>,
    /// As nonceStr
    #[arg(long, value_name = "TEXT", requires = "signature")]
    nonce: Option<String>,
    /// The URL at which a single-page application was opened
    #[arg(long, value_name = "URL")]
    landing: Option<String>,
    /// Ask this running service what it would tell the page, in place of the daemon
    #[arg(long, value_name = "BASE", conflicts_with = "signature")]
    service: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(args: Args, config: &Path, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { url, account, signature, timestamp, nonce, landing, service, connection } = args;
    let known = Known::read(config, env);
    let Meant { appid, account } = known.find(account.as_deref(), &url)?;
    let sent = signature.zip(timestamp.zip(nonce));
    let sent = sent.map(|(signature, (timestamp, nonce))| Sent { signature, timestamp, nonce });
    let (asked, tickets) = if let Some(base) = service {
        let path = account.as_ref().map_or(appid.as_str(), |account| account.path.as_str());
        (Asked::Service(service::ask(&base, path, &url).await?), Vec::new())
    } else {
        let session = match known.link {
            Some(link) if connection.is_default(env) => Session::of(link, Action::Read).await?,
            _ => connection.open(Action::Read, env).await?,
        };
        let others = known.accounts.iter().map(|account| (account.path.as_str(), &account.appid));
        tickets(&session, &appid, others).await?
    };
    let tried: Vec<Ticket<'_>> =
        tickets.iter().map(|(whose, value)| Ticket { whose: whose.as_str(), value }).collect();
    let explanation = explain(&Question {
        url: &url,
        landing: landing.as_deref(),
        sent: sent.as_ref(),
        tickets: &tried,
        hosts: account.as_ref().map(|account| account.hosts.as_slice()),
    });
    let shown = Shown { appid: &appid, url: &url, asked: &asked, explanation: &explanation };
    out.result(&shown.document(), |colour| shown.text(colour))?;
    let wrong = matches!(explanation.verdict, Verdict::Explained(_) | Verdict::Unexplained)
        || explanation.host.is_some_and(|host| host.is_err())
        || asked.is_wrong();
    if wrong { Err(CliError::TOLD_FAILED) } else { Ok(()) }
}

/// The account's ticket, then those that may have been taken for it, each with whose it is.
async fn tickets<'a>(
    session: &Session,
    appid: &AppId,
    others: impl Iterator<Item = (&'a str, &'a AppId)>,
) -> Result<(Asked, Vec<(String, Secret)>), CliError> {
    let client = &session.client;
    let ticket = |appid: AppId, kind: Kind| async move {
        client.get(&Key::new(appid, kind), std::time::Duration::ZERO).await
    };
    let own = match ticket(appid.clone(), Kind::JsapiTicket).await {
        Ok(token) => token,
        // Who may only sign learns that the daemon signs, and no more.
        Err(error) if error.code() == Some(Code::PermissionDenied) => {
            let failed = session.failed(Action::Read);
            return match client.sign_jsapi(appid, "https://zhongkong.invalid/").await {
                Ok(_) => Ok((Asked::MaySign, Vec::new())),
                Err(_) => Err(failed(error)),
            };
        }
        Err(error) => return Err(session.failed(Action::Read)(error)),
    };
    let value =
        own.value.clone().ok_or_else(|| session.failed(Action::Read)(Error::Answer { field: "value" }))?;
    let mut tickets = vec![(format!("the jsapi_ticket of {appid}"), value)];
    // These may be out of reach, and mostly are not needed.
    let mut more = vec![(appid.clone(), Kind::WxCardTicket), (appid.clone(), Kind::AccessToken)];
    let others = others.filter(|(_, other)| *other != appid);
    more.extend(others.map(|(_, other)| (other.clone(), Kind::JsapiTicket)));
    for (appid, kind) in more {
        if let Ok(token) = ticket(appid.clone(), kind).await
            && let Some(value) = token.value
        {
            tickets.push((format!("the {kind} of {appid}"), value));
        }
    }
    Ok((
        Asked::Daemon { fingerprint: own.fingerprint, issued_at: own.issued_at, expires_at: own.expires_at },
        tickets,
    ))
}
