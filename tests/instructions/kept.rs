//! tests/instructions.toml: what the counts were, and with what they were counted.

use std::fmt;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::callgrind::Counted;

/// How far from what it was a count may be, in percent: more than what the seeds of the hash tables
/// make of it, less than work that anybody would notice.
const BAND: u64 = 5;

const HEAD: &str = "\
# Instructions of one walk of each hot path, as callgrind counts them in the build of `make test`.
# tests/instructions judges by them. After a change that is meant to move them:
#
#     make instructions
#
# and the commit says why. Fewer are a reason too: what was gained is kept by writing it down.

";

/// The file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    pub(crate) with: With,
    pub(crate) instructions: Counted,
}

/// What the counts depend on besides the code.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct With {
    profile: String,
    processor: String,
    rustc: String,
    valgrind: String,
}

impl With {
    /// What is here; nothing without valgrind.
    pub(crate) fn here() -> Option<Self> {
        let valgrind = version("valgrind")?;
        let rustc = version("rustc").unwrap_or_else(|| "an unknown compiler".to_owned());
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        Some(Self { profile: profile.to_owned(), processor: processor(), rustc, valgrind })
    }
}

impl fmt::Display for With {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { profile, processor, rustc, valgrind } = self;
        write!(f, "{rustc}, profile {profile}, {processor}, {valgrind}")
    }
}

/// Valgrind hands on of the processor what it knows: AVX2, by which base64 and memchr choose their
/// code, and no instructions for SHA.
fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    let wide = if std::arch::is_x86_feature_detected!("avx2") { " with AVX2" } else { "" };
    #[cfg(not(target_arch = "x86_64"))]
    let wide = "";
    format!("{}{wide}", std::env::consts::ARCH)
}

fn version(program: &str) -> Option<String> {
    let said = Command::new(program).arg("--version").output().ok().filter(|said| said.status.success())?;
    Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

impl Kept {
    fn path() -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "tests", "instructions.toml"].iter().collect()
    }

    pub(crate) fn read() -> Self {
        toml::from_str(&std::fs::read_to_string(Self::path()).unwrap()).unwrap()
    }

    pub(crate) fn write(&self) {
        std::fs::write(Self::path(), format!("{HEAD}{}", toml::to_string(self).unwrap())).unwrap();
    }

    /// Nothing to say if each path takes what it took, within the band.
    pub(crate) fn judge(&self, now: &Counted) -> Result<(), String> {
        let paths = |counted: &Counted| counted.keys().cloned().collect::<Vec<_>>();
        if paths(&self.instructions) != paths(now) {
            return Err(format!("kept are {:?}, counted were {:?}", paths(&self.instructions), paths(now)));
        }
        let mut changed = String::new();
        for ((path, before), now) in self.instructions.iter().zip(now.values()) {
            if now.abs_diff(*before) * 100 > before * BAND {
                let percent = percent(*before, *now);
                // Writing to a `String` cannot fail.
                let _ = write!(changed, "\n  {path}: {before} before, {now} now ({percent:+.1} %)");
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        Err(format!(
            "instructions of a hot path are out of their band of {BAND} %:{changed}\n\
             Where they are:  callgrind_annotate --inclusive=yes {}/callgrind.out\n\
             If they are meant to be there, or gone:  make instructions  and say why in the commit.",
            env!("CARGO_TARGET_TMPDIR")
        ))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn percent(before: u64, now: u64) -> f64 {
    (now as f64 / before as f64 - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(hub_read: u64, message: u64) -> Counted {
        [("hub_read".to_owned(), hub_read), ("message".to_owned(), message)].into()
    }

    fn kept() -> Kept {
        let with = With {
            profile: "dev".to_owned(),
            processor: "x86_64".to_owned(),
            rustc: "rustc 1.95.0".to_owned(),
            valgrind: "valgrind-3.19.0".to_owned(),
        };
        Kept { with, instructions: counted(1_000, 200_000) }
    }

    #[test]
    fn count_within_the_band_is_not_spoken_of() {
        assert_eq!(kept().judge(&counted(1_050, 190_000)), Ok(()));
    }

    #[test]
    fn count_out_of_the_band_is_named_with_before_now_and_what_to_do() {
        // Fewer are told too: the file holds what was gained, or it would be lost unseen.
        let changed = kept().judge(&counted(1_051, 189_000)).unwrap_err();
        for words in [
            "hub_read: 1000 before, 1051 now (+5.1 %)",
            "message: 200000 before, 189000 now (-5.5 %)",
            "callgrind_annotate",
            "make instructions",
        ] {
            assert!(changed.contains(words), "{changed}");
        }
    }

    #[test]
    fn path_that_is_not_counted_any_more_is_missed() {
        let one: Counted = [("hub_read".to_owned(), 1_000)].into();
        assert!(kept().judge(&one).unwrap_err().contains("message"));
    }

    #[test]
    fn what_is_kept_is_read_back_as_it_was() {
        let written = format!("{HEAD}{}", toml::to_string(&kept()).unwrap());
        let read: Kept = toml::from_str(&written).unwrap();
        assert_eq!((read.with, read.instructions), (kept().with, kept().instructions));
    }
}
