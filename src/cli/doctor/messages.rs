//! The message service: its secrets, its rules, whether the daemon serves it, whether it runs.
//!
//! Where the configuration has no `[[messages.account]]` nothing is said. Nothing is complained about at the
//! daemon to find out whether that is allowed: its own configuration tells.

use std::path::Path;
use std::time::Duration;

use nix::unistd::{Uid, User};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use crate::access::{Action, Client as Caller, Identity, Scope};
use crate::cli::words;
use crate::client::{Client, Code, Error};
use crate::clock::Clock;
use crate::config::messages::{CallbackSettings, MessagesSettings};
use crate::config::serve::LoadedServe;
use crate::config::survey::Survey;
use crate::config::{ConfigError, Environment, Problem, ServeConfig};
use crate::model::{AppId, Key, Kind};
use crate::services::messages::envelope::{self, Envelope};
use crate::services::messages::rules::{Book, Names};

use super::finding::{Finding, Group};
use super::{http, memcached};

/// Limit for each question.
const LIMIT: Duration = Duration::from_secs(8);
/// Where systemd puts the credentials of the packaged unit.
const CREDENTIALS: &str = "/run/credentials/zhongkong-messages.service";
/// The packaged unit's user.
const USER: &str = "zhongkong-messages";
/// What sending late answers needs.
const NEEDS: [Action; 2] = [Action::Read, Action::Complain];
const RUN: &str =
    "systemctl start zhongkong-messages (or zhongkong serve messages), unless it is meant to be down";

/// Looks at the service of this configuration. `env` is as the doctor was started with.
pub(super) async fn findings(path: &Path, survey: &Survey, env: &Environment, clock: &Clock) -> Vec<Finding> {
    let Some(parts) = &survey.parts else { return Vec::new() };
    // Without its secrets, which perhaps cannot be read from here.
    let Some(form) = &parts.services else { return Vec::new() };
    // The packaged file has the section, and no account that a service would be for.
    if form.messages.accounts.is_empty() {
        return Vec::new();
    }
    let (mut found, loaded) = secrets(path, survey, env);
    found.extend(rules(&form.messages));
    let daemon = async {
        match &loaded {
            Some(loaded) => daemon(&loaded.messages, &parts.grpc.clients).await,
            None => Vec::new(),
        }
    };
    let (shared, daemon, runs) =
        tokio::join!(memcached::shared(&form.messages.memcached, clock), daemon, runs(form, clock));
    found.extend(daemon.into_iter().chain(shared).chain(runs));
    found
}

/// Reads what the service reads, as far as whoever runs this may.
fn secrets(path: &Path, survey: &Survey, env: &Environment) -> (Vec<Finding>, Option<ServeConfig>) {
    const FIX: &str = "correct it; `zhongkong serve messages --check` as the service's user says ok then";
    let held = Path::new(CREDENTIALS).is_dir();
    let env = if held { env.clone().or("CREDENTIALS_DIRECTORY", CREDENTIALS) } else { env.clone() };
    match ServeConfig::load(path, &env) {
        Ok(LoadedServe { config, warnings }) => {
            let new = warnings.iter().filter(|one| !survey.warnings.contains(one));
            let mut found: Vec<_> = new
                .map(|one| {
                    Finding::warn(Group::Messages, "settings", one.to_string(), "correct it, or leave it")
                })
                .collect();
            found.extend(config.messages.accounts.iter().filter_map(|account| unusable(account, FIX)));
            if found.iter().all(|finding| finding.name != "secrets") {
                let accounts = words::count(config.messages.accounts.len(), "account");
                let detail =
                    format!("{accounts}: each Token and EncodingAESKey can be read and has its form");
                found.push(Finding::ok(Group::Messages, "secrets", detail));
            }
            (found, Some(config))
        }
        Err(ConfigError::Invalid { path: _, problems }) => {
            // What the daemon's own reading says stands above.
            let new = problems.iter().filter(|one| !survey.errors.contains(one));
            let found = new.map(|one| unread(one, Uid::effective().is_root(), FIX)).collect();
            (found, None)
        }
        // It was readable a moment ago.
        Err(ConfigError::Unreadable { .. }) => (Vec::new(), None),
    }
}

