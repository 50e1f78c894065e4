//! What the gRPC face notes about its callers, and who may look at it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::access::{Action, Gate, Identity, Proof, Scope, Table};
use zhongkong::audit::{self, Act, On, Outcome};
use zhongkong::client::{Client, Code, Credentials, Event, Flow, Force, Target};
use zhongkong::clock::{BootTime, Clock, WallTime};
use zhongkong::model::{ErrCode, Fingerprint, Kind};
use zhongkong::pb::{self, AuditAction, AuditEntry, ListAuditRequest};
use zhongkong::simulator::{Endpoint, Fault, NewCode, Script};

use crate::grpc_support::{ALL, World, access, client, client_of_wx1, key, settings};
use crate::support::ailing::{AilingLedger, Ailment};
use crate::support::frozen::Frozen;

const NOW: Duration = Duration::ZERO;

/// The whole audit as this client sees it, newest first.
async fn audit(client: &Client, mut asked: ListAuditRequest) -> Vec<AuditEntry> {
    let mut entries = Vec::new();
    loop {
        let page = client.audit_page(asked.clone()).await.unwrap();
        entries.extend(page.entries);
        if page.next_page_token.is_empty() {
            return entries;
        }
        asked.page_token = page.next_page_token;
    }
}

/// A filter for one client.
fn of(client: &str) -> ListAuditRequest {
    ListAuditRequest { client: client.into(), ..ListAuditRequest::default() }
}

/// What matters of an entry, as one line.
fn line(entry: &AuditEntry) -> String {
    let AuditEntry { client, origin, appid, outcome, count, .. } = entry;
    let action = entry.action().as_str_name().trim_start_matches("AUDIT_ACTION_");
    let kind = if entry.kind == 0 { "-" } else { entry.kind().as_str_name().trim_start_matches("KIND_") };
    format!("{client} {origin} {action} {appid}/{kind} {outcome} {count}")
}

fn lines(entries: &[AuditEntry]) -> Vec<String> {
    entries.iter().map(line).collect()
}

#[tokio::test]
async fn each_rpc_leaves_its_row_with_client_origin_key_and_outcome() {
    // One client does everything once, over TCP; nothing in the rows is a value or a code.
    let world = World::start(vec![client("web", &ALL), client("boss", &[Action::Admin])]).await;
    let web = world.client("web");
    let old = web.get(&access("wx1"), NOW).await.unwrap();
    let mut watch = web.watch(&[access("wx2")], &[]).await.unwrap();
    assert!(matches!(watch.next().await.unwrap().unwrap(), Event::Token(_)));
    web.sign_jsapi(&"wx1".parse().unwrap(), "https://a.example/").await.unwrap();
    web.status(pb::ListStatusRequest::default()).await.unwrap();
    let code = world.sim.control.mint_code(NewCode::web("wx1", "openid"));
    web.exchange_code(&"wx1".parse().unwrap(), &code.as_str().into(), Flow::Web).await.unwrap();
    web.complain(&access("wx1"), Some(old.fingerprint), ErrCode(40_001)).await.unwrap();
    let new = web.force(&access("wx1"), Force::Once).await.unwrap().token;
    web.pause(Target::Account("wx2".parse().unwrap()), None).await.unwrap();
    web.resume(Target::Key(key("wx2", Kind::JsapiTicket))).await.unwrap();
    audit(&web, ListAuditRequest::default()).await;

    let entries = audit(&world.client("boss"), of("web")).await;
    let mut seen = lines(&entries);
    seen.sort();
    let mut expected = [
        "web 127.0.0.1 READ wx1/ACCESS_TOKEN served 1",
        "web 127.0.0.1 WATCH wx2/ACCESS_TOKEN served 1",
        "web 127.0.0.1 SIGN wx1/JSAPI_TICKET served 1",
        "web 127.0.0.1 STATUS /- served 1",
        "web 127.0.0.1 EXCHANGE wx1/- done 1",
        "web 127.0.0.1 COMPLAIN wx1/ACCESS_TOKEN still_valid 1",
        "web 127.0.0.1 FORCE wx1/ACCESS_TOKEN refreshed 1",
        "web 127.0.0.1 PAUSE wx2/ACCESS_TOKEN done 1",
        "web 127.0.0.1 PAUSE wx2/JSAPI_TICKET done 1",
        "web 127.0.0.1 RESUME wx2/JSAPI_TICKET done 1",
        "web 127.0.0.1 AUDIT /- served 1",
    ];
    // The boss has the right everywhere, so it sees also what is about no key.
    expected.sort_unstable();
    assert_eq!(seen, expected);
    let complaint = entries.iter().find(|entry| entry.action() == AuditAction::Complain).unwrap();
    assert_eq!(complaint.fingerprint, old.fingerprint.to_string());
    assert_eq!(complaint.generation, old.generation.0);
    let force = entries.iter().find(|entry| entry.action() == AuditAction::Force).unwrap();
    assert_eq!((force.generation, force.first_at), (new.generation.0, force.last_at));
    let shown = format!("{entries:?}");
    for secret in [old.value.unwrap(), new.value.unwrap(), code.as_str().into()] {
        assert!(!shown.contains(secret.expose()));
    }
}

