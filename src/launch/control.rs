//! `stop`, `restart` and `reload`: the daemon of the pid file, and what it is told.
//!
//! A wrong configuration stops nobody from stopping the daemon: only the few keys that are needed
//! are read, as far as they can be. It does keep `restart` and `reload` from touching one that
//! runs: both have another process of this program check the file first, as the daemon's user.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::clock::Clock;
use crate::config::{Control, Environment};
use crate::process::pid_file::{Ended, Running, Seen};

use super::error::LaunchError;
use super::note::Note;
use super::{Stop, Urgency, remark, start};

/// Beyond the grace: closing the ledger, and a busy machine.
const MARGIN: Duration = Duration::from_secs(10);
/// Between the two signals that mean "at once": the kernel makes one of equal ones that are
/// pending together.
const APART: Duration = Duration::from_millis(300);
/// Between looks for what came of a reload.
const LOOK: Duration = Duration::from_millis(50);

/// `zhongkong stop`. Nobody there to be stopped is success, as the LSB has it.
pub(super) fn stop(config: &Path, stop: Stop) -> Result<String, LaunchError> {
    let control = read(config);
    let running = match Seen::look(&control.pid_file)? {
        Seen::Running(running) => running,
        Seen::Nobody { stale } => {
            return Ok(format!(
                "{}; one that systemd runs, or that was started with another pid_file, cannot be seen from here",
                nobody(&control, stale.as_deref())
            ));
        }
    };
    let pid = running.pid();
    send(&running, Signal::TERM)?;
    if stop.urgency == Urgency::Now && waited(&running, APART)? == Ended::NotYet {
        send(&running, Signal::TERM)?;
    }
    let wait = stop.wait.unwrap_or(control.grace + MARGIN);
    match waited(&running, wait)? {
        Ended::Yes => Ok(format!("zhongkong has ended (process {pid})")),
        Ended::NotYet => Err(LaunchError::Failed(still_there(&running, wait))),
    }
}

/// `zhongkong restart`.
pub(super) fn restart(
    config: PathBuf,
    env: Environment,
    stop: Stop,
    wait: Duration,
) -> Result<String, LaunchError> {
    check(&config, "the daemon was not touched: the configuration is wrong")?;
    remark(&self::stop(&config, stop)?);
    start::start(config, env, wait)
}

/// `zhongkong reload`.
pub(super) fn reload(config: &Path, wait: Duration) -> Result<String, LaunchError> {
    check(config, "the daemon was not told, and goes on as before: the configuration is wrong")?;
    let control = read(config);
    let running = match Seen::look(&control.pid_file)? {
        Seen::Running(running) => running,
        Seen::Nobody { stale } => {
            return Err(LaunchError::Failed(format!(
                "{}; `zhongkong start` starts it. Under systemd: systemctl reload zhongkong",
                nobody(&control, stale.as_deref())
            )));
        }
    };
    let (pid, note) = (running.pid(), Note::beside(&control.pid_file));
    let Some(before) = note.read(pid).map(|noted| noted.count) else {
        send(&running, Signal::HUP)?;
        return Ok(format!("process {pid} was told to reload; its log says what came of it"));
    };
    send(&running, Signal::HUP)?;
    let clock = Clock::system();
    let until = clock.boot() + wait;
    loop {
        if let Some(noted) = note.read(pid).filter(|noted| noted.count > before) {
            let text: String =
                noted.text.chars().filter(|letter| *letter == '\n' || !letter.is_control()).collect();
            return if noted.ok { Ok(text) } else { Err(LaunchError::Failed(text)) };
        }
        if waited(&running, LOOK)? == Ended::Yes {
            return Err(LaunchError::Failed(format!(
                "process {pid} ended while it was to reload; its log says why, `zhongkong start` starts it again"
            )));
        }
        if clock.boot() >= until {
            return Err(LaunchError::Failed(format!(
                "process {pid} was told to reload and has not said within {} what came of it{}; its log will say",
                humantime::format_duration(wait),
                stopped(&running)
            )));
        }
    }
}

/// The few keys that are needed, with a word if they had to be guessed.
fn read(config: &Path) -> Control {
    let control = Control::read(config);
    if let Some(why) = &control.doubt {
        remark(&format!(
            "warning: {} cannot be read ({why}); the pid file is taken to be {}",
            config.display(),
            control.pid_file.display()
        ));
    }
    control
}

fn nobody(control: &Control, stale: Option<&str>) -> String {
    let path = control.pid_file.display();
    match stale {
        None => format!("zhongkong does not run by the pid file {path}"),
        Some(number) => format!(
            "zhongkong does not run: {path} names process {number}, which is not it and is left alone; the last daemon \
             did not end in order"
        ),
    }
}

/// Has another process of this program check the configuration: it can become the daemon's user
/// for it. What is wrong it says itself.
fn check(config: &Path, otherwise: &'static str) -> Result<(), LaunchError> {
    let checked = Command::new("/proc/self/exe")
        .arg("--config")
        .arg(config)
        .arg("check-config")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(LaunchError::system("checking the configuration"))?;
    if checked.success() { Ok(()) } else { Err(LaunchError::Checked(otherwise)) }
}

fn send(running: &Running, signal: Signal) -> Result<(), LaunchError> {
    running.signal(signal).map_err(|source| match source.kind() {
        std::io::ErrorKind::PermissionDenied => LaunchError::Failed(format!(
            "process {} belongs to another user: do this as root or as that user",
            running.pid()
        )),
        _ => LaunchError::System { what: "sending the signal", source },
    })
}

fn waited(running: &Running, span: Duration) -> Result<Ended, LaunchError> {
    running.wait(span).map_err(LaunchError::system("waiting for the daemon"))
}

fn still_there(running: &Running, wait: Duration) -> String {
    let pid = running.pid();
    format!(
        "process {pid} was told to end and still runs after {}{}. It finishes attempts under way within [daemon] grace; \
         `zhongkong stop --now` cuts them off, `kill -9 {pid}` ends it in any case (the next start knows what was under \
         way)",
        humantime::format_duration(wait),
        stopped(running)
    )
}

/// Why a process may not react.
fn stopped(running: &Running) -> String {
    let pid = running.pid();
    match running.state() {
        Some('T' | 't') => format!("; it is suspended (state T): `kill -CONT {pid}` lets it go on"),
        Some('D') => {
            "; it waits for a disk (state D): look at the disk of state_dir and of the log".to_owned()
        }
        Some(_) | None => String::new(),
    }
}
