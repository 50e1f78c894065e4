//! What `wx.config` is given, as JSON of the address `config` and as `config` in templates.

use std::borrow::Cow;

use serde::Serialize;

use super::account::Account;
use super::sign::Signature;
use super::site::Page;

/// The signature of a preview, which nothing accepts.
const NO_SIGNATURE: &str = "0000000000000000000000000000000000000000";

/// A configuration, in WeChat's own words.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration<'a> {
    /// `appId`
    pub app_id: &'a str,
    /// Seconds, a number.
    pub timestamp: i64,
    /// `nonceStr`, with its capital letter.
    pub nonce_str: Cow<'a, str>,
    /// Hex SHA-1.
    pub signature: Cow<'a, str>,
    /// What the page may call.
    pub js_api_list: &'a [String],
    /// Which open tags the page may have.
    pub open_tag_list: &'a [String],
    /// What was signed: an invalid signature is one of another text.
    pub url: Cow<'a, str>,
}

impl<'a> Configuration<'a> {
    /// Of a signed page.
    pub fn of(account: &'a Account, signature: Signature, page: Page<'a>) -> Self {
        let Signature { timestamp, nonce, signature } = signature;
        Self {
            app_id: account.appid.as_str(),
            timestamp,
            nonce_str: nonce.into(),
            signature: signature.into(),
            js_api_list: &account.apis,
            open_tag_list: &account.open_tags,
            url: page.text().into(),
        }
    }

    /// Of a page that only its developer sees: all there, and nothing signed.
    pub fn preview(account: &'a Account, url: &'a str, timestamp: i64) -> Self {
        Self {
            app_id: account.appid.as_str(),
            timestamp,
            nonce_str: "preview".into(),
            signature: NO_SIGNATURE.into(),
            js_api_list: &account.apis,
            open_tag_list: &account.open_tags,
            url: url.split('#').next().unwrap_or(url).into(),
        }
    }
}
