//! S7 in types: `{:?}` of what the crate hands around, and of its errors, shows no value and no
//! secret, so that no log line, panic or test failure of ours or of a caller can.

use std::fmt::Debug;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use zhongkong::access::Identity;
use zhongkong::clock::{BootTime, WallTime};
use zhongkong::config::{Config, Environment};
use zhongkong::ledger::seal::Keys;
use zhongkong::ledger::{Call, StoredValue};
use zhongkong::mirror::Entry;
use zhongkong::model::{CallMode, Cause, Generation, TokenMode};
use zhongkong::simulator::{Endpoint, Fault};
use zhongkong::{client, pb};

use super::support::engine::{Engine, Setup, account};
use super::support::process::{SECRET, Site, TOKEN, key};

/// All that was shown.
#[derive(Default)]
struct Shown(Vec<String>);

impl Shown {
    fn add(&mut self, thing: &impl Debug) {
        self.0.push(format!("{thing:?}"));
        self.0.push(format!("{thing:#?}"));
    }

    fn has_none_of(&self, secrets: &[String]) {
        assert!(!secrets.is_empty());
        for text in &self.0 {
            for secret in secrets {
                assert!(!text.contains(secret.as_str()), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn debug_of_everything_that_carries_a_value_names_it_by_its_fingerprint_only() {
    let engine = Engine::start(Setup::new(vec![account("wx1", TokenMode::Classic)])).await;
    engine.ready().await;
    let good = engine.token().read().unwrap();
    let value = good.value.secret.clone();
    let mut shown = Shown::default();
    shown.add(&engine.view());
    shown.add(&good);
    shown.add(&engine.token());
    shown.add(&value);
    let stamp = engine.clock.stamp();
    let stored = StoredValue {
        value: value.clone(),
        fingerprint: good.value.fingerprint,
        generation: good.value.generation,
        mode: CallMode::Classic,
        issued: stamp.clone(),
        confirmed: stamp.clone(),
        life: Duration::from_secs(7_200),
        verify_at: None,
        age_known: false,
        dead: false,
    };
    shown.add(&stored);
    shown.add(&Call {
        key: key("wx1"),
        attempt: Generation(1),
        mode: CallMode::Classic,
        cause: Cause::Deadline,
        sent: stamp,
    });
    shown.add(&Entry {
        key: key("wx1"),
        value: value.clone(),
        fingerprint: good.value.fingerprint,
        generation: good.value.generation,
        expires_at: BootTime(1),
        next_attempt: None,
    });
    shown.add(&client::Token {
        key: key("wx1"),
        value: Some(value.clone()),
        fingerprint: good.value.fingerprint,
        generation: good.value.generation,
        issued_at: WallTime(1),
        expires_at: WallTime(2),
        remaining: Duration::from_secs(1),
        cache_for: Duration::from_secs(1),
        state: pb::TokenState::Fresh,
        degraded_reason: pb::DegradedReason::Unspecified,
    });
    shown.add(&pb::Token { value: value.expose().to_owned(), ..pb::Token::default() });

    // A repair that fails on an answer which echoes value and secret.
    let echo = Fault::Errcode { code: 40125, message: Some(format!("{} s=s", value.expose())) };
    engine.always(Endpoint::Token, echo);
    engine.wechat.control.kill("wx1", zhongkong::simulator::Kind::Classic);
    let refused = engine.complain().await.unwrap_err();
    shown.add(&refused);
    shown.add(&engine.view());
    assert!(shown.0.iter().any(|text| text.contains("40125")), "the refusal is not among what is shown");
    let values = engine.wechat.control.issued_values().into_iter().filter(|value| value.len() > 8);
    shown.has_none_of(&values.collect::<Vec<_>>());
}

#[test]
fn debug_of_the_configuration_and_of_its_errors_shows_no_secret() {
    const SEAL: &str = "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd";
    let mut site = Site::classic("http://127.0.0.1:9");
    site.section("daemon", "state_dir = \"state\"\nseal_keys_file = \"seal\"");
    site.file("seal", &format!("k1:{SEAL}"));
    let path = site.write();
    let env = Environment::from_iter([("SOME_SECRET", SECRET)]);
    let loaded = Config::load(&path, &env).unwrap();
    let mut shown = Shown::default();
    shown.add(&env);
    shown.add(&loaded);
    shown.add(&loaded.config.accounts[0]);
    shown.add(&Keys::parse(&format!("k1:{SEAL}")).unwrap());
    shown.add(&Keys::parse(SEAL).unwrap_err());
    shown.add(&Keys::parse(&format!("k1:{}", &SEAL[1..])).unwrap_err());
    assert!(matches!(loaded.config.grpc.clients[0].identities[0], Identity::TokenSha256(_)));
    let credentials = client::Credentials { token: Some(TOKEN.into()), ..client::Credentials::default() };
    shown.add(&credentials);

    // Secrets in the wrong place, in a file that is not TOML, in a file that others can read.
    for text in [
        format!("[[account]]\nappid = \"{SECRET}\"\nsecret_file = \"{SECRET}\"\nsecret = \"{SECRET}\"\n"),
        format!("[[account]]\nappid = {SECRET}\n"),
        format!("[[client]]\nname = \"a\"\ntoken_sha256 = \"{TOKEN}\"\n{TOKEN} = 1\n"),
    ] {
        site.raw(&text);
        let error = Config::load(&site.write(), &env).unwrap_err();
        shown.add(&error);
        shown.0.push(error.to_string());
    }
    site.raw("");
    std::fs::set_permissions(site.path("wx1.secret"), PermissionsExt::from_mode(0o644)).unwrap();
    let error = Config::load(&site.write(), &env).unwrap_err();
    shown.add(&error);
    shown.0.push(error.to_string());
    shown.has_none_of(&[SECRET, TOKEN, SEAL, &SEAL[1..]].map(str::to_owned));
}
