//! `zhongkong start`: a detached daemon, awaited until it is ready.
//!
//! The starter is the reaper of what it started, so that it can say how a daemon died that had
//! no time to say it itself. Ctrl-C ends the waiting, not the daemon.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, waitpid};

use crate::cli::chain;
use crate::config::Environment;
use crate::process::detach::{DetachError, Detached, close_inherited, detach};
use crate::process::pid_file::{Locked, PidFile};
use crate::process::privileges::make_directory;
use crate::process::sockets::passed;

use super::error::LaunchError;
use super::note::Note;
use super::remark;
use super::report::{Heard, Report, Reporter, Reports, Said};
use super::serve::{Link, Places, Prepared, Terminal};

/// Returns in the starter only: the daemon's process ends in here.
pub(super) fn start(path: PathBuf, env: Environment, wait: Duration) -> Result<String, LaunchError> {
    // Before anything is opened, by us or by a library.
    close_inherited(passed(&env));
    let prepared = Prepared::new(path, env)?;
    let daemon = &prepared.loaded.config.daemon;
    let places = Places::of(&prepared.loaded.config);
    let owner = prepared.plan.target();
    make_directory(parent(&daemon.pid_file), 0o755, owner)?;
    make_directory(parent(&places.err), 0o750, owner)?;
    let Locked { file: pid_file, stale } = PidFile::lock(&daemon.pid_file)?;
    if let Some(number) = stale {
        remark(&format!(
            "note: {} named process {number}, which is not zhongkong any more: the last daemon did not end in order. \
             The file is replaced",
            daemon.pid_file.display()
        ));
    }
    let note = Note::beside(&daemon.pid_file);
    let (reader, writer) = io::pipe().map_err(LaunchError::system("making a pipe"))?;
    // Without it the daemon's death is seen, and not how it died.
    let _ = set_child_subreaper(Some(getpid()));
    match detach() {
        Detached::Daemon(detached) => {
            drop(reader);
            let link =
                Link { reporter: Reporter::new(writer), pid_file, note, places, terminal: Terminal::Kept };
            std::process::exit(be_the_daemon(prepared, detached, link).into())
        }
        Detached::Starter(forked) => {
            // The daemon has both, and nobody else should.
            drop((writer, pid_file));
            forked?;
            wait_for(Reports::new(reader, wait), wait, &places)
        }
    }
}

fn be_the_daemon(prepared: Prepared, detached: Result<(), DetachError>, mut link: Link) -> u8 {
    let done = match detached {
        Ok(()) => {
            link.reporter.say(&Report::Pid(getpid().as_raw_nonzero().get()));
            prepared.serve(Some(&mut link))
        }
        Err(error) => Err(error.into()),
    };
    let Link { mut reporter, pid_file, note, places: _, terminal } = link;
    note.remove();
    // Before the last word, so that whoever hears it can start another.
    pid_file.release();
    match done {
        Ok(()) => 0,
        Err(error) => {
            let (code, text) = (error.exit_code(), chain(&error));
            let line = format!("zhongkong: {text}");
            let heard = reporter.say(&Report::Failed { code, text });
            // In the terminal the starter says it. Elsewhere it is for who looks beside the log.
            if heard == Said::Lost || terminal == Terminal::Left {
                remark(&line);
            }
            code
        }
    }
}

fn wait_for(mut reports: Reports, wait: Duration, places: &Places) -> Result<String, LaunchError> {
    let mut pid = None;
    let mut state = "it has not said anything yet".to_owned();
    loop {
        let heard = reports.next().map_err(LaunchError::system("listening to the daemon"))?;
        match heard {
            Heard::Report(Report::Pid(number)) => pid = Some(number),
            Heard::Report(Report::Note(text)) => remark(&text),
            Heard::Report(Report::NotReady(reason)) => state = reason,
            Heard::Report(Report::Ready) => {
                return Ok(format!("zhongkong runs and is ready, process {}", shown(pid)));
            }
            Heard::Report(Report::Failed { code, text }) => {
                return Err(LaunchError::Daemon { text, code });
            }
            Heard::End => return Err(LaunchError::Failed(died(pid, places))),
            Heard::Silence => {
                return Err(LaunchError::Failed(format!(
                    "not ready within {}: {state}. It goes on in the background as process {}; `zhongkong status` \
                     shows each credential, `zhongkong stop` ends it, its log is {}",
                    humantime::format_duration(wait),
                    shown(pid),
                    places.log
                )));
            }
        }
    }
}

fn died(pid: Option<i32>, places: &Places) -> String {
    let status = pid
        .and_then(Pid::from_raw)
        .and_then(|pid| waitpid(Some(pid), WaitOptions::empty()).ok().flatten())
        .map(|(_, status)| ExitStatus::from_raw(status.as_raw()));
    let how = match status {
        // What std writes: `signal: 9 (SIGKILL)`, `exit status: 101`.
        Some(status) if status.success() => "it was stopped before it was ready".to_owned(),
        Some(status) => format!("it died before it was ready and could not say why ({status})"),
        None => "it died before it was ready and could not say why".to_owned(),
    };
    format!("{how}; look into {} and {}", places.log, places.err.display())
}

fn shown(pid: Option<i32>) -> String {
    pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string())
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
