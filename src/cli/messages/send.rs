//! `messages send`: WeChat's push, by hand, to any callback.
//!
//! Exit code 0 means that the callback did right: the user sees an answer, or nothing because the
//! callback wished so, or a forged push was refused. Neither Token nor key is ever printed; the
//! signatures that `-v` shows are not secret.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args as ClapArgs};

use crate::config::Environment;
use crate::secret::Secret;
use crate::simulator::callback::{
    ATTEMPTS, ComposeError, Fault, Format, Identity, KINDS, Mode, Push, Sender, SenderError,
};

use super::super::connection::private;
use super::super::error::CliError;
use super::super::output::Output;
use super::super::words;
use super::shown::{self, Detail};

/// Longest message that is read from a file.
const LARGEST: u64 = 1024 * 1024;
/// Most times that one message is sent.
const MOST_RETRIES: u64 = 9;

/// What `messages send` takes.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  zhongkong messages send http://127.0.0.1:7790/wechat/wx1 text Content=hello --token-file token
  zhongkong messages send URL event.SCAN EventKey=42 --token-file token --aes-key-file key --appid wx1
  zhongkong messages send URL verify --token-file token
  zhongkong messages send URL text --fault bad_msg_signature --token-file token --aes-key-file key

Exit codes: 0 the callback did right (the user sees an answer, or nothing by intent; a forged push was refused), \
1 it did not, 2 wrong usage.")]
pub(in crate::cli) struct Args {
    /// The callback: http://HOST/PATH or https://HOST/PATH
    #[arg(required_unless_present = "list")]
    url: Option<String>,
    /// text, event.SCAN … (see --list); `verify`; or a FILE with a message in XML or JSON
    #[arg(value_name = "TYPE|FILE", required_unless_present = "list")]
    what: Option<String>,
    /// Fields that are different: Content=hi, ScanCodeInfo.ScanResult=1, List[1].TemplateId=t
    #[arg(value_name = "FIELD=VALUE", value_parser = parse_field)]
    fields: Vec<(String, String)>,
    /// List all types and faults
    #[arg(long, conflicts_with = "url")]
    list: bool,
    /// The file with the callback's Token; without it the text of --token or ZHONGKONG_CALLBACK_TOKEN
    #[arg(long, value_name = "FILE", help_heading = "Account")]
    token_file: Option<PathBuf>,
    /// The callback's Token itself; others on this machine can read it while the command runs
    #[arg(long, value_name = "TEXT", conflicts_with = "token_file", help_heading = "Account")]
    token: Option<String>,
    /// The file with the EncodingAESKey; without it the text of ZHONGKONG_CALLBACK_AES_KEY
    #[arg(long, value_name = "FILE", help_heading = "Account")]
    aes_key_file: Option<PathBuf>,
    /// The receive id of encrypted messages: the account's appid
    #[arg(long, value_name = "APPID", default_value = "wx0123456789abcdef", help_heading = "Account")]
    appid: String,
    /// The account's original id
    #[arg(long, value_name = "GH_ID", default_value = "gh_0123456789ab", help_heading = "Account")]
    to: String,
    /// How messages are guarded; safe where there is a key, else plain
    #[arg(long, value_parser = names(Mode::ALL.map(Mode::as_str)), help_heading = "Account")]
    mode: Option<String>,
    /// How messages are written
    #[arg(
        long,
        value_parser = names(Format::ALL.map(Format::as_str)),
        default_value = "xml",
        help_heading = "Account"
    )]
    format: String,
    /// The user who writes
    #[arg(long, value_name = "OPENID")]
    from: Option<String>,
    /// How often a message without an answer is sent again
    #[arg(long, value_name = "N", default_value_t = ATTEMPTS as u64 - 1,
        value_parser = clap::value_parser!(u64).range(..=MOST_RETRIES))]
    retries: u64,
    /// How long an answer is waited for
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = words::parse_span)]
    wait: Duration,
    /// Spoil the push; --list has the names
    #[arg(long, value_name = "NAME", value_parser = names(Fault::ALL.map(Fault::name)), hide_possible_values = true)]
    fault: Option<String>,
    /// Show the requests too
    #[arg(short, long, action = ArgAction::SetTrue)]
    verbose: bool,
}

fn names<const N: usize>(names: [&'static str; N]) -> PossibleValuesParser {
    PossibleValuesParser::new(names)
}

fn parse_field(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.is_empty() => Ok((path.to_owned(), value.to_owned())),
        _ => Err("a field is written NAME=VALUE".to_owned()),
    }
}

