//! What attackers try with a login, and what they get.

use std::time::Duration;

use zhongkong::services::oauth::flow;
use zhongkong::simulator::NewCode;

use crate::oauth_world::{Around, BASE, BINDING, SESSION, callback, state};

const LOGIN: &str = "/oauth/shop/login?return_to=/x";
const FOREIGN: &str = "This login was begun somewhere else";
const OVER: &str = "This login is over";

#[tokio::test]
async fn login_csrf_fails_because_a_state_is_worth_nothing_in_another_browser() {
    // The attacker begins, consents as themselves, and sends the victim the callback.
    let around = Around::start().await;
    let instance = around.instance().await;
    let (mut attacker, mut victim) = (instance.browser(), instance.browser());
    let authorize = attacker.begin(LOGIN).await;
    let code = around.consents(&authorize, "oATTACKER");
    let sent = callback(&authorize, &code);
    victim.go(&sent).await.is_page(403, FOREIGN);
    // Also when the victim has a login of their own under way.
    victim.begin(LOGIN).await;
    victim.go(&sent).await.is_page(403, FOREIGN);
    assert_eq!(
        (around.exchanges(), victim.cookies.contains_key(SESSION)),
        (0, false),
        "the code was not spent"
    );
    // Nor does it tell where the attacker's login leads.
    let without = victim.go(&format!("/oauth/shop/callback?state={}", state(&authorize))).await;
    without.is_page(403, FOREIGN);
    assert_eq!(without.button(), "/");
    // The attacker's own login has not suffered: nobody ends another's by knowing its state.
    assert_eq!(attacker.go(&sent).await.location(), "/x#");
}

#[tokio::test]
async fn made_up_and_missing_states_are_refused_before_the_code_is_looked_at() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin(LOGIN).await;
    let code = around.consents(&authorize, "o1");
    let made_up = "0".repeat(32);
    let upper = state(&authorize).to_uppercase();
    for state in [
        String::new(),
        format!("&state={made_up}"),
        format!("&state={upper}"),
        "&state=x".to_owned(),
        format!("&state={}%00", state(&authorize)),
    ] {
        let got = browser.go(&format!("/oauth/shop/callback?code={code}{state}")).await;
        got.is_page(400, OVER);
        assert_eq!(got.button(), "/");
    }
    assert_eq!(around.exchanges(), 0);
}

#[tokio::test]
async fn code_of_another_person_does_not_get_into_somebodys_login() {
    // A thief has the victim's code, or gives the victim one of their own.
    let around = Around::start().await;
    let instance = around.instance().await;
    let (mut thief, mut victim) = (instance.browser(), instance.browser());
    let (his, hers) = (thief.begin(LOGIN).await, victim.begin(LOGIN).await);
    let her_code = around.consents(&hers, "oVICTIM");
    let his_code = around.consents(&his, "oTHIEF");
    // Each state is only its own browser's.
    thief.go(&callback(&hers, &her_code)).await.is_page(403, FOREIGN);
    victim.go(&callback(&his, &his_code)).await.is_page(403, FOREIGN);
    assert_eq!(around.exchanges(), 0);
    // Once a state has its code, no other one is taken for it.
    assert_eq!(victim.go(&callback(&hers, &her_code)).await.location(), "/x#");
    victim.go(&callback(&hers, &his_code)).await.is_page(403, "This login has been used");
    assert_eq!(around.who(&victim).await.as_deref(), Some("oVICTIM"));
    assert_eq!(around.exchanges(), 1);
}

#[tokio::test]
async fn state_of_one_account_is_refused_at_the_callback_of_another() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin(LOGIN).await;
    let code = around.mint(NewCode::web("wx2", "o2"));
    let mixed = callback(&authorize, &code).replace("/shop/", "/club/");
    browser.go(&mixed).await.is_page(400, OVER);
    assert_eq!(
        around.exchanges() + around.world.sim.control.count_all(zhongkong::simulator::Endpoint::OauthToken),
        0
    );
}

