//! What the configuration says: its errors and oddities, who may do too much, what is open.

use std::time::Duration;

use crate::access::{Action, Client, Identity, Scope};
use crate::cli::words;
use crate::clock::WallTime;
use crate::config::Problem;
use crate::config::survey::{Parts, Survey};
use crate::grpc::settings::Listen;

use super::finding::{Finding, Group};
use super::http::ends;

/// A client whose end is nearer is told.
const SOON: Duration = Duration::from_hours(14 * 24);
/// A certificate whose end is nearer is told.
const CERTIFICATE_SOON: Duration = Duration::from_hours(30 * 24);
/// Names in one line.
const NAMED: usize = 3;

/// Judges a configuration that could be read.
pub(super) fn findings(survey: &Survey, unfit: Option<String>, now: WallTime) -> Vec<Finding> {
    const CHECK: &str = "correct the file; zhongkong check-config until it says ok";
    let problem = |problem: &Problem| {
        let Problem { line, key, message } = problem;
        let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
        format!("{line}{key}{message}")
    };
    let mut found: Vec<_> = survey
        .errors
        .iter()
        .map(|error| Finding::fail(Group::Configuration, "file", problem(error), CHECK))
        .collect();
    found.extend(unfit.map(|why| Finding::fail(Group::Configuration, "file", why, CHECK)));
    for warning in &survey.warnings {
        let fix = "correct it, or leave it: the daemon starts with it";
        found.push(Finding::warn(Group::Configuration, "file", problem(warning), fix));
    }
    let Some(parts) = &survey.parts else { return found };
    if found.is_empty() {
        let accounts = words::count(parts.accounts.len(), "account");
        let clients = words::count(parts.grpc.clients.len(), "client");
        found.push(Finding::ok(Group::Configuration, "file", format!("valid: {accounts}, {clients}")));
    }
    found.extend(clients(&parts.grpc.clients, now));
    found.extend(listeners(parts));
    found.extend(certificate(parts, now));
    found
}

fn clients(clients: &[Client], now: WallTime) -> Vec<Finding> {
    let mut found = Vec::new();
    for client in clients {
        let Some(end) = client.not_after else { continue };
        if end <= now {
            let detail = format!("its access ended {}", words::ago(now, end));
            let fix = "give it a new not_after, or remove its [[client]]";
            found.push(Finding::warn(Group::Configuration, "client", detail, fix).about(&client.name));
        } else if words::between(now, end) < SOON {
            let detail = format!("its access ends {}", words::until(now, end));
            let fix = "give it a later not_after, and perhaps a new token (zhongkong new-client)";
            found.push(Finding::warn(Group::Configuration, "client", detail, fix).about(&client.name));
        }
    }
    let mighty = |client: &&Client| {
        let may = |action| client.grants.actions.contains(&action);
        // root has no token that could be lost, and reads the secrets anyway.
        let only_root = client.identities == [Identity::Uid(0)];
        client.grants.accounts == Scope::All && may(Action::Admin) && may(Action::Read) && !only_root
    };
    for client in clients.iter().filter(mighty) {
        found.push(
            Finding::warn(
                Group::Configuration,
                "client",
                "it may read every value and stop every key: one lost token is the loss of all",
                "split it: one client with status and admin for people, one with read for each program",
            )
            .about(&client.name),
        );
    }
    let endless: Vec<_> = clients.iter().filter(|client| client.not_after.is_none()).collect();
    if !endless.is_empty() {
        let names: Vec<_> = endless.iter().take(NAMED).map(|client| client.name.as_str()).collect();
        let more = endless.len().saturating_sub(NAMED);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let detail = format!("without an end: {}{rest}", names.join(", "));
        let advice = "not_after makes sure that a forgotten token ends";
        found.push(Finding::ok(Group::Configuration, "clients", detail).advice(advice));
    }
    found
}

