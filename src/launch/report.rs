//! What a detached daemon tells the `start` that waits for it: over a pipe, one JSON document a
//! line, until it is ready or has failed.
//!
//! The pipe's end without a last word is a word, too: the daemon died.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::clock::{BootTime, Clock};
use crate::process::pid_file::timespec;

/// One word of the daemon.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// Its process id.
    Pid(i32),
    /// Something the operator should know; it goes on.
    Note(String),
    /// Why it is not ready yet.
    NotReady(String),
    /// It is ready.
    Ready,
    /// It ends, with this exit code, because of this.
    Failed {
        /// 1 or 2.
        code: u8,
        /// The error with its causes.
        text: String,
    },
}

/// The daemon's end.
#[derive(Debug)]
pub(super) struct Reporter(Option<PipeWriter>);

/// The starter's end.
#[derive(Debug)]
pub(super) struct Reports {
    pipe: PipeReader,
    read: Vec<u8>,
    clock: Clock,
    until: BootTime,
}

/// Whether somebody was there to hear a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Heard,
    Lost,
}

/// What came over the pipe.
#[derive(Debug)]
pub(super) enum Heard {
    /// A word.
    Report(Report),
    /// Nothing more will come.
    End,
    /// Nothing in time.
    Silence,
}

impl Reporter {
    pub(super) fn new(pipe: PipeWriter) -> Self {
        Self(Some(pipe))
    }

    /// Says something, if anybody still listens.
    pub(super) fn say(&mut self, report: &Report) -> Said {
        let last = matches!(report, Report::Ready | Report::Failed { .. });
        if let Some(pipe) = &mut self.0
            && let Ok(mut line) = serde_json::to_vec(report)
        {
            line.push(b'\n');
            // Who does not wait any more has a reason.
            let said = if pipe.write_all(&line).is_ok() { Said::Heard } else { Said::Lost };
            if said == Said::Lost || last {
                self.0 = None;
            }
            return said;
        }
        Said::Lost
    }
}

impl Reports {
    pub(super) fn new(pipe: PipeReader, wait: Duration) -> Self {
        let clock = Clock::system();
        let until = clock.boot() + wait;
        Self { pipe, read: Vec::new(), clock, until }
    }

    /// The next word.
    pub(super) fn next(&mut self) -> io::Result<Heard> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Ok(Heard::Report(serde_json::from_slice(&line)?));
            }
            let left = self.until.since(self.clock.boot());
            let mut fds = [PollFd::new(&self.pipe, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) => return Ok(Heard::Silence),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(other) => return Err(other.into()),
            }
            let mut buffer = [0; 4096];
            match self.pipe.read(&mut buffer)? {
                0 => return Ok(Heard::End),
                count => self.read.extend_from_slice(&buffer[..count]),
            }
        }
    }
}
