//! Whose callback it is: Token, key and mode from options, the environment, or the configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;

use crate::config::messages::CallbackSettings;
use crate::config::{Environment, ServeConfig, Service, ServiceSet};
use crate::secret::Secret;
use crate::services::messages::envelope;
use crate::simulator::callback::{Format, Identity, Mode};

use super::super::connection::private;
use super::super::error::CliError;

/// The receive id where none is given.
const APPID: &str = "wx0123456789abcdef";

/// The account, as WeChat's console has it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Account")]
pub(super) struct Console {
    /// Token, key, mode and appid of this [[messages.account]] of the configuration
    #[arg(long, value_name = "PATH|APPID", conflicts_with_all = ["token_file", "token", "aes_key_file"])]
    account: Option<String>,
    /// The file with the callback's Token; without it the text of --token or ZHONGKONG_CALLBACK_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The callback's Token itself; others on this machine can read it while the command runs
    #[arg(long, value_name = "TEXT", conflicts_with = "token_file")]
    token: Option<String>,
    /// The file with the EncodingAESKey; without it the text of ZHONGKONG_CALLBACK_AES_KEY
    #[arg(long, value_name = "FILE")]
    aes_key_file: Option<PathBuf>,
    /// The receive id of encrypted messages: the account's appid
    #[arg(long, value_name = "APPID")]
    appid: Option<String>,
    /// The account's original id
    #[arg(long, value_name = "GH_ID", default_value = "gh_0123456789ab")]
    to: String,
    /// How messages are guarded; safe where there is a key, else plain
    #[arg(long, value_parser = PossibleValuesParser::new(Mode::ALL.map(Mode::as_str)))]
    mode: Option<String>,
    /// How messages are written
    #[arg(
        long,
        value_parser = PossibleValuesParser::new(Format::ALL.map(Format::as_str)),
        default_value = "xml"
    )]
    format: String,
}

/// Whose callback it is.
pub(super) struct Known {
    /// What pushes are signed and encrypted with.
    pub(super) identity: Identity,
    /// Where the service of the configuration listens for it, if it is an account of one.
    pub(super) url: Option<String>,
}

impl Console {
    /// Reads what the options name.
    pub(super) fn read(self, config: &Path, env: &Environment) -> Result<Known, CliError> {
        let Self { account, token_file, token, aes_key_file, appid, to, mode, format } = self;
        let configured = account.map(|name| find(&name, config, env)).transpose()?;
        let url = configured.as_ref().map(|(found, listen)| local_url(*listen, &found.account.path));
        let (token, aes_key, own_mode, receive_id) = if let Some((found, _)) = configured {
            let mode = match found.mode {
                envelope::Mode::Plain => Mode::Plain,
                envelope::Mode::Compatible => Mode::Compatible,
                envelope::Mode::Safe => Mode::Safe,
            };
            (found.token, found.aes_key, mode, found.receive_id)
        } else {
            let token = token_of(token_file.as_deref(), token, env)?;
            let aes_key = match aes_key_file {
                Some(path) => Some(line_of(&path)?),
                None => variable(env, "ZHONGKONG_CALLBACK_AES_KEY"),
            };
            let mode = if aes_key.is_some() { Mode::Safe } else { Mode::Plain };
            (token, aes_key, mode, APPID.to_owned())
        };
        let identity = Identity {
            token: token.expose().to_owned(),
            aes_key: aes_key.map(|key| key.expose().to_owned()),
            appid: appid.unwrap_or(receive_id),
            original_id: to,
            mode: mode.as_deref().and_then(Mode::of).unwrap_or(own_mode),
            format: Format::of(&format).unwrap_or(Format::Xml),
        };
        Ok(Known { identity, url })
    }
}

/// Where a program on this machine reaches the callback of this path.
fn local_url(listen: SocketAddr, path: &str) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}/wechat/{path}", SocketAddr::new(ip, listen.port()))
}

/// The account of this path or appid, and where its service listens.
fn find(name: &str, config: &Path, env: &Environment) -> Result<(CallbackSettings, SocketAddr), CliError> {
    let wanted = ServiceSet::from([Service::Messages]);
    let loaded = ServeConfig::load(config, env, &wanted)?.config;
    let listen = loaded.serve.listen;
    let accounts = loaded.messages.map(|messages| messages.accounts).unwrap_or_default();
    let by_path = accounts.iter().find(|one| one.account.path == name);
    let found = by_path.or_else(|| accounts.iter().find(|one| one.account.appid.as_str() == name));
    found.cloned().map(|found| (found, listen)).ok_or_else(|| {
        let paths: Vec<&str> = accounts.iter().map(|one| one.account.path.as_str()).collect();
        CliError::Usage(format!(
            "no [[messages.account]] of {} has the path or appid {name:?}; their paths are: {}",
            config.display(),
            paths.join(", ")
        ))
    })
}

fn token_of(file: Option<&Path>, text: Option<String>, env: &Environment) -> Result<Secret, CliError> {
    let token = match (file, text) {
        (Some(path), _) => Some(line_of(path)?),
        (None, Some(text)) => Some(Secret::from(text)),
        (None, None) => variable(env, "ZHONGKONG_CALLBACK_TOKEN"),
    };
    token.ok_or_else(|| {
        CliError::Usage(
            "the callback's Token is needed: --account PATH, --token-file FILE, or ZHONGKONG_CALLBACK_TOKEN in the \
             environment"
                .to_owned(),
        )
    })
}

fn variable(env: &Environment, name: &str) -> Option<Secret> {
    env.get(name).map(str::trim).filter(|text| !text.is_empty()).map(Secret::from)
}

/// The one line of a file of a secret.
fn line_of(path: &Path) -> Result<Secret, CliError> {
    let text = private(path)?;
    match text.expose().trim() {
        "" => Err(CliError::File { path: path.to_owned(), why: "it is empty".to_owned() }),
        line => Ok(Secret::from(line)),
    }
}
