//! Modes and owners of every file that the daemon reads or writes.
//!
//! Two questions: can somebody use it who must not, and can the daemon's own user use it. Root
//! can read everything, so that it could start by hand proves nothing for the service. The
//! judgement is pure; access lists (ACL) are not looked at.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::config::survey::{FileRole, NamedFile, Parts};
use crate::daemon::LEDGER_FILE;
use crate::grpc::settings::Listen;

use super::finding::{Finding, Group, Level};
use super::service::Service;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Names accounts and clients; holds no secret.
    Config,
    /// Its owner alone.
    Secret,
    /// A certificate.
    Public,
    /// The daemon writes in it; nobody else may.
    StateDir,
    /// The ledger and what belongs to it: values.
    Durable,
    /// The gRPC socket: who connects is asked for its uid.
    Socket,
    /// Whoever can write it decides whom `stop` signals.
    PidFile,
    /// The daemon adds to it, and puts it aside in its directory.
    Log,
}

/// What the file system says of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    uid: u32,
    gid: u32,
    /// Permission bits.
    mode: u32,
}

/// Looks at every file.
pub(super) fn findings(files: &[NamedFile], parts: Option<&Parts>, service: &Service) -> Vec<Finding> {
    let mut list: Vec<(Role, &Path)> = Vec::new();
    for file in files {
        let role = match file.role {
            FileRole::Config => Role::Config,
            FileRole::Secret => Role::Secret,
            FileRole::Public => Role::Public,
        };
        list.push((role, &file.path));
    }
    let mut durable = Vec::new();
    if let Some(parts) = parts {
        let dir = &parts.daemon.state_dir;
        list.push((Role::StateDir, dir));
        for tail in ["", "-wal", "-shm"] {
            durable.push(dir.join(format!("{LEDGER_FILE}{tail}")));
        }
        list.extend(durable.iter().map(|path| (Role::Durable, path.as_path())));
        for listen in &parts.grpc.listen {
            match listen {
                Listen::Unix(path) => list.push((Role::Socket, path)),
                Listen::Tcp(_) => {}
            }
        }
        list.push((Role::PidFile, &parts.daemon.pid_file));
        list.extend(parts.daemon.log.file.iter().map(|path| (Role::Log, path.as_path())));
    }
    let mut good = 0_usize;
    let mut found = Vec::new();
    for (role, path) in list {
        match look(role, path, service) {
            Look::Bad(finding) => found.push(finding.about(path.display().to_string())),
            Look::Good => good += 1,
            Look::Absent => {}
        }
    }
    if good > 0 {
        let count = crate::cli::words::count(good, "file");
        let detail = format!("{count} as they should be for {}", service.name);
        found.insert(0, Finding::ok(Group::Files, "modes", detail));
    }
    found
}

enum Look {
    Good,
    Absent,
    Bad(Finding),
}

fn look(role: Role, path: &Path, service: &Service) -> Look {
    let name = path.display();
    let meta = match path.metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match role {
                // Made at the first start.
                Role::StateDir | Role::Durable | Role::Socket | Role::PidFile => Look::Absent,
                Role::Log => log_directory(path, service).map_or(Look::Absent, Look::Bad),
                Role::Config | Role::Secret | Role::Public => Look::Bad(Finding::fail(
                    Group::Files,
                    "missing",
                    "there is no such file",
                    "make it, or correct the path in the configuration",
                )),
            };
        }
        Err(error) => {
            return Look::Bad(Finding::warn(
                Group::Files,
                "unseen",
                format!("cannot be looked at: {}", error.kind()),
                format!("run doctor as root or as {}", service.name),
            ));
        }
    };
    if let Some((dir, facts)) = closed_way(path, service) {
        let mode = facts.mode;
        return Look::Bad(Finding::fail(
            Group::Files,
            "way",
            format!("{} cannot get there: {} has mode {mode:03o}", service.name, dir.display()),
            format!("chgrp {} {dir} && chmod g+x {dir}", service.group, dir = dir.display()),
        ));
    }
    match judge(role, facts(&meta), service) {
        None => Look::Good,
        Some(Judged { level, name: check, detail, fix }) => Look::Bad(Finding {
            level,
            ..Finding::ok(Group::Files, check, detail).advice(fix.replace('@', &name.to_string()))
        }),
    }
}

/// What is wrong with a file; `@` in the fix stands for its path.
#[derive(Debug, PartialEq, Eq)]
struct Judged {
    level: Level,
    name: &'static str,
    detail: String,
    fix: String,
}

