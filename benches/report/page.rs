//! The page, in Markdown: the words of a template, and the figures in their places.
//!
//! A line of the template that is `{{summary}}`, `{{machine}}` or `{{NAME}}` of a scenario is replaced.
//! What was measured and has no place of its own comes last. Nothing of the page is written by hand.

use std::fmt::Write as _;

use super::figures::{bound, figure, spread};
use super::store::{Failure, Outcome, Record};
use super::{Findings, Goal, Measurement, OURS, Unit, Verdict, run};

/// The page. Who edits it is told to edit the template.
///
/// # Errors
/// The template has no place for the summary or for the machine.
pub(crate) fn render(template: &str, records: &[Record]) -> anyhow::Result<String> {
    let mut page = String::from(
        "<!-- Written by `make bench` from benches/report/page.md and performance/*.json: edit the former. -->\n",
    );
    let mut told = Vec::new();
    for line in template.lines() {
        match line.strip_prefix("{{").and_then(|line| line.strip_suffix("}}")) {
            None => page.push_str(line),
            Some("summary") => page.push_str(&summary(records)),
            Some("machine") => page.push_str(&machine(records)),
            Some(name) => {
                let record = records.iter().find(|record| record.scenario == name);
                page.push_str(&record.map_or_else(|| "Not measured yet.".to_owned(), section));
            }
        }
        told.push(line);
        page.push('\n');
    }
    for place in ["{{summary}}", "{{machine}}"] {
        anyhow::ensure!(told.contains(&place), "the template has no line {place}");
    }
    for record in records {
        if !told.contains(&format!("{{{{{}}}}}", record.scenario).as_str()) {
            write!(page, "\n## {}\n\n{}\n", record.scenario, section(record))?;
        }
    }
    Ok(page)
}

/// Every goal, and what became of it.
fn summary(records: &[Record]) -> String {
    let mut rows = String::new();
    let (mut met, mut all) = (0, 0);
    let mut failures = String::new();
    let never = run::ALL.iter().filter(|name| !records.iter().any(|record| record.scenario == **name));
    let mut without: Vec<String> = never.map(|name| format!("`{name}`")).collect();
    for record in records {
        if let Some(Failure { at, why }) = &record.failed_since {
            let name = &record.scenario;
            let _ = write!(
                failures,
                "\n`{name}` **failed** when it was run again, {at} UTC, and its figures are from before: {}\n",
                cell(why)
            );
        }
        let findings = match &record.outcome {
            Outcome::Found(findings) => findings,
            Outcome::Failed(why) => {
                let _ = write!(failures, "\n`{}` **failed**: {}\n", record.scenario, cell(why));
                without.push(format!("`{}`", record.scenario));
                continue;
            }
        };
        for measurement in &findings.measurements {
            for goal in &measurement.goals {
                let verdict = measurement.verdict(goal);
                all += 1;
                met += usize::from(verdict == Verdict::Met);
                let measured = measurement.judged(goal).map_or_else(
                    || "not measured".to_owned(),
                    |found| spread(found, unit_of(measurement, goal)),
                );
                let _ = writeln!(
                    rows,
                    "| `{}` | {} | {} | {measured} | {} |",
                    record.scenario,
                    cell(&label(measurement)),
                    wanted(measurement, goal),
                    word(verdict)
                );
            }
        }
    }
    let without = if without.is_empty() {
        String::new()
    } else {
        let count = without.len();
        format!(
            " Of {count} scenarios nothing is known, and their goals are not counted: {}.",
            without.join(", ")
        )
    };
    format!(
        "{met} of {all} goals are met.{without}\n\n| scenario | what | is to be | measured: median (least to most) | |\n\
         |---|---|---|---|---|\n{rows}{failures}"
    )
}

/// On what, and from when. A page for looking only says so first.
fn machine(records: &[Record]) -> String {
    let mut text = String::new();
    if !records.iter().all(|record| record.place.is_worth_reading()) {
        text.push_str(
            "**Some figures here are not of the project's bench profile or of cut rounds; they show that the scenarios \
             work and how the page looks, and say nothing of speed.**\n\n",
        );
    }
    let mut places: Vec<(&super::place::Place, Vec<&Record>)> = Vec::new();
    for record in records {
        match places.iter_mut().find(|(place, _)| **place == record.place) {
            Some((_, of)) => of.push(record),
            None => places.push((&record.place, vec![record])),
        }
    }
    for (place, of) in &places {
        let names: Vec<String> = of.iter().map(|record| format!("`{}`", record.scenario)).collect();
        let which = if places.len() == 1 { "everything".to_owned() } else { names.join(", ") };
        let _ = writeln!(text, "- {} ({which}).", place.sentence());
    }
    text.pop();
    text
}

fn section(record: &Record) -> String {
    let mut text = match &record.outcome {
        Outcome::Found(findings) => table(findings),
        Outcome::Failed(why) => format!("**The scenario failed**: {}\n", cell(why)),
    };
    if let Some(Failure { at, why }) = &record.failed_since {
        let _ = write!(text, "\n**It failed when it was run again**, {at} UTC: {}\n", cell(why));
    }
    let _ = write!(
        text,
        "\nMeasured {} UTC in {} s, load before {:.2}; [raw data](performance/{}.json).",
        record.at, record.took_seconds, record.load_before, record.scenario
    );
    text
}

