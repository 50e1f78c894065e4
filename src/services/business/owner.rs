//! Which process is at work, and whether it still is.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, test_kill_process};

use crate::clock::Clock;

/// A process of some machine, as text that another process can judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner(String);

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs.
    Lives,
    /// It has ended, and what it was doing with it.
    Died,
    /// Nobody is at work.
    Nobody,
    /// It is or was on another machine, in another container, or out of this process's sight:
    /// nobody here can tell.
    Elsewhere,
}

impl Owner {
    /// This process.
    pub fn this(clock: &Clock) -> Self {
        let pid = std::process::id();
        let start = match look(Path::new(PROC), pid) {
            Look::Runs(start) => start,
            Look::Gone | Look::Hidden => String::new(),
        };
        Self(format!("{}/{pid}/{start}", place(clock)))
    }

    /// Nobody any more.
    pub fn nobody() -> Self {
        Self(String::new())
    }

    /// One that was written down.
    pub fn written(text: String) -> Self {
        Self(text)
    }

    /// As it is written down.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it still runs.
    pub fn fate(&self, clock: &Clock) -> Fate {
        self.fate_in(Path::new(PROC), clock)
    }

    fn fate_in(&self, proc: &Path, clock: &Clock) -> Fate {
        if self.0.is_empty() {
            return Fate::Nobody;
        }
        let Some((own, start)) = self.0.rsplit_once('/') else { return Fate::Elsewhere };
        let Some((place, pid)) = own.rsplit_once('/') else { return Fate::Elsewhere };
        match pid.parse() {
            Ok(pid) if place == self::place(clock) => match look(proc, pid) {
                Look::Runs(now) if now == start => Fate::Lives,
                // A number is given away again, but not with the same start.
                Look::Runs(_) | Look::Gone => Fate::Died,
                Look::Hidden => Fate::Elsewhere,
            },
            Ok(_) | Err(_) => Fate::Elsewhere,
        }
    }
}

/// Where numbers of processes mean the same: this boot of this machine, and the namespace.
fn place(clock: &Clock) -> String {
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{}/{}", clock.stamp().boot_id.0, namespace.display())
}

/// Where the kernel tells of processes.
const PROC: &str = "/proc";

/// What is seen of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    /// It began then, in the kernel's ticks.
    Runs(String),
    /// There is none, or only what is left of one until its parent has heard of its end.
    Gone,
    /// There is one, of which nothing is told: /proc may hide other users' processes (hidepid,
    /// `ProtectProc`), and a root's command runs beside the service.
    Hidden,
}

fn look(proc: &Path, pid: u32) -> Look {
    let Ok(stat) = fs::read_to_string(proc.join(pid.to_string()).join("stat")) else {
        return if exists(pid) { Look::Hidden } else { Look::Gone };
    };
    // The name of the program may hold blanks and brackets; the fields begin after the last one.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    let mut fields = fields.split_whitespace();
    let state = fields.next();
    // The 22nd field of proc(5): the first two are cut off, and the third was taken.
    match (state, fields.nth(18)) {
        (Some("Z" | "X"), _) => Look::Gone,
        (Some(_), Some(start)) => Look::Runs(start.to_owned()),
        _ => Look::Hidden,
    }
}

/// Whether a process has this number. A signal is judged but not sent, and that is answered for
/// hidden processes as well.
fn exists(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    // Only this error says that there is none; another one is about our rights.
    test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_lives_and_one_with_another_start_or_place_does_not() {
        let clock = Clock::system();
        let own = Owner::this(&clock);
        assert_eq!(own.fate(&clock), Fate::Lives, "{own:?}");
        assert_eq!(Owner::written(own.as_str().to_owned()), own);
        assert_eq!(Owner::written(format!("{}1", own.as_str())).fate(&clock), Fate::Died);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let (here, pid) = (place(&clock), child.id());
        let dead = Owner::written(format!("{here}/{pid}/7"));
        child.wait().unwrap();
        assert_eq!(dead.fate(&clock), Fate::Died);
        // Of one that /proc does not show it is not known, unless nobody has its number.
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(own.fate_in(empty.path(), &clock), Fate::Elsewhere);
        assert_eq!(dead.fate_in(empty.path(), &clock), Fate::Died);
        assert_eq!(Owner::nobody().fate(&clock), Fate::Nobody);
        for elsewhere in ["x", "other-boot/pid:[1]/1/1", "a/b"] {
            assert_eq!(Owner::written(elsewhere.to_owned()).fate(&clock), Fate::Elsewhere, "{elsewhere}");
        }
    }
}
