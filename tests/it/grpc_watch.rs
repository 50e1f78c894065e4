//! Watches end to end: the snapshot, changes, silence, ends of values, reloads, slow readers.

use std::time::Duration;

use zhongkong::access::Action;
use zhongkong::client::cache::Cache;
use zhongkong::client::{Code, Error, Event, Token, Watch};
use zhongkong::model::{ErrCode, Generation, Key, Kind};
use zhongkong::pb::watch_tokens_response::Event as Raw;
use zhongkong::pb::{self, WithdrawnReason as Reason, token_control_client::TokenControlClient};
use zhongkong::simulator;

use crate::grpc_support::{World, access, account, client, client_of_wx1, key};

const NOW: Duration = Duration::ZERO;
/// One heartbeat. tokio's timers fire at the end of the millisecond that they are due in.
const BEAT: Duration = Duration::from_millis(15_002);
const READER: [Action; 2] = [Action::Read, Action::Complain];

async fn world() -> World {
    World::start(vec![client("web", &READER)]).await
}

/// What a watch says up to the end of its snapshot.
async fn snapshot(watch: &mut Watch) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        match watch.next().await.unwrap().unwrap() {
            Event::SnapshotComplete => return events,
            event => events.push(event),
        }
    }
}

/// The next message about a key, whatever else comes before.
async fn about(watch: &mut Watch, wanted: &Key) -> Event {
    loop {
        let event = watch.next().await.unwrap().unwrap();
        match &event {
            Event::Token(token) if token.key == *wanted => return event,
            Event::Withdrawn { key, .. } if key == wanted => return event,
            Event::Token(_) | Event::Withdrawn { .. } | Event::SnapshotComplete | Event::Heartbeat { .. } => {
            }
        }
    }
}

async fn token(watch: &mut Watch, wanted: &Key) -> Token {
    loop {
        if let Event::Token(token) = about(watch, wanted).await {
            return token;
        }
    }
}

async fn withdrawn(watch: &mut Watch, wanted: &Key) -> Reason {
    loop {
        if let Event::Withdrawn { reason, .. } = about(watch, wanted).await {
            return reason;
        }
    }
}

/// Kills the value at WeChat and complains about it.
async fn rotate(world: &World, appid: &str) -> Token {
    let web = world.client("web");
    let old = web.get(&access(appid), NOW).await.unwrap();
    world.sim.control.kill(appid, simulator::Kind::Stable);
    let answer = web.complain(&access(appid), Some(old.fingerprint), ErrCode(40_001)).await.unwrap();
    assert!(answer.token.generation > old.generation);
    answer.token
}