fn unusable(account: &CallbackSettings, fix: &str) -> Option<Finding> {
    let settings = envelope::Settings {
        token: account.token.clone(),
        aes_key: account.aes_key.clone(),
        previous_aes_key: account.previous_aes_key.clone(),
        receive_id: account.receive_id.clone(),
        mode: account.mode,
        window: Duration::ZERO,
    };
    let error = Envelope::new(settings).err()?;
    let path = format!("/wechat/{}", account.account.path);
    Some(Finding::fail(Group::Messages, "secrets", super::super::chain(&error), fix).about(path))
}

/// That we cannot read a secret says nothing of the service, which has another user and, of
/// systemd, credentials that exist only while it runs.
fn unread(problem: &Problem, root: bool, fix: &str) -> Finding {
    let Problem { message, .. } = problem;
    if message.starts_with("CREDENTIALS_DIRECTORY is not set") {
        let detail =
            format!("{}: not looked at: systemd has credentials only while the service runs", problem.key);
        return Finding::warn(
            Group::Messages,
            "secrets",
            detail,
            "start the service, then run doctor as root",
        );
    }
    if message.contains("may not open") && !root {
        let detail = format!("{}: not looked at: this user may not open it", problem.key);
        return Finding::warn(Group::Messages, "secrets", detail, "run doctor as root");
    }
    Finding::fail(Group::Messages, "secrets", problem.to_string(), fix)
}

fn rules(settings: &MessagesSettings) -> Vec<Finding> {
    let Some(path) = &settings.rules else { return Vec::new() };
    let programs = settings.forwards.iter().map(|forward| forward.name.as_str()).collect();
    let about = |finding: Finding| finding.about(path.display().to_string());
    match Book::read(path, &Names::These(programs)) {
        Ok((book, warnings)) => {
            let count = words::count(book.len(), "rule");
            let good = Finding::ok(Group::Messages, "rules", format!("{count}, all of them valid"));
            let odd = warnings.iter().map(|warning| {
                Finding::warn(Group::Messages, "rules", warning.to_string(), "correct the file, or leave it")
            });
            std::iter::once(good).chain(odd).map(about).collect()
        }
        Err(error) => {
            let fix = "correct it (a service that runs keeps the rules that it has, and starts with no bad ones), \
                       or name another file in [messages] rules";
            vec![about(Finding::fail(Group::Messages, "rules", super::super::chain(&error), fix))]
        }
    }
}

/// Whether the daemon gives this service what late answers need.
async fn daemon(settings: &MessagesSettings, callers: &[Caller]) -> Vec<Finding> {
    let Some(first) = settings.accounts.first() else { return Vec::new() };
    let link = &settings.daemon;
    let service = User::from_name(USER).ok().flatten().map_or_else(Uid::effective, |user| user.uid);
    let identity = match &link.credentials.token {
        Some(token) => Identity::TokenSha256(Sha256::digest(token.expose().as_bytes()).into()),
        None => Identity::Uid(service.as_raw()),
    };
    let appids: Vec<&AppId> = settings.accounts.iter().map(|account| &account.account.appid).collect();
    let caller = callers.iter().find(|caller| caller.identities.contains(&identity));
    let granted = caller.map(|caller| lacks(caller, &appids));
    let about = |finding: Finding| finding.about(&link.addr);
    if let Some(Some(lacking)) = granted {
        return vec![about(lacking)];
    }
    // On a Unix socket we are who we are, and that is not the service.
    if let Identity::Uid(uid) = identity
        && uid != Uid::effective().as_raw()
    {
        let found = if let Some(caller) = caller {
            let detail = format!("[[client]] {} has read and complain for user {USER}", caller.name);
            Finding::ok(Group::Messages, "daemon", detail)
        } else {
            let detail = format!("no [[client]] here is for its user {USER} (uid {uid})");
            let fix = format!("add a [[client]] with uid = {uid} and actions = [\"read\", \"complain\"]");
            Finding::warn(Group::Messages, "daemon", detail, fix)
        };
        return vec![about(found)];
    }
    let key = Key::new(first.account.appid.clone(), Kind::AccessToken);
    let asked = async {
        let client = Client::connect(&link.addr, link.credentials.clone()).await?;
        Ok::<_, Error>(client.get(&key, Duration::ZERO).await?.value.is_some())
    };
    let complains = match caller {
        Some(caller) => format!("; [[client]] {} has complain, too", caller.name),
        None => String::new(),
    };
    let appid = &first.account.appid;
    vec![about(match timeout(LIMIT, asked).await {
        Ok(Ok(true)) => {
            let detail = format!("gives the service the token of {appid}{complains}");
            Finding::ok(Group::Messages, "daemon", detail)
        }
        Ok(Ok(false)) => {
            let detail =
                format!("does not let the service read the token of {appid}: late answers cannot be sent");
            Finding::fail(Group::Messages, "daemon", detail, "add read to the actions of its [[client]]")
        }
        Ok(Err(error)) => refused(&error),
        Err(_) => {
            let detail = format!("does not answer within {} s", LIMIT.as_secs());
            Finding::fail(Group::Messages, "daemon", detail, "look at its log (journalctl -u zhongkong)")
        }
    })]
}

