//! What the JS-SDK service would serve.

use std::path::PathBuf;

use serde::Serialize;

use crate::config::jssdk::JssdkSettings;
use crate::services::jssdk::account::Account;
use crate::services::jssdk::door::{Preview, Table};

use super::error::JssdkError;
use super::{Live, summary};

/// What would be served.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedJssdk {
    /// The accounts, in the order of the file.
    pub accounts: Vec<SignedAccount>,
    /// The directory of the pages.
    pub pages_directory: Option<PathBuf>,
    /// The pages, by name.
    pub pages: Vec<String>,
    /// Whether every page is a preview.
    pub preview: bool,
}

/// An account.
#[derive(Clone, Debug, Serialize)]
pub struct SignedAccount {
    /// Where pages ask: `/jssdk/shop`.
    pub path: String,
    /// Whose it is.
    pub appid: String,
    /// Whose pages are signed for.
    pub hosts: Vec<String>,
    /// Whose pages may ask from another origin.
    pub origins: Vec<String>,
    /// How many cards are signed; none, if the list is empty.
    pub cards: usize,
}

/// Makes what a start would make, with its summary: "2 accounts, 3 pages".
pub(in crate::launch::services) fn check(
    settings: &JssdkSettings,
) -> Result<(String, CheckedJssdk), JssdkError> {
    let Live { table, pages, watcher: _ } = Live::new(settings)?;
    let names = pages.map(|pages| pages.names()).unwrap_or_default();
    let summary = summary(Table::accounts(&table), names.len());
    let checked = CheckedJssdk {
        accounts: settings.accounts.iter().map(SignedAccount::of).collect(),
        pages_directory: settings.pages.clone(),
        pages: names,
        preview: settings.preview == Preview::Always,
    };
    Ok((summary, checked))
}

impl SignedAccount {
    fn of(account: &Account) -> Self {
        Self {
            path: format!("/jssdk/{}", account.path),
            appid: account.appid.as_str().to_owned(),
            hosts: account.hosts.iter().map(ToString::to_string).collect(),
            origins: account.origins.iter().map(ToString::to_string).collect(),
            cards: account.cards.len(),
        }
    }
}
