//! Logs and numbers as a collector gets them.
//!
//! Both are set up once per process, so they are tried in a child: this test binary again,
//! with the one test that is the child's body.

use std::process::Command;
use std::time::Duration;

use zhongkong::model::{CallMode, Cause, Kind};
use zhongkong::secret::Secret;
use zhongkong::telemetry::metrics::{self, AttemptResult, ReadResult, Reads, Watcher};
use zhongkong::telemetry::{LogFormat, LogSettings, TelemetryError, init};

/// Set in the child only.
const CHILD: &str = "ZHONGKONG_TEST_TELEMETRY_CHILD";

#[test]
fn json_logs_go_to_stderr_one_object_a_line_and_filtered() {
    let name = "telemetry::json_logs_go_to_stderr_one_object_a_line_and_filtered";
    if std::env::var_os(CHILD).is_some() {
        let filter = "warn,it=info".to_owned();
        let settings = LogSettings { format: LogFormat::Json, filter, ..LogSettings::default() };
        let _log = init(&settings).unwrap();
        assert!(matches!(init(&settings), Err(TelemetryError::LogsAlready)));
        tracing::info!(attempt = 7, secret = ?Secret::from("s3cr3t"), "a token was fetched");
        tracing::debug!("too quiet to be heard");
        tracing::info!(target: "other", "not of interest");
        return;
    }
    let output = child(name);
    let lines: Vec<serde_json::Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [line] = &lines[..] else { panic!("{output}") };
    assert_eq!(
        (&line["level"], &line["message"], &line["attempt"]),
        (&"INFO".into(), &"a token was fetched".into(), &7.into())
    );
    assert!(!output.contains("s3cr3t"), "{output}");
}

#[test]
fn counted_events_are_rendered_with_help_buckets_and_labels() {
    let name = "telemetry::counted_events_are_rendered_with_help_buckets_and_labels";
    if std::env::var_os(CHILD).is_none() {
        child(name);
        return;
    }
    let handle = metrics::install().unwrap();
    assert!(matches!(metrics::install(), Err(TelemetryError::CountsAlready)));
    metrics::attempt(Kind::JsapiTicket, Cause::Parent, AttemptResult::Unknown);
    metrics::call_took(CallMode::Stable, Duration::from_millis(40));
    Reads::new().count(ReadResult::Served);
    let (first, _second) = (Watcher::opened(), Watcher::opened());
    drop(first);
    handle.run_upkeep();
    let rendered = handle.render();
    let expected = [
        "# HELP zhongkong_attempts_total Attempts at upstream, by kind, cause and result.",
        r#"zhongkong_attempts_total{kind="jsapi_ticket",cause="parent",result="unknown"} 1"#,
        r#"zhongkong_call_seconds_bucket{mode="stable",le="0.03"} 0"#,
        r#"zhongkong_call_seconds_bucket{mode="stable",le="0.1"} 1"#,
        r#"zhongkong_reads_total{result="served"} 1"#,
        "zhongkong_watchers 1",
    ];
    for line in expected {
        assert!(rendered.lines().any(|rendered| rendered == line), "{line} is not in\n{rendered}");
    }
}

/// Runs the test's other half; its stderr.
fn child(name: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{errors}");
    errors
}
