//! The configuration: what a file becomes, where secrets come from, what is never repeated.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zhongkong::access::{Action, Identity, Scope};
use zhongkong::admin::Audience;
use zhongkong::clock::WallTime;
use zhongkong::config::new_client::{new_client, token_sha256};
use zhongkong::config::{Config, ConfigError, Environment, Loaded, restart_needed};
use zhongkong::model::{Fingerprint, Kind, TokenMode};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A directory for a configuration and what it names.
struct Etc(tempfile::TempDir);

impl Etc {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn load_with(&self, text: &str, env: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let path = self.write("config.toml", text, 0o644);
        Config::load(&path, &env.iter().copied().collect())
    }

    fn load(&self, text: &str) -> Result<Loaded, ConfigError> {
        self.load_with(text, &[("APPSECRET", SECRET)])
    }

    /// The problems of a file that must be refused, one text a problem.
    fn problems(&self, text: &str, env: &[(&str, &str)]) -> Vec<String> {
        match self.load_with(text, env) {
            Err(ConfigError::Invalid { problems, .. }) => problems.iter().map(ToString::to_string).collect(),
            other => panic!("the file was not refused as invalid: {other:?}"),
        }
    }
}

fn account(source: &str) -> String {
    format!("[[account]]\nappid = \"wx0123456789abcdef\"\n{source}\n")
}

#[test]
fn an_empty_file_gives_the_defaults_and_a_warning_that_there_is_nothing_to_do() {
    let Loaded { config, warnings } = Etc::new().load_with("", &[]).unwrap();
    assert_eq!(config.daemon.state_dir, Path::new("/var/lib/zhongkong"));
    assert_eq!(config.wechat.api_base.as_str(), "https://api.weixin.qq.com/");
    assert_eq!(format!("{:?}", config.grpc.listen), "[Tcp(127.0.0.1:7780)]");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:7781");
    assert!(config.mirror.servers.is_empty() && config.accounts.is_empty());
    let said: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["there is no [[account]]: the daemon will run and have nothing to do"]);
}

#[test]
fn whoever_the_network_lets_in_signs_in_to_see_the_status_page_unless_told_otherwise() {
    let view = |admin: &str| Etc::new().load(&format!("[admin]\n{admin}")).unwrap().config.admin.page.view;
    assert_eq!(view(""), Audience::Anyone);
    // A proxy on this machine has the network behind it.
    assert_eq!(view("hosts = [\"status.example.com\"]"), Audience::Clients);
    assert_eq!(view("listen = \"0.0.0.0:7781\"\ninsecure = true"), Audience::Clients);
    assert_eq!(view("hosts = [\"status.example.com\"]\nview = \"anyone\""), Audience::Anyone);
}

#[test]
fn an_account_and_its_clients_become_settings() {
    let text = fs::read_to_string("tests/config/good/clients.toml").unwrap();
    let Loaded { config, warnings } = Etc::new().load(&text).unwrap();
    // Two of the clients prove themselves in ways that the one default listener cannot ask for.
    let keys: Vec<_> = warnings.iter().map(|warning| warning.key.as_str()).collect();
    assert_eq!(keys, ["client[1].uid", "client[2].certificate", "client[2].certificate"]);
    let [account] = &config.accounts[..] else { panic!("{:?}", config.accounts) };
    assert_eq!(account.secret.expose(), SECRET);
    assert_eq!(account.token_mode, TokenMode::Stable);
    assert_eq!((account.tickets.as_slice(), account.daily_calls), (&[Kind::JsapiTicket][..], 2000));

    let [by_token, by_uid, by_certificate] = &config.grpc.clients[..] else { panic!("three clients") };
    assert_eq!(by_token.identities.len(), 2);
    let Identity::TokenSha256(hash) = &by_token.identities[0] else { panic!("{by_token:?}") };
    assert_eq!(hash[..4], [0xba, 0x78, 0x16, 0xbf]);
    assert_eq!(by_token.grants.accounts, Scope::Only([account.appid.clone()].into()));
    assert_eq!(by_token.grants.kinds, Scope::Only([Kind::AccessToken, Kind::JsapiTicket].into()));
    assert_eq!(by_token.grants.actions.len(), 7);
    // Bare and quoted, with one offset and another: the same instant.
    assert_eq!(by_token.not_after, Some(WallTime(1_801_324_800_000)));
    assert_eq!(by_uid.not_after, by_token.not_after);
    assert_eq!(by_uid.identities, [Identity::Uid(0)]);
    assert_eq!((&by_uid.grants.accounts, &by_uid.grants.kinds), (&Scope::All, &Scope::All));
    assert_eq!(by_uid.grants.actions, [Action::Status].into());
    let names = ["0", "spiffe://example.test/web"].map(|name| Identity::Certificate(name.to_owned()));
    assert_eq!(by_certificate.identities, names);
}

