//! Asks the running service what a page would be told.

use std::time::Duration;

use reqwest::{Client, redirect};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::super::error::CliError;

/// For the whole question.
const LIMIT: Duration = Duration::from_secs(10);

/// What the service says to a page of this URL.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Said {
    /// Where it was asked.
    pub(super) address: String,
    /// The HTTP status.
    pub(super) status: u16,
    /// The text that it signed.
    pub(super) signed: Option<String>,
    /// The appid that it gives to the page.
    pub(super) appid: Option<String>,
    /// Why it did not sign, in its own words.
    pub(super) error: Option<String>,
}

/// Asks at `BASE/jssdk/PATH/config`.
pub(super) async fn ask(base: &str, path: &str, url: &str) -> Result<Said, CliError> {
    let usage = || {
        CliError::Usage("--service is written http://HOST:PORT or https://HOST, without a path".to_owned())
    };
    let mut address = Url::parse(base).map_err(|_| usage())?;
    if !matches!(address.scheme(), "http" | "https") || address.path() != "/" || address.query().is_some() {
        return Err(usage());
    }
    address.set_path(&format!("/jssdk/{path}/config"));
    let shown = address.to_string();
    address.query_pairs_mut().append_pair("url", url);
    let failed = |why: &str| {
        CliError::Usage(format!("{shown} {why}: is the service running, and is this its address?"))
    };
    // Fails if one is installed already, and then that one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(LIMIT).build();
    let client = client.map_err(|_| failed("cannot be asked"))?;
    let answer = client.get(address).send().await.map_err(|_| failed("cannot be reached"))?;
    let status = answer.status().as_u16();
    let body = answer.bytes().await.map_err(|_| failed("broke off"))?;
    let said: Value =
        serde_json::from_slice(&body).map_err(|_| failed("does not answer as the JS-SDK service"))?;
    let text = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(Said {
        address: shown.clone(),
        status,
        signed: text("url"),
        appid: text("appId"),
        error: text("error"),
    })
}
