//! Alerts, dashboard and the page of metrics, held against what a real daemon puts out.
//!
//! promtool, of Debian's package `prometheus`, is the judge of formats and rules.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::messages_serve_support;
use super::support::frozen::Guard;
use super::support::memcached::Memcached;
use super::support::process::{SECRET, Site};
use super::support::scrape::Scrape;
use super::support::simulated::{Simulated, listed_with};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Runs promtool in monitoring/ with this on its stdin; it must say that all is well.
fn promtool(args: &[&str], input: &str) {
    let mut command = Command::new("promtool");
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring")).args(args);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("promtool is missing; run: sudo apt-get install -y --no-install-recommends prometheus")
        }
        Err(error) => panic!("promtool cannot be started: {error}"),
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "promtool {}:\n{said}", args.join(" "));
    // `check metrics` only warns of what breaks a convention.
    assert!(args != ["check", "metrics"] || said.trim().is_empty(), "{said}");
}

/// The page of a daemon with a ticket and a memcached, so that every family is there.
async fn everything() -> Scrape {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let memcached = Memcached::start();
    let mut site = Site::new(&wechat.base);
    site.account("wx1", "tickets = [\"jsapi_ticket\"]");
    site.section("memcached", &format!("servers = [\"{}\"]", memcached.addr()));
    let daemon = site.start_ready().await;
    let scrape = Scrape::of(&daemon).await;
    daemon.stop().await;
    scrape
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !word(c))
        .filter(|name| name.starts_with("zhongkong_") || name.starts_with("process_"))
        .map(ToOwned::to_owned)
        .collect()
}

