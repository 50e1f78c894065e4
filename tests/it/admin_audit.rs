//! What the status page notes about its visitors: the same rows as gRPC leaves for the same
//! deeds, and none for what was not tried.

use reqwest::StatusCode;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::access::Action;
use zhongkong::audit::{self, Query, Recorder, Row};
use zhongkong::clock::WallTime;
use zhongkong::ledger::{Ledger, memory::MemoryLedger};
use zhongkong::simulator::{Endpoint, Fault};

use super::admin_support::{Browser, Desk, for_clients, open_to_all};
use super::grpc_support::{client, client_of_wx1};
use super::support::engine::Engine;
use super::support::simulated::client_builder;

const ADMIN: [Action; 2] = [Action::Status, Action::Admin];

/// An audit beside an engine.
struct Books {
    recorder: Recorder,
    _writer: JoinSet<()>,
}

impl Books {
    fn of(engine: &Engine) -> Self {
        let clock = engine.clock.clone();
        let ledger: std::sync::Arc<dyn Ledger> = std::sync::Arc::new(MemoryLedger::new(clock.clone()));
        let (recorder, writer) = audit::new(&audit::Settings::default(), ledger, clock);
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(CancellationToken::new()));
        Self { recorder, _writer: tasks }
    }

    async fn rows(&self) -> Vec<Row> {
        self.recorder.list(Query::default(), 500, |_| true).await.unwrap().rows
    }

    /// What matters of each row, oldest first.
    async fn lines(&self) -> Vec<String> {
        let rows = self.rows().await.into_iter().rev();
        let line = |row: Row| {
            let entry = row.entry;
            let appid = entry.appid.map_or_else(|| "-".to_owned(), |appid| appid.to_string());
            let kind = entry.kind.map_or("-", |kind| kind.as_str());
            let (client, origin, action) = (entry.client, entry.origin, entry.action.as_str());
            format!("{client} {origin} {action} {appid}/{kind} {} {}", entry.outcome, entry.count)
        };
        rows.map(line).collect()
    }

    /// The same without looks at the page.
    async fn deeds(&self) -> Vec<String> {
        self.lines().await.into_iter().filter(|line| !line.contains(" status ")).collect()
    }
}

#[tokio::test]
async fn each_deed_on_the_page_leaves_its_row_with_client_origin_key_and_outcome() {
    // A person signs in, pauses, resumes, refreshes, and signs out, over TCP.
    let engine = Engine::classic().await;
    let books = Books::of(&engine);
    let clients = [client("boss", &ADMIN)];
    let desk = Desk::noting(&engine.hub, open_to_all(), &clients, books.recorder.clone()).await;
    let boss = desk.signed_in("boss").await;
    boss.act("pause", "wx1", "access_token").await;
    boss.act("refresh", "wx1", "access_token").await;
    boss.act("resume", "wx1", "access_token").await;
    let before = engine.print();
    boss.act("refresh", "wx1", "access_token").await;
    engine.wait("the value is replaced", |engine| engine.print() != before).await;
    let token = boss.get("/").await.form_token();
    // The laptop was carried to another network: what counts is from where each request comes.
    let elsewhere = client_builder().local_address(Some("127.0.0.2".parse().unwrap())).build().unwrap();
    let boss = Browser { http: elsewhere, ..boss };
    assert_eq!(boss.post("/signout", &[("csrf", &token)]).await.status, StatusCode::SEE_OTHER);

    let mut seen = books.lines().await;
    seen.sort();
    let mut expected = [
        "boss 127.0.0.1 sign_in -/- done 1",
        "boss 127.0.0.1 pause wx1/access_token done 1",
        "boss 127.0.0.1 force wx1/access_token paused 1",
        "boss 127.0.0.1 resume wx1/access_token done 1",
        "boss 127.0.0.1 force wx1/access_token refreshed 1",
        "boss 127.0.0.1 status -/- served 1",
        "boss 127.0.0.2 sign_out -/- done 1",
    ];
    expected.sort_unstable();
    assert_eq!(seen, expected);
    let rows = books.rows().await;
    let forced = rows.iter().find(|row| row.entry.outcome.as_ref() == "refreshed").unwrap();
    assert_eq!(forced.entry.generation, engine.view().value.as_ref().map(|value| value.generation));
    // A visitor who has not signed in is nobody, and looks at what everybody may see.
    desk.browser().get("/").await;
    assert_eq!(books.lines().await.len(), expected.len());
}

