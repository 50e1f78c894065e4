//! Signing in on the status page, and steering keys there: who may, and what a stranger cannot.

use std::time::Duration;

use reqwest::StatusCode;
use zhongkong::access::Action;
use zhongkong::clock::WallTime;
use zhongkong::model::{Kind, TokenMode};
use zhongkong::refresh::view::Next;
use zhongkong::simulator::{Endpoint, Fault};

use super::admin_support::{Browser, Desk, open_to_all};
use super::grpc_support::{client, client_of_wx1};
use super::support::engine::{Engine, Setup, account};

const ADMIN: [Action; 2] = [Action::Status, Action::Admin];

async fn desk(engine: &Engine) -> Desk {
    let clients = [client("boss", &ADMIN), client("guest", &[Action::Status]), client_of_wx1("half", &ADMIN)];
    Desk::start(&engine.hub, open_to_all(), &clients).await
}

fn paused(engine: &Engine) -> bool {
    matches!(engine.view().next, Next::Paused(_))
}

#[tokio::test]
async fn token_of_a_client_opens_a_session_that_the_cookie_alone_carries() {
    let engine = Engine::classic().await;
    let desk = desk(&engine).await;
    let mut browser = desk.browser();
    let answer = browser.sign_in("boss").await;
    assert_eq!(answer.location.as_deref(), Some("/"));
    let cookie = answer.header("set-cookie");
    for flag in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"] {
        assert!(cookie.contains(flag), "{flag}: {cookie}");
    }
    assert!(!cookie.contains("boss") && !cookie.contains("Secure"), "{cookie}");
    let page = browser.get("/").await;
    assert!(
        page.body.contains("signed in as") && page.body.contains("<strong>boss</strong>"),
        "{}",
        page.body
    );

    // Signing out needs the session's own form, and ends it on the server.
    let refused = browser.post("/signout", &[("csrf", "x")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let left = browser.post("/signout", &[("csrf", &page.form_token())]).await;
    assert_eq!(left.status, StatusCode::SEE_OTHER);
    assert!(!browser.get("/").await.body.contains("signed in as"));
}

#[tokio::test]
async fn cookie_is_secure_behind_a_proxy_with_tls() {
    let engine = Engine::classic().await;
    let desk = desk(&engine).await;
    let browser = desk.browser();
    let request = browser.http.post(format!("{}/signin", browser.base)).header("x-forwarded-proto", "https");
    let request = request.header("content-type", "application/x-www-form-urlencoded").body("token=boss");
    let answer = request.send().await.unwrap();
    assert!(answer.headers()["set-cookie"].to_str().unwrap().ends_with("; Secure"), "{answer:?}");
}

#[tokio::test]
async fn wrong_token_is_refused_with_what_to_do_and_trying_on_is_slowed_down() {
    let engine = Engine::classic().await;
    let desk = desk(&engine).await;
    let mut browser = desk.browser();
    let mut last = browser.sign_in("wrong").await;
    assert_eq!(last.status, StatusCode::FORBIDDEN);
    assert!(
        last.body.contains("This token is not known here") && !last.body.contains("\"wrong\""),
        "{}",
        last.body
    );
    assert!(browser.cookies.is_empty());
    for _ in 0..8 {
        last = browser.sign_in("wrong").await;
    }
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(last.header("retry-after"), "8");
    // The right one is not even looked at now, so nobody learns that it is right.
    assert_eq!(browser.sign_in("boss").await.status, StatusCode::TOO_MANY_REQUESTS);
    engine.advance(Duration::from_secs(8)).await;
    assert_eq!(browser.sign_in("boss").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn session_ends_with_its_client_and_with_time() {
    let engine = Engine::classic().await;
    let mut brief = client("brief", &ADMIN);
    brief.not_after = Some(WallTime(engine.clock.wall().0 + 60_000));
    let desk = Desk::start(&engine.hub, open_to_all(), &[brief.clone(), client("boss", &ADMIN)]).await;
    let (short, boss) = (desk.signed_in("brief").await, desk.signed_in("boss").await);
    let known = async |browser: &Browser| browser.get("/").await.body.contains("signed in as");
    assert!(known(&short).await && known(&boss).await);
    engine.pass(Duration::from_secs(60)).await;
    assert!(!known(&short).await, "its not_after has passed");
    let refused = desk.browser().sign_in("brief").await;
    assert!(refused.body.contains("not_after"), "{}", refused.body);

    // Idle for half an hour; an open page that is kept current is no sign of a person.
    assert!(known(&boss).await);
    engine.pass(Duration::from_secs(1_799)).await;
    assert!(known(&boss).await);
    let mut live = boss.live("/events").await;
    live.next().await.unwrap();
    engine.pass(Duration::from_secs(1_800)).await;
    assert!(!known(&boss).await);

    // A reload without the client.
    let boss = desk.signed_in("boss").await;
    desk.reload(&[]);
    assert!(!known(&boss).await);
    let form = [("do", "pause"), ("appid", "wx1"), ("kind", "access_token")];
    assert!(boss.post("/act", &form).await.location.is_some_and(|to| to.starts_with("/signin")));
    assert!(!paused(&engine));
}

#[tokio::test]
async fn page_that_is_left_open_does_not_keep_its_session_alive() {
    // The stream looks at its session every second, and a browser opens it again when it breaks;
    // neither is a person.
    let engine = Engine::classic().await;
    let desk = desk(&engine).await;
    let boss = desk.signed_in("boss").await;
    let mut live = boss.live("/events").await;
    live.next().await.unwrap();
    let mut ended = None;
    for minute in 1..=40 {
        engine.pass(Duration::from_secs(50)).await;
        // Ten seconds more.
        let message = live.until(&engine, |_| true).await;
        if message.event == "reload" {
            ended = Some(minute);
            break;
        }
        // Not at the end: without a session it would be opened again for nobody in particular.
        if minute % 5 == 0 && minute < 25 {
            live = boss.live("/events").await;
            live.next().await.unwrap();
        }
    }
    assert!(ended.is_some_and(|minute| minute > 25), "{ended:?}");
    assert!(!boss.get("/").await.body.contains("signed in as"));
}

#[tokio::test]
async fn key_is_paused_resumed_and_refreshed_through_the_forms_without_a_script() {
    let engine = Engine::classic().await;
    let desk = desk(&engine).await;
    let boss = desk.signed_in("boss").await;
    let page = boss.get("/").await;
    assert!(
        page.key("k-0-wx1").contains("act?appid=wx1&amp;kind=access_token&amp;do=pause"),
        "{}",
        page.body
    );

    let done = boss.act("pause", "wx1", "access_token").await;
    assert_eq!((done.status, done.location.as_deref()), (StatusCode::SEE_OTHER, Some("/")));
    assert!(paused(&engine));
    let page = boss.get("/").await;
    assert!(page.body.contains("notice good") && page.key("k-0-wx1").contains("do=resume"), "{}", page.body);

    boss.act("resume", "wx1", "access_token").await;
    assert!(!paused(&engine));

    let before = engine.print();
    boss.act("refresh", "wx1", "access_token").await;
    engine
        .until("the value is replaced", |view| {
            view.value.as_ref().is_some_and(|value| value.fingerprint != before)
        })
        .await;
    let page = boss.get("/").await;
    assert!(page.body.contains("refreshed: programs get a new value"), "{}", page.body);
}

#[tokio::test]
async fn refresh_that_takes_long_is_told_later_and_a_refusal_says_what_to_do() {
    let engine = Engine::classic().await;
    let desk = desk(&engine).await;
    let boss = desk.signed_in("boss").await;
    engine.once(Endpoint::Token, Fault::HoldAnswer);
    let acted = async {
        boss.act("refresh", "wx1", "access_token").await;
    };
    let time = async {
        engine.wechat.control.wait_held(1).await;
        // The page waits for 400 ms, WeChat's answer for longer.
        engine.advance(Duration::from_millis(500)).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = acted => {}
        () = time => {}
    }
    assert!(boss.get("/").await.body.contains("the refresh is under way"));
    let mut live = boss.live("/events").await;
    live.next().await.unwrap();
    let before = engine.print();
    engine.wechat.control.release();
    // Before the clock moves again: the call has a time-out.
    engine.wait("the value is replaced", |engine| engine.print() != before).await;
    live.until(&engine, |message| message.part("notices").contains("programs get a new value")).await;

    engine.always(Endpoint::Token, Fault::errcode(40_125));
    boss.act("refresh", "wx1", "access_token").await;
    live.until(&engine, |message| {
        let notices = message.part("notices");
        notices.contains("notice bad") && notices.contains("40125") && notices.contains("secret file")
    })
    .await;
}

#[tokio::test]
async fn form_that_is_not_the_sessions_own_changes_nothing() {
    // A stranger's page has the administrator's browser send it: the cookie comes along.
    let engine = Engine::classic().await;
    let desk = desk(&engine).await;
    let boss = desk.signed_in("boss").await;
    let token = boss.get("/act?do=pause&appid=wx1&kind=access_token").await.form_token();
    let key = [("do", "pause"), ("appid", "wx1"), ("kind", "access_token")];
    let with = |token| [&key[..], &[("csrf", token)]].concat();

    let missing = boss.post("/act", &key).await;
    assert_eq!(missing.status, StatusCode::FORBIDDEN);
    assert!(missing.body.contains("no longer valid"), "{}", missing.body);
    assert_eq!(boss.post("/act", &with("AAAA")).await.status, StatusCode::FORBIDDEN);
    let others =
        desk.signed_in("boss").await.get("/act?do=pause&appid=wx1&kind=access_token").await.form_token();
    assert_eq!(boss.post("/act", &with(&others)).await.status, StatusCode::FORBIDDEN);
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        let refused = boss.post_from(origin, "/act", &with(&token)).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{origin}");
        assert!(refused.body.contains("another site"), "{}", refused.body);
        assert_eq!(
            boss.post_from(origin, "/signin", &[("token", "boss")]).await.status,
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            boss.post_from(origin, "/signout", &[("csrf", &token)]).await.status,
            StatusCode::FORBIDDEN
        );
    }
    let refused = boss.post_to_host("evil.example", "/act", &with(&token)).await;
    assert_eq!(refused.status, StatusCode::MISDIRECTED_REQUEST);
    // Reading an address changes nothing either.
    boss.get(&format!("/act?do=pause&appid=wx1&kind=access_token&csrf={token}")).await;
    assert!(!paused(&engine));
    assert_eq!(boss.post("/act", &with(&token)).await.status, StatusCode::SEE_OTHER);
    assert!(paused(&engine));
}

#[tokio::test]
async fn client_without_admin_for_the_key_may_look_but_not_steer() {
    let accounts = vec![account("wx1", TokenMode::Classic), account("wx2", TokenMode::Classic)];
    let engine = Engine::start(Setup::new(accounts)).await;
    engine.ready().await;
    let desk = desk(&engine).await;
    let guest = desk.signed_in("guest").await;
    let page = guest.get("/").await;
    assert_eq!(page.keys().len(), 2);
    assert!(!page.body.contains("do=pause"), "{}", page.body);
    let token = page.form_token();
    let form =
        |appid| [("csrf", token.as_str()), ("do", "pause"), ("appid", appid), ("kind", "access_token")];
    assert_eq!(guest.post("/act", &form("wx1")).await.status, StatusCode::FORBIDDEN);

    // Inside its grants only; what is outside may exist or not.
    let half = desk.signed_in("half").await;
    let page = half.get("/").await;
    assert!(page.key("k-0-wx1").contains("do=pause") && !page.key("k-0-wx2").contains("do=pause"));
    for appid in ["wx2", "wx9"] {
        let refused = half.get(&format!("/act?do=pause&appid={appid}&kind=access_token")).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{appid}");
        assert!(refused.body.contains("It needs the action admin"), "{}", refused.body);
    }
    assert!(!matches!(engine.handle("wx2", Kind::AccessToken).view().next, Next::Paused(_)));
}

#[tokio::test]
async fn odd_forms_are_answered_and_never_lead_elsewhere() {
    let engine = Engine::classic().await;
    let desk = desk(&engine).await;
    let mut browser = desk.browser();
    let form = [("token", "boss"), ("back", "//evil.example/?show=paused&x=https://evil.example")];
    let answer = browser.post("/signin", &form).await;
    assert!(answer.location.as_deref().is_some_and(|to| to == "/" || to.starts_with("/?")), "{answer:?}");
    browser.sign_in("boss").await;
    for path in [
        "/act",
        "/act?do=destroy&appid=wx1&kind=access_token",
        "/act?do=pause&appid=wx1&kind=x",
        "/act?do=pause&minutes=0&appid=wx1&kind=access_token",
        "/act?do=pause&minutes=99999999&appid=wx1&kind=access_token",
    ] {
        assert_eq!(browser.get(path).await.status, StatusCode::BAD_REQUEST, "{path}");
    }
    let missing = browser.get("/act?do=pause&appid=wx9&kind=access_token").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let large = browser.post("/signin", &[("token", &"x".repeat(20_000))]).await;
    assert_eq!(large.status, StatusCode::BAD_REQUEST);
}