/// The file said `insecure = true` to each of these; it is said once more.
fn listeners(parts: &Parts) -> Vec<Finding> {
    let mut found = Vec::new();
    for listen in &parts.grpc.listen {
        match listen {
            Listen::Tcp(addr) if !addr.ip().to_canonical().is_loopback() && parts.grpc.tls.is_none() => {
                let detail = format!("grpc.listen {addr} is open to other machines without TLS");
                let fix = "add [grpc.tls]: every bearer token and value is readable on the way";
                found.push(Finding::warn(Group::Configuration, "exposure", detail, fix));
            }
            Listen::Tcp(_) | Listen::Unix(_) => {}
        }
    }
    let admin = parts.admin.listen;
    if !admin.ip().to_canonical().is_loopback() {
        let detail = format!("admin.listen {admin} is open to other machines");
        let fix = "listen on loopback, and put a proxy with TLS before it";
        found.push(Finding::warn(Group::Configuration, "exposure", detail, fix));
    }
    let insecure = parts.wechat.as_ref().is_some_and(|wechat| {
        let host = wechat.api_base.host_str().unwrap_or_default();
        wechat.api_base.scheme() == "http"
            && !matches!(host, "localhost" | "[::1]")
            && !host.starts_with("127.")
    });
    if insecure {
        let detail = "wechat.api_base is http:// to another machine: AppSecrets cross the network in clear";
        found.push(Finding::warn(Group::Configuration, "exposure", detail, "use https://"));
    }
    found
}

fn certificate(parts: &Parts, now: WallTime) -> Option<Finding> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let tls = parts.grpc.tls.as_ref()?;
    let first = CertificateDer::pem_slice_iter(&tls.cert).next()?.ok()?;
    let end = ends(&first)?;
    let fix = "renew it, then send the daemon HUP";
    Some(if end <= now {
        let detail = format!("it ended {}: callers refuse it", words::ago(now, end));
        Finding::fail(Group::Configuration, "grpc.tls.cert", detail, fix)
    } else if words::between(now, end) < CERTIFICATE_SOON {
        let detail = format!("it ends {}", words::until(now, end));
        Finding::warn(Group::Configuration, "grpc.tls.cert", detail, fix)
    } else {
        let detail = format!("good, ends {}", words::until(now, end));
        Finding::ok(Group::Configuration, "grpc.tls.cert", detail)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::finding::Level;
    use super::*;
    use crate::access::Grants;

    #[test]
    fn client_that_ended_ends_soon_or_may_everything_is_told() {
        let client = |name: &str, not_after: Option<i64>, actions: &[Action], accounts| Client {
            name: name.to_owned(),
            identities: Vec::new(),
            grants: Grants {
                accounts,
                kinds: Scope::All,
                actions: actions.iter().copied().collect::<BTreeSet<_>>(),
            },
            not_after: not_after.map(WallTime),
        };
        let now = WallTime(1_000_000_000_000);
        let day = 86_400_000;
        let all = [
            client("gone", Some(now.0 - day), &[Action::Read], Scope::All),
            client("soon", Some(now.0 + day), &[Action::Read], Scope::All),
            client("late", Some(now.0 + 30 * day), &[Action::Read], Scope::All),
            client("mighty", Some(now.0 + 30 * day), &[Action::Read, Action::Admin], Scope::All),
            Client {
                identities: vec![Identity::Uid(0)],
                ..client("root", Some(now.0 + 30 * day), &[Action::Read, Action::Admin], Scope::All)
            },
            client("operator", Some(now.0 + 30 * day), &[Action::Status, Action::Admin], Scope::All),
            client(
                "narrow",
                Some(now.0 + 30 * day),
                &[Action::Read, Action::Admin],
                Scope::Only(BTreeSet::new()),
            ),
            client("endless", None, &[Action::Read], Scope::All),
        ];
        let found = clients(&all, now);
        let told: Vec<_> = found.iter().map(|it| (it.subject.as_deref().unwrap_or(""), it.level)).collect();
        assert_eq!(
            told,
            [("gone", Level::Warn), ("soon", Level::Warn), ("mighty", Level::Warn), ("", Level::Ok)]
        );
        assert!(found[3].detail.ends_with("endless") && found[3].fix.is_some());
    }
}
