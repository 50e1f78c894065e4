//! Starts that must fail: each names the thing, the rule and the fix, and no secret.

use std::os::unix::fs::PermissionsExt as _;

use super::support::frozen::Guard;
use super::support::process::{SECRET, Site, shown};

/// No upstream call is made by a start that fails.
const NOWHERE: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn an_unknown_key_is_refused_with_its_line_and_the_nearest_right_one() {
    // A misspelt key must not be silently a default.
    let _guard = Guard::start();
    let mut site = Site::classic(NOWHERE);
    site.section("daemon", "state_dir = \"state\"\ngrace_ = \"3s\"");
    let ran = site.fails().await;
    ran.expect(2, &["config.toml is not valid", "line ", "daemon.grace_", "grace"]);
}
