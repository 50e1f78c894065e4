//! `[serve]` and `[messages]`: what they become, who may read which secret, what is never repeated.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zhongkong::config::messages::MessagesSettings;
use zhongkong::config::serve::LoadedServe;
use zhongkong::config::{Config, ConfigError, Environment, ServeConfig, Service, ServiceSet};
use zhongkong::services::messages::envelope::Mode;

const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const ENV: [(&str, &str); 4] = [
    ("TOKEN", "pamtest"),
    ("AES_KEY", KEY),
    ("OLD_KEY", "bbcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"),
    ("HMAC", "0123456789abcdef0123456789abcdef"),
];

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn load(text: &str) -> Result<LoadedServe, ConfigError> {
    let (_dir, path) = file(text);
    served(&path, &Environment::from_iter(ENV))
}

/// As `serve messages` reads it.
fn served(path: &Path, env: &Environment) -> Result<LoadedServe, ConfigError> {
    ServeConfig::load(path, env, &ServiceSet::from([Service::Messages]))
}

fn messages(loaded: LoadedServe) -> MessagesSettings {
    loaded.config.messages.unwrap()
}

fn problems(text: &str) -> Vec<String> {
    match load(text) {
        Err(ConfigError::Invalid { problems, .. }) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("the file was not refused: {other:?}"),
    }
}

fn account(more: &str) -> String {
    format!("[[messages.account]]\nappid = \"wxb11529c136998cb6\"\ntoken_env = \"TOKEN\"\n{more}\n")
}

fn safe(more: &str) -> String {
    account(&format!("aes_key_env = \"AES_KEY\"\n{more}"))
}

#[test]
fn an_account_without_more_is_safe_and_is_called_by_its_appid() {
    let LoadedServe { config, warnings } = load(&safe("")).unwrap();
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.to_string().contains("messages.account[0]: nobody answers its messages"), "{warning}");
    assert_eq!(config.serve.listen.to_string(), "127.0.0.1:7790");
    assert_eq!(config.serve.admin.to_string(), "127.0.0.1:7791");
    let messages = config.messages.unwrap();
    assert_eq!(messages.daemon.addr, "unix:/run/zhongkong/grpc.sock");
    assert_eq!(messages.deadline, Duration::from_millis(4_500));
    assert_eq!(messages.replay_window, Duration::from_secs(600));
    assert!(messages.rules.is_none() && messages.log.is_none() && messages.forwards.is_empty());
    let [account] = messages.accounts.as_slice() else { panic!("one account") };
    assert_eq!(account.account.path, "wxb11529c136998cb6");
    assert_eq!(account.receive_id, "wxb11529c136998cb6");
    assert_eq!(account.mode, Mode::Safe);
    assert!(account.token == "pamtest".into());
}

