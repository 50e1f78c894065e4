//! Which process is at work, and whether it still is.

use std::fs;

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
    /// It is or was on another machine, or in another container: nobody here can tell.
    Elsewhere,
}

impl Owner {
    /// This process.
    pub fn this(clock: &Clock) -> Self {
        let pid = std::process::id();
        Self(format!("{}/{pid}/{}", place(clock), started(pid).unwrap_or_default()))
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
        if self.0.is_empty() {
            return Fate::Nobody;
        }
        let Some((own, start)) = self.0.rsplit_once('/') else { return Fate::Elsewhere };
        let Some((place, pid)) = own.rsplit_once('/') else { return Fate::Elsewhere };
        match pid.parse() {
            Ok(pid) if place == self::place(clock) => {
                // A number is given away again, but not with the same start.
                if started(pid).is_some_and(|now| now == start) { Fate::Lives } else { Fate::Died }
            }
            Ok(_) | Err(_) => Fate::Elsewhere,
        }
    }
}

/// Where numbers of processes mean the same: this boot of this machine, and the namespace.
fn place(clock: &Clock) -> String {
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{}/{}", clock.stamp().boot_id.0, namespace.display())
}

/// When a process began, in the kernel's ticks; none if there is no such process, or only what is
/// left of one until its parent has heard of its end.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program may hold blanks and brackets; the fields begin after the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let state = *fields.first()?;
    // The 22nd field of proc(5); the first two are cut off.
    if matches!(state, "Z" | "X") { None } else { fields.get(19).map(|start| (*start).to_owned()) }
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
        let start = started(pid).unwrap_or_else(|| "7".to_owned());
        child.wait().unwrap();
        assert_eq!(Owner::written(format!("{here}/{pid}/{start}")).fate(&clock), Fate::Died);
        assert_eq!(Owner::nobody().fate(&clock), Fate::Nobody);
        for elsewhere in ["x", "other-boot/pid:[1]/1/1", "a/b"] {
            assert_eq!(Owner::written(elsewhere.to_owned()).fate(&clock), Fate::Elsewhere, "{elsewhere}");
        }
    }
}