#[test]
fn a_secret_file_is_trimmed_and_found_beside_the_configuration() {
    let etc = Etc::new();
    etc.write("shop", &format!("  {SECRET}\r\n"), 0o600);
    let loaded = etc.load(&account("secret_file = \"shop\"")).unwrap();
    assert_eq!(loaded.config.accounts[0].secret.expose(), SECRET);
    assert_eq!(loaded.warnings, []);
}

#[test]
fn a_secret_file_that_others_can_read_is_refused_with_the_chmod_to_run() {
    let etc = Etc::new();
    for mode in [0o640, 0o604, 0o644, 0o660, 0o620, 0o601] {
        let path = etc.write("shop", SECRET, mode);
        let problems = etc.problems(&account("secret_file = \"shop\""), &[]);
        let fix = format!("run `chmod 600 {}`", path.display());
        assert!(problems.len() == 1 && problems[0].contains(&fix), "mode {mode:o}: {problems:?}");
    }
    for mode in [0o600, 0o400] {
        etc.write("shop", SECRET, mode);
        etc.load(&account("secret_file = \"shop\"")).unwrap();
    }
}

#[test]
fn a_secret_file_that_is_none_is_said_to_be_none() {
    let etc = Etc::new();
    etc.write("blank", " \n\t", 0o600);
    etc.write("huge", &"x".repeat(300 * 1024), 0o600);
    fs::create_dir(etc.0.path().join("directory")).unwrap();
    fs::write(etc.0.path().join("binary"), [0xff, 0xfe]).unwrap();
    fs::set_permissions(etc.0.path().join("binary"), fs::Permissions::from_mode(0o600)).unwrap();
    let cases = [
        ("missing", "there is no file"),
        ("blank", "the secret there is empty"),
        ("huge", "is larger than 256 KiB"),
        ("directory", "is not a regular file"),
        ("binary", "as text"),
    ];
    for (file, words) in cases {
        let problems = etc.problems(&account(&format!("secret_file = \"{file}\"")), &[]);
        assert!(problems.len() == 1 && problems[0].contains(words), "{file}: {problems:?}");
    }
}

#[test]
fn a_systemd_credential_is_read_from_the_directory_that_systemd_names() {
    // systemd gives a credential to the unit's user by an access list: mode 0440.
    let etc = Etc::new();
    etc.write("shop-secret", SECRET, 0o440);
    let directory = etc.0.path().to_str().unwrap().to_owned();
    let env = [("CREDENTIALS_DIRECTORY", directory.as_str())];
    let text = account("secret_credential = \"shop-secret\"");
    assert_eq!(etc.load_with(&text, &env).unwrap().config.accounts[0].secret.expose(), SECRET);
    etc.write("shop-secret", SECRET, 0o444);
    assert!(etc.problems(&text, &env)[0].contains("chmod 600"));
}

#[test]
fn a_secret_of_another_shape_is_taken_with_a_warning() {
    let loaded = Etc::new().load_with(&account("secret_env = \"S\""), &[("S", "not-hex")]).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    let said = loaded.warnings[0].to_string();
    assert!(said.starts_with("line 1: account[0]: ") && !said.contains("not-hex"), "{said}");
}

