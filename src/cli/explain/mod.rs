//! `explain`: why a credential is in its state, for somebody who has never seen one.
//!
//! Every sentence is in [`texts`]; this file chooses the order: what is, what happened last,
//! what happens next, what it costs, and what the operator should do.

use serde::Serialize;

use crate::access::Action;
use crate::clock::WallTime;
use crate::config::Environment;
use crate::model::{AppId, Kind};
use crate::pb;

use super::connection::Connection;
use super::document::KeyDocument;
use super::error::CliError;
use super::layout::paragraph;
use super::output::{Colour, Output, Tone};
use super::status::{Listed, kind_out, list};
use super::target::OneOrAll;
use super::words;

pub(super) mod remarks;
mod texts;

/// What `explain` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: OneOrAll,
    #[command(flatten)]
    connection: Connection,
}

/// The whole story of a key, each part in sentences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Whether there is a value, and how good it is.
    pub now: String,
    /// The latest call, why it was made and how it ended.
    pub last: String,
    /// What the daemon does next, and when.
    pub next: String,
    /// The calls of the last 24 hours.
    pub calls: Option<String>,
    /// Other programs that seem to use the AppSecret.
    pub others: Option<String>,
    /// What the operator should do.
    pub todo: String,
}

impl Explanation {
    /// Explains a key; `parent` is what it is fetched with, if that is known.
    pub fn of(key: &pb::KeyStatus, parent: Option<&pb::KeyStatus>, now: WallTime) -> Self {
        Self {
            now: texts::state(key, parent, now),
            last: texts::last(key, now),
            next: texts::next(key, parent, now),
            calls: texts::calls(key),
            others: texts::others(key, now),
            todo: texts::todo(key, parent),
        }
    }

    /// For people.
    pub fn text(&self, key: &pb::KeyStatus, colour: Colour) -> String {
        let Self { now, last, next, calls, others, todo } = self;
        let mut text = colour.paint(Tone::Strong, &texts::title(key));
        text.push_str("\n\n");
        let parts = [
            ("now", Some(now)),
            ("last", Some(last)),
            ("next", Some(next)),
            ("calls", calls.as_ref()),
            ("others", others.as_ref()),
            ("do", Some(todo)),
        ];
        for (heading, part) in parts {
            if let Some(part) = part {
                text.push_str(&paragraph(2, (heading, 8), part));
            }
        }
        text
    }
}

#[derive(Serialize)]
struct Document {
    server_time: String,
    keys: Vec<Explained>,
}

#[derive(Serialize)]
struct Explained {
    explanation: Explanation,
    status: KeyDocument,
}

pub(super) async fn run(args: Args, out: Output, env: &Environment) -> Result<(), CliError> {
    let Args { which: OneOrAll { appid, kind }, connection } = args;
    let session = connection.open(Action::Status, env).await?;
    // The whole account: a ticket's story is often its token's.
    let asked = pb::ListStatusRequest { appids: vec![appid.to_string()], ..Default::default() };
    let Listed { keys, now } = list(&session, asked).await?;
    let parent = keys.iter().find(|key| key.kind() == pb::Kind::AccessToken);
    let wanted: Vec<_> =
        keys.iter().filter(|key| kind.is_none_or(|kind| key.kind() == kind_out(kind))).collect();
    if wanted.is_empty() {
        return Err(absent(&appid, kind, &keys));
    }
    let explain = |key: &pb::KeyStatus| {
        let parent = parent.filter(|parent| parent.kind() != key.kind());
        Explanation::of(key, parent, now)
    };
    let document = Document {
        server_time: now.to_string(),
        keys: wanted
            .iter()
            .map(|key| Explained { explanation: explain(key), status: KeyDocument::from(*key) })
            .collect(),
    };
    out.result(&document, |colour| {
        wanted.iter().map(|key| explain(key).text(key, colour)).collect::<Vec<_>>().join("\n")
    })
}

fn absent(appid: &AppId, kind: Option<Kind>, keys: &[pb::KeyStatus]) -> CliError {
    let what = kind.map_or("credential", Kind::as_str);
    let has = keys.iter().map(|key| words::kind(key.kind())).collect::<Vec<_>>().join(", ");
    let has = if has.is_empty() { "none that this client may see".to_owned() } else { has };
    CliError::NoKey { what: format!("{what} of account {appid}"), has }
}