pub(super) async fn run(args: Args, out: Output, env: &Environment) -> Result<(), CliError> {
    if args.list {
        return out.result(&shown::list_document(), |_| shown::list());
    }
    let identity = identity(&args, env)?;
    let Args { url, what, fields, from, retries, wait, fault, verbose, .. } = args;
    // clap asks for both, or for --list.
    let (url, what) = (url.unwrap_or_default(), what.unwrap_or_default());
    let fault = fault.as_deref().and_then(Fault::of);
    let detail = if verbose { Detail::Requests } else { Detail::Answers };
    let mode = identity.mode;
    let retries = usize::try_from(retries).unwrap_or_default();
    let sender = Sender::new(&url, identity).map_err(|error| match error {
        SenderError::Url(_) | SenderError::Key(_) => CliError::Usage(error.to_string()),
        SenderError::NoKey(_) => CliError::Usage(format!("{error}: give it with --aes-key-file FILE")),
    })?;
    let sender = sender.attempts(retries + 1).wait(wait);
    let well = if what == "verify" {
        if !fields.is_empty() || from.is_some() {
            return Err(CliError::Usage("verify takes no fields: a verification has no message".to_owned()));
        }
        let done = sender.verify_spoilt(fault).await;
        out.result(&done.document(), |colour| shown::verification(&done, fault, detail, colour))?;
        done.ok()
    } else {
        let push = push(&what, &fields, from.as_deref(), fault)?;
        let done = sender.push(&push).await;
        out.result(&done.document(), |colour| shown::delivery(&done, fault, mode, detail, colour))?;
        done.ok()
    };
    if well { Ok(()) } else { Err(CliError::TOLD_FAILED) }
}

/// The account, as its console has it.
fn identity(args: &Args, env: &Environment) -> Result<Identity, CliError> {
    let from_env =
        |name: &str| env.get(name).map(str::trim).filter(|text| !text.is_empty()).map(Secret::from);
    let token = match (&args.token_file, &args.token) {
        (Some(path), _) => Some(line_of(path)?),
        (None, Some(text)) => Some(Secret::from(text.as_str())),
        (None, None) => from_env("ZHONGKONG_CALLBACK_TOKEN"),
    };
    let token = token.ok_or_else(|| {
        CliError::Usage(
            "the callback's Token is needed: --token-file FILE, or ZHONGKONG_CALLBACK_TOKEN in the environment"
                .to_owned(),
        )
    })?;
    let aes_key = match &args.aes_key_file {
        Some(path) => Some(line_of(path)?),
        None => from_env("ZHONGKONG_CALLBACK_AES_KEY"),
    };
    let default = if aes_key.is_some() { Mode::Safe } else { Mode::Plain };
    Ok(Identity {
        token: token.expose().to_owned(),
        aes_key: aes_key.map(|key| key.expose().to_owned()),
        appid: args.appid.clone(),
        original_id: args.to.clone(),
        mode: args.mode.as_deref().and_then(Mode::of).unwrap_or(default),
        format: Format::of(&args.format).unwrap_or(Format::Xml),
    })
}

/// The one line of a file of a secret.
fn line_of(path: &Path) -> Result<Secret, CliError> {
    let text = private(path)?;
    match text.expose().trim() {
        "" => Err(CliError::File { path: path.to_owned(), why: "it is empty".to_owned() }),
        line => Ok(Secret::from(line)),
    }
}

/// The message: by a name, or from a file where there is no such name.
fn push(
    what: &str,
    fields: &[(String, String)],
    from: Option<&str>,
    fault: Option<Fault>,
) -> Result<Push, CliError> {
    let wrong = |error: ComposeError| CliError::Usage(error.to_string());
    let path = Path::new(what);
    let known = KINDS.iter().any(|kind| kind.name == what);
    let mut push = if !known && path.is_file() {
        let unusable = |why: String| CliError::File { path: path.to_owned(), why };
        let length = path.metadata().map_err(|error| unusable(error.to_string()))?.len();
        if length > LARGEST {
            return Err(unusable("it has over a million bytes: no message has".to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        Push::from_text(&text).map_err(|error| unusable(error.to_string()))?
    } else {
        let unknown = |error: ComposeError| {
            let hint = "`zhongkong messages send --list` lists the types, and there is no file of this name";
            CliError::Usage(format!("{error}; {hint}"))
        };
        Push::new(what).map_err(unknown)?
    };
    if let Some(openid) = from {
        push = push.from(openid).map_err(wrong)?;
    }
    for (path, value) in fields {
        push = push.set(path, value).map_err(wrong)?;
    }
    Ok(match fault {
        Some(fault) => push.fault(fault),
        None => push,
    })
}
