//! config.toml in the root is documentation; these tests keep it true.
//!
//! Two forms of it are read: the *defaults*, where the lines `#key = …` lost their `#`, and
//! the *full* one, where the lines `#: key = …` lost theirs too.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::keys::known_keys;
use super::{Config, Environment, ServeConfig, Service, ServiceSet, restart_needed};

const FILE: &str = include_str!("../../config.toml");

fn defaults() -> String {
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_lowercase()) => rest,
        _ => line,
    };
    FILE.lines().map(line).fold(String::new(), |text, line| text + line + "\n")
}

/// An example of a key takes the place of its default.
fn full() -> String {
    let mut lines: Vec<&str> = Vec::new();
    let defaults = defaults();
    for line in defaults.lines() {
        let Some(example) = line.strip_prefix("#: ") else {
            lines.push(line);
            continue;
        };
        let key = example.split_once(" = ").map(|(key, _)| format!("{key} = "));
        let above = lines.last_mut().filter(|above| key.is_some_and(|key| above.starts_with(&key)));
        match above {
            Some(above) => *above = example,
            None => lines.push(example),
        }
    }
    lines.join("\n")
}

fn paths(value: &toml::Value, outer: &str, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if outer.is_empty() { key.clone() } else { format!("{outer}.{key}") };
                paths(value, &path, found);
                found.insert(path);
            }
        }
        toml::Value::Array(items) => items.iter().for_each(|item| paths(item, outer, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_mirror_stands_in_the_file_and_no_other() {
    let mut shown = BTreeSet::new();
    let full: toml::Table = full().parse().unwrap();
    paths(&full.into(), "", &mut shown);
    let known = known_keys();
    // The mirror tells its keys down to the parameters of a layout.
    for key in ["daemon.log.filter", "account.tickets", "memcached.layouts.preset", "client.not_after"] {
        assert!(known.contains(key), "{key} is not among {known:?}");
    }
    let missing: Vec<_> = known.difference(&shown).collect();
    assert!(missing.is_empty(), "config.toml does not show {missing:?}");
    let strange: Vec<_> = shown.difference(&known).collect();
    assert!(strange.is_empty(), "config.toml shows {strange:?}, which nothing reads");
}

#[test]
fn what_the_file_shows_as_default_is_the_default() {
    let env = Environment::default();
    let load = |text: &str| Config::check(text, Path::new("/etc/zhongkong"), &env).unwrap();
    let (shown, real) = (load(&defaults()), load(""));
    assert_eq!(restart_needed(&real.config, &shown.config), Vec::<&str>::new());
    assert_eq!(shown.config.daemon.grace, real.config.daemon.grace);
    assert_eq!(shown.config.admin, real.config.admin);
    assert_eq!(shown.warnings.len(), 1, "{:?}", shown.warnings);
    // The comparison above compares: a file with another value is seen.
    let other = load(&defaults().replace("\"3s\"", "\"4s\""));
    assert_eq!(restart_needed(&real.config, &other.config), ["wechat.connect_timeout"]);
}

/// Of three ways to name the seal keys and the bearer token the file shows all, and a process
/// takes one. With a certificate it takes https.
fn one_source_each(etc: &Path) -> String {
    let others = [
        "seal_keys_credential",
        "seal_keys_env",
        "token_credential = \"messages-token\"",
        "token_credential = \"jssdk-token\"",
        "token_env = \"ZHONGKONG_JSSDK_TOKEN\"",
        "token_env = \"ZHONGKONG_MESSAGES_TOKEN\"",
        "token_credential = \"oauth-token\"",
        "token_env = \"ZHONGKONG_OAUTH_TOKEN\"",
        "database = ",
        "database_url_credential",
        "database_url_env",
        "events_secret_credential",
        "events_secret_env",
    ];
    let one = |line: &&str| !others.iter().any(|other| line.starts_with(other));
    let full = full();
    let full: Vec<_> = full.lines().filter(one).collect();
    full.join("\n")
        .replace("/etc/zhongkong/", &format!("{}/", etc.display()))
        .replace("daemon = \"unix:/run/zhongkong/grpc.sock\"", "daemon = \"https://127.0.0.1:7780\"")
}

#[test]
fn the_file_as_it_stands_and_with_every_example_is_valid() {
    let etc = tempfile::tempdir().unwrap();
    let secret = "0123456789abcdef0123456789abcdef\n";
    let write = |name: &str, text: &str| {
        let path = etc.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    for name in ["secrets/shop", "secrets/seal-keys", "credentials/club"] {
        write(name, secret);
    }
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write("tls/cert.pem", &pair.cert.pem());
    write("tls/client-ca.pem", &pair.cert.pem());
    write("tls/key.pem", &pair.signing_key.serialize_pem());
    let credentials = etc.path().join("credentials");
    let env = Environment::from_iter([
        ("SANDBOX_APPSECRET", secret),
        ("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap()),
    ]);

    let as_it_stands = Config::check(FILE, etc.path(), &env).unwrap();
    assert!(as_it_stands.config.accounts.is_empty());

    let full = one_source_each(etc.path());
    let loaded = Config::check(&full, etc.path(), &env).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.accounts.len(), 3);
    assert_eq!(loaded.config.grpc.clients.len(), 1);
    assert!(loaded.config.grpc.tls.is_some());
}

#[test]
fn the_services_read_the_same_file_with_every_example_and_none_of_the_daemons_secrets() {
    let etc = tempfile::tempdir().unwrap();
    let key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG\n";
    let old = "bbcdefghijklmnopqrstuvwxyz0123456789ABCDEFG\n";
    let write = |name: &str, text: &str| {
        let path = etc.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("secrets/messages-token", "a-bearer-token\n");
    write("secrets/oauth-token", "another-bearer-token\n");
    write("secrets/oauth-database-url", "postgres://zhongkong:password@db.example.com/oauth\n");
    write("secrets/oauth-seal-keys", &format!("2026:{}\n", "0123456789abcdef".repeat(4)));
    write("secrets/oauth-events", "0123456789abcdef0123456789abcdef");
    write("secrets/jssdk-token", "a-third-bearer-token\n");
    write("secrets/business-events", "0123456789abcdef0123456789abcdef");
    write("secrets/business-database", "postgres://zhongkong:password@db.example.com/business\n");
    for (name, text) in [("token", "AAAAA"), ("aes-key", key), ("aes-key.old", old)] {
        write(&format!("secrets/shop-{name}"), text);
    }
    for (name, text) in [("token", "AAAAA"), ("aes-key", key), ("aes-key-old", old)] {
        write(&format!("credentials/club-{name}"), text);
    }
    write("credentials/orders", "0123456789abcdef0123456789abcdef");
    write("secrets/crm", "0123456789abcdef0123456789abcdef");
    write("tls/ca.pem", "-----BEGIN CERTIFICATE-----");
    let pair = rcgen::generate_simple_self_signed(["messages".to_owned()]).unwrap();
    for service in Service::ALL {
        write(&format!("tls/{service}.pem"), &pair.cert.pem());
        write(&format!("tls/{service}.key"), &pair.signing_key.serialize_pem());
    }
    let credentials = etc.path().join("credentials");
    let env = Environment::from_iter([
        ("SANDBOX_TOKEN", "AAAAA"),
        ("SANDBOX_AES_KEY", key),
        ("SANDBOX_AES_KEY_OLD", old),
        ("TRIAL_SECRET", "0123456789abcdef0123456789abcdef"),
        ("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap()),
    ]);
    let all = ServiceSet::from(Service::ALL);
    let load = |text: &str| ServeConfig::check(text, etc.path(), &env, &all).unwrap();
    let loaded = load(&one_source_each(etc.path()));
    assert_eq!(loaded.warnings, []);
    let messages = loaded.config.messages.as_ref().unwrap();
    assert_eq!(messages.accounts.len(), 3);
    assert_eq!(messages.forwards.len(), 3);
    assert!(messages.accounts.iter().all(|account| account.previous_aes_key.is_some()));
    assert_eq!(loaded.config.verify_files[0].content(), "0123456789abcdef");
    let oauth = loaded.config.oauth.as_ref().unwrap();
    assert_eq!((oauth.site.accounts().len(), oauth.site.apps().len()), (1, 1));
    assert!(oauth.events_secret.is_some() && oauth.seal.active().is_some());

    assert_eq!(loaded.config.jssdk.as_ref().unwrap().accounts.len(), 2);
    let business = loaded.config.business.as_ref().unwrap();
    assert!(business.daemon.credentials.ca.is_some() && business.database.is_sound());
    assert!(business.events_secret.is_some());

    // What it shows as defaults are the defaults, beside what has none.
    let needed = "[oauth]\nbase_url = \"https://wx.example.com\"\n\
                  seal_keys_file = \"secrets/oauth-seal-keys\"\n";
    let shown = load(&defaults().replace("[oauth]\n", needed)).config;
    let real = load(&format!("[messages]\n[jssdk]\n[business]\n{needed}")).config;
    assert_eq!(shown.restart_needed(&real), Vec::<&str>::new());
    assert_eq!(shown.serve, real.serve);
    let own = |config: &ServeConfig| {
        let jssdk = config.jssdk.as_ref().unwrap();
        (jssdk.pages.clone(), jssdk.preview, jssdk.rate_limit)
    };
    assert_eq!(own(&shown), own(&real));
    let window = |config: ServeConfig| config.messages.unwrap().replay_window;
    assert_eq!(window(shown), window(real));
}
