//! A question before what cannot be taken back.

use std::io::{self, BufRead, IsTerminal, Write};

use super::error::CliError;

/// Whether the operator agreed beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreed {
    /// By `--yes`.
    Yes,
    /// They are to be asked.
    Ask,
}

impl Agreed {
    pub(super) fn by(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::Ask }
    }
}

/// Goes on only if the operator agrees. The question goes to stderr: stdout is for results.
pub(super) fn confirm(agreed: Agreed, question: &str) -> Result<(), CliError> {
    match agreed {
        Agreed::Yes => Ok(()),
        Agreed::Ask if !io::stdin().is_terminal() => Err(CliError::Usage(format!(
            "{question} Nobody is there to answer: add --yes if that is what you want"
        ))),
        Agreed::Ask => {
            let mut err = io::stderr().lock();
            let _ = write!(err, "{question} Type yes to go on: ").and_then(|()| err.flush());
            let mut answer = String::new();
            let read = io::stdin().lock().read_line(&mut answer);
            if read.is_ok() && answer.trim().eq_ignore_ascii_case("yes") {
                Ok(())
            } else {
                Err(CliError::Declined)
            }
        }
    }
}