#[tokio::test]
async fn thousand_readers_at_once_are_all_counted_in_one_row_per_key() {
    // 1,000 tasks over 20 connections, each reads both accounts three times.
    let world = World::start(vec![client("web", &ALL)]).await;
    let clients: Vec<_> = (0..20).map(|_| world.client("web")).collect();
    let mut readers = JoinSet::new();
    for number in 0..1_000 {
        let client = clients[number % clients.len()].clone();
        readers.spawn(async move {
            for appid in ["wx1", "wx2", "wx1", "wx2", "wx1", "wx2"] {
                client.get(&access(appid), NOW).await.unwrap();
            }
        });
    }
    while let Some(read) = readers.join_next().await {
        read.unwrap();
    }
    let reads = ListAuditRequest { actions: vec![AuditAction::Read.into()], ..of("web") };
    let mut seen = lines(&audit(&world.client("web"), reads.clone()).await);
    seen.sort();
    let row = |appid| format!("web 127.0.0.1 READ {appid}/ACCESS_TOKEN served 3000");
    assert_eq!(seen, [row("wx1"), row("wx2")]);
    // An hour later a row of its own begins.
    world.clock.step_wall(3_600_000);
    world.client("web").get(&access("wx1"), NOW).await.unwrap();
    let seen = lines(&audit(&world.client("web"), reads).await);
    assert_eq!(seen[0], "web 127.0.0.1 READ wx1/ACCESS_TOKEN served 1");
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn whoever_is_refused_is_noted_alike_for_accounts_that_exist_and_for_others() {
    // A stranger, a client whose access has ended, and a client that tries what it may not do:
    // with an account that exists and with one that does not.
    let mut late = client("late", &ALL);
    late.not_after = Some(WallTime(0));
    let clients = vec![client("boss", &ALL), client_of_wx1("web", &[Action::Read]), late];
    let world = World::start(clients).await;
    let web = world.client("web");
    for appid in ["wx2", "wx9"] {
        web.get(&access(appid), NOW).await.unwrap_err();
        web.force(&access(appid), Force::Leaked).await.unwrap_err();
        web.pause(Target::Account(appid.parse().unwrap()), None).await.unwrap_err();
        web.exchange_code(&appid.parse().unwrap(), &"code".into(), Flow::Web).await.unwrap_err();
        web.watch(&[access(appid)], &[]).await.unwrap().next().await.unwrap().unwrap();
        world.client("stranger").get(&access(appid), NOW).await.unwrap_err();
    }
    world.client("late").get(&access("wx1"), NOW).await.unwrap_err();
    web.audit_page(ListAuditRequest::default()).await.unwrap_err();
    let boss = world.client("boss");
    let by = async |appid: &str| {
        let asked = ListAuditRequest { appid: appid.into(), ..of("web") };
        let mut seen = lines(&audit(&boss, asked).await);
        seen.sort();
        seen.iter().map(|line| line.replace(appid, "APPID")).collect::<Vec<_>>()
    };
    let tried = by("wx2").await;
    assert_eq!(
        tried,
        [
            "web 127.0.0.1 EXCHANGE APPID/- denied 1",
            "web 127.0.0.1 LEAK APPID/ACCESS_TOKEN denied 1",
            "web 127.0.0.1 PAUSE APPID/- denied 1",
            "web 127.0.0.1 READ APPID/ACCESS_TOKEN denied 1",
            "web 127.0.0.1 WATCH APPID/ACCESS_TOKEN denied 1",
        ]
    );
    assert_eq!(by("wx9").await, tried, "a row says nothing about whether the account exists");
    let mut strangers = lines(&audit(&boss, of("-")).await);
    strangers.sort();
    assert_eq!(strangers, ["- 127.0.0.1 REFUSED /- expired 1", "- 127.0.0.1 REFUSED /- unauthenticated 2"]);
    let audits = ListAuditRequest { actions: vec![AuditAction::Audit.into()], ..of("web") };
    assert_eq!(lines(&audit(&boss, audits).await), ["web 127.0.0.1 AUDIT /- denied 1"]);
}

#[tokio::test]
async fn audit_is_shown_to_admins_and_only_of_what_is_theirs() {
    // A client with every right on wx1, one that administers its tickets only, and one without
    // the right at all.
    let mut tickets = client("tickets", &[Action::Admin]);
    tickets.grants.kinds = Scope::Only([Kind::JsapiTicket].into());
    let clients = vec![
        client("boss", &ALL),
        client_of_wx1("shop", &ALL),
        tickets,
        client("web", &[Action::Read, Action::Status]),
    ];
    let world = World::start(clients).await;
    let (boss, shop, web) = (world.client("boss"), world.client("shop"), world.client("web"));
    for key in [access("wx1"), access("wx2"), key("wx1", Kind::JsapiTicket), key("wx2", Kind::JsapiTicket)] {
        web.get(&key, NOW).await.unwrap();
    }
    world.client("stranger").get(&access("wx1"), NOW).await.unwrap_err();
    let keys = async |client: &Client| {
        let mut seen: Vec<_> = audit(client, ListAuditRequest::default())
            .await
            .iter()
            .filter(|entry| entry.action() != AuditAction::Audit)
            .map(|entry| format!("{} {}/{}", entry.client, entry.appid, entry.kind))
            .collect();
        seen.sort();
        seen
    };
    assert_eq!(keys(&boss).await, ["- /0", "web wx1/1", "web wx1/2", "web wx2/1", "web wx2/2"]);
    assert_eq!(keys(&shop).await, ["web wx1/1", "web wx1/2"]);
    assert_eq!(keys(&world.client("tickets")).await, ["web wx1/2", "web wx2/2"]);
    let refused = web.audit_page(ListAuditRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::PermissionDenied));
    // An account outside the grants is refused whether or not it exists; inside them a row
    // outlives its account.
    for appid in ["wx2", "wx9"] {
        let asked = ListAuditRequest { appid: appid.into(), ..ListAuditRequest::default() };
        assert_eq!(shop.audit_page(asked).await.unwrap_err().code(), Some(Code::PermissionDenied));
    }
    let asked = ListAuditRequest { appid: "wx9".into(), ..ListAuditRequest::default() };
    let tried = audit(&boss, asked).await;
    assert_eq!(lines(&tried), ["shop 127.0.0.1 AUDIT wx9/- denied 1"]);
}

