//! Panics, logged before anything unwinds.
//!
//! The text of a panic is shown only when it is a literal of the source. One that was formatted
//! may quote anything: std itself quotes a whole string that was cut at a wrong place, and
//! `unwrap` the answer that it did not like. The place is always shown, and is what is needed.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};

/// What stands for a text that may hold a secret.
const WITHHELD: &str = "(the text may quote a secret and is not logged; the place tells what failed)";

/// Lets every panic of the process be logged, and waits until it is written.
pub(super) fn install() {
    std::panic::set_hook(Box::new(|panic| {
        let text = safe_text(panic.payload());
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let thread = std::thread::current();
        // By RUST_BACKTRACE; holds names of functions and files, no values.
        let trace = Backtrace::capture();
        let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
        tracing::error!(
            place,
            thread = thread.name(),
            text,
            backtrace = trace,
            "the daemon panicked at {place}; please report it",
        );
        super::flush();
    }));
}

/// The text of a panic if it can be shown.
pub fn safe_text(payload: &(dyn Any + Send)) -> &'static str {
    // A formatted text is a `String`.
    payload.downcast_ref::<&'static str>().copied().unwrap_or(WITHHELD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_over_a_value_does_not_show_it() {
        let value = "a-value-that-is-secret-\u{4e2d}";
        let caught = |act: &(dyn Fn() + std::panic::RefUnwindSafe)| {
            std::panic::catch_unwind(act).expect_err("it panics")
        };
        // std quotes the whole string here.
        let cut = caught(&|| drop(value[..value.len() - 1].to_owned()));
        assert!(cut.downcast_ref::<String>().is_some_and(|text| text.contains(value)), "std has changed");
        assert_eq!(safe_text(&*cut), WITHHELD);
        assert_eq!(safe_text(&*caught(&|| panic!("a literal"))), "a literal");
    }
}
