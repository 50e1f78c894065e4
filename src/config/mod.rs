//! The configuration: from the file to each module's `Settings`.
//!
//! Owns every rule about what may be written. Two steps: `raw` mirrors the file, the files
//! beside it turn the mirror into settings. Guarantees:
//! - a [`Config`] is valid: nobody checks a setting again;
//! - an error names line, key, rule and fix, and one reading finds as many as it can;
//! - no error, warning or `Debug` shows a secret or a line of the file (S7);
//! - nothing here reads the process's environment: it comes as an [`Environment`].
//!
//! Deliberately absent: opening sockets, touching the state directory, anything of a reload
//! but the question of what it cannot change ([`restart_needed`]).

use std::path::Path;

use crate::hub::AccountSettings;
use crate::{grpc, mirror, wechat};

mod accounts;
pub mod addresses;
mod audit;
pub mod business;
mod callback;
mod clients;
mod context;
mod control;
mod daemon;
mod de;
mod environment;
#[cfg(test)]
mod example;
mod hints;
pub mod jssdk;
#[cfg(test)]
mod keys;
pub mod link;
mod listeners;
mod memcached;
pub mod messages;
pub mod new_client;
pub mod oauth;
mod place;
mod raw;
mod reload;
mod report;
mod secrets;
pub mod serve;
pub mod services;
mod source;
pub mod survey;
mod tls;
pub mod tools;
mod upstream;
pub mod verify;

pub use control::Control;
pub use daemon::DaemonSettings;
pub use environment::Environment;
pub use listeners::AdminSettings;
pub use reload::restart_needed;
pub use report::{ConfigError, Problem};
pub use serve::ServeConfig;
pub use services::{Service, ServiceSet};
pub use tools::ToolsConfig;

use context::Context;
use services::{Asked, Sections};
use source::Source;

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The process as a whole.
    pub daemon: DaemonSettings,
    /// How WeChat is reached.
    pub wechat: wechat::Settings,
    /// The gRPC face and who may call it.
    pub grpc: grpc::settings::Settings,
    /// The admin listener.
    pub admin: AdminSettings,
    /// Who did what.
    pub audit: crate::audit::Settings,
    /// The copies in memcached.
    pub mirror: mirror::Settings,
    /// The accounts, in the order of the file; no appid occurs twice.
    pub accounts: Vec<AccountSettings>,
}

/// A configuration with what is odd about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What to run with.
    pub config: Config,
    /// What is allowed but probably not meant, in the order of the file.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads and validates a file and every file that it names.
    ///
    /// # Errors
    /// The operator must change something and start, or reload, again.
    pub fn load(path: &Path, env: &Environment) -> Result<Loaded, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(unreadable)?;
        let text = std::fs::read_to_string(&path).map_err(unreadable)?;
        let base = path.parent().unwrap_or(Path::new("/"));
        Self::check(&text, base, env)
            .map_err(|problems| ConfigError::Invalid { path: path.clone(), problems })
    }

    fn check(text: &str, base: &Path, env: &Environment) -> Result<Loaded, Vec<Problem>> {
        let source = Source::parse(text)?;
        let mut cx = Context::new(env, base);
        let raw::File {
            daemon,
            wechat,
            grpc,
            admin,
            audit,
            memcached,
            account,
            client,
            business,
            serve,
            messages,
            oauth,
            jssdk,
        } = source.read(&mut cx.report);
        let daemon = daemon::check(daemon.unwrap_or_default(), &mut cx);
        let wechat = upstream::check(wechat.unwrap_or_default(), &mut cx);
        let accounts = accounts::check(account.unwrap_or_default(), &mut cx);
        let clients = clients::check(client.unwrap_or_default(), &accounts, &mut cx);
        let grpc = listeners::check_grpc(grpc.unwrap_or_default(), clients, &mut cx);
        let admin = listeners::check_admin(admin.unwrap_or_default(), &mut cx);
        let audit = audit::check(&audit.unwrap_or_default(), &mut cx);
        let mirror = memcached::check(memcached.unwrap_or_default(), &mut cx);
        // For their errors: what the sections mean is for others' processes, whose secrets are not
        // read here.
        let sections = Sections { serve, messages, oauth, jssdk, business };
        let _ = services::check(sections, Asked::Present, wechat.as_ref(), &mut cx);
        let (errors, warnings) = cx.report.finish(|place| source.line_of(place));
        match wechat {
            Some(wechat) if errors.is_empty() => {
                let config = Self { daemon, wechat, grpc, admin, audit, mirror, accounts };
                Ok(Loaded { config, warnings })
            }
            _ => Err(errors),
        }
    }
}
