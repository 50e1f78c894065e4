//! The configuration as `zhongkong serve` reads it: `[serve]`, and the sections of the services.
//!
//! One file, two readers. The services face the internet: their process reads their secrets and
//! never an AppSecret; the daemon reads AppSecrets and never theirs. So each reading opens only
//! the files of its own sections, and of the other's checks no more than how they are written.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

use crate::http::Proxies;
use crate::telemetry::LogSettings;
use crate::telemetry::file::Rotation;

use super::addresses::{self, Listeners};
use super::business::BusinessSettings;
use super::context::Context;
use super::jssdk::JssdkSettings;
use super::messages::MessagesSettings;
use super::oauth::OAuthSettings;
use super::place::Place;
use super::report::{ConfigError, Problem};
use super::services::{self, Asked, Sections, Service, ServiceSet};
use super::source::Source;
use super::verify::VerifyFile;
use super::{Environment, daemon, raw, upstream};

/// Default of `[serve] trusted_proxies`: the listener is on loopback for the sake of a proxy there.
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// What the process of the business services needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeSettings {
    /// Where the business listener is.
    pub listen: SocketAddr,
    /// Whose word for who asks is taken.
    pub proxies: Proxies,
    /// Where health and metrics are asked for.
    pub admin: SocketAddr,
    /// The keys of `listen` and `admin`, for who must change them.
    pub keys: [&'static str; 2],
    /// Where each service is that runs alone.
    pub alone: BTreeMap<Service, Listeners>,
    /// How to log.
    pub log: LogSettings,
    /// How long a stop may take before what still runs is cut off.
    pub grace: Duration,
}

/// A valid configuration of the business services. A service that was not asked for has none.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The process as a whole.
    pub serve: ServeSettings,
    /// The domain verification files of all accounts, each once.
    pub verify_files: Vec<VerifyFile>,
    /// The message service.
    pub messages: Option<MessagesSettings>,
    /// The login service.
    pub oauth: Option<OAuthSettings>,
    /// The JS-SDK service.
    pub jssdk: Option<JssdkSettings>,
    /// Menus and QR codes for programs.
    pub business: Option<BusinessSettings>,
}

/// A configuration of the business services with what is odd about it.
#[derive(Clone, Debug)]
pub struct LoadedServe {
    /// What to run with.
    pub config: ServeConfig,
    /// What is allowed but probably not meant, in the order of the file.
    pub warnings: Vec<Problem>,
}

impl ServeConfig {
    /// Reads and validates what these services need of a file, and every file that this names.
    /// Of the other sections it is asked only whether their keys exist.
    ///
    /// # Errors
    /// The operator must change something and start, or reload, again.
    pub fn load(path: &Path, env: &Environment, wanted: &ServiceSet) -> Result<LoadedServe, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(unreadable)?;
        let text = std::fs::read_to_string(&path).map_err(unreadable)?;
        let base = path.parent().unwrap_or(Path::new("/"));
        Self::check(&text, base, env, wanted)
            .map_err(|problems| ConfigError::Invalid { path: path.clone(), problems })
    }

    pub(super) fn check(
        text: &str,
        base: &Path,
        env: &Environment,
        wanted: &ServiceSet,
    ) -> Result<LoadedServe, Vec<Problem>> {
        let source = Source::parse(text)?;
        let mut cx = Context::new(env, base);
        let raw::File {
            wechat,
            serve,
            messages,
            oauth,
            jssdk,
            business,
            daemon: _,
            grpc: _,
            admin: _,
            audit: _,
            memcached: _,
            account: _,
            client: _,
        } = source.read(&mut cx.report);
        let api = upstream::check(wechat.unwrap_or_default(), &mut cx);
        let sections = Sections { serve, messages, oauth, jssdk, business };
        let mut config = services::check(sections, Asked::These(wanted), api.as_ref(), &mut cx);
        config.serve.log = daemon::within_environment(config.serve.log, &mut cx);
        let (errors, warnings) = cx.report.finish(|place| source.line_of(place));
        if errors.is_empty() { Ok(LoadedServe { config, warnings }) } else { Err(errors) }
    }

    /// The keys that differ in a newer configuration and take effect at a restart only, in the
    /// order of the file. Accounts with their keys and files, rules, forwards, `serve.grace` and
    /// `serve.log.filter` change live.
    pub fn restart_needed(&self, new: &Self) -> Vec<&'static str> {
        // Without `..`: a new key must be put on one side or the other.
        let ServeSettings { listen, proxies, admin, keys, alone: _, log, grace: _ } = &self.serve;
        let LogSettings { format, filter: _, colour: _, file, rotation, journal_stream: _ } = log;
        let Rotation { max_bytes, max_age, keep } = rotation;
        let [listen_key, admin_key] = *keys;
        let changed = [
            (listen_key, *listen != new.serve.listen),
            ("serve.trusted_proxies", *proxies != new.serve.proxies),
            (admin_key, *admin != new.serve.admin),
            ("serve.log.format", *format != new.serve.log.format),
            ("serve.log.file", *file != new.serve.log.file),
            ("serve.log.max_size", *max_bytes != new.serve.log.rotation.max_bytes),
            ("serve.log.max_age", *max_age != new.serve.log.rotation.max_age),
            ("serve.log.keep", *keep != new.serve.log.rotation.keep),
        ];
        let own = changed.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key);
        own.chain(services::restart_needed(self, new)).collect()
    }
}

