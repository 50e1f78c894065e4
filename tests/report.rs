//! How the benches tell what they found: the arithmetic, the page, the raw data beside it.
//!
//! A program of its own, because it is about the benches and not about the crate.

#![allow(
    clippy::unwrap_used,
    reason = "a test that is wrong fails by panicking; clippy's setting spares only test functions, not what they call"
)]

use std::fs;
use std::path::Path;

use report::place::Place;
use report::store::{Kept, Outcome, Record, all, keep, publish};
use report::{Bound, Findings, Measurement, Middle, Plot, Unit, Verdict, figures, page};

#[path = "../benches/report/mod.rs"]
mod report;

const TEMPLATE: &str = "# Words\n\n{{summary}}\n\n{{machine}}\n\n## Reads\n\nMore words.\n\n{{reads}}\n";

fn rates() -> Measurement {
    Measurement::new("calls", Unit::PerSecond)
        .ours([90.0, 120.0, 80.0])
        .beside("bare tonic", [100.0, 100.0, 100.0])
        .missing("Redis", "redis-server is not installed")
        .ratio("bare tonic", Bound::AtLeast(0.92))
        .ratio("Redis", Bound::AtLeast(0.5))
        .goal(Bound::AtLeast(50.0))
}

fn findings(title: &str) -> Findings {
    let mut findings = Findings::new(title);
    findings.add(rates());
    findings.add(Measurement { what: "calls again".to_owned(), goals: Vec::new(), ..rates() });
    findings
}

fn record(scenario: &str, at: &str, outcome: Outcome) -> Record {
    let place = Place {
        cpu: "A Processor".to_owned(),
        cores: 2,
        memory_gb: 8,
        kernel: "6.1".to_owned(),
        rustc: "rustc 1".to_owned(),
        profile: "bench".to_owned(),
        overridden: Vec::new(),
        quick: false,
    };
    let scenario = scenario.to_owned();
    let at = at.to_owned();
    Record { scenario, at, took_seconds: 7, load_before: 0.25, place, outcome, failed_since: None }
}

fn page(docs: &Path) -> String {
    publish(docs, TEMPLATE).unwrap();
    fs::read_to_string(docs.join("performance.md")).unwrap()
}

#[test]
fn middle_of_rounds_is_their_median_with_its_span() {
    let middle = |rounds: &[f64]| Middle::of(rounds).map(|found| (found.least, found.median, found.most));
    assert_eq!(middle(&[5.0, 1.0, 3.0]), Some((1.0, 3.0, 5.0)));
    assert_eq!(middle(&[4.0, 1.0, 2.0, 9.0]), Some((1.0, 3.0, 9.0)));
    assert_eq!(middle(&[7.0]), Some((7.0, 7.0, 7.0)));
    assert_eq!(middle(&[]), None);
    assert_eq!(middle(&[1.0, f64::NAN]), None, "a round that is no number spoils the others");
}

#[test]
fn ratio_is_taken_within_each_round_and_not_of_two_medians() {
    // Ours is 0.9 and 0.8 in two rounds and 1.2 in one. Medians of each side say 0.9 too; with the
    // other side's rounds in another order they would still, and the ratios do not.
    let measured = Measurement::new("calls", Unit::PerSecond)
        .ours([90.0, 120.0, 80.0])
        .beside("bare", [180.0, 60.0, 100.0])
        .ratio("bare", Bound::AtLeast(0.81));
    let judged = measured.judged(&measured.goals[0]).unwrap();
    assert_eq!((judged.least, judged.median, judged.most), (0.5, 0.8, 2.0));
    assert_eq!(measured.verdict(&measured.goals[0]), Verdict::Missed);
}

#[test]
fn goal_about_a_side_that_is_missing_is_neither_met_nor_missed() {
    let measured = rates();
    let verdicts: Vec<Verdict> = measured.goals.iter().map(|goal| measured.verdict(goal)).collect();
    assert_eq!(verdicts, [Verdict::Missed, Verdict::Unknown, Verdict::Met]);
}

#[test]
fn what_must_never_be_otherwise_is_judged_by_every_round() {
    // Nine rounds without a dead token and one with one are not "no dead token".
    for (rounds, verdict) in [
        ([0.0, 0.0, 0.0, 0.0, 1.0], Verdict::Missed),
        ([-1.0, 0.0, 0.0, 0.0, 0.0], Verdict::Missed),
        ([0.0; 5], Verdict::Met),
    ] {
        let measured = Measurement::new("dead tokens", Unit::Count).ours(rounds).goal(Bound::Exactly(0.0));
        assert_eq!(measured.verdict(&measured.goals[0]), verdict, "{rounds:?}");
    }
}

