//! Whose callback it is: what everybody in the service may know of an account.
//!
//! Its Token and keys are not here; the envelope alone has them.

use crate::model::AppId;

/// An account whose messages arrive here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its appid: whose token answers too late are sent with.
    pub appid: AppId,
    /// Its name in the callback's path, in logs and in rules: `/wechat/{path}`.
    pub path: String,
}
