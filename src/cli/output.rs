//! Where results go: stdout, for people or for programs.
//!
//! Nothing else in the crate writes to stdout but the demo. Colour is used only where a person
//! sees it: stdout is a terminal, and neither NO_COLOR nor `TERM=dumb` forbids it.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::config::Environment;

use super::error::CliError;

/// In which form results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Text, relative times.
    Human,
    /// JSON, absolute times.
    Json,
}

/// Whether text has colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// For a terminal.
    On,
    /// For a file, a pipe, or somebody who wants none.
    Off,
}

/// What a piece of text says about the world, and so how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// It works, with a reservation.
    Doubtful,
    /// It does not work.
    Bad,
    /// A heading.
    Strong,
}

impl Colour {
    /// The text in its colour; as it is where there is none.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "1;31",
            Tone::Strong => "1",
        };
        match self {
            Self::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

/// The standard output of one command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// Text or documents.
    pub(super) form: Form,
    /// For text.
    pub(super) colour: Colour,
}

impl Output {
    pub(super) fn new(form: Form, env: &Environment) -> Self {
        // https://no-color.org: any text but the empty one.
        let unwanted = env.get("NO_COLOR").is_some_and(|text| !text.is_empty());
        let dumb = env.get("TERM") == Some("dumb");
        let colour = if io::stdout().is_terminal() && !unwanted && !dumb { Colour::On } else { Colour::Off };
        Self { form, colour }
    }

    /// Prints a result: the document for programs, the text for people.
    pub(super) fn result<D: Serialize>(
        self,
        document: &D,
        text: impl FnOnce(Colour) -> String,
    ) -> Result<(), CliError> {
        match self.form {
            Form::Human => self.text(&text(self.colour)),
            Form::Json => self.document(document),
        }
    }

    /// Prints text; a line end is added where there is none.
    #[expect(clippy::unused_self, reason = "whoever prints must hold the command's output")]
    pub(super) fn text(self, text: &str) -> Result<(), CliError> {
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let mut out = io::stdout().lock();
        let written = write!(out, "{text}{end}").and_then(|()| out.flush());
        written.map_err(CliError::Stdout)
    }

    /// Prints a document on one line.
    pub(super) fn document<D: Serialize>(self, document: &D) -> Result<(), CliError> {
        let text = serde_json::to_string(document).map_err(|error| CliError::Stdout(error.into()))?;
        self.text(&text)
    }
}

/// Tells a person something beside the result. What cannot be told is lost.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