#[tokio::test]
async fn pages_are_as_large_as_asked_and_hang_together_while_rows_arrive() {
    let world = World::start(vec![client("web", &ALL)]).await;
    let web = world.client("web");
    let pause = async || web.pause(Target::Key(access("wx1")), None).await.unwrap();
    for _ in 0..25 {
        pause().await;
        // A row of its own each: deeds that are carried together and equal share one.
        audit(&web, ListAuditRequest { page_size: 1, ..of("nobody") }).await;
    }
    let mut asked = ListAuditRequest { actions: vec![AuditAction::Pause.into()], page_size: 10, ..of("web") };
    let mut pages: Vec<Vec<u64>> = Vec::new();
    loop {
        let page = web.audit_page(asked.clone()).await.unwrap();
        pages.push(page.entries.iter().map(|entry| entry.id).collect());
        pause().await;
        if page.next_page_token.is_empty() {
            break;
        }
        asked.page_token = page.next_page_token;
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    assert!(pages.concat().is_sorted_by(|newer, older| newer > older), "{pages:?}");
    for bad in [
        ListAuditRequest { page_size: -1, ..Default::default() },
        ListAuditRequest { page_token: "x".into(), ..Default::default() },
        ListAuditRequest { actions: vec![0], ..Default::default() },
        ListAuditRequest { actions: vec![99], ..Default::default() },
        ListAuditRequest { kind: 99, ..Default::default() },
        ListAuditRequest { appid: "no appid".into(), ..Default::default() },
    ] {
        assert_eq!(
            web.audit_page(bad.clone()).await.unwrap_err().code(),
            Some(Code::InvalidArgument),
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn caller_that_leaves_before_the_end_is_noted_all_the_same() {
    // WeChat holds its answer, the client gives up; the refresh goes on without it.
    let world = World::start(vec![client("web", &ALL)]).await;
    let web = world.client("web");
    world.sim.control.script(Script::once(Endpoint::StableToken, Fault::HoldAnswer));
    let mut asking = JoinSet::new();
    let asker = web.clone();
    asking.spawn(async move { asker.force(&access("wx1"), Force::Once).await.map(drop) });
    world.sim.control.wait_held(1).await;
    asking.shutdown().await;
    let forced = ListAuditRequest { actions: vec![AuditAction::Force.into()], ..of("web") };
    let seen = loop {
        let seen = lines(&audit(&web, forced.clone()).await);
        if !seen.is_empty() {
            break seen;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(seen, ["web 127.0.0.1 FORCE wx1/ACCESS_TOKEN left 1"]);
    world.sim.control.release();
}

#[tokio::test]
async fn ledger_that_refuses_costs_rows_that_are_counted_and_callers_nothing() {
    // The ledger refuses in three ways; reads, complaints and the audit's own answers go on, and
    // afterwards one row says how much is missing.
    let world = World::start(vec![client("web", &ALL)]).await;
    let web = world.client("web");
    let other = Some(Fingerprint::of(&"other".into()));
    for ailment in [Ailment::Full, Ailment::ReadOnly, Ailment::Corrupt] {
        world.ledger.set(ailment);
        for _ in 0..50 {
            web.get(&access("wx1"), NOW).await.unwrap();
        }
        let answer = web.complain(&access("wx2"), other, ErrCode(40_001)).await.unwrap();
        assert_eq!(answer.outcome, pb::Outcome::AlreadyReplaced, "{ailment:?}");
        // Asking for the audit has it carried, which fails, and is answered all the same.
        assert_eq!(audit(&web, of("web")).await, [], "{ailment:?}");
    }
    world.ledger.set(Ailment::None);
    web.get(&access("wx1"), NOW).await.unwrap();
    let lost = |entries: &[AuditEntry]| {
        let lost = entries.iter().filter(|entry| entry.action() == AuditAction::Lost);
        lost.map(line).collect::<Vec<_>>()
    };
    let entries = audit(&web, ListAuditRequest::default()).await;
    // 51 each, and the two looks at the audit that were noted before the second and third.
    assert_eq!(lost(&entries), ["- - LOST /- unavailable 155"], "{:?}", lines(&entries));
    assert!(lines(&entries).contains(&"web 127.0.0.1 READ wx1/ACCESS_TOKEN served 1".to_owned()));
    let again = audit(&web, ListAuditRequest::default()).await;
    assert_eq!(lost(&again).len(), 1, "what was told is not told again");
}

#[tokio::test]
async fn ledger_that_hangs_is_waited_for_by_nobody_but_the_audits_own_task() {
    // Nothing is answered: what was under way is given up after half a minute, what is noted
    // meanwhile is kept; and a stop waits two seconds.
    let frozen = Frozen::start();
    let clock = Clock::manual(WallTime(1_700_000_000_000), BootTime(1_000_000), "boot");
    let ledger = AilingLedger::new(clock.clone());
    let table = Table::new(&[client("web", &ALL)]).unwrap();
    let web = Gate::new(table, clock.clone()).admit(Proof::token(b"web").unwrap()).unwrap();
    let (recorder, writer) = audit::new(&audit::Settings::default(), Arc::new(ledger.clone()), clock);
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    tasks.spawn(writer.run(stop.clone()));
    let pause = || recorder.record(&web, Act::Pause, On::key(&access("wx1")), Outcome::Done);
    let all = async || {
        let page = recorder.list(audit::Query::default(), 100, |_| true).await.unwrap();
        page.rows.iter().map(|row| format!("{} {}", row.entry.action, row.entry.count)).collect::<Vec<_>>()
    };
    settle().await;

    ledger.set(Ailment::Hangs);
    (0..3).for_each(|_| pause());
    frozen.advance_secs(3).await;
    settle().await;
    (0..2).for_each(|_| pause());
    frozen.advance_secs(31).await;
    settle().await;
    ledger.set(Ailment::None);
    frozen.advance_secs(31).await;
    settle().await;
    assert_eq!(all().await, ["lost 5"]);
    pause();
    assert_eq!(all().await, ["pause 1", "lost 5"]);

    ledger.set(Ailment::Hangs);
    pause();
    stop.cancel();
    settle().await;
    frozen.advance_secs(3).await;
    tasks.join_next().await.unwrap().unwrap();
}

/// Lets the tasks of this runtime come to rest.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn process_on_a_unix_socket_is_named_by_its_uid() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("grpc.sock");
    let uid = rustix::process::getuid().as_raw();
    let mut local = client("local", &ALL);
    local.identities = vec![Identity::Uid(uid)];
    let world = World::with(settings(vec![local]), &[&socket]).await;
    world.warm().await;
    let local = Client::lazy(&format!("unix:{}", socket.display()), Credentials::default()).unwrap();
    local.get(&access("wx1"), NOW).await.unwrap();
    let seen = lines(&audit(&local, of("local")).await);
    assert_eq!(seen[0], format!("local uid {uid} READ wx1/ACCESS_TOKEN served 1"));
}