#[test]
fn a_secret_written_into_any_line_of_the_file_is_never_repeated() {
    // Somebody pastes the AppSecret where it does not belong: as the value of any key, with
    // quotes or without, in a list, as a name, in a line that is no TOML.
    let etc = Etc::new();
    let example = fs::read_to_string("config.toml").unwrap();
    let lines: Vec<_> = example.lines().map(|line| line.trim_start_matches(['#', ':']).trim()).collect();
    let is_key = |line: &&str| {
        line.split_once(" = ").is_some_and(|(key, _)| {
            key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
        })
    };
    let mut section = "";
    let mut refused = 0;
    for line in lines {
        if line.starts_with('[') {
            section = line;
        }
        if !is_key(&line) {
            continue;
        }
        let key = line.split_once(" = ").unwrap().0;
        let forms = [
            format!("{key} = \"{SECRET}\""),
            format!("{key} = [\"{SECRET}\"]"),
            format!("{key} = {{ {key} = \"{SECRET}\" }}"),
            format!("{key} = {SECRET}"),
            format!("{key} = \"{SECRET}"),
            format!("{key} \"{SECRET}\""),
            format!("{key} = \"https://a:{SECRET}@b/{SECRET}?{SECRET}\""),
            format!("{key} = \"{SECRET}:{SECRET}\""),
        ];
        for form in forms {
            let said = match etc.load(&format!("{section}\n{form}\n")) {
                Ok(loaded) => format!("{:?}", loaded.warnings),
                Err(error) => {
                    refused += 1;
                    format!("{error} {error:?}")
                }
            };
            assert!(!said.contains(SECRET), "{section} {form}: {said}");
        }
    }
    assert!(refused > 100, "only {refused} files were refused");
}

#[test]
fn a_loaded_configuration_shows_no_secret_in_its_debug_text() {
    let text = account("secret_env = \"APPSECRET\"") + "[daemon]\nseal_keys_env = \"APPSECRET\"\n";
    let loaded = Etc::new().load(&text).unwrap();
    let shown = format!("{loaded:?}");
    assert!(shown.contains("wx0123456789abcdef") && !shown.contains(SECRET), "{shown}");
}

#[test]
fn a_certificate_and_its_key_are_tried_before_a_listener_uses_them() {
    let etc = Etc::new();
    let one = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let two = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    etc.write("cert.pem", &one.cert.pem(), 0o644);
    etc.write("key.pem", &one.signing_key.serialize_pem(), 0o600);
    etc.write("other.pem", &two.signing_key.serialize_pem(), 0o600);
    let text = |cert: &str, key: &str, ca: &str| {
        format!(
            "[grpc]\nlisten = \"0.0.0.0:7780\"\n[grpc.tls]\ncert = \"{cert}\"\nkey = \"{key}\"\nclient_ca = \"{ca}\"\n"
        )
    };
    let good = text("cert.pem", "key.pem", "cert.pem");
    let tls = etc.load(&good).unwrap().config.grpc.tls.unwrap();
    assert_eq!(tls.cert, one.cert.pem().into_bytes());
    assert!(tls.client_ca.is_some());

    let cases = [
        (text("cert.pem", "other.pem", "cert.pem"), "grpc.tls.key: this is not the key of the certificate"),
        (text("key.pem", "key.pem", "cert.pem"), "grpc.tls.cert: "),
        (text("cert.pem", "cert.pem", "cert.pem"), "grpc.tls.key: "),
        (text("cert.pem", "key.pem", "config.toml"), "grpc.tls.client_ca: "),
    ];
    for (text, words) in cases {
        let problems = etc.problems(&text, &[]);
        assert!(problems.iter().any(|problem| problem.contains(words)), "{words}: {problems:?}");
    }
    etc.write("key.pem", &one.signing_key.serialize_pem(), 0o640);
    let problems = etc.problems(&good, &[]);
    assert!(problems.len() == 1 && problems[0].contains("chmod 600"), "{problems:?}");
}

