//! `serve` as it is typed, and `serve --check`. One file for each service tells what that would
//! serve.

use std::path::Path;

use serde::Serialize;

use crate::config::{Environment, Service, ServiceSet};
use crate::launch::services::{self, Checked};

use super::error::CliError;
use super::output::{Output, note};

mod business;
mod jssdk;
mod messages;
mod oauth;

/// What `serve` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which services, one or several in one process: messages, oauth, jssdk, business
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
    Err(format!("there is no such service; there is: {known}"))
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
    let Checked { summary, warnings: _, messages, oauth, jssdk, business } = checked;
    let mut lines = vec![format!("ok: {summary}")];
    lines.extend(messages.iter().flat_map(messages::lines));
    lines.extend(oauth.iter().flat_map(oauth::lines));
    lines.extend(jssdk.iter().flat_map(jssdk::lines));
    lines.extend(business.iter().flat_map(business::lines));
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_that_does_not_exist_is_refused_with_those_that_do() {
        assert_eq!(parse_service("messages"), Ok(Service::Messages));
        assert_eq!(parse_service("oauth"), Ok(Service::OAuth));
        assert_eq!(parse_service("jssdk"), Ok(Service::Jssdk));
        assert_eq!(parse_service("business"), Ok(Service::Business));
        assert!(parse_service("mesages").unwrap_err().contains("messages"));
    }
}
