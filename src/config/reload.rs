//! What a reload cannot change.

use std::collections::BTreeSet;

use crate::grpc::settings::Listen;
use crate::telemetry::LogSettings;
use crate::telemetry::file::Rotation;

use super::{AdminSettings, Config, DaemonSettings};

/// The keys that differ and take effect at a restart only, in the order of the file. Accounts,
/// clients, the TLS files' contents, `daemon.grace` and `daemon.log.filter` change live.
pub fn restart_needed(old: &Config, new: &Config) -> Vec<&'static str> {
    // Without `..`: a new key must be put on one side or the other.
    let Config { daemon, wechat, grpc, admin, audit, mirror, accounts: _ } = old;
    let DaemonSettings { state_dir, pid_file, user, group, log, seal_keys, ledger_max_bytes, grace: _ } =
        daemon;
    let LogSettings { format, filter: _, colour: _, file, rotation, journal_stream: _ } = log;
    let Rotation { max_bytes, max_age, keep } = rotation;
    let crate::wechat::Settings { api_base, connect_timeout, timeout, proxy } = wechat;
    let crate::grpc::settings::Settings { listen, tls, clients: _ } = grpc;
    let crate::audit::Settings { max_rows, reads } = audit;
    let AdminSettings { listen: admin_listen, page, metrics_per_key } = admin;
    let crate::mirror::Settings { servers, layouts, timeout: mirror_timeout } = mirror;
    let changed = [
        ("daemon.state_dir", *state_dir != new.daemon.state_dir),
        ("daemon.pid_file", *pid_file != new.daemon.pid_file),
        ("daemon.user", *user != new.daemon.user),
        ("daemon.group", *group != new.daemon.group),
        ("daemon.ledger_max_size", *ledger_max_bytes != new.daemon.ledger_max_bytes),
        ("daemon.seal_keys", *seal_keys != new.daemon.seal_keys),
        ("daemon.log.format", *format != new.daemon.log.format),
        ("daemon.log.file", *file != new.daemon.log.file),
        ("daemon.log.max_size", *max_bytes != new.daemon.log.rotation.max_bytes),
        ("daemon.log.max_age", *max_age != new.daemon.log.rotation.max_age),
        ("daemon.log.keep", *keep != new.daemon.log.rotation.keep),
        ("wechat.api_base", *api_base != new.wechat.api_base),
        ("wechat.connect_timeout", *connect_timeout != new.wechat.connect_timeout),
        ("wechat.timeout", *timeout != new.wechat.timeout),
        ("wechat.proxy", *proxy != new.wechat.proxy),
        ("grpc.listen", addresses(listen) != addresses(&new.grpc.listen)),
        // A listener is with TLS or without; which certificate it shows may change.
        ("grpc.tls", tls.is_some() != new.grpc.tls.is_some()),
        ("admin.listen", *admin_listen != new.admin.listen),
        ("admin.view", page.view != new.admin.page.view),
        ("admin.hosts", page.hosts != new.admin.page.hosts),
        ("admin.metrics_per_key", *metrics_per_key != new.admin.metrics_per_key),
        ("audit.max_rows", *max_rows != new.audit.max_rows),
        ("audit.reads", *reads != new.audit.reads),
        ("memcached.servers", *servers != new.mirror.servers),
        ("memcached.layouts", *layouts != new.mirror.layouts),
        ("memcached.timeout", *mirror_timeout != new.mirror.timeout),
    ];
    changed.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

/// The addresses without their order, which means nothing.
fn addresses(listen: &[Listen]) -> BTreeSet<String> {
    listen.iter().map(|address| format!("{address:?}")).collect()
}
