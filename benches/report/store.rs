//! The raw data beside the page, a JSON file a scenario; and the page made of all that is there.
//!
//! A run replaces the files of what it measured and leaves the others, each with its date. Files are
//! replaced as a whole: a run that is cut off leaves the old or the new.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::place::Place;
use super::{Findings, page, run, svg};

/// What one run of a scenario left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) scenario: String,
    /// When it ended, UTC, as `2026-11-29 02:53`.
    pub(crate) at: String,
    pub(crate) took_seconds: u64,
    /// Of the machine before the run of this and other scenarios began.
    pub(crate) load_before: f64,
    pub(crate) place: Place,
    pub(crate) outcome: Outcome,
    /// The scenario's later run, which had no figures to put in the place of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed_since: Option<Failure>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) at: String,
    pub(crate) why: String,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Kept,
    /// It is of another build or of cut rounds, and what is there is not.
    Refused,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Found(Findings),
    /// The chain of what went wrong, without paths of this machine.
    Failed(String),
}

impl Outcome {
    pub(crate) fn of(result: anyhow::Result<Findings>) -> Self {
        match result {
            Ok(findings) => Self::Found(findings),
            Err(error) => Self::failed(&format!("{error:#}")),
        }
    }

    pub(crate) fn failed(why: &str) -> Self {
        let mut why = why.replace(env!("CARGO_MANIFEST_DIR"), ".");
        if let Some(temporary) = std::env::temp_dir().to_str() {
            why = why.replace(temporary, "TMP");
        }
        Self::Failed(why)
    }
}

/// Keeps a record in place of the one before it of the same scenario. Figures stay when the new run
/// has none, and are said to be from before it; and figures that are worth reading are not replaced
/// by some that are not.
pub(crate) fn keep(data: &Path, record: &Record) -> anyhow::Result<Kept> {
    fs::create_dir_all(data)?;
    let path = data.join(format!("{}.json", record.scenario));
    let before = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Record>(&text).ok());
    let before = before.filter(|before| matches!(before.outcome, Outcome::Found(_)));
    let mut kept = record.clone();
    if let Some(before) = before {
        if before.place.is_worth_reading() && !record.place.is_worth_reading() {
            return Ok(Kept::Refused);
        }
        if let Outcome::Failed(why) = &record.outcome {
            let failure = Failure { at: record.at.clone(), why: why.clone() };
            kept = Record { failed_since: Some(failure), ..before };
        }
    }
    let mut text = String::new();
    write_value(&mut text, &serde_json::to_value(&kept)?, 0);
    text.push('\n');
    replace(&path, &text)?;
    Ok(Kept::Kept)
}

/// All records, in the order in which they are measured.
///
/// # Errors
/// A file is not a record, and which.
pub(crate) fn all(data: &Path) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path)?;
            let name = path.file_name().unwrap_or_default().display().to_string();
            records.push(serde_json::from_str(&text).with_context(|| format!("{name} is not a record"))?);
        }
    }
    let place = |name: &str| run::ALL.iter().position(|one| *one == name).unwrap_or(usize::MAX);
    records.sort_by_key(|record: &Record| (place(&record.scenario), record.scenario.clone()));
    Ok(records)
}

/// Writes `performance.md` and the plots from all that is kept in `performance/`.
pub(crate) fn publish(docs: &Path, template: &str) -> anyhow::Result<()> {
    let data = docs.join("performance");
    let records = all(&data)?;
    let mut drawn = BTreeSet::new();
    for record in &records {
        let Outcome::Found(findings) = &record.outcome else { continue };
        for plot in &findings.plots {
            let name = format!("{}.svg", plot.file);
            replace(&data.join(&name), &svg::draw(plot, &findings.measurements))?;
            anyhow::ensure!(drawn.insert(name), "two plots are called {:?}", plot.file);
        }
    }
    for entry in fs::read_dir(&data)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().display().to_string();
        if path.extension().is_some_and(|extension| extension == "svg") && !drawn.contains(&name) {
            fs::remove_file(&path)?;
        }
    }
    replace(&docs.join("performance.md"), &page::render(template, &records)?)
}

fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    Ok(fs::rename(&new, path)?)
}

/// JSON with a line for each measurement: fewer lines than with one for each number, and a change
/// still shows where it is.
fn write_value(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth + 1);
    let parts: Vec<(Option<&String>, &Value)> = match value {
        Value::Object(fields) if depth < 3 => {
            fields.iter().map(|(name, value)| (Some(name), value)).collect()
        }
        Value::Array(items) if depth < 4 && items.iter().any(Value::is_object) => {
            items.iter().map(|item| (None, item)).collect()
        }
        plain => return text.push_str(&plain.to_string()),
    };
    let (open, close) = if value.is_object() { ('{', '}') } else { ('[', ']') };
    text.push(open);
    for (place, (name, part)) in parts.iter().enumerate() {
        text.push_str(if place == 0 { "\n" } else { ",\n" });
        text.push_str(&indent);
        if let Some(name) = name {
            let _ = write!(text, "{}: ", Value::from(name.as_str()));
        }
        write_value(text, part, depth + 1);
    }
    text.push('\n');
    text.push_str(&indent[2..]);
    text.push(close);
}
