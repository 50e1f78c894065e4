//! `/sns`: calls about one user, with the token that a login brought for that user.
//!
//! The same wire as for accounts, and none of their tokens: nothing is asked of the daemon, nothing
//! is complained about, nothing is kept. A user's token is in the request and nowhere else.

use std::sync::Arc;

use serde_json::Value;

use crate::secret::Secret;

use super::answer::Answer;
use super::wire::{Request, Wire};
use super::{ApiError, Settings, SetupError};

/// Calls WeChat about users. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct UserApi {
    wire: Arc<Wire>,
}

impl UserApi {
    /// Opens no connection.
    ///
    /// # Errors
    /// The settings cannot be used, or the machine has no CA certificates.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        Ok(Self { wire: Arc::new(Wire::new(settings)?) })
    }

    /// `GET` of a path with these parameters besides the user's token.
    ///
    /// # Errors
    /// None holds the token or an address.
    pub async fn get(&self, path: &str, query: &[(&str, &str)], token: &Secret) -> Result<Value, ApiError> {
        match self.wire.call(&Request::Get { path, query }, token).await? {
            Answer::Done(fields) => Ok(fields),
            Answer::Refused(refusal) => Err(ApiError::Refused(refusal)),
        }
    }
}

impl std::fmt::Debug for UserApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserApi")
    }
}
