//! Whether the daemon gives a service what it asks for.

use std::time::Duration;

use nix::unistd::{Uid, User};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use crate::access::{Action, Client as Caller, Identity, Scope};
use crate::cli::chain;
use crate::client::{Client, Code, Error, Flow};
use crate::model::{AppId, Key, Kind};
use crate::secret::Secret;

use super::super::finding::Finding;
use super::{LIMIT, Needed, Profile, list};

/// A page that nobody has.
const NOBODYS: &str = "https://zhongkong.invalid/";

pub(super) async fn findings(profile: &Profile, needed: &Needed<'_>, callers: &[Caller]) -> Vec<Finding> {
    let Profile { group, without, .. } = *profile;
    let Needed { link, appids } = needed;
    let Some(first) = appids.first() else { return Vec::new() };
    let unit = profile.unit();
    let service = User::from_name(&unit).ok().flatten().map_or_else(Uid::effective, |user| user.uid);
    let identity = match &link.credentials.token {
        Some(token) => Identity::TokenSha256(Sha256::digest(token.expose().as_bytes()).into()),
        None => Identity::Uid(service.as_raw()),
    };
    let caller = callers.iter().find(|caller| caller.identities.contains(&identity));
    let granted = caller.map(|caller| lacks(profile, caller, appids));
    let about = |finding: Finding| finding.about(&link.addr);
    if let Some(Some(lacking)) = granted {
        return vec![about(lacking)];
    }
    // On a Unix socket we are who we are, and that is not the service.
    if let Identity::Uid(uid) = identity
        && uid != Uid::effective().as_raw()
    {
        let found = if let Some(caller) = caller {
            let detail = format!("[[client]] {} has {} for user {unit}", caller.name, profile.actions());
            Finding::ok(group, "daemon", detail)
        } else {
            let detail = format!("no [[client]] here is for its user {unit} (uid {uid})");
            let actions: Vec<_> = profile.needs.iter().map(|need| format!("\"{}\"", need.as_str())).collect();
            let fix = format!("add a [[client]] with uid = {uid} and actions = [{}]", actions.join(", "));
            Finding::warn(group, "daemon", detail, fix)
        };
        return vec![about(found)];
    }
    let asked = async {
        let client = Client::connect(&link.addr, link.credentials.clone()).await?;
        match profile.kinds.first() {
            Some(kind) => {
                let key = Key::new((*first).clone(), *kind);
                match client.get(&key, Duration::ZERO).await {
                    Err(error) if signs(profile) && error.code() == Some(Code::PermissionDenied) => {
                        // It may not read; if it may not sign either, the first refusal is told.
                        let signed = client.sign_jsapi(first, NOBODYS).await;
                        signed.map(|_| Given::Signature).map_err(|_| error)
                    }
                    Ok(token) if token.value.is_none() => Ok(Given::Nothing),
                    got => got.map(|_| Given::Thing),
                }
            }
            // No code: the daemon says whether it would take one, and asks WeChat nothing.
            None => match client.exchange_code(first, &Secret::from(""), Flow::Web).await {
                Err(Error::Refused(refusal)) if refusal.code == Code::InvalidArgument => Ok(Given::Thing),
                other => other.map(|_| Given::Thing),
            },
        }
    };
    let appid = *first;
    let thing = profile.kinds.first().map_or("exchange of codes".to_owned(), |kind| thing(*kind));
    vec![about(match timeout(LIMIT, asked).await {
        Ok(Ok(Given::Signature)) => {
            Finding::ok(group, "daemon", format!("signs the pages of {appid} for the service"))
        }
        Ok(Ok(Given::Thing)) => {
            // Nothing but this was tried.
            let tried = if profile.kinds.is_empty() { Action::Exchange } else { Action::Read };
            let besides = list(profile.needs.iter().filter(|need| **need != tried));
            let granted = match caller {
                Some(caller) if !besides.is_empty() => {
                    format!("; [[client]] {} has {besides}, too", caller.name)
                }
                Some(_) | None => String::new(),
            };
            Finding::ok(group, "daemon", format!("gives the service the {thing} of {appid}{granted}"))
        }
        Ok(Ok(Given::Nothing)) => {
            let detail = format!("does not let the service read the {thing} of {appid}: {without}");
            Finding::fail(group, "daemon", detail, "add read to the actions of its [[client]]")
        }
        Ok(Err(error)) => refused(profile, &error),
        Err(_) => {
            let detail = format!("does not answer within {} s", LIMIT.as_secs());
            Finding::fail(group, "daemon", detail, "look at its log (journalctl -u zhongkong)")
        }
    })]
}

