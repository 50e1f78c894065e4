//! What is answered, as JSON; docs/business.openapi.json describes each document.

use serde::Serialize;

use crate::clock::WallTime;
use crate::services::menu::{self, Diff, Entry, Live, Menu, Menus, Step, Stopped};
use crate::services::qrcode::{Code, Counted, How, Scans, Stray};

/// One thing that is wrong or odd in what was sent.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Found {
    /// The path: `button[1].sub_button[0].key`; empty for the whole.
    place: String,
    line: Option<usize>,
    message: String,
}

impl Found {
    pub(super) fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), line: None, message: message.into() }
    }

    pub(super) fn all(problems: &[menu::Problem]) -> Vec<Self> {
        problems.iter().map(Self::from).collect()
    }
}

impl From<&menu::Problem> for Found {
    fn from(problem: &menu::Problem) -> Self {
        let menu::Problem { place, line, message } = problem.clone();
        Self { place, line, message }
    }
}

/// A push that stopped.
#[derive(Debug, Serialize)]
pub(super) struct Halt {
    /// Calls that were made, in words.
    pub(super) done: Vec<String>,
    stopped_at: String,
    left: Vec<String>,
    /// What a push would still change; null where WeChat could not be asked.
    still_to_change: Option<Diff>,
}

impl Halt {
    pub(super) fn of(stopped: &Stopped) -> Self {
        let Stopped { before: _, wanted, done, at, left, why: _, live } = stopped;
        let still = live.as_ref().ok().map(|live| Diff::between(&live.menus(), wanted));
        Self { done: words(done), stopped_at: at.to_string(), left: words(left), still_to_change: still }
    }
}

pub(super) fn words(steps: &[Step]) -> Vec<String> {
    steps.iter().map(Step::to_string).collect()
}

/// The live menus.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    appid: &'a str,
    made_by: &'static str,
    menus: Menus,
    /// WeChat's numbers of the conditional menus.
    menuids: Vec<&'a str>,
    /// The same as a program may set them.
    settable: Menus,
    notes: Vec<Found>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(appid: &'a str, live: &'a Live) -> Self {
        let (settable, notes) = live.settable();
        Self {
            appid,
            made_by: live.maker.as_str(),
            menus: live.menus(),
            menuids: live.conditional.iter().map(|live| live.menuid.as_str()).collect(),
            settable,
            notes: Found::all(&notes),
        }
    }
}

/// What a push would change.
#[derive(Serialize)]
pub(super) struct Differing<'a> {
    pub(super) appid: &'a str,
    pub(super) equal: bool,
    pub(super) diff: Diff,
    pub(super) warnings: Vec<Found>,
}

/// What a push came to.
#[derive(Serialize)]
pub(super) struct Pushed<'a> {
    pub(super) appid: &'a str,
    pub(super) changed: bool,
    /// Its number in the history; null where nothing was changed.
    pub(super) number: Option<i64>,
    pub(super) diff: Diff,
    pub(super) done: Vec<String>,
    /// What WeChat has otherwise than it was told; null where it could not be asked.
    pub(super) unlike: Option<Diff>,
    /// The number under which what was live before is kept now, if it was not pushed from here.
    pub(super) found: Option<i64>,
    pub(super) warnings: Vec<Found>,
}

/// What a deletion came to.
#[derive(Serialize)]
pub(super) struct Removed<'a> {
    pub(super) appid: &'a str,
    pub(super) deleted: bool,
    pub(super) number: Option<i64>,
    pub(super) found: Option<i64>,
}

/// The menu of a user.
#[derive(Serialize)]
pub(super) struct Tried<'a> {
    pub(super) appid: &'a str,
    /// The number of the conditional menu in the order of publication; null for the default one, or
    /// for one that is none of the live ones.
    pub(super) conditional: Option<usize>,
    pub(super) is_default: bool,
    pub(super) menu: Menu,
}

/// Pushes, newest first.
#[derive(Serialize)]
pub(super) struct History<'a> {
    pub(super) appid: &'a str,
    pub(super) pushes: Vec<Row<'a>>,
}

/// A push.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    number: i64,
    kind: &'static str,
    back_to: Option<i64>,
    state: &'static str,
    current: bool,
    who: &'a str,
    why: &'a str,
    began: String,
    ended: Option<String>,
    outcome: &'a str,
    menus: &'a Menus,
}