#[test]
fn sides_with_other_rounds_or_nothing_to_divide_by_have_no_ratio() {
    for against in [vec![1.0, 2.0], vec![1.0, 0.0, 1.0]] {
        let measured = Measurement::new("calls", Unit::PerSecond)
            .ours([1.0, 2.0, 3.0])
            .beside("other", against)
            .ratio("other", Bound::AtLeast(0.1));
        assert_eq!(measured.verdict(&measured.goals[0]), Verdict::Unknown);
    }
}

#[test]
fn bounds_are_as_strict_as_their_signs_say() {
    for (bound, at, beside) in [
        (Bound::Below(2.0), false, 1.999),
        (Bound::AtMost(2.0), true, 1.999),
        (Bound::AtLeast(2.0), true, 2.001),
        (Bound::Exactly(2.0), true, 2.0),
    ] {
        assert_eq!(bound.holds(2.0), at, "{bound:?}");
        assert!(bound.holds(beside), "{bound:?}");
    }
    assert!(!Bound::Exactly(1.0).holds(2.0));
    assert!(!Bound::AtLeast(2.0).holds(1.999) && !Bound::AtMost(2.0).holds(2.001));
}

#[test]
fn figures_have_the_unit_that_fits_and_three_digits_that_count() {
    for (value, unit, text) in [
        (66_062.4, Unit::PerSecond, "66,062 /s"),
        (1_234_567.0, Unit::PerSecond, "1,234,567 /s"),
        (0.000_000_060_4, Unit::Seconds, "60.4 ns"),
        (0.000_105, Unit::Seconds, "105 µs"),
        (0.017_7, Unit::Seconds, "17.7 ms"),
        (3.0, Unit::Seconds, "3 s"),
        (1_536.0, Unit::Bytes, "1.54 KB"),
        (112e6, Unit::Bytes, "112 MB"),
        (0.03, Unit::Percent, "0.03 %"),
        (0.0, Unit::Count, "0"),
        (999.7, Unit::Count, "1,000"),
        (-1_234.0, Unit::Count, "-1,234"),
        (0.953, Unit::Times, "0.95 ×"),
    ] {
        assert_eq!(figures::figure(value, unit), text);
    }
}

#[test]
fn run_of_one_scenario_leaves_the_data_of_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("performance");
    keep(&data, &record("reads", "2026-11-28 01:00", Outcome::Found(findings("Old")))).unwrap();
    keep(&data, &record("watch", "2026-11-28 01:00", Outcome::Found(findings("Kept")))).unwrap();
    let before = fs::read_to_string(data.join("watch.json")).unwrap();

    keep(&data, &record("reads", "2026-11-29 02:53", Outcome::Found(findings("New")))).unwrap();
    assert_eq!(fs::read_to_string(data.join("watch.json")).unwrap(), before);
    let kept = all(&data).unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0], record("reads", "2026-11-29 02:53", Outcome::Found(findings("New"))));

    let page = page(dir.path());
    assert!(!page.contains("Old") && page.contains("New") && page.contains("Kept"), "{page}");
    assert!(page.contains("Measured 2026-11-28 01:00 UTC in 7 s, load before 0.25"), "{page}");
    assert!(page.contains("Measured 2026-11-29 02:53 UTC"), "{page}");
    assert!(page.contains("# Words") && page.contains("## Reads\n\nMore words."), "{page}");
}

#[test]
fn run_that_fails_leaves_the_figures_of_the_one_before_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("performance");
    keep(&data, &record("reads", "2026-11-28 01:00", Outcome::Found(findings("Good")))).unwrap();
    keep(&data, &record("reads", "2026-11-29 02:53", Outcome::failed("no taskset"))).unwrap();
    let page = page(dir.path());
    for words in
        ["| Good |", "Measured 2026-11-28 01:00 UTC", "run again**, 2026-11-29 02:53 UTC: no taskset"]
    {
        assert!(page.contains(words), "{words:?} is not in\n{page}");
    }
    keep(&data, &record("reads", "2026-11-29 03:00", Outcome::Found(findings("Better")))).unwrap();
    assert_eq!(all(&data).unwrap()[0].failed_since, None, "a good run ends it");
}

#[test]
fn figures_worth_reading_are_not_replaced_by_some_that_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let good = record("reads", "2026-11-28 01:00", Outcome::Found(findings("Good")));
    let mut quick = record("reads", "2026-11-29 02:53", Outcome::Found(findings("Quick")));
    quick.place.quick = true;
    assert_eq!(keep(data, &quick).unwrap(), Kept::Kept, "better than nothing");
    assert_eq!(keep(data, &good).unwrap(), Kept::Kept);
    assert_eq!(keep(data, &quick).unwrap(), Kept::Refused);
    assert_eq!(all(data).unwrap(), [good]);
}

