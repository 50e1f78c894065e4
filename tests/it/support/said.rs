//! What a process says, line by line as it comes.

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::watch;

/// Whole lines, and whether more may come.
pub(crate) type Lines = watch::Sender<(Vec<String>, More)>;

/// The two streams of a process.
pub(crate) struct Said {
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

/// Whether a stream goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum More {
    MayCome,
    Ended,
}

fn find(lines: &[String], mark: usize, words: &str) -> Option<String> {
    lines.iter().skip(mark).find(|line| line.contains(words)).cloned()
}

/// The first line that contains this, among those after the `mark` first ones; panics if the
/// stream ends without one.
pub(crate) async fn wait(stream: &Lines, mark: usize, words: &str) -> String {
    let mut lines = stream.subscribe();
    let seen = lines
        .wait_for(|(lines, more)| find(lines, mark, words).is_some() || *more == More::Ended)
        .await
        .expect("the sender is ours");
    match find(&seen.0, mark, words) {
        Some(line) => line,
        None => panic!("it ended and never said {words:?}:\n{}", seen.0.join("\n")),
    }
}

/// Reads a stream to its end.
pub(crate) async fn read(from: impl AsyncRead + Unpin, to: Lines) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        to.send_modify(|(lines, _)| lines.push(line));
    }
    to.send_modify(|(_, more)| *more = More::Ended);
}