fn judge(role: Role, facts: Facts, service: &Service) -> Option<Judged> {
    let Facts { uid, gid: _, mode } = facts;
    let bad = |level, name, detail: String, fix: String| Some(Judged { level, name, detail, fix });
    let too_open =
        |level, who: &str, fix: &str| bad(level, "mode", format!("{who} (mode {mode:03o})"), fix.to_owned());
    match role {
        Role::Secret | Role::Durable if mode & 0o077 != 0 => {
            return too_open(Level::Fail, "others than its owner can use it", "chmod 600 @");
        }
        Role::Config | Role::Public | Role::PidFile | Role::Log if mode & 0o022 != 0 => {
            return too_open(Level::Fail, "others than its owner can change it", "chmod go-w @");
        }
        Role::StateDir if mode & 0o022 != 0 => {
            return too_open(Level::Fail, "others can replace the ledger in it", "chmod go-w @");
        }
        Role::Socket if mode & 0o002 != 0 => {
            return too_open(Level::Warn, "every user of this machine can connect", "chmod 660 @");
        }
        Role::Config if mode & 0o004 != 0 => {
            return too_open(
                Level::Warn,
                "every user of this machine can read the names of accounts and clients",
                "chmod o-r @",
            );
        }
        Role::Config
        | Role::Secret
        | Role::Public
        | Role::StateDir
        | Role::Durable
        | Role::Socket
        | Role::PidFile
        | Role::Log => {}
    }
    // Root writes the configuration and may give a pid file away; the rest is the daemon's own.
    let own = match role {
        Role::Secret | Role::StateDir | Role::Durable | Role::Socket | Role::Log => uid == service.uid,
        Role::PidFile => uid == service.uid || uid == 0,
        Role::Config | Role::Public => service.may(facts.uid, facts.gid, mode, 0o4),
    };
    if own {
        return None;
    }
    let owner = super::service::user_name(uid);
    match role {
        Role::Config | Role::Public => bad(
            Level::Fail,
            "unreadable",
            format!("{} cannot read it: it is {owner}'s, mode {mode:03o}", service.name),
            format!("chgrp {} @ && chmod u=rw,g=r @", service.group),
        ),
        Role::Secret | Role::StateDir | Role::Durable | Role::Socket | Role::PidFile | Role::Log => bad(
            Level::Fail,
            "owner",
            format!("it belongs to {owner}, and the daemon runs as {}", service.name),
            format!("chown {}:{} @", service.name, service.group),
        ),
    }
}

/// What is wrong with the directory of a log that is not there yet.
fn log_directory(path: &Path, service: &Service) -> Option<Finding> {
    let dir = path.parent()?;
    let fix = format!("install -d -o {} -g {} -m 750 {}", service.name, service.group, dir.display());
    let Ok(meta) = dir.metadata() else {
        let detail = "its directory does not exist, and the daemon will not start";
        return Some(Finding::fail(Group::Files, "log", detail, fix));
    };
    let Facts { uid, gid, mode } = facts(&meta);
    let detail = format!("{} cannot make files in {}", service.name, dir.display());
    (!service.may(uid, gid, mode, 0o2)).then(|| Finding::fail(Group::Files, "log", detail, fix))
}

/// The first directory on the way that the user cannot pass.
fn closed_way(path: &Path, service: &Service) -> Option<(std::path::PathBuf, Facts)> {
    let mut dirs: Vec<&Path> = path.ancestors().skip(1).collect();
    dirs.reverse();
    dirs.into_iter().find_map(|dir| {
        let facts = facts(&dir.metadata().ok()?);
        let passes = service.may(facts.uid, facts.gid, facts.mode, 0o1);
        (!passes).then(|| (dir.to_owned(), facts))
    })
}

fn facts(meta: &Metadata) -> Facts {
    Facts { uid: meta.uid(), gid: meta.gid(), mode: meta.mode() & 0o777 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_its_own_rule_and_the_fix_is_a_command() {
        let service = Service { name: "zk".into(), uid: 7, group: "zk".into(), gids: vec![70] };
        let cases = [
            (Role::Secret, 7, 70, 0o600, None),
            (Role::Secret, 7, 70, 0o640, Some((Level::Fail, "chmod 600"))),
            (Role::Secret, 0, 0, 0o600, Some((Level::Fail, "chown zk:zk"))),
            (Role::Durable, 7, 70, 0o604, Some((Level::Fail, "chmod 600"))),
            (Role::Durable, 0, 0, 0o600, Some((Level::Fail, "chown zk:zk"))),
            (Role::StateDir, 7, 70, 0o755, None),
            (Role::StateDir, 7, 70, 0o775, Some((Level::Fail, "chmod go-w"))),
            (Role::StateDir, 0, 0, 0o700, Some((Level::Fail, "chown zk:zk"))),
            // The package's own: 0640 root:zhongkong.
            (Role::Config, 0, 70, 0o640, None),
            (Role::Config, 0, 0, 0o640, Some((Level::Fail, "chgrp zk"))),
            (Role::Config, 0, 70, 0o644, Some((Level::Warn, "chmod o-r"))),
            (Role::Config, 0, 70, 0o660, Some((Level::Fail, "chmod go-w"))),
            (Role::Public, 0, 0, 0o644, None),
            (Role::Public, 0, 0, 0o600, Some((Level::Fail, "chgrp zk"))),
            (Role::Socket, 7, 70, 0o660, None),
            (Role::Socket, 0, 0, 0o660, Some((Level::Fail, "chown zk:zk"))),
            (Role::Socket, 7, 70, 0o666, Some((Level::Warn, "chmod 660"))),
            (Role::Log, 7, 70, 0o640, None),
            (Role::Log, 0, 0, 0o640, Some((Level::Fail, "chown zk:zk"))),
            (Role::PidFile, 0, 0, 0o644, None),
            (Role::PidFile, 9, 9, 0o644, Some((Level::Fail, "chown zk:zk"))),
            (Role::PidFile, 7, 70, 0o664, Some((Level::Fail, "chmod go-w"))),
        ];
        for (role, uid, gid, mode, expected) in cases {
            let judged = judge(role, Facts { uid, gid, mode }, &service);
            let found = judged.as_ref().map(|judged| (judged.level, judged.fix.as_str()));
            let fits = match (found, expected) {
                (None, None) => true,
                (Some((level, fix)), Some((expected, words))) => level == expected && fix.contains(words),
                _ => false,
            };
            assert!(fits, "{role:?} of {uid}:{gid} with {mode:o}: {judged:?}");
        }
    }
}
