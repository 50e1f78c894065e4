//! A command that has run to its end: its exit code and its words.

use tokio::process::Command;

use super::record;

/// What a command that has ended said.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// It ended with this code, and its error output has each of these.
    pub(crate) fn expect(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for words in says {
            assert!(self.stderr.contains(words), "nothing says {words:?}: {self:?}");
        }
    }

    /// The document on stdout of a command that succeeded.
    pub(crate) fn document(&self) -> serde_json::Value {
        self.expect(0, &[]);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs a command to its end.
pub(crate) async fn ran(mut command: Command) -> Ran {
    let output = command.output().await.unwrap();
    record::streams(command.as_std().get_args(), &output.stdout, &output.stderr);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