/// Validates `[serve]` for a process that runs only this service, or without one several.
pub(super) fn check(raw: raw::Serve, alone: Option<Service>, cx: &mut Context<'_>) -> ServeSettings {
    let table = Place::root().key("serve");
    let raw::Serve {
        listen,
        insecure,
        trusted_proxies,
        admin,
        grace,
        log,
        mut oauth,
        mut jssdk,
        mut business,
    } = raw;
    let own = |service| match service {
        Service::Messages => None,
        Service::OAuth => oauth.take(),
        Service::Jssdk => jssdk.take(),
        Service::Business => business.take(),
    };
    let addresses = addresses::check([listen, admin], insecure, own, cx);
    let Listeners { listen, admin } = addresses.of(alone);
    let proxies = proxies(trusted_proxies.as_ref(), &table.key("trusted_proxies"), cx);
    let grace = daemon::grace(&table.key("grace"), grace.as_deref(), cx);
    let log = daemon::check_log(log.unwrap_or_default(), &table.key("log"), cx);
    let keys = alone.map_or(addresses::KEYS, Service::listener_keys);
    ServeSettings { listen, proxies, admin, keys, alone: addresses.alone(), log, grace }
}

/// A proxy on this machine is believed unless the key says otherwise.
fn proxies(raw: Option<&raw::OneOrMany>, place: &Place, cx: &mut Context<'_>) -> Proxies {
    let Some(raw) = raw else { return LOOPBACK.map(IpNet::from).into_iter().collect() };
    let mut networks = Vec::new();
    for text in raw.as_slice() {
        match network(text) {
            Err(rule) => cx.report.error(place, rule),
            Ok(network) => {
                if network.prefix_len() == 0 {
                    cx.report.warn(
                        place,
                        format!(
                            "{network} is everybody: whoever connects may say that they are somebody else"
                        ),
                    );
                }
                networks.push(network);
            }
        }
    }
    networks.into_iter().collect()
}

/// An address, or a network by its first one.
fn network(text: &str) -> Result<IpNet, String> {
    const FORM: &str =
        "a proxy is an IP address or a network, like \"192.0.2.8\", \"10.0.0.0/8\" or \"2001:db8::/32\"";
    let network: IpNet = match text.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().into(),
        Err(_) => text.parse().map_err(|_| FORM)?,
    };
    match network {
        IpNet::V6(six) if six.addr().to_ipv4_mapped().is_some() => {
            Err("an IPv4 network is written as one, like \"10.0.0.0/8\"".to_owned())
        }
        _ if network.trunc() != network => {
            Err(format!("a network is written by its first address: {}", network.trunc()))
        }
        _ => Ok(network),
    }
}
