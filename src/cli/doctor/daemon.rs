//! The running daemon: who holds the state directory, whether it answers, what its keys are in.
//!
//! Its process is found by the lock on the state directory as /proc tells it; nothing is locked
//! to find out, so a daemon that starts at this moment is not hindered.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use crate::access::Action;
use crate::cli::connection::{Connection, Session};
use crate::cli::error::CliError;
use crate::cli::explain::remarks;
use crate::cli::status::{self, Listed, Summary};
use crate::cli::words;
use crate::client::{self, Code};
use crate::config::Environment;
use crate::grpc::settings::{Listen, Settings as Grpc};
use crate::pb::{self, ProblemClass, TokenState};

use super::finding::{Finding, Group, Level};
use super::http;
use super::machine::inode;

/// Limit for all questions to the daemon.
const LIMIT: Duration = Duration::from_secs(8);
/// Keys in trouble that are told one by one.
const TOLD: usize = 10;
/// The file in the state directory that a daemon locks.
const LOCK: &str = "zhongkong.lock";

/// The process that holds the state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: u32,
}

impl Holder {
    /// The holder of this directory, if there is one.
    pub(super) fn of(state_dir: &Path) -> Option<Self> {
        let inode = inode(&state_dir.join(LOCK))?;
        holder(&std::fs::read_to_string("/proc/locks").ok()?, inode)
    }
}

/// A line of /proc/locks: `1: FLOCK  ADVISORY  WRITE 4242 08:01:131090 0 EOF`. The device is not
/// compared: file systems with several of them give one number here and another in stat.
fn holder(locks: &str, inode: u64) -> Option<Holder> {
    let tail = format!(":{inode}");
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (kind, pid, file) = (words.next()?, words.nth(2)?, words.next()?);
        (kind == "FLOCK" && file.ends_with(&tail)).then(|| pid.parse().ok().map(|pid| Holder { pid }))?
    })
}

/// What the daemon told.
pub(super) enum View {
    /// The state of its keys.
    Listed(Box<Session>, Listed),
    /// It is there, and told nothing.
    Mute,
    /// Nobody is there.
    Away,
}

/// Asks the daemon.
pub(super) async fn ask(
    connection: Connection,
    grpc: Option<&Grpc>,
    holder: Option<Holder>,
    env: &Environment,
) -> (Vec<Finding>, View) {
    let connection = connection.or_addr(grpc.and_then(address));
    let asked = timeout(LIMIT, async {
        let session = connection.open(Action::Status, env).await?;
        let listed = status::list(&session, pb::ListStatusRequest::default()).await?;
        Ok::<_, CliError>((session, listed))
    });
    match asked.await {
        Ok(Ok((session, listed))) => {
            let pid = holder.map(|holder| format!(", process {}", holder.pid)).unwrap_or_default();
            let mut found = vec![Finding::ok(Group::Daemon, "answers", format!("it runs{pid}"))];
            found.extend(judge_keys(&listed));
            (found, View::Listed(Box::new(session), listed))
        }
        Ok(Err(error)) => unanswered(&error, holder),
        Err(_) => {
            let detail = format!("it accepts connections and does not answer within {} s", LIMIT.as_secs());
            let fix = "look at its log (journalctl -u zhongkong), then restart it";
            (vec![Finding::fail(Group::Daemon, "answers", detail, fix)], View::Mute)
        }
    }
}

/// Where the configuration says that it listens: a socket is near and knows uids.
fn address(grpc: &Grpc) -> Option<String> {
    let unix = grpc.listen.iter().find_map(|listen| match listen {
        Listen::Unix(path) => Some(format!("unix:{}", path.display())),
        Listen::Tcp(_) => None,
    });
    let scheme = if grpc.tls.is_some() { "https" } else { "http" };
    unix.or_else(|| {
        grpc.listen.iter().find_map(|listen| match listen {
            Listen::Tcp(addr) => Some(format!("{scheme}://{}", http::near(*addr))),
            Listen::Unix(_) => None,
        })
    })
}

fn unanswered(error: &CliError, holder: Option<Holder>) -> (Vec<Finding>, View) {
    const NAME: &str = "answers";
    let detail = crate::cli::chain(error);
    let advice = error.advice().unwrap_or_else(|| "see --help, Connection".to_owned());
    let away = match error {
        CliError::Client { source: client::Error::Connect(_), .. } => true,
        CliError::Client { source: client::Error::Refused(refusal), .. } => refusal.code == Code::Unavailable,
        _ => false,
    };
    let told = matches!(error, CliError::Client { source: client::Error::Refused(_), .. });
    let finding = match (away, holder) {
        (true, Some(Holder { pid })) => {
            let detail = format!("process {pid} holds the state directory, but: {detail}");
            let fix = "look at its log (journalctl -u zhongkong); does grpc.listen name where it listens?";
            Finding::fail(Group::Daemon, NAME, detail, fix)
        }
        (true, None) => {
            let detail = format!("it does not run: {detail}");
            let fix = "systemctl start zhongkong (or zhongkong run), unless it is meant to be down";
            return (vec![Finding::warn(Group::Daemon, NAME, detail, fix)], View::Away);
        }
        (false, _) if told => {
            Finding::warn(Group::Daemon, NAME, format!("it runs and does not tell us: {detail}"), advice)
        }
        // The credentials that we were given are no use.
        (false, _) => Finding::warn(Group::Daemon, NAME, format!("not asked: {detail}"), advice),
    };
    (vec![finding], View::Mute)
}

