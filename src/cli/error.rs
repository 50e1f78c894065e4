//! Why a command failed, and what to do about it.
//!
//! [`failed`](super::failed) writes it for people and programs. Nothing here ever holds a value
//! or a token (S7).

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::access::Action;
use crate::client::{self, Code, Refusal};
use crate::config::ConfigError;
use crate::grpc::SettingsError;
use crate::launch::LaunchError;
use crate::ledger::LedgerError;
use crate::ledger::seal::KeysError;
use crate::mirror::LayoutError;
use crate::services::database::DatabaseError;
use crate::services::menu::{HistoryError, MenuError, Number, Problem, Step};
use crate::services::messages::rules::RulesError;
use crate::services::oauth::assertion::AssertionError;
use crate::services::oauth::users::UsersError;
use crate::services::qrcode::{CodeError, ListError};
use crate::services::wechat_api::{self, ApiError, SetupError};

use super::words;

const FAILED: u8 = 1;
/// Wrong usage or configuration.
const WRONG: u8 = 2;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The arguments do not fit together; says how.
    #[error("{0}")]
    Usage(String),
    /// There is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There are no rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The gRPC section does not fit together.
    #[error("the gRPC face cannot be built from the configuration")]
    Grpc(#[from] SettingsError),
    /// The file of seal keys cannot be used.
    #[error("the seal keys cannot be used")]
    SealKeys(#[from] KeysError),
    /// The daemon's user cannot run it.
    #[error(transparent)]
    Service(#[from] LaunchError),
    /// A memcached layout cannot hold the accounts.
    #[error("the memcached mirror cannot hold these accounts")]
    Layout(#[from] LayoutError),
    /// A file of credentials cannot be used.
    #[error("cannot use {}: {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The rule and the fix.
        why: String,
    },
    /// The daemon refused, or was not there.
    #[error("{}", asked(source, addr))]
    Client {
        /// Where the daemon was looked for.
        addr: String,
        /// What the command needs there.
        needs: Action,
        /// What came back.
        source: client::Error,
    },
    /// WeChat would refuse the file's menus.
    #[error("the menu in {} is not valid{}", path.display(), Listed(problems))]
    Menu {
        /// Which file.
        path: PathBuf,
        /// Never empty.
        problems: Vec<Problem>,
    },
    /// A call about an account's menus failed.
    #[error("the menus of {called} cannot be reached")]
    Menus {
        /// Whose.
        called: String,
        /// Why.
        source: Box<MenuError>,
    },
    /// There is nothing to write.
    #[error("{called} has no menu")]
    NoMenu {
        /// Whose.
        called: String,
    },
    /// A push stopped.
    #[error("the push to {called} stopped: it could not {at}")]
    HalfWay {
        /// Whose.
        called: String,
        /// At what.
        at: Box<Step>,
        /// What was done and what is live, one sentence each.
        said: Vec<String>,
        /// Why.
        source: Box<MenuError>,
    },
    /// The history of pushes cannot be used. Nothing was changed.
    #[error(transparent)]
    History(Box<HistoryError>),
    /// A push is live, and not written down as such.
    #[error("{number} is live, but the business database did not take down its end")]
    Unrecorded {
        /// Which.
        number: Number,
        /// Why.
        source: Box<HistoryError>,
    },
    /// A call about an account's codes failed.
    #[error("the QR codes of {called} cannot be had")]
    Codes {
        /// Whose.
        called: String,
        /// Why.
        source: Box<CodeError>,
    },
    /// A run over a table stopped.
    #[error("the run for {called} stopped")]
    Bulk {
        /// Whose.
        called: String,
        /// How far it came, one sentence each.
        said: Vec<String>,
        /// Why.
        source: Box<CodeError>,
    },
    /// A table of codes is wrong.
    #[error("the table {} is not valid{}", path.display(), Listed(problems))]
    List {
        /// Which file.
        path: PathBuf,
        /// Never empty.
        problems: Vec<ListError>,
    },
    /// WeChat cannot be called from here.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The ledger cannot be used.
    #[error("the ledger in {} cannot be used", dir.display())]
    Ledger {
        /// The state directory.
        dir: PathBuf,
        /// Why.
        source: LedgerError,
    },
    /// A service's database, or that of the commands, cannot be used.
    #[error("the database of its section of the configuration cannot be used")]
    Database(#[from] DatabaseError),
    /// Its users cannot be.
    #[error("the users of [oauth] cannot be used")]
    Users(#[from] UsersError),
    /// Its keys cannot be.
    #[error("the keys of assertions cannot be used")]
    Assertions(#[from] AssertionError),
    /// There is no database.
    #[error("there is no database at {}", .0.display())]
    NoDatabase(PathBuf),
    /// Nobody of this name.
    #[error("nobody with this openid has logged in with this account")]
    NoUser,
    /// There is no ledger.
    #[error("there is no ledger at {}", .0.display())]
    NoLedger(PathBuf),
    /// The account has no such credential.
    #[error("there is no {what}")]
    NoKey {
        /// What was asked for.
        what: String,
        /// What the account has.
        has: String,
    },
    /// An address is taken, or not ours.
    #[error("cannot listen on {addr}")]
    Listen {
        /// Which address.
        addr: std::net::SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The simulator ended.
    #[error("the simulator cannot go on")]
    Serve(#[source] io::Error),
    /// Nobody takes the result.
    #[error("cannot write the result")]
    Stdout(#[source] io::Error),
    /// The operator said no.
    #[error("nothing was changed")]
    Declined,
    /// Everything was said on stdout; only the exit code is left.
    #[error("failed")]
    Told(u8),
}

impl CliError {
    /// What was wrong with the configuration was said as a document.
    pub(super) const TOLD_WRONG: Self = Self::Told(WRONG);
    /// What failed was said on stdout.
    pub(super) const TOLD_FAILED: Self = Self::Told(FAILED);

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::Config(_)
            | Self::Rules(_)
            | Self::Grpc(_)
            | Self::SealKeys(_)
            | Self::Layout(_)
            | Self::File { .. }
            | Self::Menu { .. }
            | Self::List { .. }
            | Self::Client { source: client::Error::Address(_), .. } => WRONG,
            Self::Client { .. }
            | Self::Ledger { .. }
            | Self::Database(_)
            | Self::Users(_)
            | Self::Assertions(_)
            | Self::NoDatabase(_)
            | Self::NoUser
            | Self::NoLedger(_)
            | Self::NoKey { .. }
            | Self::Menus { .. }
            | Self::NoMenu { .. }
            | Self::HalfWay { .. }
            | Self::History(_)
            | Self::Unrecorded { .. }
            | Self::Codes { .. }
            | Self::Bulk { .. }
            | Self::Setup(_)
            | Self::Listen { .. }
            | Self::Serve(_)
            | Self::Stdout(_)
            | Self::Declined => FAILED,
            Self::Service(source) => source.exit_code(),
            Self::Told(code) => *code,
        }
    }

    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Client { source: client::Error::Refused(refusal), .. } => Some(refusal),
            _ => None,
        }
    }

    /// What WeChat itself said, where a command has called it.
    pub(super) fn wechat(&self) -> Option<&wechat_api::Refusal> {
        let error = match self {
            Self::Menus { source, .. } | Self::HalfWay { source, .. } => match &**source {
                MenuError::Api(error) => error,
                MenuError::Answer(_) => return None,
            },
            Self::Codes { source, .. } | Self::Bulk { source, .. } => match &**source {
                CodeError::Api(error) => error,
                _ => return None,
            },
            _ => return None,
        };
        match error {
            ApiError::Refused(refusal) | ApiError::StillDead(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// What else is to be said, a sentence a line.
    pub(super) fn details(&self) -> &[String] {
        match self {
            Self::HalfWay { said, .. } | Self::Bulk { said, .. } => said,
            _ => &[],
        }
    }

    /// What to do, where that is known.
    pub(super) fn advice(&self) -> Option<String> {
        match self {
            Self::Client { addr, needs, source } => client_advice(addr, *needs, source),
            Self::Ledger { source: LedgerError::InUse(_), .. } => {
                Some("stop the daemon first (systemctl stop zhongkong), then try again".to_owned())
            }
            Self::HalfWay { .. } => Some(
                "push the same file again, and only what is left is done; or go back with `zhongkong menu rollback N`, \
                 which `zhongkong menu history` has the numbers for; until then users see old or new menus, never none"
                    .to_owned(),
            ),
            Self::History(source) if matches!(**source, HistoryError::Database(_)) => Some(
                "[business] in the configuration says where the database is: make its directory, and let this user \
                 write there"
                    .to_owned(),
            ),
            Self::Codes { source, .. } | Self::Bulk { source, .. } => match &**source {
                CodeError::Full { used, limits } if *used < limits.permanent => {
                    Some("--use-reserve makes it all the same; or make a temporary one with --for 30d".to_owned())
                }
                CodeError::Full { .. } => Some(
                    "use a temporary one (--for 30d), or a code of another account; no permanent one is ever given back"
                        .to_owned(),
                ),
                CodeError::Database(_) => Some(
                    "[business] in the configuration says where the database is: make its directory, and let this \
                     user write there"
                        .to_owned(),
                ),
                CodeError::Api(_) | CodeError::Answer(_) | CodeError::UnderWay => None,
            },
            Self::Unrecorded { .. } => {
                Some("the next command about this account's menus asks WeChat and sets it right".to_owned())
            }
            Self::NoMenu { .. } => Some("make one in menu.toml; docs/menus.md has an example".to_owned()),
            Self::NoDatabase(_) => Some("the service makes it at its first start".to_owned()),
            Self::NoUser => Some("`zhongkong oauth export` lists everybody".to_owned()),
            Self::NoLedger(_) => Some("--config names the configuration whose state_dir is meant".to_owned()),
            Self::NoKey { has, .. } => Some(format!(
                "the account has: {has}; tickets are kept where its section of the configuration lists them in \
                 tickets"
            )),
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Some("stop what listens there, or choose another address with --listen".to_owned())
            }
            Self::Config(ConfigError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Some("--config FILE or ZHONGKONG_CONFIG names another file".to_owned())
            }
            _ => None,
        }
    }
}

impl From<HistoryError> for CliError {
    fn from(error: HistoryError) -> Self {
        Self::History(Box::new(error))
    }
}

/// Problems, each on a line of its own.
struct Listed<'a, P>(&'a [P]);

impl<P: std::fmt::Display> std::fmt::Display for Listed<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// The sentence about a failed call. The message of a refusal ends with what to do, which has
/// its own line.
fn asked(source: &client::Error, addr: &str) -> String {
    match source {
        client::Error::Refused(refusal) if broken(refusal) => {
            format!("the connection to the daemon at {addr} broke: {}", words::plain(&refusal.message))
        }
        client::Error::Refused(refusal) => {
            let message = refusal.message.as_str();
            let action = refusal.action.as_deref().unwrap_or_default();
            let rest = message.strip_suffix(action).and_then(|rest| rest.strip_suffix("; "));
            words::plain(rest.unwrap_or(message))
        }
        client::Error::Connect(_) => format!("the daemon cannot be reached at {addr}"),
        client::Error::Address(_) | client::Error::Answer { .. } | client::Error::Silent => {
            source.to_string()
        }
    }
}

/// Whether the failure is the connection's, not the daemon's word: that has its details.
pub(super) fn broken(refusal: &Refusal) -> bool {
    // The daemon gives neither UNKNOWN nor CANCELLED; tonic does, for a connection that ends under
    // a call, as it does with a peer that speaks no HTTP/2, and for a call that takes too long.
    let transport = matches!(refusal.code, Code::Unavailable | Code::Unknown | Code::Cancelled);
    refusal.reason.is_none() && (transport || refusal.message.starts_with("h2 protocol error"))
}

fn client_advice(addr: &str, needs: Action, source: &client::Error) -> Option<String> {
    match source {
        client::Error::Connect(cause) => Some(match io_kind(cause) {
            Some(io::ErrorKind::PermissionDenied) => {
                "this user may not use the socket: run as one who may (sudo), or give another --addr"
                    .to_owned()
            }
            _ => not_running(addr),
        }),
        client::Error::Refused(refusal) => refusal_advice(addr, needs, refusal),
        client::Error::Address(client::AddressError::NoAuthority) => {
            Some("give it with --ca FILE".to_owned())
        }
        client::Error::Address(_) => Some("look at --addr, --token-file and --ca".to_owned()),
        client::Error::Answer { .. } => {
            Some("the daemon is of another version: install the same one on both sides".to_owned())
        }
        client::Error::Silent => None,
    }
}

fn refusal_advice(addr: &str, needs: Action, refusal: &Refusal) -> Option<String> {
    let needs = needs.as_str();
    match refusal.code {
        _ if broken(refusal) => Some(not_running(addr)),
        Code::Unauthenticated => Some(
            "give the bearer token of a [[client]] with --token-file FILE or in ZHONGKONG_TOKEN; `zhongkong \
             new-client NAME` makes one"
                .to_owned(),
        ),
        Code::PermissionDenied => Some(format!(
            "this needs the action \"{needs}\": in the configuration, that [[client]] must have it in actions, and \
             the account and kind in accounts and kinds; then send the daemon HUP"
        )),
        Code::NotFound => Some("`zhongkong status` lists what there is".to_owned()),
        _ => refusal.action.as_deref().map(words::plain),
    }
}

fn not_running(addr: &str) -> String {
    format!(
        "is the daemon running (systemctl status zhongkong), and is {addr} among grpc.listen of its configuration? \
         --addr or ZHONGKONG_ADDR names another address"
    )
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}
