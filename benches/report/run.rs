//! Runs scenarios, each in a process of its own: what one does to its process, such as holding it on
//! one core, or dying, is not the next one's matter.
//!
//! One that fails, panics, hangs or dies is recorded as failed, and the others are run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::process::Command;
use tokio::time::Instant;
use zhongkong::clock::Clock;

use super::place::{Place, load};
use super::store::{Kept, Outcome, Record};
use super::{Findings, page, store};

/// No scenario takes longer, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// The first argument of the process of one scenario.
const ONE: &str = "one-scenario";
/// The words of the page.
pub(crate) const TEMPLATE: &str = include_str!("page.md");

/// Of all programs. Each runs those that are its own and passes over the others, so that one command
/// line does for all.
pub(crate) const ALL: [&str; 17] = [
    "reads",
    "audit",
    "local",
    "watch",
    "stampede",
    "fleet",
    "day",
    "engine-day",
    "pipeline",
    "callback",
    "callback-peers",
    "signature",
    "jssdk",
    "login",
    "metrics",
    "page",
    "heap",
];

/// What the arguments ask for: the scenarios that are named, or all; with `--write`, into the page.
/// `--page` measures nothing, and writes the page from its words and the figures that are there.
pub(crate) fn main(
    own: &[&str],
    args: &[String],
    scenario: impl FnOnce(&str) -> anyhow::Result<Findings>,
) -> anyhow::Result<ExitCode> {
    if let [one, name, file] = args
        && one == ONE
    {
        // A run that is ended ends its parts.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        return alone(name, Path::new(file), scenario);
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    if args == ["--page"] {
        store::publish(&docs, TEMPLATE)?;
        return Ok(ExitCode::SUCCESS);
    }
    let write = args.iter().any(|arg| arg == "--write");
    let named: Vec<&str> = args.iter().map(String::as_str).filter(|arg| *arg != "--write").collect();
    if let Some(unknown) = named.iter().find(|name| !ALL.contains(*name)) {
        anyhow::bail!("no scenario {unknown:?}; there are: {}", ALL.join(", "));
    }
    let chosen = own.iter().filter(|name| named.is_empty() || named.contains(*name));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (place, before, clock) = (Place::here(), load(), Clock::system());
    let mut code = ExitCode::SUCCESS;
    for name in chosen {
        say(&format!("{name} …"));
        let begun = Instant::now();
        let outcome = runtime.block_on(apart(name)).unwrap_or_else(|error| Outcome::of(Err(error)));
        match &outcome {
            Outcome::Found(_) => {}
            Outcome::Failed(why) => {
                say(&format!("{name} failed: {why}"));
                code = ExitCode::FAILURE;
            }
        }
        if write {
            let record = Record {
                scenario: (*name).to_owned(),
                at: clock.wall().to_string().get(..16).unwrap_or_default().replace('T', " "),
                took_seconds: begun.elapsed().as_secs(),
                load_before: before,
                place: place.clone(),
                outcome,
                failed_since: None,
            };
            if store::keep(&docs.join("performance"), &record)? == Kept::Refused {
                say(&format!(
                    "{name}: not written, because what is there is of the bench profile and full rounds, and this \
                     is not; remove docs/performance/{name}.json first to have it nevertheless"
                ));
            }
            // After each: what is cut off has a page of what it did.
            if let Err(error) = store::publish(&docs, TEMPLATE) {
                say(&format!("the page was not written: {error:#}"));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// Runs one scenario in a process of its own.
async fn apart(name: &str) -> anyhow::Result<Outcome> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("outcome.json");
    let mut child = Command::new(std::env::current_exe()?)
        .args([ONE.as_ref(), name.as_ref(), file.as_os_str()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let Ok(ended) = tokio::time::timeout(PATIENCE, child.wait()).await else {
        return Ok(Outcome::failed(&format!("it was not done within {PATIENCE:?}")));
    };
    let ended = ended?;
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(serde_json::from_str(&text)?),
        Err(_) => Ok(Outcome::failed(&format!("it said nothing and ended: {ended}"))),
    }
}

/// The process of one scenario.
fn alone(
    name: &str,
    file: &Path,
    scenario: impl FnOnce(&str) -> anyhow::Result<Findings>,
) -> anyhow::Result<ExitCode> {
    let result = catch_unwind(AssertUnwindSafe(|| scenario(name))).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
        Err(anyhow::anyhow!("it panicked: {said}"))
    });
    let outcome = Outcome::of(result);
    if let Outcome::Found(findings) = &outcome {
        print(&page::plain(findings));
    }
    std::fs::write(file, serde_json::to_string(&outcome)?)?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the result of the bench")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a bench talks to a terminal")]
fn say(line: &str) {
    eprintln!("{line}");
}
