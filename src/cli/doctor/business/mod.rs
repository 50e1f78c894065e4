//! The business services: the secrets of each, whether the daemon serves it, whether it runs.
//!
//! A service without an account in the configuration is not spoken of: the packaged file has the
//! sections. That of menus and codes, which has no accounts, is spoken of once it has a database. Nothing is complained about at the daemon to find out whether that is allowed: its own
//! configuration tells.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Uid;

use crate::access::Action;
use crate::clock::Clock;
use crate::config::link::DaemonLink;
use crate::config::serve::LoadedServe;
use crate::config::survey::Survey;
use crate::config::{ConfigError, Environment, Problem, ServeConfig, Service, ServiceSet};
use crate::hub::AccountSettings;
use crate::model::{AppId, Kind};

use super::finding::{Finding, Group};
use super::http;

mod jssdk;
mod link;
mod menus;
mod messages;
mod oauth;

/// Limit for each question.
const LIMIT: Duration = Duration::from_secs(8);

/// A service as the doctor sees it.
struct Profile {
    service: Service,
    group: Group,
    /// What it asks of the daemon.
    needs: &'static [Action],
    /// What it reads there.
    kinds: &'static [Kind],
    /// What comes of it when it cannot: `late answers cannot be sent`.
    without: &'static str,
    /// What it does when all is well: `it answers messages`.
    well: &'static str,
}

impl Profile {
    /// The packaged unit, and its user.
    fn unit(&self) -> String {
        format!("zhongkong-{}", self.service)
    }

    /// What it asks of the daemon, in a sentence.
    fn actions(&self) -> String {
        list(self.needs)
    }
}

/// What a service needs of the daemon.
struct Needed<'a> {
    link: &'a DaemonLink,
    appids: Vec<&'a AppId>,
}

/// Looks at the services of this configuration. `env` is as the doctor was started with.
pub(super) async fn findings(path: &Path, survey: &Survey, env: &Environment, clock: &Clock) -> Vec<Finding> {
    let Some(parts) = &survey.parts else { return Vec::new() };
    // Without their secrets, which perhaps cannot be read from here.
    let ServeConfig { serve: _, verify_files: _, messages, oauth, jssdk, business } = &parts.services;
    let look = Look { path, survey, env, clock, services: &parts.services, callers: &parts.grpc.clients };
    let mut found = Vec::new();
    if let Some(form) = messages {
        found.extend(messages::findings(form, &look).await);
    }
    if let Some(form) = oauth {
        found.extend(oauth::findings(form, &look).await);
    }
    if let Some(form) = jssdk {
        found.extend(jssdk::findings(form, &look).await);
    }
    if let Some(form) = business {
        found.extend(menus::findings(form, &look).await);
    }
    found
}

/// What every service is looked at with.
struct Look<'a> {
    path: &'a Path,
    survey: &'a Survey,
    env: &'a Environment,
    clock: &'a Clock,
    services: &'a ServeConfig,
    callers: &'a [crate::access::Client],
}

impl Look<'_> {
    /// Reads what the service reads, as far as whoever runs this may; what is odd or wrong with it.
    fn configuration(&self, profile: &Profile) -> (Vec<Finding>, Option<ServeConfig>) {
        let Profile { service, group, .. } = *profile;
        let credentials = format!("/run/credentials/{}.service", profile.unit());
        let held = Path::new(&credentials).is_dir();
        let env =
            if held { self.env.clone().or("CREDENTIALS_DIRECTORY", &credentials) } else { self.env.clone() };
        match ServeConfig::load(self.path, &env, &ServiceSet::from([service])) {
            Ok(LoadedServe { config, warnings }) => {
                let new = warnings.iter().filter(|one| !self.survey.warnings.contains(one));
                let odd = new
                    .map(|one| Finding::warn(group, "settings", one.to_string(), "correct it, or leave it"));
                (odd.collect(), Some(config))
            }
            Err(ConfigError::Invalid { path: _, problems }) => {
                // What the daemon's own reading says stands above.
                let new = problems.iter().filter(|one| !self.survey.errors.contains(one));
                let root = Uid::effective().is_root();
                let found = new.map(|one| unread(one, root, group, &correct(service))).collect();
                (found, None)
            }
            // It was readable a moment ago.
            Err(ConfigError::Unreadable { .. }) => (Vec::new(), None),
        }
    }

    /// The accounts of the daemon, as far as this file has them.
    fn accounts(&self) -> &[AccountSettings] {
        self.survey.parts.as_ref().map_or(&[], |parts| &parts.accounts)
    }

    /// Whether it runs, in its own words: as a process of its own, or together with others.
    async fn runs(&self, profile: &Profile) -> Vec<Finding> {
        let serve = &self.services.serve;
        let alone = serve.alone.get(&profile.service).map(|listeners| listeners.admin);
        let mut places: Vec<_> = alone.into_iter().chain([serve.admin]).collect();
        places.dedup();
        // A port that the system chose is known to the service's log only.
        places.retain(|admin| admin.port() != 0);
        let mut first = None;
        for admin in places {
            let said = match self.ask(admin, "/services").await {
                Ok((_, names)) if !names.lines().any(|name| name == profile.service.as_str()) => {
                    Err(format!("other services answer on {admin}"))
                }
                Ok(_) => self.ask(admin, "/readyz").await,
                Err(error) => Err(error),
            };
            match said {
                Ok((status, line)) => return vec![judge(Ok((status, line.trim())), profile)],
                Err(error) => first = first.or(Some(error)),
            }
        }
        first.map(|error| judge(Err(error), profile)).into_iter().collect()
    }

    async fn ask(&self, admin: SocketAddr, path: &str) -> Result<(u16, String), String> {
        let url = format!("http://{}{path}", http::near(admin)).parse();
        let url = url.map_err(|_| "its address is none".to_owned())?;
        let answer = http::get(url, LIMIT, 4_096, self.clock).await.map_err(|error| error.to_string())?;
        Ok((answer.status, answer.body))
    }
}

