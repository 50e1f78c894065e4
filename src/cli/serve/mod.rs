//! `serve` as it is typed, and `serve --check`. One file for each service tells what that would
//! serve.

use std::path::Path;

use serde::Serialize;

use crate::config::{Environment, Service, ServiceSet};
use crate::launch::services::{self, Checked};

use super::error::CliError;
use super::output::{Output, note};

mod messages;

/// What `serve` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which services, one or several in one process: messages
    #[arg(required = true, value_name = "SERVICE", value_parser = parse_service)]
    services: Vec<Service>,
    /// Only say whether they would start with this configuration: run it as their user
    #[arg(long)]
    check: bool,
}

impl Args {
    /// The services to run, which needs a process with one thread; without them it is a check.
    pub(super) fn runs(&self) -> Option<ServiceSet> {
        (!self.check).then(|| self.wanted())
    }

    fn wanted(&self) -> ServiceSet {
        self.services.iter().copied().collect()
    }
}

fn parse_service(text: &str) -> Result<Service, String> {
    let named = |service: &Service| service.as_str() == text;
    if let Some(service) = Service::ALL.into_iter().find(named) {
        return Ok(service);
    }
    let known = Service::ALL.map(Service::as_str).join(", ");
    match text {
        "oauth" | "jssdk" => Err(format!("this version does not serve {text} yet; {known} it does")),
        _ => Err(format!("there is no such service; there is: {known}")),
    }
}

#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    config: &'a Path,
    #[serde(flatten)]
    checked: &'a Checked,
}

/// `serve --check`.
pub(super) fn check(args: &Args, config: &Path, out: Output, env: &Environment) -> Result<(), CliError> {
    let checked = services::check(config, env, &args.wanted())?;
    out.result(&Document { ok: true, config, checked: &checked }, |_| {
        for warning in &checked.warnings {
            note(&format!("warning: {warning}"));
        }
        page(&checked)
    })
}

/// What would be served, a line each.
fn page(checked: &Checked) -> String {
    let Checked { summary, warnings: _, messages } = checked;
    let mut lines = vec![format!("ok: {summary}")];
    lines.extend(messages.iter().flat_map(messages::lines));
    lines.push(String::new());
    lines.join("\n")
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