/// What Prometheus evaluates in a dashboard: queries of panels, annotations and variables.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if ["expr", "query", "definition"].contains(&name.as_str()) => {
                        found.push(text.clone());
                    }
                    field => queries(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The daemon's rules.
const DAEMON: &str = "prometheus-alerts.yml";
/// The message service's.
const MESSAGES: &str = "messages-alerts.yml";

/// The alerts of a rules' file: name and text.
fn alerts(file: &str) -> Vec<(String, String)> {
    let rules = read(&format!("monitoring/{file}"));
    let alerts = rules.split("- alert: ").skip(1);
    let alerts: Vec<_> =
        alerts.map(|text| (text.lines().next().unwrap().to_owned(), text.to_owned())).collect();
    assert!(alerts.len() >= 10, "only {} alerts were found", alerts.len());
    alerts
}

/// What the alerts of a file ask Prometheus.
fn expressions(file: &str) -> Vec<String> {
    let expression = |(name, text): (String, String)| {
        let rule = text.split_once("expr:").unwrap().1;
        let rule = rule.split("\n        for:").next().unwrap().split("\n        labels:").next().unwrap();
        assert!(!names(rule).is_empty() || name.ends_with("Down"), "{name} asks for nothing");
        rule.to_owned()
    };
    alerts(file).into_iter().map(expression).collect()
}

#[tokio::test]
async fn what_the_daemon_puts_out_keeps_to_the_conventions_and_every_metric_has_help() {
    let scrape = everything().await;
    promtool(&["check", "metrics"], &scrape.text);
    assert!(scrape.types.len() > 50, "{:?}", scrape.types);
    for name in scrape.types.keys() {
        assert!(scrape.text.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
}

#[tokio::test]
async fn the_page_of_metrics_has_each_one_with_its_type_and_no_other() {
    let scrape = everything().await;
    let page = read("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: BTreeSet<(String, String)> = rows
        .map(|row| {
            let (name, rest) = row.split_once("` | ").unwrap();
            (name.to_owned(), rest.split(" | ").next().unwrap().to_owned())
        })
        .collect();
    let put_out: BTreeSet<_> = scrape.types.into_iter().collect();
    let missing: Vec<_> = put_out.difference(&told).collect();
    assert!(missing.is_empty(), "docs/metrics.md lacks {missing:?}");
    let strange: Vec<_> = told.difference(&put_out).collect();
    assert!(strange.is_empty(), "docs/metrics.md tells of {strange:?}, which the daemon does not put out");

    // A metric that appears only sometimes would pass unseen: the code's names are those of the page.
    let told: BTreeSet<String> = told.into_iter().map(|(name, _)| name).collect();
    let code = ["telemetry/metrics.rs", "admin/exposition/keys.rs", "admin/exposition/figures.rs"];
    let named: BTreeSet<String> = code
        .iter()
        .flat_map(|file| quoted(&read(&format!("src/{file}"))))
        .flat_map(|text| names(&text))
        .collect();
    assert_eq!(named, told);
}

/// The string literals of a source file.
fn quoted(code: &str) -> Vec<String> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.split('"').skip(1).step_by(2).map(ToOwned::to_owned).collect::<Vec<_>>())
        .collect()
}

#[tokio::test]
async fn dashboard_and_alerts_ask_only_for_metrics_that_exist() {
    let scrape = everything().await;
    let dashboard: Value = serde_json::from_str(&read("monitoring/grafana-dashboard.json")).unwrap();
    let mut asked = Vec::new();
    queries(&dashboard, &mut asked);
    assert!(asked.len() > 40, "only {} queries were found", asked.len());
    asked.extend(expressions(DAEMON));
    for query in &asked {
        for name in names(query) {
            assert!(scrape.knows(&name), "{name} is not put out; it is asked for by {query}");
        }
    }
    // And the other way: a family that nobody looks at should be looked at, or go.
    let shown: BTreeSet<String> = asked.iter().flat_map(|query| names(query)).collect();
    for name in
        ["zhongkong_keys", "zhongkong_attempts_total", "zhongkong_mirror_up", "zhongkong_least_budget_left"]
    {
        assert!(shown.contains(name), "nobody asks for {name}");
    }
}

#[tokio::test]
async fn alerts_of_the_message_service_ask_only_for_metrics_that_it_puts_out_and_the_page_tells() {
    let _guard = Guard::start();
    let process = messages_serve_support::start(&messages_serve_support::site()).await;
    let to = messages_serve_support::http(&process).await;
    // Refusals are counted from the first one on.
    messages_serve_support::get(to, "/wechat/nobody").await;
    let reachable = r#"zhongkong_daemon_reachable{service="messages"}"#;
    let scrape = Scrape::until(&process, |seen| seen.find(reachable).is_some()).await;
    promtool(&["check", "metrics"], &scrape.text);
    for expression in expressions(MESSAGES) {
        for name in names(&expression) {
            assert!(scrape.knows(&name), "{name} is not put out; it is asked for by {expression}");
        }
    }
    let page = read("docs/metrics.md");
    let (_, section) = page.split_once("## The process of the services").unwrap();
    let own = quoted(&read("src/telemetry/services.rs"));
    let own: BTreeSet<String> = own.iter().flat_map(|text| names(text)).collect();
    assert!(own.len() >= 9, "{own:?}");
    for name in own {
        assert!(section.contains(&format!("- `{name}")), "docs/metrics.md does not tell of {name}");
    }
    process.stop().await;
}

#[test]
fn the_dashboard_can_be_imported_with_any_data_source() {
    let dashboard: Value = serde_json::from_str(&read("monitoring/grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{} has the id of another", panel["title"]);
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{} shows nothing", panel["title"]);
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
            // Each query of its instances only: two daemons must not be added up unseen.
            let expr = target["expr"].as_str().unwrap();
            assert!(expr.contains("instance=~\"$instance\""), "{expr}");
        }
    }
    assert!(ids.len() > 25, "only {} panels", ids.len());
}

#[test]
fn every_alert_fires_and_stays_silent_where_its_tests_say_so() {
    promtool(&["check", "rules", DAEMON, MESSAGES], "");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring/tests");
    let files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    let mut tests = String::new();
    for file in &files {
        promtool(&["test", "rules", file.to_str().unwrap()], "");
        tests.push_str(&fs::read_to_string(file).unwrap());
    }
    for (name, _) in [alerts(DAEMON), alerts(MESSAGES)].concat() {
        let cases: Vec<&str> =
            tests.split("- expr: ").filter(|case| case.contains(&format!("\"{name}\""))).collect();
        let silent = cases.iter().filter(|case| case.contains("exp_samples: []")).count();
        assert!(silent > 0, "no test says when {name} is silent");
        assert!(cases.len() > silent, "no test says when {name} fires");
    }
}

#[test]
fn every_alert_says_what_to_do_and_how_urgent_it_is() {
    for (name, text) in [alerts(DAEMON), alerts(MESSAGES)].concat() {
        for part in ["summary: ", "description: ", "action: "] {
            assert!(text.contains(part), "{name} has no {part}");
        }
        assert!(
            text.contains("severity: page") || text.contains("severity: ticket"),
            "{name} has no severity"
        );
        // The daemon explains itself, unless it is down; of the service there is the log.
        let command = match &*name {
            "ZhongkongDown" => "systemctl status zhongkong",
            "ZhongkongMessagesReloadFailed" => "zhongkong serve messages --check",
            _ if name.starts_with("ZhongkongMessages") => "journalctl -u zhongkong-messages",
            _ => "zhongkong explain",
        };
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(command), "{name} does not name `{command}`");
    }
}
