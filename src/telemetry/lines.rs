//! From a formatted event to one line at its destination.
//!
//! One event is one line, whatever text is in it: a line break inside is written as `\n`, so
//! that nobody can forge a line by a message that we quote.

use std::io::{self, Write};
use std::sync::Arc;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::background::Background;

/// Where lines go.
#[derive(Clone)]
pub(super) enum Lines {
    /// To stderr.
    Stderr,
    /// To stderr, which is the journal: each line begins with its priority, so that
    /// `journalctl -p err` works (sd-daemon(3)).
    JournalStream,
    /// To a file.
    File(Arc<Background>),
}

/// The writer of one event.
pub(super) struct Line<'a> {
    to: &'a Lines,
    level: Level,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { to: self, level: Level::INFO }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { to: self, level: *meta.level() }
    }
}

impl Write for Line<'_> {
    /// Takes a whole event; the subscriber hands it over in one piece.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        match self.to {
            Lines::Stderr => io::stderr().lock().write_all(&one_line("", event))?,
            Lines::JournalStream => {
                io::stderr().lock().write_all(&one_line(priority(self.level), event))?;
            }
            Lines::File(file) => file.push(one_line("", event).into()),
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The numbers of syslog(3), as [`super::journal`] maps them too.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

fn one_line(prefix: &str, event: &[u8]) -> Vec<u8> {
    let event = event.strip_suffix(b"\n").unwrap_or(event);
    let mut line = Vec::with_capacity(prefix.len() + event.len() + 1);
    line.extend_from_slice(prefix.as_bytes());
    for byte in event {
        match byte {
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            other => line.push(*other),
        }
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_with_line_breaks_is_one_line() {
        assert_eq!(one_line("<3>", b"a\nERROR b\r\n"), b"<3>a\\nERROR b\\r\n");
        assert_eq!(one_line("", b"plain\n"), b"plain\n");
        assert_eq!(one_line("", b""), b"\n");
    }
}
