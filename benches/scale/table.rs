//! The lines that are printed: what was measured, the number, what it must be.

#![expect(clippy::print_stdout, reason = "this is the output of the bench")]

use std::time::Duration;

/// Prints the name of a scenario.
pub(crate) fn title(text: &str) {
    println!("\n## {text}");
}

/// Prints one measured thing, with what it is to be where there is such a line.
pub(crate) fn row(what: &str, measured: impl std::fmt::Display, wanted: &str) {
    let wanted = if wanted.is_empty() { String::new() } else { format!("  (wanted: {wanted})") };
    println!("{what:<58} {measured}{wanted}");
}

/// The value below which this share of the samples lies. Sorts them.
pub(crate) fn quantile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into a slice, from a share of its length"
    )]
    let index = (samples.len() as f64 * share) as usize;
    samples.get(index.min(samples.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// p50, p99, p99.9 and the greatest, on one line.
pub(crate) fn spread(samples: &mut [Duration]) -> String {
    let at = |samples: &mut [Duration], share| format!("{:?}", quantile(samples, share));
    format!(
        "p50 {}  p99 {}  p99.9 {}  max {}",
        at(samples, 0.5),
        at(samples, 0.99),
        at(samples, 0.999),
        at(samples, 1.0)
    )
}
