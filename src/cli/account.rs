//! Whose menu or codes it is, and the way there: the daemon for the token, WeChat for the rest.

use std::path::Path;

use crate::access::Action;
use crate::client::{self, Code};
use crate::config::{Environment, ToolsConfig};
use crate::model::AppId;
use crate::pb;
use crate::process::privileges::make_directory;
use crate::services::database::Place;
use crate::services::wechat_api::{self, WechatApi};

use super::connection::{Connection, Session};
use super::error::CliError;
use super::words;

/// The database's directory is for whoever uses the commands.
const DIRECTORY_MODE: u32 = 0o700;

/// The account, and the daemon that has its token.
#[derive(Debug, clap::Args)]
pub(super) struct Whose {
    /// The account, by its appid or by the name that the daemon has for it; the only one by default
    #[arg(short, long, value_name = "APPID|NAME", env = "ZHONGKONG_ACCOUNT")]
    account: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// An account that was found, and what is configured about its tools.
pub(super) struct Opened {
    /// Calls WeChat in its name.
    pub(super) api: WechatApi,
    /// Which it is.
    pub(super) appid: AppId,
    /// `shop (wx1)`, or the appid alone.
    pub(super) called: String,
    /// The configuration.
    pub(super) tools: ToolsConfig,
}

impl Whose {
    /// Connects and finds the account.
    pub(super) async fn open(self, config: &Path, env: &Environment) -> Result<Opened, CliError> {
        let Self { account, connection } = self;
        let tools = ToolsConfig::load(config, env)?;
        let session = connection.open(Action::Read, env).await?;
        let account = account.filter(|name| !name.is_empty());
        let (appid, name) = find(&session, account.as_deref()).await?;
        let called = match &name {
            Some(name) => format!("{} ({appid})", words::plain(name)),
            None => appid.to_string(),
        };
        let crate::wechat::Settings { api_base, connect_timeout, timeout, proxy } = tools.wechat.clone();
        let daemon = session.addr().to_owned();
        let settings = wechat_api::Settings { api_base, connect_timeout, timeout, proxy, daemon };
        let api = WechatApi::new(session.client, settings)?;
        Ok(Opened { api, appid, called, tools })
    }
}

/// Makes the directory of a database's file, if only that one is missing. What stops this, stops
/// the database, and is told there.
pub(super) fn make_place(database: &Place) {
    if let Place::Sqlite(path) = database
        && let Ok(path) = std::path::absolute(path)
        && let Some(directory) = path.parent()
        // More than that is a slip of the pen, and no place to keep something in.
        && directory.parent().is_some_and(Path::exists)
    {
        let _ = make_directory(directory, DIRECTORY_MODE, None);
    }
}

/// The account of this appid or name among those that the daemon shows to this client.
async fn find(session: &Session, wanted: Option<&str>) -> Result<(AppId, Option<String>), CliError> {
    let as_appid = wanted.and_then(|wanted| wanted.parse::<AppId>().ok());
    let asked = pb::ListStatusRequest { kinds: vec![pb::Kind::AccessToken.into()], ..Default::default() };
    let keys = match session.client.status(asked).await {
        Ok(keys) => keys,
        // Whoever may not list accounts may still use one that they can name.
        Err(client::Error::Refused(refusal)) if refusal.code == Code::PermissionDenied => {
            return match as_appid {
                Some(appid) => Ok((appid, None)),
                None => Err(CliError::Usage(
                    "this client may not list accounts (the action \"status\"), so the account must be named by \
                     its appid: --account APPID"
                        .to_owned(),
                )),
            };
        }
        Err(error) => return Err(session.failed(Action::Status)(error)),
    };
    let known: Vec<(AppId, Option<String>)> = keys
        .into_iter()
        .filter_map(|key| {
            let name = (!key.account_name.is_empty()).then_some(key.account_name);
            Some((key.appid.parse().ok()?, name))
        })
        .collect();
    let all = || {
        let shown = |(appid, name): &(AppId, Option<String>)| match name {
            Some(name) => format!("{} ({appid})", words::plain(name)),
            None => appid.to_string(),
        };
        known.iter().map(shown).collect::<Vec<_>>().join(", ")
    };
    let Some(wanted) = wanted else {
        return match known.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(CliError::Usage("the daemon has no account that this client may see".to_owned())),
            _ => Err(CliError::Usage(format!("which account? Name it with --account: {}", all()))),
        };
    };
    let by_appid = known.iter().find(|(appid, _)| appid.as_str() == wanted);
    let by_name: Vec<_> = known.iter().filter(|(_, name)| name.as_deref() == Some(wanted)).collect();
    match (by_appid, by_name.as_slice()) {
        (Some(found), _) => Ok(found.clone()),
        (None, [found]) => Ok((*found).clone()),
        (None, []) => Err(CliError::Usage(format!(
            "the daemon shows this client no account {wanted:?}: it has {}",
            all()
        ))),
        (None, several) => Err(CliError::Usage(format!(
            "{} accounts are called {wanted:?}: name the one that is meant by its appid, of {}",
            several.len(),
            all()
        ))),
    }
}
