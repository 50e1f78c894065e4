//! Which accounts there are at a moment.

use std::collections::HashMap;
use std::sync::Arc;

use crate::services::messages::account::Account;
use crate::services::messages::envelope::{self, Envelope, KeyError, Which};
use crate::telemetry::Said;

/// An account whose callback is here.
#[derive(Clone, Debug)]
pub struct Callback {
    /// Its appid and path.
    pub account: Account,
    /// How its requests are proved and encrypted.
    pub envelope: envelope::Settings,
}

/// Why there is no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A Token or key cannot be used.
    #[error("the account at /wechat/{path} cannot be served")]
    Key {
        /// Whose.
        path: String,
        /// Why.
        source: KeyError,
    },
    /// Two accounts would get each other's messages.
    #[error("the path /wechat/{path} is used twice")]
    Twice {
        /// Which.
        path: String,
    },
}

/// What the door knows of an account.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) account: Arc<Account>,
    pub(super) envelope: Envelope,
    pub(super) said: Said,
}

/// Accounts by path.
#[derive(Debug, Default)]
pub struct Table {
    places: HashMap<String, Place>,
}

impl Place {
    /// Says, once a minute, that WeChat still encrypts with the key before this one: as long as it
    /// does, that key cannot be taken out.
    pub(super) fn heard_with(&self, key: Option<Which>) {
        match key {
            None | Some(Which::Current) => {}
            Some(Which::Previous) => {
                if let Some(others) = self.said.turn("previous_key") {
                    let path = &self.account.path;
                    tracing::info!(
                        account = path,
                        others,
                        "WeChat still uses the previous EncodingAESKey for /wechat/{path}: leave previous_aes_key until \
                         this is said no more",
                    );
                }
            }
        }
    }
}

impl Table {
    /// A table of these accounts.
    ///
    /// # Errors
    /// The settings cannot be meant.
    pub fn new(callbacks: Vec<Callback>) -> Result<Self, TableError> {
        let mut table = Self::default();
        for Callback { account, envelope } in callbacks {
            let path = account.path.clone();
            let envelope =
                Envelope::new(envelope).map_err(|source| TableError::Key { path: path.clone(), source })?;
            let place = Place { account: Arc::new(account), envelope, said: Said::default() };
            if table.places.insert(path.clone(), place).is_some() {
                return Err(TableError::Twice { path });
            }
        }
        Ok(table)
    }

    /// How many accounts it has.
    pub fn accounts(&self) -> usize {
        self.places.len()
    }

    pub(super) fn place(&self, path: &str) -> Option<&Place> {
        self.places.get(path)
    }
}
