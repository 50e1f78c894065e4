//! `serve` as it is typed, and `serve --check`.

use std::path::Path;

use serde::Serialize;

use crate::config::Environment;
use crate::launch::services;

use super::error::CliError;
use super::output::{Output, note};

/// What `serve` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which services: messages
    #[arg(required = true, value_name = "SERVICE", value_parser = parse_service)]
    services: Vec<Service>,
    /// Only say whether they would start with this configuration: run it as their user
    #[arg(long)]
    check: bool,
}

/// A business service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Messages,
}

impl Args {
    /// Whether the services are to be run, which needs a process with one thread.
    pub(super) fn runs(&self) -> bool {
        !self.check
    }
}

fn parse_service(text: &str) -> Result<Service, String> {
    match text {
        "messages" => Ok(Service::Messages),
        "oauth" | "jssdk" => Err(format!("this version does not serve {text} yet; messages it does")),
        _ => Err("there is no such service; there is: messages".to_owned()),
    }
}

#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    config: &'a Path,
    summary: &'a str,
    warnings: &'a [String],
}

/// `serve --check`.
pub(super) fn check(config: &Path, out: Output, env: &Environment) -> Result<(), CliError> {
    let (warnings, summary) = services::check(config, env)?;
    out.result(&Checked { ok: true, config, summary: &summary, warnings: &warnings }, |_| {
        for warning in &warnings {
            note(&format!("warning: {warning}"));
        }
        format!("ok: {summary}\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_do_not_exist_yet_are_refused_with_a_sentence() {
        assert_eq!(parse_service("messages"), Ok(Service::Messages));
        assert!(parse_service("oauth").unwrap_err().contains("does not serve oauth yet"));
        assert!(parse_service("mesages").unwrap_err().contains("messages"));
    }
}
