//! Secrecy over the whole run: with `ZHONGKONG_TEST_RECORD=DIR` every secret that a test or a
//! simulator made, and everything that the product wrote, is kept for `tests/secrecy.sh`.
//!
//! Kept as output: both streams of each process, each log file, each page, each event of the
//! parts that run in the test's own process (at `trace`; a refused call's text is one). Not
//! kept, as they hold values by their purpose: stdout of `get` and `watch`, gRPC answers, the
//! contents of memcached and of the ledger. Without the variable nothing is kept.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

use tracing_subscriber::EnvFilter;

/// Commands whose stdout is values.
const PRINT_VALUES: [&str; 2] = ["get", "watch"];
/// Shorter ones ("s") are in every text.
const SHORTEST: usize = 16;
/// So much of a secret's beginning, and of its end, is as bad as all of it.
const PART: usize = 24;

/// Where to; `None` when nothing is kept.
fn place() -> Option<&'static Path> {
    static PLACE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let place = PLACE.get_or_init(|| {
        let place = PathBuf::from(std::env::var_os("ZHONGKONG_TEST_RECORD")?);
        fs::create_dir_all(place.join("output")).unwrap();
        Some(place)
    });
    place.as_deref()
}

/// These must be nowhere in what is written.
pub(crate) fn secrets<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) {
    let Some(place) = place() else { return };
    let mut lines = String::new();
    for secret in secrets {
        let secret = secret.as_ref().trim();
        if secret.len() < SHORTEST || !secret.is_ascii() || secret.contains('\n') {
            continue;
        }
        let part = PART.min(secret.len());
        for part in [&secret[..part], &secret[secret.len() - part..]] {
            lines.push_str(part);
            lines.push('\n');
        }
    }
    let mut file = OpenOptions::new().append(true).create(true).open(place.join("secrets.txt")).unwrap();
    file.write_all(lines.as_bytes()).unwrap();
}

/// This was written, by a process or a page with this name.
pub(crate) fn output(name: &str, bytes: &[u8]) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let Some(place) = place() else { return };
    if bytes.is_empty() {
        return;
    }
    let test = std::thread::current().name().unwrap_or("?").replace("::", ".");
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(60).collect();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file = format!("output/{}-{number}-{test}-{name}", std::process::id());
    fs::write(place.join(file), bytes).unwrap();
}

/// What a process with these arguments wrote.
pub(crate) fn streams<'a>(args: impl Iterator<Item = &'a OsStr>, stdout: &[u8], stderr: &[u8]) {
    let args: Vec<_> = args.map(OsStr::to_string_lossy).collect();
    if !args.iter().any(|arg| PRINT_VALUES.contains(&arg.as_ref())) {
        output(&format!("stdout {}", args.join(" ")), stdout);
    }
    output(&format!("stderr {}", args.join(" ")), stderr);
}

/// The logs below a directory. Nothing else there may be looked for: the ledger holds values.
pub(crate) fn logs(directory: &Path) {
    if place().is_none() {
        return;
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        assert!(!name.starts_with("core"), "a core file has the whole memory: {}", path.display());
        if path.is_dir() {
            logs(&path);
        } else if name.contains(".log") || directory.ends_with("log") {
            output(&name, &fs::read(&path).unwrap_or_default());
        }
    }
}

/// Keeps what the parts of the daemon log that run in this process.
pub(crate) fn events() {
    static ONCE: Once = Once::new();
    let Some(place) = place() else { return };
    ONCE.call_once(|| {
        let file = File::create(place.join(format!("output/{}-events", std::process::id()))).unwrap();
        let filter = EnvFilter::new("zhongkong=trace,zhongkong::simulator=off");
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(file).init();
    });
}