/// Actions in a sentence.
fn list<'a>(actions: impl IntoIterator<Item = &'a Action>) -> String {
    actions.into_iter().map(|action| action.as_str()).collect::<Vec<_>>().join(" and ")
}

/// What to do about a section that is wrong.
fn correct(service: Service) -> String {
    format!("correct it; `zhongkong serve {service} --check` as the service's user says ok then")
}

/// That we cannot read a secret says nothing of the service, which has another user and, of
/// systemd, credentials that exist only while it runs.
fn unread(problem: &Problem, root: bool, group: Group, fix: &str) -> Finding {
    let Problem { message, .. } = problem;
    if message.starts_with("CREDENTIALS_DIRECTORY is not set") {
        let detail =
            format!("{}: not looked at: systemd has credentials only while the service runs", problem.key);
        return Finding::warn(group, "secrets", detail, "start the service, then run doctor as root");
    }
    if message.contains("may not open") && !root {
        let detail = format!("{}: not looked at: this user may not open it", problem.key);
        return Finding::warn(group, "secrets", detail, "run doctor as root");
    }
    Finding::fail(group, "secrets", problem.to_string(), fix)
}

fn judge(said: Result<(u16, &str), String>, profile: &Profile) -> Finding {
    let Profile { service, group, well, .. } = *profile;
    let unit = profile.unit();
    match said {
        Ok((200, "ready")) => Finding::ok(group, "runs", well),
        Ok((_, line)) => {
            let fix = format!("see the other lines here, and its log (journalctl -u {unit})");
            Finding::warn(group, "runs", format!("it says: {line}"), fix)
        }
        Err(error) => {
            let fix = format!(
                "systemctl start {unit} (or zhongkong serve {service}), unless it is meant to be down"
            );
            Finding::warn(group, "runs", format!("it does not run: {error}"), fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn secret_that_only_we_cannot_read_is_no_failure_of_the_service() {
        let problem =
            |message: &str| Problem { line: Some(7), key: "messages".into(), message: message.into() };
        let level = |message, root| unread(&problem(message), root, Group::Messages, "fix").level;
        assert_eq!(level("CREDENTIALS_DIRECTORY is not set: start under systemd", true), Level::Warn);
        assert_eq!(level("the user `me` may not open /etc/x", false), Level::Warn);
        assert_eq!(level("the user `root` may not open /etc/x", true), Level::Fail);
        assert_eq!(level("there is no file /etc/x", false), Level::Fail);
    }

    #[test]
    fn service_that_has_something_to_say_is_not_simply_well() {
        assert_eq!(judge(Ok((200, "ready")), &messages::PROFILE).level, Level::Ok);
        let but = judge(Ok((200, "ready, but the rules file is bad")), &messages::PROFILE);
        assert!(but.level == Level::Warn && but.detail.contains("the rules file is bad"), "{but:?}");
        assert_eq!(judge(Ok((503, "not ready: x")), &messages::PROFILE).level, Level::Warn);
        assert_eq!(judge(Err("no connection".to_owned()), &messages::PROFILE).level, Level::Warn);
    }
}
