//! Which accounts there are at a moment.

use std::collections::HashMap;
use std::sync::Arc;

use crate::services::jssdk::account::Account;
use crate::services::jssdk::pages::Pages;
use crate::telemetry::Said;

/// Why there is no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path /jssdk/{path} is used twice")]
pub struct TableError {
    /// Which.
    pub path: String,
}

/// Whether pages are for their developer only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preview {
    /// Pages are for WeChat; their developer, on this machine, adds `?preview` to see one.
    #[default]
    OnRequest,
    /// Every page is a preview. For listeners on loopback.
    Always,
}

/// What the door knows of an account.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) account: Arc<Account>,
    pub(super) said: Said,
}

/// Accounts by path, and the pages that all of them have.
#[derive(Debug, Default)]
pub struct Table {
    places: HashMap<String, Place>,
    pub(super) pages: Option<Pages>,
    pub(super) preview: Preview,
}

impl Table {
    /// A table of these accounts.
    ///
    /// # Errors
    /// Two have one path.
    pub fn new(
        accounts: impl IntoIterator<Item = Account>,
        pages: Option<Pages>,
        preview: Preview,
    ) -> Result<Self, TableError> {
        let mut places = HashMap::new();
        for account in accounts {
            let path = account.path.clone();
            let place = Place { account: Arc::new(account), said: Said::default() };
            if places.insert(path.clone(), place).is_some() {
                return Err(TableError { path });
            }
        }
        Ok(Self { places, pages, preview })
    }

    /// How many accounts it has.
    pub fn accounts(&self) -> usize {
        self.places.len()
    }

    pub(super) fn place(&self, path: &str) -> Option<&Place> {
        self.places.get(path)
    }
}
