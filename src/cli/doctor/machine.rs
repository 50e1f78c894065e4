//! The disk under the state directory, and the limit of open files.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};
use rustix::process::{Resource, getrlimit};

use super::daemon::Holder;
use super::finding::{Finding, Group};

/// Below it a day of calls may not fit: the ledger and its log have a few MiB.
const TOO_LITTLE: u64 = 16 << 20;
/// Below it somebody should look before the night.
const LITTLE: u64 = 256 << 20;
/// Files that a daemon with some hundred callers has open.
const FEW_FILES: u64 = 4_096;

/// What the file system under the state directory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Disk {
    /// Bytes that a user may still write.
    free: u64,
    /// Whether files can still be made.
    inodes: Inodes,
    /// Whether it is mounted read-only.
    mounted: Mounted,
    /// The file system's own number.
    kind: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inodes {
    Left,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mounted {
    Writable,
    ReadOnly,
}

/// Looks at disk and limits.
pub(super) fn findings(state_dir: &Path, holder: Option<&Holder>) -> Vec<Finding> {
    let mut found = Vec::new();
    if !state_dir.exists() {
        found.push(Finding::warn(
            Group::Machine,
            "state_dir",
            format!("{} does not exist yet: the first start makes it", state_dir.display()),
            "nothing, unless daemon.state_dir should name another directory",
        ));
    }
    match disk(state_dir) {
        Ok(disk) => found.extend(judge_disk(disk, state_dir)),
        Err(error) => found.push(Finding::warn(
            Group::Machine,
            "disk",
            format!("the disk of {} cannot be asked: {}", state_dir.display(), error.kind()),
            "run doctor as root",
        )),
    }
    found.push(judge_files(open_files(holder)));
    found
}

/// Of the directory, or of the nearest one that exists.
fn disk(state_dir: &Path) -> io::Result<Disk> {
    let there = state_dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    let vfs = statvfs(there)?;
    let inodes = if vfs.f_files > 0 && vfs.f_favail == 0 { Inodes::None } else { Inodes::Left };
    let read_only = vfs.f_flag.contains(StatVfsMountFlags::RDONLY);
    let mounted = if read_only { Mounted::ReadOnly } else { Mounted::Writable };
    let free = vfs.f_bavail.saturating_mul(vfs.f_frsize);
    Ok(Disk { free, inodes, mounted, kind: statfs(there)?.f_type })
}

fn judge_disk(disk: Disk, dir: &Path) -> Vec<Finding> {
    let Disk { free, inodes, mounted, kind } = disk;
    let dir = dir.display();
    let mib = free >> 20;
    let mut found = Vec::new();
    let space = if mounted == Mounted::ReadOnly {
        Finding::fail(
            Group::Machine,
            "disk",
            format!("the file system of {dir} is mounted read-only: no call can be noted"),
            "look at dmesg for the reason, then mount -o remount,rw",
        )
    } else if inodes == Inodes::None {
        let fix = "delete files there: df -i names the file system";
        Finding::fail(Group::Machine, "disk", format!("no file can be made in {dir}: no inodes left"), fix)
    } else if free < TOO_LITTLE {
        let detail = format!("{mib} MiB free for {dir}: the ledger cannot grow");
        Finding::fail(Group::Machine, "disk", detail, "make room: df -h names the file system")
    } else if free < LITTLE {
        let detail = format!("{mib} MiB free for {dir}");
        Finding::warn(Group::Machine, "disk", detail, "make room: df -h names the file system")
    } else {
        Finding::ok(Group::Machine, "disk", format!("{mib} MiB free for {dir}"))
    };
    found.push(space);
    match remote(kind) {
        Some(Doubt::Remote(name)) => found.push(Finding::warn(
            Group::Machine,
            "file system",
            format!("{dir} is on {name}: a lost network stops the ledger, and its locks may not hold"),
            "put daemon.state_dir on a local disk",
        )),
        Some(Doubt::Memory) => found.push(Finding::warn(
            Group::Machine,
            "file system",
            format!("{dir} is in memory: budgets and values are lost at a reboot"),
            "put daemon.state_dir on a disk",
        )),
        None => {}
    }
    found
}

/// Why a file system is no place for a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    Remote(&'static str),
    Memory,
}

/// By the numbers of statfs(2).
fn remote(kind: i64) -> Option<Doubt> {
    Some(match kind {
        0x6969 => Doubt::Remote("NFS"),
        0xFF53_4D42 | 0xFE53_4D42 | 0x517B => Doubt::Remote("SMB"),
        0x0102_1997 => Doubt::Remote("9P"),
        0x00C3_6400 => Doubt::Remote("Ceph"),
        0x5346_414F => Doubt::Remote("AFS"),
        0x6573_5546 => Doubt::Remote("FUSE"),
        0x0102_1994 | 0x8584_58F6 => Doubt::Memory,
        _ => return None,
    })
}

/// The daemon's limit if it runs; else the most that this shell may give it.
fn open_files(holder: Option<&Holder>) -> u64 {
    let of_daemon = holder.and_then(|holder| {
        let text = std::fs::read_to_string(format!("/proc/{}/limits", holder.pid)).ok()?;
        let row = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        row.split_whitespace().next()?.parse().ok()
    });
    of_daemon.unwrap_or_else(|| getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX))
}

fn judge_files(limit: u64) -> Finding {
    if limit >= FEW_FILES {
        return Finding::ok(Group::Machine, "open files", format!("up to {limit}"));
    }
    Finding::warn(
        Group::Machine,
        "open files",
        format!("only {limit}: each caller's connection is one"),
        "LimitNOFILE=65536 in the unit (systemctl edit zhongkong), or ulimit -Hn",
    )
}

/// Who has a file, by its inode: `8:1:1234`.
pub(super) fn inode(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|meta| meta.ino())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn disk_is_judged_by_mount_then_inodes_then_space_and_a_remote_one_is_doubted() {
        let sound = Disk { free: 1 << 30, inodes: Inodes::Left, mounted: Mounted::Writable, kind: 0xEF53 };
        let cases = [
            (sound, vec![Level::Ok], ""),
            (Disk { free: LITTLE - 1, ..sound }, vec![Level::Warn], "255 MiB"),
            (Disk { free: TOO_LITTLE - 1, ..sound }, vec![Level::Fail], "15 MiB"),
            (Disk { inodes: Inodes::None, ..sound }, vec![Level::Fail], "inodes"),
            (Disk { mounted: Mounted::ReadOnly, ..sound }, vec![Level::Fail], "read-only"),
            (Disk { kind: 0x6969, ..sound }, vec![Level::Ok, Level::Warn], "NFS"),
            (Disk { kind: 0x0102_1994, ..sound }, vec![Level::Ok, Level::Warn], "memory"),
        ];
        for (disk, levels, words) in cases {
            let found = judge_disk(disk, Path::new("/var/lib/zhongkong"));
            assert_eq!(found.iter().map(|it| it.level).collect::<Vec<_>>(), levels, "{disk:?}");
            assert!(found.iter().any(|it| it.detail.contains(words)), "{found:?}");
        }
        assert_eq!(judge_files(1_024).level, Level::Warn);
    }
}