/// What a caller lacks to be this service.
fn lacks(caller: &Caller, appids: &[&AppId]) -> Option<Finding> {
    let name = &caller.name;
    let fail = |detail: String, fix: String| Some(Finding::fail(Group::Messages, "daemon", detail, fix));
    let missing: Vec<_> =
        NEEDS.iter().filter(|need| !caller.grants.actions.contains(need)).map(|need| need.as_str()).collect();
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        return fail(
            format!("[[client]] {name}, which the service is, lacks {missing}: late answers will fail"),
            format!("add {missing} to its actions, then reload the daemon"),
        );
    }
    let outside = |appid: &&&AppId| match &caller.grants.accounts {
        Scope::All => false,
        Scope::Only(granted) => !granted.contains(**appid),
    };
    if let Some(appid) = appids.iter().find(outside) {
        return fail(
            format!(
                "[[client]] {name}, which the service is, has nothing to do with {appid}: its late answers will fail"
            ),
            format!("add {appid} to its accounts, then reload the daemon"),
        );
    }
    match &caller.grants.kinds {
        Scope::Only(kinds) if !kinds.contains(&Kind::AccessToken) => fail(
            format!("[[client]] {name}, which the service is, has no access tokens: late answers will fail"),
            "add access_token to its kinds, then reload the daemon".to_owned(),
        ),
        Scope::All | Scope::Only(_) => None,
    }
}

fn refused(error: &Error) -> Finding {
    let detail = super::super::chain(error);
    match error {
        Error::Refused(refusal) if refusal.code == Code::Unauthenticated => {
            let fix = "`zhongkong new-client messages` makes a token and the daemon's [[client]]; name its file in \
                       [messages] token_file";
            Finding::fail(Group::Messages, "daemon", format!("does not know the service: {detail}"), fix)
        }
        Error::Refused(refusal) if refusal.code == Code::PermissionDenied => {
            let fix = "add read and complain, and the accounts, to the service's [[client]]";
            Finding::fail(Group::Messages, "daemon", format!("does not let the service read: {detail}"), fix)
        }
        Error::Refused(refusal) if refusal.code != Code::Unavailable || refusal.reason.is_some() => {
            let fix = refusal.action.as_deref().unwrap_or("zhongkong status --problems says more");
            Finding::warn(
                Group::Messages,
                "daemon",
                format!("has no token for the service now: {detail}"),
                fix,
            )
        }
        Error::Address(_) => {
            Finding::fail(Group::Messages, "daemon", detail, "correct [messages] daemon, token and ca")
        }
        Error::Refused(_) | Error::Connect(_) | Error::Answer { .. } | Error::Silent => {
            let detail = format!("cannot be reached, so late answers cannot be sent: {detail}");
            let fix = "start it (systemctl start zhongkong), or correct [messages] daemon";
            Finding::warn(Group::Messages, "daemon", detail, fix)
        }
    }
}

