//! `messages send`: WeChat's push, by hand, to any callback.
//!
//! Exit code 0 means that the callback did right: the user sees an answer, or nothing because the
//! callback wished so, or a forged push was refused. Neither Token nor key is ever printed; the
//! signatures that `-v` shows are not secret.

use std::path::Path;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args as ClapArgs};

use crate::config::Environment;
use crate::simulator::callback::{ATTEMPTS, ComposeError, Fault, KINDS, Push, Sender, SenderError};

use super::super::error::CliError;
use super::super::output::Output;
use super::super::words;
use super::account::{Console, Known};
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
  zhongkong messages send text Content=hello --account wx1
  zhongkong messages send https://HOST/wechat/wx1 text --account wx1
  zhongkong messages send URL verify --token-file token
  zhongkong messages send URL text --fault bad_msg_signature --token-file token --aes-key-file key

Exit codes: 0 the callback did right (the user sees an answer, or nothing by intent; a forged push was refused), \
1 it did not, 2 wrong usage.")]
pub(in crate::cli) struct Args {
    /// The callback: http://HOST/PATH or https://HOST/PATH. With --account it may be left out: then it is the message
    /// service of the configuration, on this machine
    #[arg(required_unless_present = "list")]
    url: Option<String>,
    /// text, event.SCAN … (see --list); `verify`; or a FILE with a message in XML or JSON
    #[arg(value_name = "TYPE|FILE", required_unless_present_any = ["list", "account"])]
    what: Option<String>,
    // Not a comment of rustdoc's, which takes the brackets for a link.
    #[arg(
        help = "Fields that are different: Content=hi, ScanCodeInfo.ScanResult=1, List[1].TemplateId=t",
        value_name = "FIELD=VALUE",
        value_parser = parse_field
    )]
    fields: Vec<(String, String)>,
    /// List all types and faults
    #[arg(long, conflicts_with = "url")]
    list: bool,
    #[command(flatten)]
    account: Console,
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

pub(super) async fn run(args: Args, config: &Path, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { url, what, fields, list, account, from, retries, wait, fault, verbose } = args;
    if list {
        return out.result(&shown::list_document(), |_| shown::list());
    }
    let Known { identity, url: own } = account.read(config, env)?;
    // clap asks for the first, or for --list.
    let said = Said { first: url.unwrap_or_default(), second: what, fields };
    let Target { url, what, fields } = said.sorted(own)?;
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

/// The words of the command as clap counts them.
struct Said {
    first: String,
    second: Option<String>,
    fields: Vec<(String, String)>,
}

/// What they mean.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    url: String,
    what: String,
    fields: Vec<(String, String)>,
}

impl Said {
    /// The address comes first, unless it is left out for the account's `own`: then each word stands
    /// one place too far in front.
    fn sorted(self, own: Option<String>) -> Result<Target, CliError> {
        let Self { first, second, mut fields } = self;
        match (own, second) {
            (Some(url), second) if !first.contains("://") => {
                if let Some(field) = second {
                    let field = parse_field(&field).map_err(|rule| {
                        CliError::Usage(format!(
                            "{field:?}: {rule}; an address begins with http:// or https://"
                        ))
                    })?;
                    fields.insert(0, field);
                }
                Ok(Target { url, what: first, fields })
            }
            (_, Some(what)) => Ok(Target { url: first, what, fields }),
            (_, None) => Err(CliError::Usage(
                "what is to be sent? a TYPE (`--list` has all), `verify`, or a FILE".to_owned(),
            )),
        }
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
