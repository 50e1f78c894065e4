//! `serve` as it is typed, and `serve --check`.

use std::path::Path;

use serde::Serialize;

use crate::config::Environment;
use crate::launch::services::{self, Checked, ServedAccount, ServedProgram, ServedRule};

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
struct Document<'a> {
    ok: bool,
    config: &'a Path,
    #[serde(flatten)]
    checked: &'a Checked,
}

/// `serve --check`.
pub(super) fn check(config: &Path, out: Output, env: &Environment) -> Result<(), CliError> {
    let checked = services::check(config, env)?;
    out.result(&Document { ok: true, config, checked: &checked }, |_| {
        for warning in &checked.warnings {
            note(&format!("warning: {warning}"));
        }
        page(&checked)
    })
}

/// What would be served, a line each.
fn page(checked: &Checked) -> String {
    let Checked { summary, warnings: _, accounts, rules_file, rules, programs } = checked;
    let mut lines = vec![format!("ok: {summary}")];
    for ServedAccount { path, appid, mode, forward } in accounts {
        let who = match (rules_file, forward) {
            (Some(_), Some(program)) => format!("the rules, then {program}"),
            (Some(_), None) => "the rules".to_owned(),
            (None, Some(program)) => program.clone(),
            (None, None) => "nobody".to_owned(),
        };
        lines.push(format!("account {path} ({appid}, {mode} mode): answered by {who}"));
    }
    if let Some(file) = rules_file {
        let file = file.display();
        lines.extend(rules.iter().map(|ServedRule { line, name }| format!("{name} ({file}:{line})")));
    }
    lines.extend(programs.iter().map(|ServedProgram { name, url }| format!("program {name}: {url}")));
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
