//! What the login service would serve.

use crate::launch::services::oauth::{CheckedOAuth, ServedAccount, ServedApp};

/// A line for each store, account and application.
pub(super) fn lines(checked: &CheckedOAuth) -> Vec<String> {
    let CheckedOAuth { base_url: _, database, sessions, debug_login, accounts, apps } = checked;
    let mut lines = vec![format!("users in {database}, sessions in {}", sessions.join(", "))];
    if *debug_login {
        lines.push("DEBUG LOGIN IS ON: people are made up".to_owned());
    }
    for ServedAccount { login, callback, appid } in accounts {
        lines.push(format!("account {appid}: {login}, comes back to {callback}"));
    }
    for ServedApp { name, origins, scope, assertion, accounts } in apps {
        let whose = accounts.as_ref().map_or("all accounts".to_owned(), |paths| paths.join(", "));
        let origins = origins.join(", ");
        lines.push(format!("application {name}: {origins} with {whose}, {scope}, assertion {assertion}"));
    }
    lines
}
