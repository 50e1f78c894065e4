//! `zhongkong oauth …`: an administrator looks after users and keys of the login service's database.

use serde_json::Value;

use crate::messages_serve_support::command;
use crate::oauth_support::{KEYS, Stores, appid, openid, profile, seen};
use crate::support::process::Site;
use crate::support::ran::{Ran, ran};

/// A configuration whose login service has this database.
fn site(stores: &Stores) -> Site {
    let mut site = Site::classic("http://127.0.0.1:1");
    site.file("seal-keys", KEYS);
    site.section(
        "oauth",
        &format!(
            "daemon = \"unix:/run/zhongkong/grpc.sock\"\nbase_url = \"https://wx.example.com\"\ndatabase = \"{}\"\n\
             seal_keys_file = \"seal-keys\"\n",
            stores.file().display()
        ),
    );
    site.raw("[[oauth.account]]\nappid = \"wx1\"\npath = \"shop\"\n");
    site
}

async fn oauth(site: &Site, args: &[&str]) -> Ran {
    ran(command(site, &[&["oauth"], args].concat())).await
}

async fn json(site: &Site, args: &[&str]) -> Value {
    let done = oauth(site, &[args, &["--json"]].concat()).await;
    assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
    serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {}", done.stdout))
}

#[tokio::test]
async fn users_are_counted_exported_and_deleted_from_the_command_line() {
    let stores = Stores::sqlite().await;
    let site = site(&stores);
    let none = oauth(&site, &["users"]).await;
    assert!(none.stdout.contains("Nobody has logged in yet"), "{} {}", none.stdout, none.stderr);

    let mut hong = seen("wx1", "o-hong", Some("u-hong"));
    hong.profile = Some(profile("小红"));
    stores.users.seen(&hong).await.unwrap();
    stores.users.seen(&seen("wx2", "o-hong-2", Some("u-hong"))).await.unwrap();
    // More than one page of an export.
    for number in 0..1_203 {
        stores.users.seen(&seen("wx1", &format!("o{number}"), None)).await.unwrap();
    }
    let counts = json(&site, &["users"]).await;
    let of = |appid: &str| {
        let counts = counts.as_array().unwrap();
        counts.iter().find(|count| count["appid"] == appid).map(|count| count["users"].as_u64().unwrap())
    };
    assert_eq!((of("wx1"), of("wx2")), (Some(1_204), Some(1)));
    let one = oauth(&site, &["users", "wx1", "o-hong"]).await;
    assert!(one.stdout.contains("小红") && one.stdout.contains("u-hong"), "{} {}", one.stdout, one.stderr);

    let exported = oauth(&site, &["export"]).await;
    let lines: Vec<Value> = exported.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut openids: Vec<&str> = lines.iter().map(|line| line["openid"].as_str().unwrap()).collect();
    openids.sort_unstable();
    openids.dedup();
    assert_eq!((lines.len(), openids.len()), (1_205, 1_205));

    // Not without being asked, and nobody who is not there.
    let unasked = oauth(&site, &["delete", "wx1", "o-hong"]).await;
    assert_ne!(unasked.code, Some(0), "{}", unasked.stdout);
    assert!(stores.users.find(&appid("wx1"), &openid("o-hong")).await.unwrap().is_some());
    let stranger = oauth(&site, &["delete", "wx1", "o-nobody", "--yes"]).await;
    assert_eq!(stranger.code, Some(1), "{}", stranger.stderr);
    let deleted = json(&site, &["delete", "wx1", "o-hong", "--person", "--yes"]).await;
    assert_eq!(deleted["deleted"], 2);
    assert!(stores.users.find(&appid("wx1"), &openid("o-hong")).await.unwrap().is_none());
    assert!(stores.users.find(&appid("wx2"), &openid("o-hong-2")).await.unwrap().is_none());
}

#[tokio::test]
async fn keys_are_changed_and_what_is_kept_is_sealed_anew_with_the_first_one() {
    let stores = Stores::sqlite().await;
    let site = site(&stores);
    let mut hong = seen("wx1", "o-hong", None);
    hong.profile = Some(profile("小红"));
    stores.users.seen(&hong).await.unwrap();
    let first = json(&site, &["rotate-key"]).await;
    let second = json(&site, &["rotate-key"]).await;
    assert_ne!(first["kid"], second["kid"]);
    assert_eq!(second["dropped"], 0, "what was signed with the first one can still be checked");
    let third = json(&site, &["rotate-key", "--revoke"]).await;
    assert_eq!(third["dropped"], 2);

    // A new key on top, everything sealed with it, and the old ones can go.
    let newest = format!("2027:{}", "c5".repeat(32));
    site.file("seal-keys", &format!("{newest}\n{KEYS}"));
    let sealed = json(&site, &["reseal"]).await;
    assert_eq!((&sealed["profiles"], &sealed["keys"]), (&1.into(), &1.into()));
    site.file("seal-keys", &newest);
    let one = oauth(&site, &["users", "wx1", "o-hong"]).await;
    assert!(one.stdout.contains("小红"), "{} {}", one.stdout, one.stderr);
    assert!(!one.stderr.contains("c5c5"), "{}", one.stderr);
}

#[tokio::test]
async fn database_that_is_not_there_is_named_and_not_made() {
    let stores = Stores::sqlite().await;
    let site = site(&stores);
    let file = site.path("nowhere/oauth.db");
    let text = std::fs::read_to_string(site.write()).unwrap();
    let config = site.path("other.toml");
    let other = text.replace(&stores.file().display().to_string(), &file.display().to_string());
    std::fs::write(&config, other).unwrap();
    let mut command = site.command();
    command.arg("--config").arg(config).args(["oauth", "users"]);
    let done = ran(command).await;
    assert_ne!(done.code, Some(0), "{}", done.stdout);
    assert!(done.stderr.contains("nowhere/oauth.db"), "{}", done.stderr);
    assert!(!file.exists());
}
