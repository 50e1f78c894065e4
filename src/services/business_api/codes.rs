//! The operations on QR codes.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::services::qrcode::{Code, CodeError, Codes, How, Life, Reserve, Scene, Shown, Spec};

use super::asked::{self, text};
use super::documents::{Bulk, CodeDocument, Created, Found, Listed, Other, Scanned, Unanswered, made_now};
use super::door::Call;
use super::operations::{answer, shown};
use super::problem::Problem;

/// Codes that are listed if nobody says how many, and at most.
const LISTED: u32 = 100;
const MOST_LISTED: u32 = 10_000;
/// Codes of one request: each that is new takes WeChat a moment.
const MOST_AT_ONCE: usize = 100;

/// A code as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    scene: SceneWanted,
    /// `int` or `str`; by default what the scene is.
    kind: Option<String>,
    /// `permanent`, or a span like `30d`.
    life: Option<String>,
    #[serde(default)]
    note: String,
}

/// A number or a text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum SceneWanted {
    Number(u64),
    Text(String),
}

/// What `POST …/qrcodes` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    scene: SceneWanted,
    kind: Option<String>,
    life: Option<String>,
    #[serde(default)]
    note: String,
    #[serde(default)]
    use_reserve: UseReserve,
}

/// Whether the reserve is meant, as programs say it.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(transparent)]
struct UseReserve(bool);

/// What `POST …/qrcodes/bulk` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateMany {
    codes: Vec<Wanted>,
    /// Of those that say none.
    life: Option<String>,
    #[serde(default)]
    use_reserve: UseReserve,
}

/// `GET …/qrcodes`
pub(super) async fn list(call: Call) -> Result<Response, Problem> {
    let most = call.query.number("limit", 1..=MOST_LISTED, LISTED)?;
    let all = [("true", Shown::All), ("false", Shown::Working)];
    let which = call.query.word("all", &all)?.unwrap_or(Shown::Working);
    let codes = call.codes();
    let (found, count, limits) = (codes.list(which, most).await?, codes.count().await?, codes.limits());
    let (counted, unanswered) = (codes.scans().await?, codes.unanswered(most).await?);
    let now = call.core.clock.wall();
    shown(&Listed {
        appid: call.appid().as_str(),
        codes: found.iter().map(|code| Scanned::of(code, &counted, now)).collect(),
        unanswered: unanswered.iter().map(Unanswered::from).collect(),
        other_scans: counted.strays(most).into_iter().map(Other::from).collect(),
        permanent_used: count.permanent,
        permanent_unsure: count.unsure,
        permanent_limit: limits.permanent,
        permanent_reserve: limits.reserve,
        temporary: count.temporary,
    })
}

/// `POST …/qrcodes`
pub(super) async fn create(call: Call) -> Result<Response, Problem> {
    let Create { scene, kind, life, note, use_reserve } = asked::json(&call.body)?;
    let wanted = Wanted { scene, kind, life, note };
    let spec = spec(&wanted, None, "").map_err(wrong)?;
    let (code, how) = made(&call, &call.codes(), &spec, &wanted.note, use_reserve.into()).await?;
    let status = if made_now(how) { StatusCode::CREATED } else { StatusCode::OK };
    let code = CodeDocument::of(&code, call.core.clock.wall());
    answer(status, &Created { appid: call.appid().as_str(), made_now: made_now(how), code })
}

/// `POST …/qrcodes/bulk`
pub(super) async fn bulk(call: Call) -> Result<Response, Problem> {
    let CreateMany { codes: wanted, life, use_reserve } = asked::json(&call.body)?;
    let specs = specs(&wanted, life.as_deref())?;
    let (codes, reserve) = (call.codes(), Reserve::from(use_reserve));
    enough(&codes, &specs, reserve).await?;
    let appid = call.appid().as_str();
    let mut bulk = Bulk { appid, made: 0, reused: 0, codes: Vec::new(), failed: Vec::new() };
    for (nth, (spec, Wanted { note, .. })) in specs.iter().zip(&wanted).enumerate() {
        match made(&call, &codes, spec, note, reserve).await {
            Ok((code, how)) => {
                match how {
                    How::Made => bulk.made += 1,
                    How::Reused => bulk.reused += 1,
                }
                bulk.codes.push(Some(CodeDocument::of(&code, call.core.clock.wall())));
            }
            // The same request goes on from here: what is there is not asked for again.
            Err(error) if error.ends_a_run() => return Err(error.into()),
            Err(error) => {
                bulk.failed.push(Found::new(format!("codes[{nth}]"), error.to_string()));
                bulk.codes.push(None);
            }
        }
    }
    shown(&bulk)
}

/// `GET …/qrcodes/{scene}`
pub(super) async fn show(call: Call) -> Result<Response, Problem> {
    let code = found(&call).await?;
    let counted = call.codes().scans().await?;
    shown(&Scanned::of(&code, &counted, call.core.clock.wall()))
}