#[test]
fn a_grant_for_an_account_that_does_not_exist_is_a_warning() {
    let text = account("secret_env = \"APPSECRET\"")
        + "[[client]]\nname = \"web\"\nuid = 1\naccounts = [\"wx0123456789abcdeg\"]\nactions = [\"read\"]\n"
        + "[grpc]\nlisten = \"unix:/run/zhongkong.sock\"\n";
    let warnings = Etc::new().load(&text).unwrap().warnings;
    let said: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["line 7: client[0].accounts: no [[account]] has the appid wx0123456789abcdeg"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_cause_as_source() {
    let error = Config::load(Path::new("/no/such/config.toml"), &Environment::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the configuration /no/such/config.toml");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn zhongkong_log_wins_over_the_file_and_a_wrong_one_is_ignored_aloud() {
    let etc = Etc::new();
    let text = "[daemon.log]\nfilter = \"warn\"\n";
    let filter = |env: &[(&str, &str)]| etc.load_with(text, env).unwrap();
    assert_eq!(filter(&[]).config.daemon.log.filter, "warn");
    assert_eq!(filter(&[("ZHONGKONG_LOG", "debug")]).config.daemon.log.filter, "debug");
    let ignored = filter(&[("ZHONGKONG_LOG", "loud")]);
    assert_eq!((ignored.config.daemon.log.filter.as_str(), ignored.warnings.len()), ("warn", 2));
}

#[test]
fn the_stanza_of_a_new_client_lets_its_token_in() {
    for name in ["web", "we\"b\\ 客户"] {
        let made = new_client(name);
        let config = Etc::new().load(&made.stanza).unwrap().config;
        let [client] = &config.grpc.clients[..] else { panic!("one client") };
        assert_eq!(client.name, name);
        let [Identity::TokenSha256(hash)] = &client.identities[..] else { panic!("one token") };
        assert_eq!(
            Fingerprint::of(&made.token).to_string(),
            format!("{:016x}", u64::from_be_bytes(hash[..8].try_into().unwrap()))
        );
        assert!(made.stanza.contains(&token_sha256(&made.token)));
        assert!(!made.stanza.contains(made.token.expose()));
    }
}

#[test]
fn a_reload_names_the_keys_that_it_cannot_change_and_no_others() {
    let etc = Etc::new();
    let load = |text: &str| etc.load(text).unwrap().config;
    let old = load("[grpc]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n");
    let live = account("secret_env = \"APPSECRET\"")
        + "[daemon]\ngrace = \"1m\"\n[grpc]\nlisten = [\"127.0.0.1:2\", \"127.0.0.1:1\"]\n";
    assert_eq!(restart_needed(&old, &load(&live)), Vec::<&str>::new());
    let other = "[daemon]\nstate_dir = \"elsewhere\"\n[grpc]\nlisten = \"127.0.0.1:1\"\n[memcached]\nservers = \"cache:11211\"\n";
    assert_eq!(restart_needed(&old, &load(other)), ["daemon.state_dir", "grpc.listen", "memcached.servers"]);
    assert_eq!(old.daemon.grace, Duration::from_secs(15));
}

#[test]
fn every_key_that_needs_a_restart_is_named_when_it_changes() {
    let etc = Etc::new();
    let pair = |name: &str| {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        etc.write(&format!("{name}.cert"), &made.cert.pem(), 0o644);
        etc.write(&format!("{name}.key"), &made.signing_key.serialize_pem(), 0o600);
        format!("[grpc.tls]\ncert = \"{name}.cert\"\nkey = \"{name}.key\"\n")
    };
    let (one, two) = (pair("one"), pair("two"));
    let load = |text: &str| etc.load(text).unwrap().config;
    let cases = [
        ("daemon.state_dir", "[daemon]\nstate_dir = \"/x\""),
        ("daemon.pid_file", "[daemon]\npid_file = \"/x\""),
        ("daemon.user", "[daemon]\nuser = \"zhongkong\""),
        ("daemon.ledger_max_size", "[daemon]\nledger_max_size = \"1MiB\""),
        ("daemon.seal_keys", "[daemon]\nseal_keys_env = \"APPSECRET\""),
        ("daemon.log.format", "[daemon.log]\nformat = \"json\""),
        ("daemon.log.file", "[daemon.log]\nfile = \"/x\""),
        ("daemon.log.max_size", "[daemon.log]\nmax_size = \"1MiB\""),
        ("daemon.log.max_age", "[daemon.log]\nmax_age = \"1d\""),
        ("daemon.log.keep", "[daemon.log]\nkeep = 1"),
        ("wechat.api_base", "[wechat]\napi_base = \"https://api2.weixin.qq.com\""),
        ("wechat.connect_timeout", "[wechat]\nconnect_timeout = \"1s\""),
        ("wechat.timeout", "[wechat]\ntimeout = \"11s\""),
        ("wechat.proxy", "[wechat]\nproxy = \"http://127.0.0.1:3128\""),
        ("grpc.listen", "[grpc]\nlisten = \"127.0.0.1:1\""),
        ("grpc.tls", one.as_str()),
        ("admin.listen", "[admin]\nlisten = \"127.0.0.1:1\""),
        ("memcached.servers", "[memcached]\nservers = \"cache:11211\""),
        ("memcached.layouts", "[memcached]\nlayouts = [\"raw\"]"),
        ("memcached.timeout", "[memcached]\ntimeout = \"2s\""),
    ];
    let default = load("");
    for (key, text) in cases {
        assert_eq!(restart_needed(&default, &load(text)), [key]);
    }
    // Another certificate for the same listener is what a renewal is: it changes live.
    assert_eq!(restart_needed(&load(&one), &load(&two)), Vec::<&str>::new());
}
