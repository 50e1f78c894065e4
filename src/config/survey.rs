//! A reading for somebody who looks for faults: what is wrong, and all that could be read in
//! spite of it.
//!
//! Never run with: where a key is wrong, its default stands here. It also names what a
//! [`Config`](super::Config) has read and forgotten: the files, and each account's callback.

use std::path::{Path, PathBuf};

use url::Url;

use crate::hub::AccountSettings;
use crate::{grpc, mirror, wechat};

use super::callback::callback_url;
use super::context::Context;
use super::report::{ConfigError, Problem};
use super::services::{self, Asked, Sections};
use super::source::Source;
use super::{AdminSettings, DaemonSettings, Environment, ServeConfig};
use super::{accounts, audit, clients, daemon, listeners, memcached, place::Place, raw, upstream};

/// What a file is for, and so who may do what with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// The configuration itself.
    Config,
    /// An AppSecret, seal keys, a private key.
    Secret,
    /// A certificate.
    Public,
}

/// A file that the configuration names, or is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// The key that names it; empty for the configuration itself.
    pub key: String,
    /// Where it is.
    pub path: PathBuf,
    /// What it is for.
    pub role: FileRole,
}

/// Where WeChat sends an account's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Whose, as written.
    pub appid: String,
    /// The address that stands in WeChat's console.
    pub url: Url,
}

/// What could be read of a configuration.
#[derive(Clone, Debug)]
pub struct Survey {
    /// What is wrong; empty if a daemon would start with it.
    pub errors: Vec<Problem>,
    /// What is odd.
    pub warnings: Vec<Problem>,
    /// Every file that it names, itself first.
    pub files: Vec<NamedFile>,
    /// The parts; `None` if the file is no TOML at all.
    pub parts: Option<Parts>,
}

/// The settings, each as it is or, where it is wrong, as it is by default.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The process as a whole.
    pub daemon: DaemonSettings,
    /// How WeChat is reached; `None` if that cannot be said.
    pub wechat: Option<wechat::Settings>,
    /// The gRPC face.
    pub grpc: grpc::settings::Settings,
    /// The admin listener.
    pub admin: AdminSettings,
    /// The copies.
    pub mirror: mirror::Settings,
    /// The accounts that are right.
    pub accounts: Vec<AccountSettings>,
    /// How many accounts the file has.
    pub listed_accounts: usize,
    /// The callbacks that are configured.
    pub callbacks: Vec<Callback>,
    /// The business services that have a section; each of their secrets is an empty text.
    pub services: ServeConfig,
}

impl Survey {
    /// Reads a file and every file that it names.
    ///
    /// # Errors
    /// The file itself cannot be read.
    pub fn read(path: &Path, env: &Environment) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(unreadable)?;
        let text = std::fs::read_to_string(&path).map_err(unreadable)?;
        let mut files = vec![NamedFile { key: String::new(), path: path.clone(), role: FileRole::Config }];
        let source = match Source::parse(&text) {
            Ok(source) => source,
            Err(errors) => return Ok(Self { errors, warnings: Vec::new(), files, parts: None }),
        };
        let mut cx = Context::new(env, path.parent().unwrap_or(Path::new("/")));
        let file = source.read(&mut cx.report);
        files.extend(named(&file, &cx));
        let listed = file.account.as_deref().unwrap_or_default();
        let listed_accounts = listed.len();
        // A wrong one is reported where the accounts are checked.
        let callback = |account: &raw::Account| {
            let url = callback_url(account.callback_url.as_deref()?).ok()?;
            Some(Callback { appid: account.appid.clone()?, url })
        };
        let callbacks = listed.iter().filter_map(callback).collect();
        let daemon = daemon::check(file.daemon.unwrap_or_default(), &mut cx);
        let wechat = upstream::check(file.wechat.unwrap_or_default(), &mut cx);
        let accounts = accounts::check(file.account.unwrap_or_default(), &mut cx);
        let clients = clients::check(file.client.unwrap_or_default(), &accounts, &mut cx);
        let grpc = listeners::check_grpc(file.grpc.unwrap_or_default(), clients, &mut cx);
        let admin = listeners::check_admin(file.admin.unwrap_or_default(), &mut cx);
        // For its errors; there is nothing more to look at.
        let _ = audit::check(&file.audit.unwrap_or_default(), &mut cx);
        let mirror = memcached::check(file.memcached.unwrap_or_default(), &mut cx);
        let raw::File { business, serve, messages, oauth, jssdk, .. } = file;
        let sections = Sections { serve, messages, oauth, jssdk, business };
        let services = services::check(sections, Asked::Present, wechat.as_ref(), &mut cx);
        let (errors, warnings) = cx.report.finish(|place| source.line_of(place));
        let parts =
            Parts { daemon, wechat, grpc, admin, mirror, accounts, listed_accounts, callbacks, services };
        Ok(Self { errors, warnings, files, parts: Some(parts) })
    }
}

/// Credentials of systemd are left out: it sets their owners and modes.
fn named(file: &raw::File, cx: &Context<'_>) -> Vec<NamedFile> {
    let mut found = Vec::new();
    let mut add = |place: Place, path: &Option<String>, role| {
        if let Some(path) = path {
            found.push(NamedFile { key: place.to_string(), path: cx.path(path), role });
        }
    };
    if let Some(daemon) = &file.daemon {
        add(Place::root().key("daemon").key("seal_keys_file"), &daemon.seal_keys_file, FileRole::Secret);
    }
    if let Some(tls) = file.grpc.as_ref().and_then(|grpc| grpc.tls.as_ref()) {
        let table = Place::root().key("grpc").key("tls");
        add(table.key("cert"), &tls.cert, FileRole::Public);
        add(table.key("key"), &tls.key, FileRole::Secret);
        add(table.key("client_ca"), &tls.client_ca, FileRole::Public);
    }
    if let Some(business) = &file.business {
        let place = Place::root().key("business").key("database_url_file");
        add(place, &business.database_url_file, FileRole::Secret);
    }
    for (index, account) in file.account.iter().flatten().enumerate() {
        let place = Place::root().key("account").index(index).key("secret_file");
        add(place, &account.secret_file, FileRole::Secret);
    }
    found
}