#[tokio::test]
async fn session_that_somebody_planted_is_not_the_one_after_the_login() {
    let around = Around::start().await;
    let instance = around.instance().await;
    // One that never was, and the attacker's own, which is alive.
    let mut attacker = instance.browser();
    attacker.log_in(&around, "/oauth/club/login", "oATTACKER").await;
    let alive = attacker.cookies[SESSION].clone();
    for planted in ["AAAAAAAAAAAAAAAAAAAAAA".to_owned(), "../../x".to_owned(), alive.clone()] {
        let mut victim = instance.browser();
        victim.cookies.insert(SESSION.to_owned(), planted.clone());
        let got = victim.log_in(&around, LOGIN, "oVICTIM").await;
        let after = got.cookie(SESSION).unwrap();
        assert_ne!(after, planted);
        assert_eq!(around.who(&victim).await.as_deref(), Some("oVICTIM"));
        let mut planter = instance.browser();
        planter.cookies.insert(SESSION.to_owned(), planted);
        assert_eq!(around.who(&planter).await, None, "whoever planted it is nobody");
    }
}

#[tokio::test]
async fn code_is_spent_once_and_a_replay_brings_a_stranger_nothing() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin(LOGIN).await;
    let code = around.consents(&authorize, "o1");
    let address = callback(&authorize, &code);
    let first = browser.go(&address).await;
    // From a log or a history: without the cookie, with another one, with only the session.
    instance.browser().go(&address).await.is_page(403, FOREIGN);
    let mut stranger = instance.browser();
    let own = stranger.begin(LOGIN).await;
    stranger.go(&address).await.is_page(403, FOREIGN);
    // The spent code with the stranger's own state: WeChat knows it, and asks the stranger who they are.
    let got = stranger.go(&callback(&own, &code)).await;
    assert!(got.location().contains("/connect/oauth2/authorize?"), "{got:?}");
    assert_eq!(got.cookie(SESSION), None);
    let session = first.cookie(SESSION).unwrap();
    let mut holder = instance.browser();
    holder.cookies.insert(SESSION.to_owned(), session);
    holder.go(&address).await.is_page(403, FOREIGN);
}

#[tokio::test]
async fn open_redirects_are_refused_at_the_door_in_every_spelling() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let spellings = [
        "//evil.example",
        "%2F%2Fevil.example",
        "/%5Cevil.example",
        "%5C%2Fevil.example",
        "/%09/evil.example",
        "/%0A/evil.example",
        "%20//evil.example",
        "/.//evil.example",
        "/%2e%2e//evil.example",
        "https://evil.example",
        "https:evil.example",
        "https:///evil.example",
        "https://h5.example@evil.example",
        "https://h5.example%40evil.example",
        "https://h5.example.evil.example",
        "https://h5.example%5C@evil.example",
        "https://h5.example%252eevil.example",
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "https://%EF%BD%885.example",
        "https://h5.example.",
        "https://h5.example:444",
        "http://h5.example",
        "https://[::1]",
        "/%00",
        "/%C0%AF/evil.example",
        "evil.example",
        "%EF%BC%8F%EF%BC%8Fevil.example",
        "https%3A%2F%2Fevil.example%23https%3A%2F%2Fh5.example",
    ];
    for spelling in spellings {
        let got = browser.go(&format!("/oauth/shop/login?return_to={spelling}")).await;
        got.is_page(400, "This login link is not right");
        assert!(!got.body.contains("evil.example"), "{spelling}");
        let by_proxy = browser
            .request("/oauth/shop/login")
            .header("x-return-to", spelling.replace("%5C", "\\").replace("%2F", "/"));
        let status = by_proxy.send().await.unwrap().status();
        // Raw, an escape is only itself: a path on our own origin.
        let is_path = spelling.starts_with("/%") && !spelling.contains("%5C") && !spelling.contains("//");
        assert_eq!(status.as_u16(), if is_path { 302 } else { 400 }, "{spelling}");
    }
    // Beyond 2,048 bytes nothing is an address; and nobody is logged in whose link was refused.
    let long = format!("/oauth/shop/login?return_to=/{}", "x".repeat(2_048));
    browser.go(&long).await.is_page(400, "This login link is not right");
}

