//! `refresh`: reports that a value failed, or replaces it without proof.
//!
//! Without `--force` the daemon asks WeChat first, and keeps a value that works. Where there is
//! no value, an operator who has just mended something wants the next attempt now: then, and
//! only when the daemon has said that no attempt is under way, it is asked for by force, which
//! has nothing to kill.

use serde::Serialize;

use crate::access::Action;
use crate::client::{Answer, Code, Error, Force};
use crate::config::Environment;
use crate::model::{ErrCode, Fingerprint, Key};
use crate::pb::Outcome;

use super::confirm::{Agreed, confirm};
use super::connection::{Connection, Session};
use super::document::{TokenDocument, Values};
use super::error::{CliError, broken};
use super::output::Output;
use super::target::One;
use super::words;

/// What `refresh` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: One,
    /// The fingerprint of the value that failed; the current value's by default
    #[arg(long, value_name = "FINGERPRINT", conflicts_with_all = ["force", "leaked"])]
    seen: Option<Fingerprint>,
    /// What WeChat said: 40001, 40014 or 42001
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["force", "leaked"])]
    errcode: Option<i64>,
    /// Replace the value even if it works; at most a few times a day
    #[arg(long)]
    force: bool,
    /// The value leaked: replace it so that it is dead at once (two calls 30 s apart)
    #[arg(long)]
    leaked: bool,
    /// Do not ask before a value is given up as leaked
    #[arg(long, requires = "leaked")]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(args: Args, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { which, seen, errcode, force, leaked, yes, connection } = args;
    let key = which.key();
    let errcode = ErrCode(errcode.unwrap_or(0));
    let answer = if leaked {
        let question =
            format!("The {} of {} will be dead within seconds for whoever holds it.", key.kind, key.appid);
        confirm(Agreed::by(yes), &question)?;
        let session = connection.open(Action::Force, env).await?;
        session.client.force(&key, Force::Leaked).await.map_err(session.failed(Action::Force))?
    } else if force {
        let session = connection.open(Action::Force, env).await?;
        session.client.force(&key, Force::Once).await.map_err(session.failed(Action::Force))?
    } else {
        let session = connection.open(Action::Complain, env).await?;
        match seen {
            Some(seen) => {
                let answer = session.client.complain(&key, Some(seen), errcode).await;
                answer.map_err(session.failed(Action::Complain))?
            }
            None => complain_about_current(&session, &key, errcode).await?,
        }
    };
    let document = Document {
        outcome: words::name(answer.outcome.as_str_name(), "OUTCOME_"),
        token: TokenDocument::new(&answer.token, Values::Hidden),
    };
    out.result(&document, |_| sentence(&answer))
}

async fn complain_about_current(session: &Session, key: &Key, errcode: ErrCode) -> Result<Answer, CliError> {
    let client = &session.client;
    let seen = match client.get(key, std::time::Duration::ZERO).await {
        Ok(token) => Some(token.fingerprint),
        Err(error) if has_no_value(&error) => None,
        Err(error) => return Err(session.failed(Action::Read)(error)),
    };
    let refused = match client.complain(key, seen, errcode).await {
        Ok(answer) => return Ok(answer),
        Err(error) => error,
    };
    if seen.is_none() && has_no_value(&refused) {
        match client.force(key, Force::Once).await {
            // Without that right the daemon's own time is the earliest, which it has told.
            Err(error) if error.code() == Some(Code::PermissionDenied) => {}
            forced => return forced.map_err(session.failed(Action::Force)),
        }
    }
    Err(session.failed(Action::Complain)(refused))
}

/// Whether the daemon says that there is no value now, for a reason that an attempt may end.
fn has_no_value(error: &Error) -> bool {
    let Error::Refused(refusal) = error else { return false };
    let waits =
        matches!(refusal.code, Code::Unavailable | Code::FailedPrecondition | Code::ResourceExhausted);
    waits && !broken(refusal) && !matches!(refusal.reason.as_deref(), Some("PAUSED" | "STOPPING"))
}

#[derive(Serialize)]
struct Document {
    /// `refreshed`, `already_replaced`, `still_valid`, `unchanged`, `unverified`.
    outcome: String,
    token: TokenDocument,
}

/// The outcome as a sentence.
fn sentence(answer: &Answer) -> String {
    let token = &answer.token;
    let what = format!("the {} of {}", token.key.kind, token.key.appid);
    let current = format!(
        "{} (generation {}), good for another {}",
        token.fingerprint,
        token.generation,
        words::span(token.remaining)
    );
    match answer.outcome {
        Outcome::Refreshed => format!("Replaced: {what} is now {current}."),
        Outcome::AlreadyReplaced => {
            format!("It had been replaced before, so nothing was done: {what} is {current}.")
        }
        Outcome::StillValid => format!(
            "WeChat says that it works, so nothing was changed: {what} is {current}. Look for the fault elsewhere: \
             does the program that failed use this value, and of this account?"
        ),
        Outcome::Unchanged => format!("WeChat gave the same ticket again: {what} stays {current}."),
        Outcome::Unverified => format!(
            "WeChat would not say whether it works, and nothing was changed: {what} stays {current}. If programs \
             still fail with it, --force replaces it."
        ),
        Outcome::Unspecified => {
            format!("The daemon told an outcome that this version does not know: {what} is {current}.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Token;
    use crate::clock::WallTime;
    use crate::model::{Generation, Kind};
    use crate::pb;
    use std::time::Duration;

    #[test]
    fn each_outcome_is_told_with_the_value_to_use() {
        let outcomes = [
            (Outcome::Refreshed, "Replaced: the access_token of wx1 is now 00000000000000ab (generation 7)"),
            (Outcome::AlreadyReplaced, "had been replaced before"),
            (Outcome::StillValid, "WeChat says that it works, so nothing was changed"),
            (Outcome::Unchanged, "WeChat gave the same ticket again"),
            (Outcome::Unverified, "--force replaces it"),
        ];
        for (outcome, said) in outcomes {
            let token = Token {
                key: Key::new("wx1".parse().unwrap(), Kind::AccessToken),
                value: None,
                fingerprint: "00000000000000ab".parse().unwrap(),
                generation: Generation(7),
                issued_at: WallTime(0),
                expires_at: WallTime(0),
                remaining: Duration::from_secs(6_599),
                cache_for: Duration::ZERO,
                state: pb::TokenState::Fresh,
                degraded_reason: pb::DegradedReason::Unspecified,
            };
            let text = sentence(&Answer { outcome, token });
            assert!(text.contains(said), "{text}");
            assert!(text.contains("good for another 1 h 49 min"), "{text}");
        }
    }
}
