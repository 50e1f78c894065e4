//! docs/jssdk.md and examples/pages beside what the service does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use zhongkong::services::jssdk::configuration::Configuration;
use zhongkong::services::jssdk::pages::{Pages, Shown, View};

use super::jssdk_support::account;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words in quotes of a source's function `reason`.
fn reasons(path: &str) -> BTreeSet<String> {
    let source = read(path);
    let mut found = BTreeSet::new();
    for begin in ["fn reason(self)", "fn reason(&self)"] {
        let Some((_, from)) = source.split_once(begin) else { continue };
        let body = from.split("\n    }\n").next().unwrap();
        found.extend(body.split('"').skip(1).step_by(2).map(str::to_owned));
    }
    assert!(!found.is_empty(), "{path} has no reasons");
    found
}

#[test]
fn every_reason_of_a_refusal_is_in_the_table_and_nothing_else() {
    let page = read("docs/jssdk.md");
    let (_, section) = page.split_once("\n## What is refused\n").unwrap();
    let mut told = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let first = row.split('|').nth(1).unwrap();
        for word in first.split('`').skip(1).step_by(2) {
            assert!(told.insert(word.to_owned()), "twice: {word}");
        }
    }
    let mut said = reasons("src/services/jssdk/door/refusal.rs");
    said.extend(reasons("src/services/jssdk/asked.rs"));
    said.extend(reasons("src/services/jssdk/site.rs"));
    // Of pages, which are counted where they are shown.
    said.extend(["page", "no_page"].map(str::to_owned));
    assert_eq!(told, said);
}

#[test]
fn pages_of_the_examples_are_rendered_in_every_way() {
    let (pages, _) = Pages::open(&root().join("examples/pages")).unwrap();
    assert_eq!(pages.names(), ["app", "invite"]);
    let account = account();
    let url = "https://h5.example.com/jssdk/shop/page/invite?from_user=%3Cb%3E";
    let config = Configuration::preview(&account, url, 1_740_787_200);
    for shown in [Shown::Live, Shown::Preview { verdict: "v" }] {
        for query in ["", "from_user=%3Cb%3E&title=%3C/script%3E"] {
            for name in pages.names() {
                let view = View { account: &account, config: &config, query, shown };
                let html = pages.render(&name, &view).unwrap().unwrap_or_else(|error| panic!("{error}"));
                assert!(html.contains("</script>") && !html.contains("<b>"), "{html}");
            }
        }
    }
    let view = View { account: &account, config: &config, query: "from_user=A", shown: Shown::Live };
    let html = pages.render("invite", &view).unwrap().unwrap();
    assert!(html.contains("<title>A邀请你</title>") && html.contains("\"title\":\"A邀请你参加\""), "{html}");
}

#[test]
fn page_speaks_of_every_key_of_the_configuration_that_is_the_services_own() {
    let page = read("docs/jssdk.md");
    let (mut file, mut checked) = (String::new(), 0);
    // Without the marks of what is commented out.
    for line in read("config.toml").split_once("\n[jssdk]\n").unwrap().1.lines() {
        file.push_str(line.trim_start_matches("#: ").trim_start_matches('#'));
        file.push('\n');
    }
    for line in file.lines() {
        let Some((key, _)) = line.split_once(" = ") else { continue };
        if !key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            continue;
        }
        // As for every service: docs/messages.md.
        if ["daemon", "token_file", "token_credential", "token_env", "ca", "cert", "key"].contains(&key) {
            continue;
        }
        checked += 1;
        assert!(page.contains(key), "docs/jssdk.md says nothing of {key}");
    }
    assert!(checked > 8, "only {checked} keys were seen");
}
