//! What the JS-SDK service would serve.

use crate::launch::services::jssdk::{CheckedJssdk, SignedAccount};

/// A line for each account and page.
pub(super) fn lines(checked: &CheckedJssdk) -> Vec<String> {
    let CheckedJssdk { accounts, pages_directory, pages, preview } = checked;
    let mut lines = Vec::new();
    for SignedAccount { path, appid, hosts, origins, cards } in accounts {
        let mut line = format!("account {path} ({appid}): pages of {}", hosts.join(", "));
        if !origins.is_empty() {
            line = format!("{line}; asked by {}", origins.join(", "));
        }
        if *cards > 0 {
            line.push_str("; signs cards");
        }
        lines.push(line);
    }
    if let Some(directory) = pages_directory {
        let directory = directory.display();
        let kind = if *preview { "preview" } else { "page" };
        lines.extend(pages.iter().map(|name| format!("{kind} {name} ({directory}/{name}.html)")));
    }
    lines
}
