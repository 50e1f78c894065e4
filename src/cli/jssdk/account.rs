//! Whose page it is: from the configuration, or an appid where there is none.

use std::path::Path;

use crate::config::link::DaemonLink;
use crate::config::serve::LoadedServe;
use crate::config::survey::Survey;
use crate::config::{Environment, ServeConfig, Service, ServiceSet};
use crate::model::AppId;
use crate::services::jssdk::account::Account;
use crate::services::jssdk::site;

use super::super::error::CliError;

/// What the configuration says of the JS-SDK service, as far as whoever asks may read it.
#[derive(Default)]
pub(super) struct Known {
    pub(super) accounts: Vec<Account>,
    /// As the service itself reaches the daemon; only its own user can read what it shows there.
    pub(super) link: Option<DaemonLink>,
}

/// The account that is meant.
pub(super) struct Meant {
    pub(super) appid: AppId,
    /// `None` where only the appid is known.
    pub(super) account: Option<Account>,
}

impl Known {
    /// Reads what can be read; nothing is no error here.
    pub(super) fn read(config: &Path, env: &Environment) -> Self {
        let wanted = ServiceSet::from([Service::Jssdk]);
        if let Ok(LoadedServe { config, .. }) = ServeConfig::load(config, env, &wanted) {
            let (accounts, link) = config.jssdk.map(|jssdk| (jssdk.accounts, jssdk.daemon)).unzip();
            return Self { accounts: accounts.unwrap_or_default(), link };
        }
        // Without the secrets: which accounts there are stands in the file itself.
        let parts = Survey::read(config, env).ok().and_then(|survey| survey.parts);
        let accounts = parts.and_then(|parts| parts.services.jssdk).map(|jssdk| jssdk.accounts);
        Self { accounts: accounts.unwrap_or_default(), link: None }
    }

    /// The account of this path or appid; without one the account whose hosts the page is on, or the
    /// only one.
    pub(super) fn find(&self, named: Option<&str>, url: &str) -> Result<Meant, CliError> {
        let of = |account: &Account| Meant { appid: account.appid.clone(), account: Some(account.clone()) };
        let paths = || {
            let paths: Vec<&str> = self.accounts.iter().map(|account| account.path.as_str()).collect();
            if paths.is_empty() {
                "the configuration shows no [[jssdk.account]] (--config names another)".to_owned()
            } else {
                format!("the configuration has: {}", paths.join(", "))
            }
        };
        let Some(named) = named else {
            let owner = self.accounts.iter().find(|account| site::judge(&account.hosts, url).is_ok());
            let only = (self.accounts.len() == 1).then(|| self.accounts.first()).flatten();
            return owner.or(only).map(of).ok_or_else(|| {
                CliError::Usage(format!("say whose page it is with --account PATH|APPID; {}", paths()))
            });
        };
        let by_path = self.accounts.iter().find(|account| account.path == named);
        let known = by_path.or_else(|| self.accounts.iter().find(|account| account.appid.as_str() == named));
        match known {
            Some(account) => Ok(of(account)),
            // The daemon may know it.
            None if self.accounts.is_empty() => match named.parse() {
                Ok(appid) => Ok(Meant { appid, account: None }),
                Err(_) => Err(CliError::Usage(format!("{named:?} is no appid; {}", paths()))),
            },
            None => Err(CliError::Usage(format!("no account has the path or appid {named:?}; {}", paths()))),
        }
    }
}
