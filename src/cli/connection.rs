//! From the options of a client command to a connection with the daemon.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::access::Action;
use crate::client::{self, Client, Credentials};
use crate::config::Environment;
use crate::config::link::DaemonLink;
use crate::secret::Secret;

use super::error::CliError;

/// The socket of an installed daemon.
const SOCKET: &str = "/run/zhongkong/grpc.sock";
/// The default listener.
const LOOPBACK: &str = "http://127.0.0.1:7780";
/// A bearer token has 43 characters, a PEM key some thousand.
const LARGEST: u64 = 64 * 1_024;

/// Where the daemon is and who asks.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct Connection {
    /// The daemon: http://HOST:PORT, https://HOST:PORT or unix:/PATH; by default
    /// unix:/run/zhongkong/grpc.sock where this user may use that, else http://127.0.0.1:7780
    #[arg(long, value_name = "ADDRESS", env = "ZHONGKONG_ADDR")]
    addr: Option<String>,
    /// The file with the bearer token; without it the token in ZHONGKONG_TOKEN, if any
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The PEM of the authority that signed the daemon's certificate, for https
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The PEM of our own certificate, where clients are known by theirs
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The PEM of its private key
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// A connection with the daemon.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    addr: String,
}

impl Connection {
    /// The same with this address, unless one was given.
    pub(super) fn or_addr(mut self, addr: Option<String>) -> Self {
        if self.addr.as_deref().is_none_or(str::is_empty) {
            self.addr = addr;
        }
        self
    }

    /// Whether nobody said where the daemon is, or who asks.
    pub(super) fn is_default(&self, env: &Environment) -> bool {
        let Self { addr, token_file, ca, cert, key: _ } = self;
        let said = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        let token = env.get("ZHONGKONG_TOKEN").map(str::trim).is_some_and(|token| !token.is_empty());
        !said(addr) && token_file.is_none() && ca.is_none() && cert.is_none() && !token
    }

    /// Connects; `needs` is what the command will ask for.
    pub(super) async fn open(self, needs: Action, env: &Environment) -> Result<Session, CliError> {
        let Self { addr, token_file, ca, cert, key } = self;
        let addr = addr.filter(|addr| !addr.is_empty()).unwrap_or_else(default_addr);
        let token = match token_file {
            Some(path) => Some(token_of(&path)?),
            None => {
                env.get("ZHONGKONG_TOKEN").map(str::trim).filter(|token| !token.is_empty()).map(Secret::from)
            }
        };
        let ca = ca.as_deref().map(read).transpose()?;
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some((read(&cert)?, private(&key)?)),
            // clap asks for both or none.
            _ => None,
        };
        let credentials = Credentials { token, ca, identity, server_name: None };
        match Client::connect(&addr, credentials).await {
            Ok(client) => Ok(Session { client, addr }),
            Err(source) => Err(CliError::Client { addr, needs, source }),
        }
    }
}

impl Session {
    /// Where the daemon is.
    pub(super) fn addr(&self) -> &str {
        &self.addr
    }

    /// Connects as a service of the configuration does.
    pub(super) async fn of(link: DaemonLink, needs: Action) -> Result<Self, CliError> {
        let DaemonLink { addr, credentials } = link;
        match Client::connect(&addr, credentials).await {
            Ok(client) => Ok(Self { client, addr }),
            Err(source) => Err(CliError::Client { addr, needs, source }),
        }
    }

    /// A failed call that needed this action.
    pub(super) fn failed(&self, needs: Action) -> impl Fn(client::Error) -> CliError + '_ {
        move |source| CliError::Client { addr: self.addr.clone(), needs, source }
    }
}

/// The socket knows its callers by their uid, but only its user and group may connect: others come
/// with a token to the port.
fn default_addr() -> String {
    let ours = rustix::fs::access(SOCKET, rustix::fs::Access::WRITE_OK).is_ok();
    if ours { format!("unix:{SOCKET}") } else { LOOPBACK.to_owned() }
}

fn token_of(path: &Path) -> Result<Secret, CliError> {
    let text = private(path)?;
    let token = text.expose().trim();
    if token.is_empty() {
        return Err(unusable(path, "it is empty".to_owned()));
    }
    Ok(Secret::from(token))
}

/// The text of a file that nobody else may read.
pub(super) fn private(path: &Path) -> Result<Secret, CliError> {
    let meta = fs::metadata(path).map_err(|error| unusable(path, error.to_string()))?;
    let mode = meta.mode() & 0o777;
    if meta.is_file() && mode & 0o077 != 0 {
        let why =
            format!("others than its owner can use it (mode {mode:03o}); run `chmod 600 {}`", path.display());
        return Err(unusable(path, why));
    }
    if meta.len() > LARGEST {
        return Err(unusable(path, "it is too large for a token or a key".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(|error| unusable(path, error.to_string()))?;
    Ok(Secret::from(text))
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|error| unusable(path, error.to_string()))
}

fn unusable(path: &Path, why: String) -> CliError {
    CliError::File { path: path.to_owned(), why }
}
