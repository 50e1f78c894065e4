//! What our code logs on this thread, for parts that are tested without a process.

use std::io::Write;
use std::sync::{Arc, Mutex};

/// Lines that were logged on this thread.
#[derive(Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Logged {
    /// Until the guard is dropped.
    pub(crate) fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let logged = Self::default();
        let own = logged.clone();
        let to = tracing_subscriber::fmt().with_ansi(false).with_writer(move || own.clone());
        (logged, tracing::subscriber::set_default(to.finish()))
    }

    /// Ours, not those of libraries.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains("zhongkong")).map(str::to_owned).collect()
    }
}
