//! `[oauth]` as the service reads it, with its secrets, and what a reload can change of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;
use zhongkong::config::serve::LoadedServe;
use zhongkong::config::{ConfigError, Environment, ServeConfig, Service, ServiceSet};
use zhongkong::services::database::Place;
use zhongkong::services::oauth::account::{AssertionMode, Scope};

const KEYS: &str = "2026:a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf";
const WELL: &str = "base_url = \"https://wx.example.com\"\nseal_keys_env = \"KEYS\"\n\
    [[oauth.account]]\nappid = \"wx1\"\npath = \"shop\"\n";

struct Etc(TempDir);

impl Etc {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn secret(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn load(&self, section: &str) -> Result<LoadedServe, Vec<String>> {
        let path: PathBuf = self.0.path().join("config.toml");
        fs::write(&path, format!("[oauth]\n{section}")).unwrap();
        let env = Environment::from_iter([
            ("KEYS", KEYS),
            ("NO_KEYS", "# none yet"),
            ("SECRET", "0123456789abcdef"),
            ("BAD_KEYS", "2026:abc"),
            ("URL", "postgres://zhongkong:s3cret-password@db.example.com:5433/oauth"),
            ("NO_URL", "mysql://zhongkong:s3cret-password@db.example.com/oauth"),
        ]);
        match ServeConfig::load(&path, &env, &ServiceSet::from([Service::OAuth])) {
            Ok(loaded) => Ok(loaded),
            Err(ConfigError::Invalid { problems, .. }) => {
                Err(problems.iter().map(ToString::to_string).collect())
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn the_smallest_section_keeps_everything_in_a_file_of_the_units() {
    let config = Etc::new().load(WELL).unwrap().config.oauth.unwrap();
    assert_eq!(config.database, Place::Sqlite("/var/lib/zhongkong-oauth/oauth.db".into()));
    assert_eq!(config.authorize_base.as_str(), "https://open.weixin.qq.com");
    assert_eq!(config.session_idle.as_secs(), 7 * 86_400);
    assert_eq!(config.events_secret, None);
    assert_eq!(
        config.site.callback(&config.site.accounts()[0]),
        "https://wx.example.com/oauth/shop/callback"
    );
}

#[test]
fn an_application_asks_for_as_little_as_it_can_unless_it_is_told() {
    let etc = Etc::new();
    let app = format!("{WELL}[[oauth.app]]\nname = \"h5\"\norigins = \"https://h5.example.com\"\n");
    let config = etc.load(&app).unwrap().config.oauth.unwrap();
    let h5 = &config.site.apps()[0];
    assert_eq!((h5.scope, h5.assertion, &h5.accounts), (Scope::Base, AssertionMode::None, &None));
}

#[test]
fn keys_and_addresses_are_checked_and_never_repeated() {
    let etc = Etc::new();
    for (section, words) in [
        (WELL.replace("\"KEYS\"", "\"NO_KEYS\""), "has no key in it"),
        (WELL.replace("\"KEYS\"", "\"BAD_KEYS\""), "seal key `2026` is not 64 hex digits"),
        (format!("database_url_env = \"NO_URL\"\n{WELL}"), "no address of a PostgreSQL"),
    ] {
        let said = etc.load(&section).unwrap_err();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains(words), "{said:?}");
        assert!(!said[0].contains("s3cret-password") && !said[0].contains("abc"), "{said:?}");
    }
    let loaded = etc.load(&format!("database_url_env = \"URL\"\n{WELL}")).unwrap();
    let shown = format!("{:?}", loaded.config);
    assert!(!shown.contains("s3cret-password") && !shown.contains("a0a1"), "{shown}");
}

#[test]
fn accounts_applications_and_the_secret_of_events_change_live_and_stores_do_not() {
    let etc = Etc::new();
    etc.secret("events", "0123456789abcdef");
    let load = |section: &str| etc.load(section).unwrap().config;
    let old = load(WELL);
    let needed = |section: &str| old.restart_needed(&load(section));
    assert!(needed(&WELL.replace("shop", "club")).is_empty());
    assert!(needed(&format!("events_secret_file = \"events\"\n{WELL}")).is_empty());
    assert!(
        needed(&format!("{WELL}[[oauth.app]]\nname = \"a\"\norigins = \"https://a.example\"\n")).is_empty()
    );
    for (section, key) in [
        (format!("database = \"other.db\"\n{WELL}"), "oauth.database"),
        (format!("database_url_env = \"URL\"\n{WELL}"), "oauth.database"),
        (format!("sessions = \"memcached\"\nmemcached = \"127.0.0.1:11211\"\n{WELL}"), "oauth.sessions"),
        (format!("session_idle = \"1h\"\n{WELL}"), "oauth.session_idle"),
        (format!("session_life = \"20d\"\n{WELL}"), "oauth.session_life"),
        (format!("assertion_life = \"2m\"\n{WELL}"), "oauth.assertion_life"),
        (WELL.replace("wx.example", "wy.example"), "oauth.base_url"),
        (format!("daemon = \"unix:/run/other.sock\"\n{WELL}"), "oauth.daemon"),
    ] {
        assert_eq!(needed(&section), [key]);
    }
    // A debug login is for nobody but whoever develops.
    let local = WELL.replace("https://wx.example.com", "http://127.0.0.1:7790");
    let config = etc.load(&format!("debug_login = true\n{local}")).unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
}