/// What the daemon gave.
enum Given {
    /// What was asked for.
    Thing,
    /// A page's signature in place of the ticket.
    Signature,
    /// An answer without it.
    Nothing,
}

/// Whether the daemon's signature is as good as what the service reads: pages need no more.
fn signs(profile: &Profile) -> bool {
    profile.kinds == [Kind::JsapiTicket] && profile.needs.contains(&Action::Read)
}

/// What a caller lacks to be this service.
fn lacks(profile: &Profile, caller: &Caller, appids: &[&AppId]) -> Option<Finding> {
    let (name, without) = (&caller.name, profile.without);
    let fail = |detail: String, fix: String| Some(Finding::fail(profile.group, "daemon", detail, fix));
    let actions = &caller.grants.actions;
    let instead = signs(profile) && actions.contains(&Action::Sign);
    let lacking = |need: &&Action| !(actions.contains(*need) || **need == Action::Read && instead);
    let missing: Vec<_> = profile.needs.iter().filter(lacking).collect();
    if !missing.is_empty() {
        let missing = list(missing);
        return fail(
            format!("[[client]] {name}, which the service is, lacks {missing}: {without}"),
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
                "[[client]] {name}, which the service is, has nothing to do with {appid}: of that account {without}"
            ),
            format!("add {appid} to its accounts, then reload the daemon"),
        );
    }
    let kinds = match &caller.grants.kinds {
        Scope::All => return None,
        Scope::Only(kinds) => kinds,
    };
    let kind = profile.kinds.iter().find(|kind| !kinds.contains(*kind))?;
    fail(
        format!("[[client]] {name}, which the service is, has no {}s: {without}", thing(*kind)),
        format!("add {kind} to its kinds, then reload the daemon"),
    )
}

/// A kind in a sentence.
fn thing(kind: Kind) -> String {
    kind.to_string().replace('_', " ")
}

fn refused(profile: &Profile, error: &Error) -> Finding {
    let Profile { service, group, without, .. } = *profile;
    let detail = chain(error);
    match error {
        Error::Refused(refusal) if refusal.code == Code::Unauthenticated => {
            let fix = format!(
                "`zhongkong new-client {service}` makes a token and the daemon's [[client]]; name its file in [{service}] \
                 token_file"
            );
            Finding::fail(group, "daemon", format!("does not know the service: {detail}"), fix)
        }
        Error::Refused(refusal) if refusal.code == Code::PermissionDenied => {
            let actions = profile.actions();
            let fix = format!("add {actions}, and the accounts, to the service's [[client]]");
            Finding::fail(group, "daemon", format!("does not let the service do it: {detail}"), fix)
        }
        Error::Refused(refusal) if refusal.code != Code::Unavailable || refusal.reason.is_some() => {
            let fix = refusal.action.as_deref().unwrap_or("zhongkong status --problems says more");
            Finding::warn(group, "daemon", format!("has nothing for the service now: {detail}"), fix)
        }
        Error::Address(_) => {
            Finding::fail(group, "daemon", detail, format!("correct [{service}] daemon, token and ca"))
        }
        Error::Refused(_) | Error::Connect(_) | Error::Answer { .. } | Error::Silent => {
            let detail = format!("cannot be reached, so {without}: {detail}");
            let fix = format!("start it (systemctl start zhongkong), or correct [{service}] daemon");
            Finding::warn(group, "daemon", detail, fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::finding::Level;
    use super::super::messages::PROFILE;
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
            (caller(PROFILE.needs, Scope::All, Scope::All), None),
            (caller(PROFILE.needs, only.clone(), Scope::All), Some("has nothing to do with wx2")),
            (caller(&[Action::Read], Scope::All, Scope::All), Some("lacks complain")),
            (caller(&[Action::Status], Scope::All, Scope::All), Some("lacks read and complain")),
            (caller(PROFILE.needs, Scope::All, tickets), Some("has no access tokens")),
        ] {
            let found = lacks(&PROFILE, &caller, &[&wx1, &wx2]);
            assert_eq!(found.is_some(), words.is_some(), "{found:?}");
            if let (Some(found), Some(words)) = (found, words) {
                assert!(found.detail.contains(words), "{found:?}");
                assert_eq!(found.level, Level::Fail);
            }
        }
    }
}
