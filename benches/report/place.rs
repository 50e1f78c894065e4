//! Where and with what a scenario was measured, without a name or a path of the machine.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::effort;

/// The machine and the build. Two scenarios with the same one can be looked at together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gb: u64,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    /// `bench`, which is the release build; or `dev`.
    pub(crate) profile: String,
    /// What was set differently from the project's profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) overridden: Vec<String>,
    /// Whether rounds were cut short.
    #[serde(default)]
    pub(crate) quick: bool,
}

impl Place {
    pub(crate) fn here() -> Self {
        let cpu = read("/proc/cpuinfo");
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let memory = read("/proc/meminfo");
        let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0);
        let rustc =
            Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into())).arg("--version").output();
        let rustc = rustc.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
        let mut overridden: Vec<String> = std::env::vars()
            .filter(|(name, _)| {
                let ours = name.starts_with("ZHONGKONG_BENCH_") && name != effort::QUICK;
                ours || name.starts_with("CARGO_PROFILE_") || name.ends_with("RUSTFLAGS")
            })
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        overridden.sort();
        Self {
            cpu: cpu.trim_start_matches([':', '\t', ' ']).to_owned(),
            cores: online(),
            memory_gb: kib.div_ceil(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            rustc: rustc.trim().to_owned(),
            profile: if cfg!(debug_assertions) { "dev" } else { "bench" }.to_owned(),
            overridden,
            quick: effort::is_quick(),
        }
    }

    /// Whether the figures are of the build and the rounds that a published page has.
    pub(crate) fn is_worth_reading(&self) -> bool {
        self.profile == "bench" && self.overridden.is_empty() && !self.quick
    }

    pub(crate) fn sentence(&self) -> String {
        let Self { cpu, cores, memory_gb, kernel, rustc, profile, overridden, quick } = self;
        let mut text = format!(
            "{cpu}, {cores} cores, {memory_gb} GB of memory, Linux {kernel}, {rustc}, profile `{profile}`"
        );
        if !overridden.is_empty() {
            let _ = write!(text, " with {}", overridden.join(" "));
        }
        if *quick {
            text.push_str(", rounds cut short");
        }
        text
    }
}

/// The load average of the last minute.
pub(crate) fn load() -> f64 {
    read("/proc/loadavg").split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Of the machine, also when this process is held on one.
fn online() -> usize {
    read("/proc/cpuinfo").lines().filter(|line| line.starts_with("processor")).count().max(1)
}