#[tokio::test]
async fn sign_in_that_is_refused_is_noted_without_a_name_or_with_the_one_that_is_known() {
    let engine = Engine::classic().await;
    let books = Books::of(&engine);
    let mut old = client("old", &ADMIN);
    old.not_after = Some(WallTime(engine.clock.wall().0 - 1));
    let clients = [client("reader", &[Action::Read]), old];
    let desk = Desk::noting(&engine.hub, for_clients(), &clients, books.recorder.clone()).await;
    for token in ["wrong", "wronger", "", "reader", "old"] {
        assert_eq!(desk.browser().sign_in(token).await.status, StatusCode::FORBIDDEN, "{token}");
    }
    let mut seen = books.lines().await;
    seen.sort();
    let expected = [
        "- 127.0.0.1 sign_in -/- expired 1",
        "- 127.0.0.1 sign_in -/- unauthenticated 3",
        "reader 127.0.0.1 sign_in -/- denied 1",
    ];
    assert_eq!(seen, expected);
    assert!(!format!("{:?}", books.rows().await).contains("wrong"), "what was pasted is nowhere");
}

#[tokio::test]
async fn what_a_client_may_not_steer_is_noted_alike_whether_it_exists_or_not() {
    let engine = Engine::classic().await;
    let books = Books::of(&engine);
    let clients = [client("guest", &[Action::Status]), client_of_wx1("half", &ADMIN)];
    let desk = Desk::noting(&engine.hub, open_to_all(), &clients, books.recorder.clone()).await;
    let guest = desk.signed_in("guest").await;
    let token = guest.get("/").await.form_token();
    for appid in ["wx1", "wx9"] {
        let form = [("csrf", token.as_str()), ("do", "pause"), ("appid", appid), ("kind", "access_token")];
        assert_eq!(guest.post("/act", &form).await.status, StatusCode::FORBIDDEN);
        // A strange page's form is not the client's doing, and an odd one tried nothing.
        assert_eq!(guest.post_from("http://evil.example", "/act", &form).await.status, StatusCode::FORBIDDEN);
        guest.post("/act", &[("csrf", &token), ("do", "destroy"), ("appid", appid)]).await;
    }
    let half = desk.signed_in("half").await;
    let token = half.get("/").await.form_token();
    let form = [("csrf", token.as_str()), ("do", "refresh"), ("appid", "wx1"), ("kind", "jsapi_ticket")];
    assert_eq!(half.post("/act", &form).await.status, StatusCode::NOT_FOUND);
    let mut seen = books.deeds().await;
    seen.retain(|line| !line.contains("sign_in"));
    seen.sort();
    let expected = [
        "guest 127.0.0.1 pause wx1/access_token denied 1",
        "guest 127.0.0.1 pause wx9/access_token denied 1",
        "half 127.0.0.1 force wx1/jsapi_ticket not_found 1",
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn refresh_that_is_under_way_when_the_daemon_stops_is_noted_as_left() {
    let engine = Engine::classic().await;
    let books = Books::of(&engine);
    let clients = [client("boss", &ADMIN)];
    let mut desk = Desk::noting(&engine.hub, open_to_all(), &clients, books.recorder.clone()).await;
    let boss = desk.signed_in("boss").await;
    engine.once(Endpoint::Token, Fault::HoldAnswer);
    tokio::select! {
        answer = boss.act("refresh", "wx1", "access_token") => panic!("{answer:?}"),
        () = engine.wechat.control.wait_held(1) => {}
    }
    desk.stop.cancel();
    desk.tasks.join_next().await.unwrap().unwrap();
    assert!(books.deeds().await.contains(&"boss 127.0.0.1 force wx1/access_token left 1".to_owned()));
}
