//! `zhongkong serve … --check`: what a start would serve, without serving it.
//!
//! Reads what a start reads and makes what it makes, but opens no socket and no connection.

use std::io;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use serde::Serialize;

use crate::config::serve::LoadedServe;
use crate::config::{Environment, ServeConfig, Service, ServiceSet};
use crate::launch::error::LaunchError;
use crate::process::hardening::harden;

use super::business::{self, CheckedBusiness};
use super::error::ServicesError;
use super::jssdk::{self, CheckedJssdk};
use super::messages::{self, CheckedMessages};
use super::oauth::{self, CheckedOAuth};
use super::served::Standing;
use super::status;

/// What would be served. Each service's part is there if it was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// "2 accounts, 5 rules, 1 program"; of several services each with its name.
    pub summary: String,
    /// What is allowed but probably not meant.
    pub warnings: Vec<String>,
    /// The message service. Its fields were here before there was another service.
    #[serde(flatten)]
    pub messages: Option<CheckedMessages>,
    /// The login service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth: Option<CheckedOAuth>,
    /// The JS-SDK service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jssdk: Option<CheckedJssdk>,
    /// Menus and QR codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business: Option<CheckedBusiness>,
}

/// All that a start of these services would ask of its files, and no more.
///
/// # Errors
/// They would not start.
pub fn check(path: &Path, env: &Environment, wanted: &ServiceSet) -> Result<Checked, LaunchError> {
    harden()?;
    let LoadedServe { config, warnings } = ServeConfig::load(path, env, wanted)?;
    let ServeConfig { serve, verify_files: _, messages, oauth, jssdk, business } = config;
    if let Some(path) = &serve.log.file {
        writable(path).map_err(|source| ServicesError::OwnLog { path: path.clone(), source })?;
    }
    let mut summaries = Vec::new();
    let messages = messages.map(|settings| messages::check(&settings)).transpose();
    let messages = told(Service::Messages, messages.map_err(ServicesError::from)?, &mut summaries);
    let oauth = oauth.map(|settings| oauth::check(&settings)).transpose();
    let oauth = told(Service::OAuth, oauth.map_err(ServicesError::from)?, &mut summaries);
    let jssdk = jssdk.map(|settings| jssdk::check(&settings)).transpose();
    let jssdk = told(Service::Jssdk, jssdk.map_err(ServicesError::from)?, &mut summaries);
    let business = business.map(|settings| business::check(&settings)).transpose();
    let business = told(Service::Business, business.map_err(ServicesError::from)?, &mut summaries);
    Ok(Checked {
        summary: status::summary(&summaries),
        warnings: warnings.iter().map(ToString::to_string).collect(),
        messages,
        oauth,
        jssdk,
        business,
    })
}

/// A service's part, its summary put with the others.
fn told<T>(
    service: Service,
    checked: Option<(String, T)>,
    summaries: &mut Vec<(&'static str, Standing)>,
) -> Option<T> {
    let (summary, checked) = checked?;
    summaries.push((service.as_str(), Standing { summary, wrong: Vec::new() }));
    Some(checked)
}

/// Whether a file could be opened for writing, or made. Makes none: a check leaves nothing behind.
pub(super) fn writable(path: &Path) -> io::Result<()> {
    let there = if path.exists() { path } else { path.parent().unwrap_or(Path::new("/")) };
    Ok(accessat(CWD, there, Access::WRITE_OK, AtFlags::EACCESS)?)
}