/// The code of the path's scene: the permanent one, or else the temporary one that works; or of
/// the life that is asked for.
pub(super) async fn found(call: &Call) -> Result<Code, Problem> {
    let (text, codes, now) = (call.part("scene"), call.codes(), call.core.clock.wall());
    let kinds = [("int", Scene::of(text)), ("str", Scene::Text(text.to_owned()))];
    let kind = call.query.word("kind", &[("int", 0), ("str", 1)])?;
    let scene =
        kind.and_then(|nth: usize| kinds.get(nth)).map_or_else(|| Scene::of(text), |(_, it)| it.clone());
    // What it is looked up by is the same for every span.
    let lives = [("permanent", Life::Permanent), ("temporary", Life::Temporary(Duration::from_secs(60)))];
    let wanted = call.query.word("life", &lives)?;
    for (_, life) in lives.iter().filter(|(_, life)| wanted.is_none_or(|wanted| wanted == *life)) {
        let Ok(spec) = Spec::new(scene.clone(), *life) else { continue };
        let code = codes.find(&spec).await?;
        if let Some(code) = code.filter(|code| wanted.is_some() || code.works(now)) {
            return Ok(code);
        }
    }
    Err(Problem::missing(
        "no_code",
        "this account has no code of this scene that works: POST …/qrcodes makes one, GET …/qrcodes lists them",
    ))
}

/// One question at a time for a code: the second finds what the first was answered.
async fn made(
    call: &Call,
    codes: &Codes,
    spec: &Spec,
    note: &str,
    reserve: Reserve,
) -> Result<(Code, How), CodeError> {
    let (scene, life) = (spec.scene(), spec.life());
    let one = format!("{} {} {scene}", life.as_str(), scene.kind());
    let _turn = call.core.codes.wait((call.appid().clone(), one)).await;
    codes.create(spec, note, reserve).await
}

fn specs(wanted: &[Wanted], life: Option<&str>) -> Result<Vec<Spec>, Problem> {
    if wanted.is_empty() || wanted.len() > MOST_AT_ONCE {
        let rule = format!("it has {} codes: 1 to {MOST_AT_ONCE} are made at once", wanted.len());
        return Err(wrong(vec![Found::new("codes", rule)]));
    }
    let mut problems = Vec::new();
    let mut specs: Vec<Spec> = Vec::new();
    for (nth, one) in wanted.iter().enumerate() {
        match spec(one, life, &format!("codes[{nth}].")) {
            Ok(spec) => {
                let same = |other: &Spec| {
                    other.scene() == spec.scene() && other.life().as_str() == spec.life().as_str()
                };
                if let Some(first) = specs.iter().position(same) {
                    problems.push(Found::new(
                        format!("codes[{nth}]"),
                        format!("codes[{first}] is the same code"),
                    ));
                }
                specs.push(spec);
            }
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(specs) } else { Err(wrong(problems)) }
}

fn spec(wanted: &Wanted, otherwise: Option<&str>, at: &str) -> Result<Spec, Vec<Found>> {
    let Wanted { scene, kind, life, note } = wanted;
    let place = |field: &str| format!("{at}{field}");
    let mut problems = Vec::new();
    let scene = scene_of(scene, kind.as_deref())
        .map_err(|(field, rule)| problems.push(Found::new(place(field), rule)));
    let life =
        life_of(life.as_deref().or(otherwise)).map_err(|rule| problems.push(Found::new(place("life"), rule)));
    if text("note", note).is_err() {
        problems.push(Found::new(place("note"), "it has over 500 characters, or a line end in it"));
    }
    match (scene, life) {
        (Ok(scene), Ok(life)) if problems.is_empty() => {
            Spec::new(scene, life).map_err(|error| vec![Found::new(place("scene"), error.to_string())])
        }
        _ => Err(problems),
    }
}

fn scene_of(scene: &SceneWanted, kind: Option<&str>) -> Result<Scene, (&'static str, String)> {
    const NO_NUMBER: &str = "it is no number that a code can have: 1 to 4294967295";
    let (text, typed) = match scene {
        SceneWanted::Number(number) => (number.to_string(), Some("int")),
        SceneWanted::Text(text) => (text.clone(), None),
    };
    match (kind.or(typed), Scene::of(&text)) {
        (None, scene) | (Some("int"), scene @ Scene::Number(_)) => Ok(scene),
        (Some("str"), _) => Ok(Scene::Text(text)),
        (Some("int"), Scene::Text(_)) => Err(("scene", NO_NUMBER.to_owned())),
        (Some(_), _) => Err(("kind", "it is int or str".to_owned())),
    }
}

fn life_of(text: Option<&str>) -> Result<Life, String> {
    match text {
        Some("permanent") => Ok(Life::Permanent),
        Some(span) => humantime::parse_duration(span)
            .map(Life::Temporary)
            .map_err(|_| "it is permanent, or a span like 30d".to_owned()),
        None => Err("it is missing: permanent, or a span like 30d".to_owned()),
    }
}

/// Whether all permanent codes of a list can be made, before the first one is.
async fn enough(codes: &Codes, specs: &[Spec], reserve: Reserve) -> Result<(), Problem> {
    let there = codes.permanent().await?;
    let news = |spec: &&Spec| spec.life() == Life::Permanent && !there.contains(spec.scene());
    let new = u32::try_from(specs.iter().filter(news).count()).unwrap_or(u32::MAX);
    let (limits, used) = (codes.limits(), codes.count().await?.permanent);
    let most = match reserve {
        Reserve::Kept => limits.permanent.saturating_sub(limits.reserve),
        Reserve::Used => limits.permanent,
    };
    if new <= most.saturating_sub(used) { Ok(()) } else { Err(CodeError::Full { used, limits }.into()) }
}

impl From<UseReserve> for Reserve {
    fn from(UseReserve(used): UseReserve) -> Self {
        if used { Self::Used } else { Self::Kept }
    }
}

fn wrong(problems: Vec<Found>) -> Problem {
    Problem::all_of("WeChat makes no such code", problems)
}