#[test]
fn the_daemon_opens_no_secret_of_the_messages_and_the_service_none_of_the_daemons() {
    // One file; each process may read its own secrets, and dies of nothing that it may not see.
    let (dir, path) = file(
        "[[account]]\nappid = \"wx1\"\nsecret_file = \"daemon-only\"\n[messages]\ntoken_file = \"service-only\"\n\
         [[messages.account]]\nappid = \"wx1\"\ntoken_file = \"service-only\"\naes_key_file = \"service-key\"\n\
         [[messages.forward]]\nname = \"crm\"\nurl = \"http://127.0.0.1:1/\"\nsecret_credential = \"crm\"\n",
    );
    let write = |name: &str, text: &str| {
        fs::write(dir.path().join(name), text).unwrap();
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    // Only the daemon's are there.
    write("daemon-only", "0123456789abcdef0123456789abcdef");
    let env = Environment::default();
    let daemon = Config::load(&path, &env).unwrap();
    assert_eq!(daemon.warnings, []);
    let said = served(&path, &env).unwrap_err().to_string();
    assert!(said.contains("service-only") && said.contains("CREDENTIALS_DIRECTORY"), "{said}");
    assert!(!said.contains("daemon-only"), "{said}");

    // Only the service's are there.
    fs::remove_file(dir.path().join("daemon-only")).unwrap();
    write("service-only", "pamtest");
    write("service-key", KEY);
    write("crm", "0123456789abcdef");
    let env = Environment::from_iter([("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap())]);
    assert_eq!(messages(served(&path, &env).unwrap()).accounts.len(), 1);
    let said = Config::load(&path, &env).unwrap_err().to_string();
    assert!(said.contains("daemon-only") && !said.contains("service"), "{said}");
}

#[test]
fn a_service_that_is_not_asked_for_is_not_read_and_one_that_is_needs_its_section() {
    // Nothing that the section names exists, and its word is none.
    let (_dir, path) = file("[messages]\nrules = \"none\"\n[messages.log]\ncontent = \"all\"\n");
    let loaded = ServeConfig::load(&path, &Environment::default(), &ServiceSet::new()).unwrap();
    assert!(loaded.config.messages.is_none() && loaded.warnings.is_empty(), "{loaded:?}");
    served(&path, &Environment::default()).unwrap_err();
    // Its keys are those of the file, whoever reads it.
    let (_dir, path) = file("[messages]\nrulse = \"none\"\n");
    ServeConfig::load(&path, &Environment::default(), &ServiceSet::new()).unwrap_err();
    assert!(problems("[serve]\n")[0].contains("there is no [messages]"));
}

#[test]
fn the_daemon_finds_what_is_wrong_with_the_form_of_the_services_sections() {
    // `check-config`, as the daemon's user, sees all of the file but the services' secrets.
    let (_dir, path) = file(
        "[serve]\nlisten = \"0.0.0.0:80\"\n[messages]\nrule = \"x\"\n[[messages.account]]\nappid = \"wx1\"\n\
         verify_files = [\"../../etc/passwd\"]\ntoken_env = \"T\"\ntoken_file = \"t\"\n",
    );
    let said = Config::load(&path, &Environment::default()).unwrap_err().to_string();
    for words in [
        "line 2: serve.listen: 0.0.0.0:80 is not on loopback",
        "messages.rule: there is no such key: did you mean rules?",
        "exactly one of token_file, token_credential and token_env is needed",
        "the modes safe and compatible need the EncodingAESKey",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_listener_that_others_reach_is_refused_unless_it_is_wanted_so() {
    for key in ["listen", "admin"] {
        let said = problems(&format!("[serve]\n{key} = \"192.0.2.1:7790\"\n[messages]\n"));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with(&format!("line 2: serve.{key}: 192.0.2.1:7790 is not on loopback")),
            "{said:?}"
        );
        assert!(said[0].contains("insecure = true"), "{said:?}");
        load(&format!("[serve]\ninsecure = true\n{key} = \"192.0.2.1:7790\"\n[messages]\n")).unwrap();
    }
    let idle = load("[serve]\ninsecure = true\n[messages]\n").unwrap();
    assert!(idle.warnings.iter().any(|odd| odd.key == "serve.insecure"), "{:?}", idle.warnings);
    let same = problems("[serve]\nlisten = \"127.0.0.1:7791\"\n[messages]\n");
    assert!(same[0].contains("two listeners"), "{same:?}");
}

#[test]
fn an_answer_cannot_be_told_to_leave_later_than_wechat_can_take_it() {
    for deadline in ["4501ms", "4.9s", "499ms"] {
        let said = problems(&format!("[messages]\ndeadline = \"{deadline}\"\n{}", safe("")));
        assert!(said[0].contains("messages.deadline: ") && said[0].contains("4s 500ms"), "{said:?}");
    }
    load(&format!("[messages]\ndeadline = \"4500ms\"\n{}", safe(""))).unwrap();
}

#[test]
fn only_names_as_wechat_makes_them_are_served_and_each_for_one_account() {
    let good = load(&safe("verify_files = \"MP_verify_aB3dE6gH9jK2mN5p.txt\"")).unwrap();
    let file = &good.config.verify_files[0];
    assert_eq!((file.name(), file.content()), ("MP_verify_aB3dE6gH9jK2mN5p.txt", "aB3dE6gH9jK2mN5p"));
    for bad in [
        "MP_verify_aB3dE6gH9jK2mN5.txt",
        "MP_verify_aB3dE6gH9jK2mN5pq.txt",
        "MP_verify_aB3dE6gH9jK2mN5p.txt.txt",
        "MP_verify_aB3dE6gH9jK2mN5/.txt",
        "WW_verify_aB3dE6gH9jK2mN5p.txt",
        "mp_verify_aB3dE6gH9jK2mN5p.txt",
        " MP_verify_aB3dE6gH9jK2mN5p.txt",
        "MP_verify_MP_verify_aB3dE6gH9jK2mN5p.txt",
        "",
    ] {
        let said = problems(&safe(&format!("verify_files = [\"{bad}\"]")));
        assert!(said[0].contains("verify_files"), "{bad}: {said:?}");
    }
    let name = "verify_files = [\"MP_verify_aB3dE6gH9jK2mN5p.txt\"]";
    // An account may say it in several places: it is the same file.
    let again = safe(&format!("path = \"b\"\n{name}"));
    let twice = load(&format!("{}{again}", safe(name))).unwrap();
    assert_eq!(twice.config.verify_files.len(), 1);
    let others = again.replace("wxb11529c136998cb6", "wx1");
    let stolen = problems(&format!("{}{others}", safe(name)));
    assert!(
        stolen[0].contains("is also of messages.account[0]") && stolen[0].contains("one account's"),
        "{stolen:?}"
    );
}

#[test]
fn paths_are_plain_and_each_is_one_accounts() {
    let twice = problems(&format!("{}{}", safe(""), safe("")));
    assert!(twice[0].contains("each path once"), "{twice:?}");
    for bad in ["", "a/b", "..", ".a", "a b", "a?b", "店", "%41"] {
        let said = problems(&safe(&format!("path = \"{bad}\"")));
        assert!(said[0].contains("messages.account[0].path: a path has"), "{bad}: {said:?}");
    }
    // An appid that is no path needs one beside it.
    let text = safe("").replace("wxb11529c136998cb6", "corp/agent");
    assert!(problems(&text)[0].contains("path is needed"));
    load(&format!("{text}path = \"agent\"\n")).unwrap();
}

#[test]
fn encrypted_modes_need_a_key_of_43_digits_and_plain_none() {
    load(&account("mode = \"plain\"")).unwrap();
    for mode in ["safe", "compatible"] {
        let said = problems(&account(&format!("mode = \"{mode}\"")));
        assert!(said[0].contains("EncodingAESKey"), "{said:?}");
    }
    // A key that was copied with a piece missing is said to be wrong, and not shown.
    let (_dir, path) = file(&safe(""));
    let short = Environment::from_iter([("TOKEN", "pamtest"), ("AES_KEY", &KEY[1..])]);
    let said = served(&path, &short).unwrap_err().to_string();
    assert!(said.contains("no EncodingAESKey, which has 43") && !said.contains(&KEY[5..20]), "{said}");
    let orphan = problems(&account("mode = \"plain\"\nprevious_aes_key_env = \"OLD_KEY\""));
    assert!(orphan[0].contains("previous key without a current one"), "{orphan:?}");
    let same = load(&safe("previous_aes_key_env = \"AES_KEY\"")).unwrap();
    assert!(same.warnings[0].message.contains("remove previous_aes_key"), "{:?}", same.warnings);
}

#[test]
fn an_account_hands_over_to_a_program_that_exists() {
    let forward =
        "[[messages.forward]]\nname = \"crm\"\nurl = \"http://127.0.0.1:8080/w\"\nsecret_env = \"HMAC\"\n";
    let said = problems(&format!("{}{forward}", safe("forward = \"cmr\"")));
    assert!(said[0].contains("no [[messages.forward]] has the name cmr"), "{said:?}");
    let loaded = load(&format!("{}{forward}", safe("forward = \"crm\""))).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(messages(loaded).forwards[0].concurrency, 32);
    // In clear over the network is allowed and said to be odd.
    let far = forward.replace("127.0.0.1", "192.0.2.1");
    let loaded = load(&format!("{}{far}", safe("forward = \"crm\""))).unwrap();
    assert!(loaded.warnings[0].message.contains("use https://"), "{:?}", loaded.warnings);
    let twice = problems(&format!("{forward}{forward}"));
    assert!(twice.iter().any(|said| said.contains("crm is used twice")), "{twice:?}");
    let none = problems(&forward.replace("url = \"http://127.0.0.1:8080/w\"\n", "concurrency = 0\n"));
    assert_eq!(none.len(), 2, "{none:?}");
}

#[test]
fn over_tcp_the_daemon_wants_a_token() {
    let said = problems("[messages]\ndaemon = \"http://127.0.0.1:7780\"\n");
    assert!(said[0].contains("zhongkong new-client messages"), "{said:?}");
    load("[messages]\ndaemon = \"http://127.0.0.1:7780\"\ntoken_env = \"TOKEN\"\n").unwrap();
    for bad in ["127.0.0.1:7780", "unix:run/x", "ftp://a:1", "http://a:1/x", "http://user:pw@a:1"] {
        let said = problems(&format!("[messages]\ndaemon = \"{bad}\"\ntoken_env = \"TOKEN\"\n"));
        assert!(said[0].contains("an address is written as"), "{bad}: {said:?}");
    }
    let said = problems("[messages]\ndaemon = \"https://a:7780\"\ntoken_env = \"TOKEN\"\n");
    assert!(said[0].contains("needs ca beside it"), "{said:?}");
}

#[test]
fn proxies_are_believed_on_loopback_unless_others_are_named_and_a_list_with_everybody_is_odd() {
    let proxies = |text: &str| load(&format!("[serve]\n{text}\n{}", safe(""))).unwrap();
    let said = |loaded: &LoadedServe| loaded.warnings.iter().map(ToString::to_string).collect::<String>();
    let loopback = proxies("trusted_proxies = [\"127.0.0.1\", \"::ffff:127.0.0.1\", \"::1\"]");
    let listed = proxies("trusted_proxies = [\"127.0.0.1\", \"::1\"]").config.serve.proxies;
    assert_eq!(proxies("").config.serve.proxies, listed);
    assert_ne!(loopback.config.serve.proxies, listed);
    assert!(!said(&loopback).contains("trusted_proxies"), "{}", said(&loopback));
    let everybody = proxies("trusted_proxies = [\"10.0.0.0/8\", \"::/0\"]");
    assert!(said(&everybody).contains("serve.trusted_proxies: ::/0 is everybody"), "{}", said(&everybody));
}

#[test]
fn secrets_in_the_file_itself_are_refused_and_not_repeated() {
    for key in ["token", "aes_key", "encoding_aes_key"] {
        let said = problems(&safe(&format!("{key} = \"s3cr3t-{KEY}\"")));
        assert!(said[0].contains("a secret is never written into this file"), "{said:?}");
        assert!(!said.concat().contains("s3cr3t"), "{said:?}");
    }
    let shown = format!("{:?}", load(&safe("")).unwrap());
    assert!(!shown.contains("pamtest") && !shown.contains(KEY), "{shown}");
}

#[test]
fn what_a_reload_cannot_change_is_named_and_the_rest_is_not() {
    let base = load(&safe("")).unwrap().config;
    let changed = |text: &str| base.restart_needed(&load(text).unwrap().config);
    let live = format!(
        "[serve]\ngrace = \"1s\"\nlog.filter = \"debug\"\n[messages]\nrules = \"r\"\n{}",
        safe("path = \"x\"")
    );
    assert_eq!(changed(&live), Vec::<&str>::new());
    let later = format!(
        "[serve]\nlisten = \"127.0.0.1:1\"\ntrusted_proxies = []\nlog.keep = 1\n[messages]\ndeadline = \"2s\"\nmemcached = \"a:1\"\n\
         daemon = \"unix:/x\"\nlog.file = \"m.log\"\n{}",
        safe("")
    );
    let keys = [
        "serve.listen",
        "serve.trusted_proxies",
        "serve.log.keep",
        "messages.daemon",
        "messages.deadline",
        "messages.memcached",
    ];
    assert_eq!(changed(&later), [&keys[..], &["messages.log"]].concat());
}