fn table(findings: &Findings) -> String {
    let names = names(findings);
    let mut text = format!("| {} |", cell(&findings.title));
    for name in &names {
        let _ = write!(text, " {} |", cell(name));
    }
    text.push_str(" is to be |\n|---|");
    text.push_str(&"---:|".repeat(names.len()));
    text.push_str("---|\n");
    let mut absent: Vec<String> = Vec::new();
    for measurement in &findings.measurements {
        let _ = write!(text, "| {} |", cell(&label(measurement)));
        for name in &names {
            let _ = write!(text, " {} |", side(measurement, name, "<br>"));
            let why = measurement.side(name).and_then(|side| side.missing.as_ref());
            let why = why.map(|why| format!("{name} is missing: {why}"));
            absent.extend(why.filter(|why| !absent.contains(why)));
        }
        let goals: Vec<String> = measurement.goals.iter().map(|goal| judged(measurement, goal)).collect();
        let _ = writeln!(text, " {} |", goals.join("<br>"));
    }
    for sentence in absent.iter().chain(&findings.notes) {
        let _ = write!(text, "\n{}\n", cell(sentence));
    }
    for plot in &findings.plots {
        let _ = write!(text, "\n![{}](performance/{}.svg)\n", cell(&plot.title), plot.file);
    }
    text
}

/// The same for a terminal.
pub(crate) fn plain(findings: &Findings) -> String {
    let mut text = format!("\n## {}\n", findings.title);
    for measurement in &findings.measurements {
        let _ = writeln!(text, "{}", label(measurement));
        for name in names(findings) {
            if let Some(found) = measurement.side(&name) {
                let said = found
                    .missing
                    .as_ref()
                    .map_or_else(|| side(measurement, &name, ", "), |why| format!("missing: {why}"));
                let _ = writeln!(text, "    {name:<34} {said}");
            }
        }
        for goal in &measurement.goals {
            let _ = writeln!(text, "    {:<34} {}", "is to be", judged(measurement, goal).replace("**", ""));
        }
    }
    for note in &findings.notes {
        let _ = writeln!(text, "{note}");
    }
    text
}

/// Of all sides, ours first.
fn names(findings: &Findings) -> Vec<String> {
    let mut names: Vec<String> = vec![OURS.to_owned()];
    for side in findings.measurements.iter().flat_map(|measurement| &measurement.sides) {
        if !names.contains(&side.name) {
            names.push(side.name.clone());
        }
    }
    names.retain(|name| findings.measurements.iter().any(|measurement| measurement.side(name).is_some()));
    names
}

/// What a side's rounds said, and how many times as much ours is, unless a goal says it.
fn side(measurement: &Measurement, name: &str, between: &str) -> String {
    let Some(side) = measurement.side(name) else { return String::new() };
    if side.missing.is_some() {
        return "—".to_owned();
    }
    let Some(found) = super::Middle::of(&side.rounds) else { return "—".to_owned() };
    if name == OURS {
        return spread(found, measurement.unit);
    }
    let compared =
        Goal { of: OURS.to_owned(), against: Some(name.to_owned()), bound: super::Bound::AtLeast(0.0) };
    let is_told =
        measurement.goals.iter().any(|goal| goal.against.as_deref() == Some(name) && goal.of == OURS);
    let median = figure(found.median, measurement.unit);
    match measurement.judged(&compared) {
        Some(ratio) if !is_told => {
            format!("{median}{between}ours is {}", spread(ratio, Unit::Times))
        }
        _ => median,
    }
}

fn judged(measurement: &Measurement, goal: &Goal) -> String {
    let verdict = word(measurement.verdict(goal));
    let wanted = wanted(measurement, goal);
    match (measurement.judged(goal), &goal.against) {
        (Some(found), Some(_)) => format!("{wanted}: {}, {verdict}", spread(found, Unit::Times)),
        (Some(found), None) if goal.of != OURS => {
            format!("{wanted}: {}, {verdict}", spread(found, measurement.unit))
        }
        _ => format!("{wanted}: {verdict}"),
    }
}

fn wanted(measurement: &Measurement, goal: &Goal) -> String {
    let of = if goal.of == OURS { String::new() } else { format!("{}: ", goal.of) };
    let bound = bound(goal.bound, unit_of(measurement, goal));
    let against = goal.against.as_ref().map(|against| format!(" {against}")).unwrap_or_default();
    cell(&format!("{of}{bound}{against}"))
}

fn unit_of(measurement: &Measurement, goal: &Goal) -> Unit {
    if goal.against.is_some() { Unit::Times } else { measurement.unit }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::Missed => "**missed**",
        Verdict::Unknown => "not measured",
    }
}

/// Its name with its size.
pub(crate) fn label(measurement: &Measurement) -> String {
    match &measurement.at {
        Some(size) => format!("{}, {} {}", measurement.what, figure(size.number, Unit::Count), size.of),
        None => measurement.what.clone(),
    }
}

/// Text that does not end a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
