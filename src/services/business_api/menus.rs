//! The operations on menus.

use axum::response::Response;
use serde::Deserialize;

use crate::services::menu::{Diff, Entry, Kind, MOST, Menus, New, Number, Plan, Pushes, Read, read};

use super::asked::{self, text};
use super::documents::{Differing, Found, History, Pushed, Removed, Row, Shown, Tried, words};
use super::door::Call;
use super::operations::shown;
use super::problem::Problem;

/// Rows that are listed if nobody says how many.
const ROWS: u32 = 20;

/// `GET …/menu`
pub(super) async fn show(call: Call) -> Result<Response, Problem> {
    let live = call.pushes().account().live().await?;
    shown(&Shown::of(call.appid().as_str(), &live))
}

/// `POST …/menu/diff`
pub(super) async fn diff(call: Call) -> Result<Response, Problem> {
    let Read { menus, warnings } = menus_of(&call)?;
    let live = call.pushes().account().live().await?;
    let diff = Diff::between(&live.menus(), &menus);
    let equal = diff.is_empty();
    shown(&Differing { appid: call.appid().as_str(), equal, diff, warnings: Found::all(&warnings) })
}

/// `PUT …/menu`
pub(super) async fn push(call: Call) -> Result<Response, Problem> {
    let Read { menus, warnings } = menus_of(&call)?;
    let (who, why) = (call.query.text("who")?, call.query.text("why")?);
    let new = New { kind: Kind::Push, back_to: None, who: call.who(who), why: why.to_owned() };
    make_live(&call, &menus, &new, Found::all(&warnings)).await
}

/// What `POST …/menu/rollback` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    number: i64,
    #[serde(default)]
    who: String,
    #[serde(default)]
    why: String,
}

/// `POST …/menu/rollback`
pub(super) async fn rollback(call: Call) -> Result<Response, Problem> {
    let Rollback { number, who, why } = asked::json(&call.body)?;
    let (who, why) = (text("who", &who)?, text("why", &why)?);
    let entry = found(&call.pushes(), Number(number)).await?;
    entry
        .way_back()
        .map_err(|why| Problem::invalid(format!("there is no way back to {}: {why}", entry.number)))?;
    let new =
        New { kind: Kind::Rollback, back_to: Some(entry.number), who: call.who(who), why: why.to_owned() };
    let (menus, notes) = entry.settable();
    make_live(&call, &menus, &new, notes.iter().map(Found::from).collect()).await
}

/// `DELETE …/menu`
pub(super) async fn delete(call: Call) -> Result<Response, Problem> {
    let (who, why) = (call.query.text("who")?, call.query.text("why")?);
    let _turn = call.turn().ok_or_else(other_push)?;
    let pushes = call.pushes();
    pushes.prepare().await?;
    pushes.settle().await?;
    let mut seen = pushes.look().await?;
    let appid = call.appid().as_str();
    if seen.live().menus() == Menus::default() {
        return shown(&Removed { appid, deleted: false, number: None, found: None });
    }
    let found = pushes.note_found(&mut seen).await?.map(|number| number.0);
    let new = New { kind: Kind::Delete, back_to: None, who: call.who(who), why: why.to_owned() };
    let number = pushes.delete(&new, &seen).await?;
    shown(&Removed { appid, deleted: true, number: Some(number.0), found })
}

/// `GET …/menu/history`
pub(super) async fn history(call: Call) -> Result<Response, Problem> {
    let most = call.query.number("limit", 1..=MOST, ROWS)?;
    let pushes = call.pushes();
    settled(&call, &pushes).await;
    let entries = pushes.list(most).await?;
    shown(&History { appid: call.appid().as_str(), pushes: entries.iter().map(Row::from).collect() })
}

/// `GET …/menu/history/{number}`
pub(super) async fn entry(call: Call) -> Result<Response, Problem> {
    let pushes = call.pushes();
    settled(&call, &pushes).await;
    let number = call.part("number").parse().map_err(|_| no_push(call.part("number")))?;
    let entry = found(&pushes, Number(number)).await?;
    shown(&Row::from(&entry))
}

/// What `POST …/menu/try` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Try {
    user: String,
}

/// `POST …/menu/try`
pub(super) async fn try_user(call: Call) -> Result<Response, Problem> {
    let Try { user } = asked::json(&call.body)?;
    let user = text("user", &user)?;
    let pushes = call.pushes();
    let menu = pushes.account().seen_by(user).await?;
    let live = pushes.account().live().await?;
    // The last one is asked first.
    let conditional = live.conditional.iter().rposition(|live| live.conditional.menu == menu);
    let is_default = conditional.is_none() && live.default == menu;
    shown(&Tried { appid: call.appid().as_str(), conditional, is_default, menu })
}

fn menus_of(call: &Call) -> Result<Read, Problem> {
    if str::from_utf8(&call.body).is_err() {
        return Err(asked::not_text());
    }
    // Where no place is named, not even the brackets are right.
    read(&call.body).map_err(|problems| match problems.as_slice() {
        [first, ..] if first.place.is_empty() && first.message.starts_with("this is ") => {
            Problem::unreadable("not_json", first.to_string())
        }
        _ => problems.into(),
    })
}

async fn make_live(call: &Call, menus: &Menus, new: &New, warnings: Vec<Found>) -> Result<Response, Problem> {
    let _turn = call.turn().ok_or_else(other_push)?;
    let pushes = call.pushes();
    pushes.prepare().await?;
    pushes.settle().await?;
    let mut seen = pushes.look().await?;
    let diff = Diff::between(&seen.live().menus(), menus);
    let plan = Plan::of(seen.live(), menus)?;
    let appid = call.appid().as_str();
    if plan.steps().is_empty() {
        return shown(&Pushed {
            appid,
            changed: false,
            number: None,
            diff,
            done: Vec::new(),
            unlike: Some(Diff::default()),
            found: None,
            warnings,
        });
    }
    let found = pushes.note_found(&mut seen).await?.map(|number| number.0);
    let (number, done) = pushes.push(&plan, new, &seen).await?;
    // It is live, whether that can be looked at now or not.
    let now = pushes.account().live().await.ok();
    shown(&Pushed {
        appid,
        changed: true,
        number: Some(number.0),
        diff,
        done: words(&done),
        unlike: now.map(|now| Diff::between(&now.menus(), menus)),
        found,
        warnings,
    })
}

async fn found(pushes: &Pushes, number: Number) -> Result<Entry, Problem> {
    pushes.entry(number).await?.ok_or_else(|| no_push(&number.0.to_string()))
}

fn no_push(number: &str) -> Problem {
    Problem::missing("no_push", format!("this account has no push {number}: …/menu/history lists them"))
}

fn other_push() -> Problem {
    Problem::under_way("another push of this account is under way: wait for its end")
}

/// Writes down how a push ended whose process died, if that can be asked now.
async fn settled(call: &Call, pushes: &Pushes) {
    if let Some(_turn) = call.turn() {
        // What stops this stops no looking: the row is shown as it is.
        let _ = pushes.settle().await;
    }
}