impl<'a> From<&'a Entry> for Row<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            number: entry.number.0,
            kind: entry.kind.as_str(),
            back_to: entry.back_to.map(|number| number.0),
            state: entry.state.as_str(),
            current: entry.is_current,
            who: &entry.who,
            why: &entry.why,
            began: entry.began.to_string(),
            ended: entry.ended.map(|at| at.to_string()),
            outcome: &entry.outcome,
            menus: &entry.menus,
        }
    }
}

/// A code.
#[derive(Serialize)]
pub(super) struct CodeDocument {
    scene: String,
    /// `int`, `str`.
    kind: &'static str,
    /// `permanent`, `temporary`.
    life: &'static str,
    url: String,
    ticket: String,
    note: String,
    made: String,
    ends: Option<String>,
    works: bool,
}

impl CodeDocument {
    pub(super) fn of(code: &Code, now: WallTime) -> Self {
        Self {
            scene: code.scene.to_string(),
            kind: code.scene.kind(),
            life: code.life.as_str(),
            url: code.url.clone(),
            ticket: code.ticket.clone(),
            note: code.note.clone(),
            made: code.made.to_string(),
            ends: code.ends.map(|ends| ends.to_string()),
            works: code.works(now),
        }
    }
}

/// A code with its scans.
#[derive(Serialize)]
pub(super) struct Scanned {
    #[serde(flatten)]
    code: CodeDocument,
    #[serde(flatten)]
    scans: ScansDocument,
}

impl Scanned {
    pub(super) fn of(code: &Code, counted: &Counted, now: WallTime) -> Self {
        Self { code: CodeDocument::of(code, now), scans: counted.of(code).into() }
    }
}

/// How often a code was scanned.
#[derive(Serialize)]
struct ScansDocument {
    scans: u64,
    /// Of these, the ones that made somebody follow the account.
    follows: u64,
    first_scan: Option<String>,
    last_scan: Option<String>,
}

impl From<Scans> for ScansDocument {
    fn from(scans: Scans) -> Self {
        let Scans { count, follows, first, last } = scans;
        Self {
            scans: count,
            follows,
            first_scan: first.map(|at| at.to_string()),
            last_scan: last.map(|at| at.to_string()),
        }
    }
}

/// A permanent code whose answer was lost, or is awaited.
#[derive(Serialize)]
pub(super) struct Unanswered {
    scene: String,
    kind: &'static str,
    asked: String,
}

impl From<&Code> for Unanswered {
    fn from(code: &Code) -> Self {
        Self { scene: code.scene.to_string(), kind: code.scene.kind(), asked: code.made.to_string() }
    }
}

/// Scans of a scene of which nobody knows the code.
#[derive(Serialize)]
pub(super) struct Other {
    scene: String,
    #[serde(flatten)]
    scans: ScansDocument,
}

impl From<Stray> for Other {
    fn from(stray: Stray) -> Self {
        let Stray { scene, scans } = stray;
        Self { scene, scans: scans.into() }
    }
}

/// A code that was asked for.
#[derive(Serialize)]
pub(super) struct Created<'a> {
    pub(super) appid: &'a str,
    /// Whether WeChat made it now.
    pub(super) made_now: bool,
    pub(super) code: CodeDocument,
}

/// Whether WeChat made a code now.
pub(super) fn made_now(how: How) -> bool {
    match how {
        How::Made => true,
        How::Reused => false,
    }
}

/// The codes of an account.
#[derive(Serialize)]
pub(super) struct Listed<'a> {
    pub(super) appid: &'a str,
    pub(super) codes: Vec<Scanned>,
    /// Permanent ones whose answer was lost, or is awaited.
    pub(super) unanswered: Vec<Unanswered>,
    /// Scans of codes that are not kept here, or cannot be told apart.
    pub(super) other_scans: Vec<Other>,
    /// Permanent codes that WeChat may have made.
    pub(super) permanent_used: u32,
    /// Of these, questions whose answer was lost.
    pub(super) permanent_unsure: u32,
    pub(super) permanent_limit: u32,
    pub(super) permanent_reserve: u32,
    /// Temporary ones that work now.
    pub(super) temporary: u32,
}

/// What came of many.
#[derive(Serialize)]
pub(super) struct Bulk<'a> {
    pub(super) appid: &'a str,
    pub(super) made: usize,
    pub(super) reused: usize,
    /// One for each that was asked for, in their order; null for one that failed.
    pub(super) codes: Vec<Option<CodeDocument>>,
    pub(super) failed: Vec<Found>,
}