fn judge_keys(listed: &Listed) -> Vec<Finding> {
    let Listed { keys, now } = listed;
    if keys.is_empty() {
        let fix = "add an [[account]], or grant this client status on the accounts";
        return vec![Finding::warn(Group::Daemon, "keys", "it has no keys that we may see", fix)];
    }
    let mut found = Vec::new();
    let mut more = 0_usize;
    for key in keys {
        let Some((level, detail, fix)) = judge_key(key, *now) else { continue };
        if found.len() == TOLD {
            more += 1;
            continue;
        }
        let subject = format!("{} {}", key.appid, words::kind(key.kind()));
        let finding = Finding { level, ..Finding::ok(Group::Daemon, "key", detail).advice(fix) };
        found.push(finding.about(subject));
    }
    if more > 0 {
        let detail = format!("{more} more are in trouble");
        found.push(Finding::warn(Group::Daemon, "keys", detail, "zhongkong status --problems"));
    }
    if found.is_empty() {
        found.push(Finding::ok(Group::Daemon, "keys", Summary::of(keys).sentence()));
    }
    found.extend(foreign(keys));
    found
}

fn judge_key(key: &pb::KeyStatus, now: crate::clock::WallTime) -> Option<(Level, String, String)> {
    let why = remarks::short_why(key, now)?;
    let class = key.problem.as_ref().map(pb::Problem::class);
    let level = match (class, key.state()) {
        (Some(ProblemClass::Operator), _) | (_, TokenState::NoValue) => Level::Fail,
        // Told below, once for all keys.
        (None, TokenState::Fresh | TokenState::Refreshing) if key.hold.is_none() => return None,
        _ => Level::Warn,
    };
    let fix = remarks::short_todo(key);
    let fix = fix.unwrap_or_else(|| format!("nothing yet: zhongkong explain {} tells more", key.appid));
    Some((level, format!("{}: {why}", words::state(key.state())), fix))
}

/// Accounts of which another program seems to fetch tokens.
fn foreign(keys: &[pb::KeyStatus]) -> Option<Finding> {
    let mut appids: Vec<&str> =
        keys.iter().filter(|key| key.foreign_refreshes > 0).map(|key| key.appid.as_str()).collect();
    appids.dedup();
    let times: u32 = keys.iter().map(|key| key.foreign_refreshes).sum();
    let first = appids.first()?;
    let more = if appids.len() > 1 { format!(" and {} more", appids.len() - 1) } else { String::new() };
    Some(Finding::warn(
        Group::Daemon,
        "foreign refresh",
        format!("another program seems to fetch tokens of {first}{more} (found {times}×)"),
        "find it and take its AppSecret away; in classic mode token_mode = \"stable\" ends the fight",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holder_is_the_process_whose_lock_has_the_inode() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 08:01:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 22 08:01:177 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 33 08:01:77 0 EOF\n";
        assert_eq!(holder(locks, 77), Some(Holder { pid: 33 }));
        assert_eq!(holder(locks, 78), None);
    }

    #[test]
    fn key_is_judged_by_who_must_act() {
        let now = crate::clock::WallTime(0);
        let key = |state: TokenState, class: Option<ProblemClass>| pb::KeyStatus {
            appid: "wx1".to_owned(),
            state: state.into(),
            problem: class.map(|class| pb::Problem {
                class: class.into(),
                meaning: "m".to_owned(),
                action: "a".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let level = |key: &pb::KeyStatus| judge_key(key, now).map(|(level, _, _)| level);
        assert_eq!(level(&key(TokenState::Fresh, None)), None);
        assert_eq!(level(&key(TokenState::NoValue, None)), Some(Level::Fail));
        assert_eq!(level(&key(TokenState::Fresh, Some(ProblemClass::Operator))), Some(Level::Fail));
        assert_eq!(level(&key(TokenState::Degraded, Some(ProblemClass::Transient))), Some(Level::Warn));
        let foreign_key = pb::KeyStatus { foreign_refreshes: 2, ..key(TokenState::Fresh, None) };
        assert_eq!(level(&foreign_key), None, "it is told once, below");
        assert!(foreign(&[foreign_key]).unwrap().detail.contains("wx1 (found 2×)"));
    }
}
