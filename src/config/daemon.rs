//! `[daemon]` and `[daemon.log]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;
use crate::telemetry::file::Rotation;
use crate::telemetry::{Colour, LogFormat, LogSettings, is_log_filter};

use super::context::{Context, parse_size};
use super::place::Place;
use super::raw;
use super::secrets::Sources;

/// The package's directory for it (systemd: `StateDirectory=zhongkong`).
const STATE_DIR: &str = "/var/lib/zhongkong";
/// The package's directory for what lives as long as the machine is up (tmpfiles.d makes it).
pub(super) const PID_FILE: &str = "/run/zhongkong/zhongkong.pid";
/// Longer than the default time-out of an upstream call, so that one under way is awaited.
pub(super) const GRACE: Duration = Duration::from_secs(15);
/// systemd kills after 90 s by itself; ten minutes serve those who changed that.
const LONGEST_GRACE: Duration = Duration::from_mins(10);
/// An empty ledger with its log has about 100 KiB; below this it could not work at all.
const SMALLEST_LEDGER: u64 = 1 << 20;
/// A few lines; below this every event would be a rotation.
const SMALLEST_LOG: u64 = 4 << 10;
/// A year, which is as good as never.
const OLDEST_LOG: Duration = Duration::from_secs(366 * 86_400);
/// Every rotation renames each of them.
const MOST_LOGS: u32 = 1_000;

/// What the process as a whole needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSettings {
    /// Where the ledger lives.
    pub state_dir: PathBuf,
    /// Where the process id is written when detached.
    pub pid_file: PathBuf,
    /// Whom root becomes once the sockets are bound; whether there is such a user is asked then.
    pub user: Option<String>,
    /// With which group, if not the user's own.
    pub group: Option<String>,
    /// How to log.
    pub log: LogSettings,
    /// The text of the seal keys' file; without it values are stored in clear.
    pub seal_keys: Option<Secret>,
    /// Limit of the ledger's file, in bytes.
    pub ledger_max_bytes: Option<u64>,
    /// How long a stop may take before what still runs is cut off.
    pub grace: Duration,
}

/// Validates the section.
pub(super) fn check(raw: raw::Daemon, cx: &mut Context<'_>) -> DaemonSettings {
    let table = Place::root().key("daemon");
    let raw::Daemon {
        state_dir,
        pid_file,
        user,
        group,
        grace,
        ledger_max_size,
        seal_keys_file,
        seal_keys_credential,
        seal_keys_env,
        log,
    } = raw;
    let state_dir = path(&table.key("state_dir"), state_dir.as_deref().unwrap_or(STATE_DIR), cx);
    let pid_file = path(&table.key("pid_file"), pid_file.as_deref().unwrap_or(PID_FILE), cx);
    if pid_file.extension().is_some_and(|extension| extension == "reload") {
        let rule = "a name in .reload is taken: there the outcome of reloads is noted; write another, like \"zhongkong.pid\"";
        cx.report.error(&table.key("pid_file"), rule);
    }
    for (key, name) in [("user", &user), ("group", &group)] {
        if name.as_deref().is_some_and(|name| name.trim().is_empty() || name.contains('\0')) {
            cx.report.error(&table.key(key), "a name is needed, like \"zhongkong\"");
        }
    }
    if group.is_some() && user.is_none() {
        cx.report.error(&table.key("group"), "a group alone changes nothing: set user beside it");
    }
    let grace = self::grace(&table.key("grace"), grace.as_deref(), cx);
    let ledger_max_bytes = ledger_max_size.and_then(|text| {
        let size = parse_size(&text).filter(|&bytes| bytes >= SMALLEST_LEDGER);
        if size.is_none() {
            let rule = "a size has a number and a unit, like \"64MiB\", and is at least 1MiB";
            cx.report.error(&table.key("ledger_max_size"), rule);
        }
        size
    });
    let sources = Sources {
        prefix: "seal_keys",
        file: seal_keys_file.as_deref(),
        credential: seal_keys_credential.as_deref(),
        env: seal_keys_env.as_deref(),
    };
    let seal_keys = if sources.is_empty() { None } else { sources.load(&table, cx) };
    let log = check_log(log.unwrap_or_default(), &table.key("log"), cx);
    let log = within_environment(log, cx);
    DaemonSettings { state_dir, pid_file, user, group, log, seal_keys, ledger_max_bytes, grace }
}