#[test]
fn scenario_that_failed_is_told_with_its_error_and_without_paths_of_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let error = anyhow::anyhow!("refused").context(format!("{} is not there", path.display()));
    let here = anyhow::anyhow!("{}/benches", env!("CARGO_MANIFEST_DIR"));
    let data = dir.path().join("performance");
    keep(&data, &record("reads", "2026-11-29 02:53", Outcome::of(Err(error)))).unwrap();
    keep(&data, &record("watch", "2026-11-29 02:53", Outcome::of(Err(here)))).unwrap();
    let page = page(dir.path());
    assert!(page.contains("**The scenario failed**: TMP/"), "{page}");
    assert!(page.contains("socket is not there: refused"), "{page}");
    assert!(page.contains("`watch` **failed**: ./benches"), "{page}");
}

#[test]
fn page_says_each_goal_what_was_measured_and_why_a_side_is_missing() {
    let records = [record("reads", "2026-11-29 02:53", Outcome::Found(findings("Reads")))];
    let page = page::render(TEMPLATE, &records).unwrap();
    for words in [
        "1 of 3 goals are met. Of 16 scenarios nothing is known, and their goals are not counted: `audit`,",
        "| `reads` | calls | ≥ 0.92 × bare tonic | 0.90 × (0.80 × to 1.20 ×) | **missed** |",
        "| `reads` | calls | ≥ 0.50 × Redis | not measured | not measured |",
        "| Reads | zhongkong | bare tonic | Redis | is to be |",
        "| calls | 90 /s (80 /s to 120 /s) | 100 /s | — |",
        "Redis is missing: redis-server is not installed",
        "- A Processor, 2 cores, 8 GB of memory, Linux 6.1, rustc 1, profile `bench` (everything).",
    ] {
        assert!(page.contains(words), "{words:?} is not in\n{page}");
    }
    assert_eq!(page.matches("Redis is missing").count(), 1, "{page}");
    assert!(!page.contains("say nothing of speed"), "{page}");
}

#[test]
fn page_of_another_build_or_of_cut_rounds_says_so_first() {
    for spoil in [
        |place: &mut Place| place.profile = "dev".to_owned(),
        |place: &mut Place| place.overridden = vec!["CARGO_PROFILE_BENCH_LTO=off".to_owned()],
        |place: &mut Place| place.quick = true,
    ] {
        let good = record("reads", "2026-11-29 02:53", Outcome::Found(findings("Reads")));
        let mut spoilt = record("watch", "2026-11-29 02:53", Outcome::Found(findings("Watch")));
        spoil(&mut spoilt.place);
        let page = page::render(TEMPLATE, &[good, spoilt]).unwrap();
        assert!(page.contains("say nothing of speed"), "{page}");
        assert!(page.contains("profile `bench` (`reads`)."), "{page}");
        assert!(page.contains("(`watch`)."), "{page}");
    }
}

#[test]
fn every_scenario_has_its_place_in_the_words_of_the_page() {
    let template = report::run::TEMPLATE;
    for name in report::run::ALL {
        assert!(template.lines().any(|line| line == format!("{{{{{name}}}}}")), "{name} has no place");
    }
    page::render(template, &[]).unwrap();
}

#[test]
fn page_of_the_docs_is_what_its_words_and_its_data_give() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let records = all(&docs.join("performance")).unwrap();
    assert!(!records.is_empty(), "nothing was ever measured");
    let page = fs::read_to_string(docs.join("performance.md")).unwrap();
    assert!(
        page == page::render(report::run::TEMPLATE, &records).unwrap(),
        "docs/performance.md is not of benches/report/page.md and docs/performance/*.json: run `make bench-page`"
    );
}

#[test]
fn plots_are_drawn_from_the_same_rounds_and_old_ones_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("performance");
    let mut found = findings("A <title> & more");
    for (keys, bytes) in [(1_000, 900.0), (10_000, 800.0), (100_000, 850.0)] {
        found.add(Measurement::new("memory", Unit::Bytes).at(keys, "keys").ours([bytes, bytes, bytes * 1.1]));
    }
    found.plot(Plot::bars("rates", "A <title> & more", ["calls"]));
    found.plot(Plot::curve("memory", "Memory", ["memory"]));
    keep(&data, &record("reads", "2026-11-29 02:53", Outcome::Found(found))).unwrap();
    fs::write(data.join("gone.svg"), "of a plot that is no more").unwrap();
    let page = page(dir.path());
    assert!(page.contains("![Memory](performance/memory.svg)"), "{page}");
    assert!(!data.join("gone.svg").exists());

    let bars = fs::read_to_string(data.join("rates.svg")).unwrap();
    assert!(bars.contains("A &lt;title&gt; &amp; more") && !bars.contains("<title> &"), "{bars}");
    assert!(bars.contains("90 /s") && bars.contains("not measured"), "{bars}");
    let curve = fs::read_to_string(data.join("memory.svg")).unwrap();
    assert_eq!(curve.matches("<circle").count(), 3, "{curve}");
    assert_eq!(curve.matches("<polyline").count(), 1, "{curve}");
    for text in [bars, curve] {
        let mut reader = quick_xml::Reader::from_str(&text);
        while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}
