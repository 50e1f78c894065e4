//! What the message service would serve.

use crate::launch::services::messages::{CheckedMessages, ServedAccount, ServedProgram, ServedRule};

/// A line for each account, rule and program.
pub(super) fn lines(checked: &CheckedMessages) -> Vec<String> {
    let CheckedMessages { accounts, rules_file, rules, programs } = checked;
    let mut lines = Vec::new();
    for ServedAccount { path, appid, mode, forward } in accounts {
        let who = match (rules_file, forward) {
            (Some(_), Some(program)) => format!("the rules, then {program}"),
            (Some(_), None) => "the rules".to_owned(),
            (None, Some(program)) => program.clone(),
            (None, None) => "nobody".to_owned(),
        };
        lines.push(format!("account {path} ({appid}, {mode} mode): answered by {who}"));
    }
    if let Some(file) = rules_file {
        let file = file.display();
        lines.extend(rules.iter().map(|ServedRule { line, name }| format!("{name} ({file}:{line})")));
    }
    lines.extend(programs.iter().map(|ServedProgram { name, url }| format!("program {name}: {url}")));
    lines
}