/// How long a stop may take.
pub(super) fn grace(place: &Place, text: Option<&str>, cx: &mut Context<'_>) -> Duration {
    cx.duration(place, text, GRACE, Duration::from_secs(1)..=LONGEST_GRACE)
}

/// Validates a section on where and how to log.
pub(super) fn check_log(raw: raw::Log, table: &Place, cx: &mut Context<'_>) -> LogSettings {
    let defaults = LogSettings::default();
    let raw::Log { format, filter, file, max_size, max_age, keep } = raw;
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json), ("journald", LogFormat::Journald)];
    let format = format.and_then(|text| cx.word(&table.key("format"), &text, &formats));
    let format = format.unwrap_or(defaults.format);
    if format == LogFormat::Journald && file.is_some() {
        let rule = "the journal is no file: leave file out, or take format = \"text\" or \"json\"";
        cx.report.error(&table.key("file"), rule);
    }
    let file = file.map(|text| path(&table.key("file"), &text, cx));
    let rotation = check_rotation(max_size.as_deref(), max_age.as_deref(), keep, table, cx);
    if filter.as_deref().is_some_and(|filter| !is_log_filter(filter)) {
        let rule = "a level (error, warn, info, debug, trace) is needed, or directives like \"info,zhongkong::hub=debug\"";
        cx.report.error(&table.key("filter"), rule);
    }
    let filter = filter.unwrap_or(defaults.filter);
    LogSettings { format, filter, file, rotation, ..LogSettings::default() }
}

/// What the environment of the process that logs has to say to it.
pub(super) fn within_environment(mut log: LogSettings, cx: &mut Context<'_>) -> LogSettings {
    // The variable is for one start with more to see; it wins over the file.
    if let Some(wanted) = cx.env.get("ZHONGKONG_LOG").filter(|wanted| !wanted.is_empty()) {
        if is_log_filter(wanted) {
            wanted.clone_into(&mut log.filter);
        } else {
            cx.report.warn(
                &Place::root(),
                "the environment variable ZHONGKONG_LOG is no log filter and is ignored",
            );
        }
    }
    // https://no-color.org: any text but the empty one.
    let no_colour = cx.env.get("NO_COLOR").is_some_and(|text| !text.is_empty());
    log.colour = if no_colour { Colour::Never } else { Colour::OnTerminal };
    // Set by systemd when it connects stderr to the journal.
    log.journal_stream = cx.env.get("JOURNAL_STREAM").map(str::to_owned);
    log
}

/// Validates when a file of lines is put aside.
pub(super) fn check_rotation(
    max_size: Option<&str>,
    max_age: Option<&str>,
    keep: Option<u32>,
    table: &Place,
    cx: &mut Context<'_>,
) -> Rotation {
    let defaults = Rotation::default();
    let max_bytes = max_size.map_or(Some(defaults.max_bytes), |text| {
        let size = parse_size(text).filter(|&bytes| bytes >= SMALLEST_LOG);
        if size.is_none() {
            let rule = "a size has a number and a unit, like \"64MiB\", and is at least 4KiB";
            cx.report.error(&table.key("max_size"), rule);
        }
        size
    });
    let ages = Duration::from_secs(60)..=OLDEST_LOG;
    let max_age = cx.duration(&table.key("max_age"), max_age, defaults.max_age, ages);
    let keep = keep.unwrap_or(defaults.keep);
    if keep > MOST_LOGS {
        cx.report.error(&table.key("keep"), "a number from 0 to 1000 is needed");
    }
    Rotation { max_bytes: max_bytes.unwrap_or(defaults.max_bytes), max_age, keep }
}

/// A path that is not empty.
pub(super) fn path(place: &Place, text: &str, cx: &mut Context<'_>) -> PathBuf {
    if text.is_empty() {
        cx.report.error(place, "a path is needed");
    }
    cx.path(text)
}