#[tokio::test]
async fn state_is_worth_nothing_after_ten_minutes() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let (in_time, late) = (browser.begin(LOGIN).await, browser.begin(LOGIN).await);
    around.world.frozen.advance(Duration::from_millis(599_999)).await;
    let code = around.consents(&in_time, "o1");
    assert_eq!(browser.go(&callback(&in_time, &code)).await.location(), "/x#");
    around.world.frozen.advance(Duration::from_millis(1)).await;
    let code = around.consents(&late, "o1");
    browser.go(&callback(&late, &code)).await.is_page(400, OVER);
    assert_eq!(around.exchanges(), 1);
}

#[tokio::test]
async fn no_page_and_no_redirect_leaks_code_state_or_token() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin(LOGIN).await;
    let code = around.consents(&authorize, "o1");
    let address = callback(&authorize, &code);
    let mut pages = vec![
        instance.browser().go(&address).await,
        browser.go(&address).await,
        browser.go(&address.replace(&code, "another-code")).await,
        browser.go(&format!("/oauth/shop/callback?code={code}&state={}", "0".repeat(32))).await,
        browser.go(&address.replace("/shop/", "/nobody/")).await,
        browser.go("/oauth/shop/login?return_to=//evil.example%3Fcode%3D1").await,
    ];
    around.always(zhongkong::simulator::Fault::errcode(-1));
    let mut other = instance.browser();
    let second = other.begin("/oauth/shop/login?return_to=/x&scope=snsapi_userinfo&app=h5").await;
    let second_code = around.consents(&second, "o2");
    pages.push(other.go(&callback(&second, &second_code)).await);
    pages.push(other.go(&format!("/oauth/shop/callback?state={}", state(&second))).await);
    let mut secrets = around.world.sim.control.issued_values();
    // The AppSecret of the simulator's accounts is a letter.
    secrets.retain(|secret| secret.len() > 8);
    assert!(secrets.len() > 3, "codes, tokens and tickets: {secrets:?}");
    for got in &pages {
        let headers = format!("{:?}", got.headers);
        for secret in secrets.iter().map(String::as_str).chain([
            &*code,
            &*second_code,
            &*state(&authorize),
            &*state(&second),
        ]) {
            assert!(!got.body.contains(secret), "{secret} in {}", got.body);
            assert!(!headers.contains(secret), "{secret} in {headers}");
        }
        assert_eq!(got.headers["referrer-policy"], "no-referrer");
        assert_eq!(got.headers["cache-control"], "no-store");
    }
    // Nor does what is kept: whoever has the file has no login of anybody.
    let file = std::fs::read(around.stores.file()).unwrap();
    for secret in [&code, &state(&authorize), &browser.cookies[SESSION], &browser.cookies[BINDING]] {
        assert!(
            !file.windows(secret.len()).any(|window| window == secret.as_bytes()),
            "{secret} is in the database"
        );
    }
}

#[tokio::test]
async fn flood_of_logins_that_nobody_ends_stops_at_the_bound_and_users_get_in_again() {
    const MOST: usize = 200;
    let around = Around::start().await;
    let settings = flow::Settings { most_pending: MOST, ..flow::Settings::default() };
    let instance = around.instance_with(settings, around.world.client("web"), BASE).await;
    let mut user = instance.browser();
    let authorize = user.begin(LOGIN).await;
    let flooder = instance.browser();
    for _ in 1..MOST {
        flooder.clone().begin(LOGIN).await;
    }
    let got = flooder.clone().go(LOGIN).await;
    got.is_page(503, "Too many people are logging in");
    assert_eq!(got.headers["retry-after"], "10");
    // Who has begun gets in, and makes room for one.
    let code = around.consents(&authorize, "o1");
    assert_eq!(user.go(&callback(&authorize, &code)).await.location(), "/x#");
    assert_eq!(user.go(LOGIN).await.location(), "/x", "who is logged in needs no room");
    flooder.clone().begin(LOGIN).await;
    flooder.clone().go(LOGIN).await.is_page(503, "Too many people are logging in");
    around.world.frozen.advance(Duration::from_secs(611)).await;
    flooder.clone().begin(LOGIN).await;
}