/// Whether it runs, in its own words.
async fn runs(config: &ServeConfig, clock: &Clock) -> Vec<Finding> {
    let admin = config.serve.admin;
    // A port that the system chose is known to the service's log only.
    if admin.port() == 0 {
        return Vec::new();
    }
    let Ok(url) = format!("http://{}/readyz", http::near(admin)).parse() else { return Vec::new() };
    let said = http::get(url, LIMIT, 4_096, clock).await;
    vec![judge(said.as_ref().map(|answer| (answer.status, answer.body.trim())).map_err(ToString::to_string))]
}

fn judge(said: Result<(u16, &str), String>) -> Finding {
    match said {
        Ok((200, "ready")) => Finding::ok(Group::Messages, "runs", "it answers messages"),
        Ok((_, line)) => {
            let fix = "see the other lines here, and its log (journalctl -u zhongkong-messages)";
            Finding::warn(Group::Messages, "runs", format!("it says: {line}"), fix)
        }
        Err(error) => Finding::warn(Group::Messages, "runs", format!("it does not run: {error}"), RUN),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::finding::Level;
    use super::*;
    use crate::access::Grants;

    #[test]
    fn caller_that_could_not_send_a_late_answer_is_told_what_it_lacks() {
        let (wx1, wx2): (AppId, AppId) = ("wx1".parse().unwrap(), "wx2".parse().unwrap());
        let caller = |actions: &[Action], accounts, kinds| Caller {
            name: "messages".to_owned(),
            identities: Vec::new(),
            grants: Grants { accounts, kinds, actions: actions.iter().copied().collect::<BTreeSet<_>>() },
            not_after: None,
        };
        let only = Scope::Only([wx1.clone()].into());
        let tickets = Scope::Only([Kind::JsapiTicket].into());
        for (caller, words) in [
            (caller(&NEEDS, Scope::All, Scope::All), None),
            (caller(&NEEDS, only.clone(), Scope::All), Some("has nothing to do with wx2")),
            (caller(&[Action::Read], Scope::All, Scope::All), Some("lacks complain")),
            (caller(&[Action::Status], Scope::All, Scope::All), Some("lacks read and complain")),
            (caller(&NEEDS, Scope::All, tickets), Some("has no access tokens")),
        ] {
            let found = lacks(&caller, &[&wx1, &wx2]);
            assert_eq!(found.is_some(), words.is_some(), "{found:?}");
            if let (Some(found), Some(words)) = (found, words) {
                assert!(found.detail.contains(words), "{found:?}");
                assert_eq!(found.level, Level::Fail);
            }
        }
    }

    #[test]
    fn secret_that_only_we_cannot_read_is_no_failure_of_the_service() {
        let problem =
            |message: &str| Problem { line: Some(7), key: "messages".into(), message: message.into() };
        let level = |message, root| unread(&problem(message), root, "fix").level;
        assert_eq!(level("CREDENTIALS_DIRECTORY is not set: start under systemd", true), Level::Warn);
        assert_eq!(level("the user `me` may not open /etc/x", false), Level::Warn);
        assert_eq!(level("the user `root` may not open /etc/x", true), Level::Fail);
        assert_eq!(level("there is no file /etc/x", false), Level::Fail);
    }

    #[test]
    fn service_that_has_something_to_say_is_not_simply_well() {
        assert_eq!(judge(Ok((200, "ready"))).level, Level::Ok);
        let but = judge(Ok((200, "ready, but the rules file is bad")));
        assert!(but.level == Level::Warn && but.detail.contains("the rules file is bad"), "{but:?}");
        assert_eq!(judge(Ok((503, "not ready: x"))).level, Level::Warn);
        assert_eq!(judge(Err("no connection".to_owned())).level, Level::Warn);
    }
}