#[tokio::test]
async fn watch_tells_every_key_then_the_end_of_the_snapshot_then_changes() {
    let world = world().await;
    let mut watch = world.client("web").watch(&[], &[]).await.unwrap();
    let first = snapshot(&mut watch).await;
    let keys: Vec<_> = first
        .iter()
        .map(|event| match event {
            Event::Token(token) => {
                assert!(token.value.is_some());
                token.key.to_string()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys, ["wx1:access_token", "wx1:jsapi_ticket", "wx2:access_token", "wx2:jsapi_ticket"]);
    let fresh = rotate(&world, "wx2").await;
    loop {
        let told = token(&mut watch, &access("wx2")).await;
        if told.generation == fresh.generation {
            assert_eq!(told.value, fresh.value);
            break;
        }
    }
}

#[tokio::test]
async fn known_generation_comes_without_its_value_and_another_one_with_it() {
    let world = world().await;
    let web = world.client("web");
    let held = web.get(&access("wx1"), NOW).await.unwrap();
    let known = [(access("wx1"), held.generation), (access("wx2"), Generation::default())];
    let mut watch = web.watch(&[access("wx1"), access("wx2")], &known).await.unwrap();
    let told = snapshot(&mut watch).await;
    let [Event::Token(first), Event::Token(second)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((first.generation, first.value.is_none()), (held.generation, true));
    assert!(second.value.is_some());
    let fresh = rotate(&world, "wx1").await;
    loop {
        let told = token(&mut watch, &access("wx1")).await;
        if told.generation == fresh.generation {
            assert_eq!(told.value, fresh.value);
            break;
        }
        assert_eq!(told.value, None);
    }
}

#[tokio::test]
async fn unknown_and_forbidden_keys_are_withdrawn_and_come_alive_later() {
    // wx2 is forbidden until a reload of the clients, wx3 unknown until one of the accounts.
    let mut both = client_of_wx1("web", &READER);
    let world = World::start(vec![both.clone()]).await;
    let keys = [access("wx1"), access("wx2"), access("wx3")];
    let mut watch = world.client("web").watch(&keys, &[]).await.unwrap();
    let told = snapshot(&mut watch).await;
    let reasons: Vec<_> = told
        .iter()
        .filter_map(|event| match event {
            Event::Withdrawn { key, reason, .. } => Some((key.to_string(), *reason)),
            Event::Token(_) | Event::SnapshotComplete | Event::Heartbeat { .. } => None,
        })
        .collect();
    let forbidden = |key: &str| (key.to_owned(), Reason::Forbidden);
    assert_eq!(reasons, [forbidden("wx2:access_token"), forbidden("wx3:access_token")]);

    both.grants = client("web", &READER).grants;
    world.reload(vec![both]);
    assert!(token(&mut watch, &access("wx2")).await.value.is_some());
    assert_eq!(withdrawn(&mut watch, &access("wx3")).await, Reason::NotFound);

    // The simulator lists wx1 and wx2 only, so wx3 comes but gets no value.
    world.hub.reload(vec![account("wx1"), account("wx2"), account("wx3")]).await.unwrap();
    assert_ne!(withdrawn(&mut watch, &access("wx3")).await, Reason::NotFound);
}

#[tokio::test]
async fn account_that_is_removed_is_withdrawn_and_told_again_when_it_returns() {
    // The client holds the value from before; told to drop it, it needs the string again.
    let world = world().await;
    let web = world.client("web");
    let held = web.get(&access("wx2"), NOW).await.unwrap();
    let mut watch = web.watch(&[], &[(access("wx2"), held.generation)]).await.unwrap();
    assert_eq!(snapshot(&mut watch).await.len(), 4);
    world.hub.reload(vec![account("wx1")]).await.unwrap();
    assert_eq!(withdrawn(&mut watch, &access("wx2")).await, Reason::NotFound);
    world.hub.reload(vec![account("wx1"), account("wx2")]).await.unwrap();
    let back = token(&mut watch, &access("wx2")).await;
    assert_eq!((back.generation, back.value), (held.generation, held.value));
}

#[tokio::test]
async fn client_that_loses_a_key_gets_it_withdrawn_and_one_that_is_removed_loses_its_stream() {
    let world = world().await;
    let mut watch = world.client("web").watch(&[], &[]).await.unwrap();
    assert_eq!(snapshot(&mut watch).await.len(), 4);
    world.reload(vec![client_of_wx1("web", &READER)]);
    assert_eq!(withdrawn(&mut watch, &access("wx2")).await, Reason::Forbidden);
    world.reload(vec![]);
    let ended = loop {
        match watch.next().await {
            Ok(event) => assert!(event.is_some(), "the stream ended without a reason"),
            Err(error) => break error,
        }
    };
    assert_eq!(ended.code(), Some(Code::Unauthenticated));
}

#[tokio::test]
async fn stream_ends_when_the_access_of_its_client_does() {
    // No reload: the end is noticed with a heartbeat.
    let mut web = client("web", &READER);
    web.not_after = Some(zhongkong::clock::WallTime(1_700_000_000_000 + 10_000));
    let world = World::start(vec![web]).await;
    let mut watch = world.client("web").watch(&[], &[]).await.unwrap();
    snapshot(&mut watch).await;
    world.frozen.advance(BEAT).await;
    assert_eq!(watch.next().await.unwrap_err().code(), Some(Code::Unauthenticated));
}

#[tokio::test]
async fn idle_watch_has_a_heartbeat_every_fifteen_seconds() {
    let world = world().await;
    let mut watch = world.client("web").watch(&[access("wx1")], &[]).await.unwrap();
    snapshot(&mut watch).await;
    for beat in 1..=3 {
        world.frozen.advance(BEAT).await;
        let Some(Event::Heartbeat { server_time }) = watch.next().await.unwrap() else { panic!() };
        assert_eq!(server_time.seconds(), 1_700_000_000 + beat * 15);
    }
}

#[tokio::test]
async fn value_without_a_successor_is_withdrawn_at_its_end() {
    // WeChat is unreachable until the value's last second has passed.
    let world = world().await;
    let mut watch = world.client("web").watch(&[access("wx1")], &[]).await.unwrap();
    snapshot(&mut watch).await;
    world.sim.control.set_mode(simulator::ServerMode::Refuses).await;
    world.frozen.advance_secs(7_199).await;
    assert!(world.client("web").get(&access("wx1"), NOW).await.is_ok());
    world.frozen.advance(Duration::from_millis(1_002)).await;
    assert_eq!(withdrawn(&mut watch, &access("wx1")).await, Reason::Expired);
    // And it comes alive on the same stream.
    world.sim.control.set_mode(simulator::ServerMode::Up).await;
    let wx1 = access("wx1");
    let mut alive = std::pin::pin!(token(&mut watch, &wx1));
    let told = loop {
        tokio::select! {
            biased;
            told = &mut alive => break told,
            () = tokio::task::yield_now() => world.frozen.advance_secs(1).await,
        }
    };
    assert!(told.value.is_some());
}

#[tokio::test]
async fn slow_watcher_loses_intermediate_states_and_never_the_latest() {
    // A reader whose window is smaller than one message sleeps through twelve rotations.
    let world = world().await;
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", world.addr)).unwrap();
    let channel = endpoint.initial_stream_window_size(64).connect().await.unwrap();
    let mut stub = TokenControlClient::with_interceptor(channel, |mut request: tonic::Request<()>| {
        request.metadata_mut().insert("authorization", "Bearer web".parse().unwrap());
        Ok(request)
    });
    let keys = vec![pb::Key { appid: "wx1".into(), kind: 1 }];
    let asked = pb::WatchTokensRequest { keys, known: vec![] };
    let mut stream = stub.watch_tokens(asked).await.unwrap().into_inner();
    while !matches!(stream.message().await.unwrap().unwrap().event, Some(Raw::SnapshotComplete(_))) {}

    let mut last = None;
    for _ in 0..12 {
        // Beyond the spacing of forced calls and of complaints.
        world.frozen.advance_secs(100).await;
        last = Some(rotate(&world, "wx1").await.generation.0);
    }
    let mut told = 0;
    loop {
        if let Some(Raw::Token(token)) = stream.message().await.unwrap().unwrap().event {
            told += 1;
            if Some(token.generation) == last {
                break;
            }
        }
    }
    assert!(told < 12, "{told} states of 12 rotations were kept for a reader that slept");
}

#[tokio::test]
async fn watch_of_a_kind_that_an_account_does_not_keep_is_not_found() {
    let world = world().await;
    let card = key("wx1", Kind::WxCardTicket);
    let mut watch = world.client("web").watch(std::slice::from_ref(&card), &[]).await.unwrap();
    assert_eq!(withdrawn(&mut watch, &card).await, Reason::NotFound);
}

#[tokio::test]
async fn stop_ends_a_watch_with_unavailable_and_the_server_with_it() {
    let mut world = world().await;
    let mut watch = world.client("web").watch(&[], &[]).await.unwrap();
    snapshot(&mut watch).await;
    world.stop.cancel();
    let ended = loop {
        match watch.next().await {
            Ok(event) => assert!(event.is_some(), "the stream ended without a reason"),
            Err(error) => break error,
        }
    };
    let Error::Refused(refusal) = ended else { panic!("{ended}") };
    assert_eq!((refusal.code, refusal.reason.as_deref()), (Code::Unavailable, Some("STOPPING")));
    drop(watch);
    world.ended().await;
}

#[tokio::test]
async fn local_copy_follows_the_daemon_and_is_not_used_beyond_its_last_word() {
    // A service reads from its copy; the daemon rotates the value, then dies.
    let world = world().await;
    let (cache, mut feeder) = Cache::new(world.client("web"), world.clock.clone(), vec![]);
    let mut changes = cache.changes();
    let mut tasks = tokio::task::JoinSet::new();
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone();
    tasks.spawn(async move { feeder.run(stopped).await });
    changes.changed().await.unwrap();
    let first = cache.get(&access("wx1")).unwrap();
    let fresh = rotate(&world, "wx1").await;
    while cache.get(&access("wx1")).is_none_or(|held| held.generation != fresh.generation) {
        changes.changed().await.unwrap();
    }
    let held = cache.get(&access("wx1")).unwrap();
    assert!(held.generation > first.generation);
    assert_eq!(Some(&held.value), fresh.value.as_ref());

    world.stop.cancel();
    world.frozen.advance_secs(59).await;
    assert!(cache.get(&access("wx1")).is_some());
    world.frozen.advance_secs(1).await;
    assert_eq!(cache.get(&access("wx1")), None);
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap().unwrap();
}
