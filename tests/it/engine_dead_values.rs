//! Values that are dead or unproven: no way around the rules leads to a reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::hub::Hub;
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::model::{ErrCode, Kind, TokenMode};
use zhongkong::refresh::gate::{Gate, IN_FLIGHT};
use zhongkong::refresh::handle::{Force, NoValue};
use zhongkong::refresh::task::Surroundings;
use zhongkong::refresh::view::Next;
use zhongkong::secret::Secret;
use zhongkong::simulator::{self, Endpoint, Fault};
use zhongkong::wechat::{self, WeChat};

use crate::support::ailing::{AilingLedger, Ailment};
use crate::support::engine::{CALL_TIMEOUT, Engine, Setup, account, manual_clock};
use crate::support::frozen::Frozen;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn forced_call_that_fails_does_not_prove_a_value_that_nobody_watched_over() {
    // The account comes back and nobody answers the probe, so its value is held back. An operator
    // reports a leak, and WeChat refuses: that says nothing for the old value.
    let engine = Engine::classic().await;
    let gone = engine.token();
    engine.hub.reload(Vec::new()).await.unwrap();
    engine.wait("wx1 is removed", |_| gone.view().next == Next::Removed).await;
    engine.wechat.control.kill("wx1", simulator::Kind::Classic);
    engine.always(Endpoint::ApiDomainIp, Fault::TornConnection);
    engine.always(Endpoint::Token, Fault::errcode(-1));
    engine.hub.reload(vec![account("wx1", TokenMode::Classic)]).await.unwrap();
    engine.settle().await;
    engine.token().force(Force::Leaked).await.unwrap_err();
    assert!(engine.token().read().is_err(), "an unproven value is served: {}", engine.report());
}

#[tokio::test]
async fn value_found_dead_while_the_ledger_was_ill_is_not_served_after_a_restart() {
    // Stored alive, found dead while the disk was full, and not replaced. The disk has room again,
    // and the daemon restarts before WeChat hands out another one.
    let frozen = Frozen::start();
    let clock = manual_clock();
    let ledger = AilingLedger::new(clock.clone());
    let setup = Setup::new(vec![account("wx1", TokenMode::Classic)]).ledger(Arc::new(ledger.clone()));
    let engine = Engine::start_with(frozen, clock, setup).await;
    engine.ready().await;
    engine.wechat.control.kill("wx1", simulator::Kind::Classic);
    engine.always(Endpoint::Token, Fault::errcode(50_002));
    ledger.set(Ailment::Full);
    engine.complain().await.unwrap_err();
    ledger.set(Ailment::None);
    engine.walk(40 * SECOND, SECOND, |_| {}).await;
    let engine = engine.restart().await;
    assert!(engine.token().read().is_err(), "a dead value rose: {}", engine.report());
}

#[tokio::test]
async fn secret_that_changed_during_a_pause_has_the_value_asked_about_at_its_end() {
    // Resetting the AppSecret kills the token. A paused key makes no call, so the question waits.
    let engine = Engine::classic().await;
    let old = engine.value();
    engine.token().pause(engine.now() + 600 * SECOND).await.unwrap();
    engine.wechat.control.set_secret("wx1", "s2");
    engine.wechat.control.kill("wx1", simulator::Kind::Classic);
    let mut changed = account("wx1", TokenMode::Classic);
    changed.secret = Secret::from("s2");
    engine.hub.reload(vec![changed]).await.unwrap();
    engine.settle().await;
    assert_eq!((engine.value(), engine.tally().probes), (old, 0), "a pause makes no call");
    engine.token().resume().await.unwrap();
    engine.walk(5 * SECOND, SECOND, |_| {}).await;
    assert_eq!((engine.tally().classic, engine.tally().probes), (2, 1));
    engine.readers_are_well();
}

/// A WeChat behind a cache that answers every fetch with the first token, which is dead.
async fn stuck_wechat(fetches: Arc<AtomicU32>) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let body = if head.starts_with(b"GET /cgi-bin/token") {
                fetches.fetch_add(1, Ordering::SeqCst);
                r#"{"access_token":"the-cached-one","expires_in":7200}"#
            } else {
                r#"{"errcode":40001,"errmsg":"invalid credential"}"#
            };
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (base, server)
}

#[tokio::test]
async fn classic_fetch_that_repeats_the_dead_string_withdraws_it_and_is_not_repeated_at_once() {
    // A cache on the way answers every fetch with the same token. WeChat calls it dead, and the
    // repair brings it again: it must not be handed out, and asking faster helps nobody.
    let frozen = Frozen::start();
    let clock = manual_clock();
    let fetches = Arc::new(AtomicU32::new(0));
    let (base, _server) = stuck_wechat(fetches.clone()).await;
    let settings = wechat::Settings {
        api_base: base.parse().unwrap(),
        connect_timeout: 3 * SECOND,
        timeout: CALL_TIMEOUT,
        proxy: None,
    };
    let around = Surroundings {
        clock: clock.clone(),
        wechat: WeChat::new(&settings).unwrap(),
        ledger: Arc::new(MemoryLedger::new(clock.clone())),
        gate: Gate::new(IN_FLIGHT),
    };
    let (hub, tasks) = Hub::build(Arc::new(around), vec![account("wx1", TokenMode::Classic)]).await.unwrap();
    let mut running = JoinSet::new();
    running.spawn(tasks.run(CancellationToken::new()));
    let handle = hub.handle("wx1", Kind::AccessToken).unwrap();
    let value = handle.wait(SECOND).await.unwrap().value;

    handle.complain(Some(value.fingerprint), ErrCode(40001)).await.unwrap_err();
    assert!(handle.read().is_err(), "a dead value is served: {:?}", handle.view());
    for _ in 0..60 {
        frozen.advance(SECOND).await;
        for _ in 0..300 {
            tokio::task::yield_now().await;
        }
        assert!(handle.read().is_err(), "a dead value is served: {:?}", handle.view());
    }
    let fetches = fetches.load(Ordering::SeqCst);
    assert!((3..=12).contains(&fetches), "{fetches} fetches in a minute");
}

#[tokio::test]
async fn caller_of_a_task_that_never_ran_is_told_so() {
    // The tasks are dropped, as at an end "at once": nobody may wait for an answer from them.
    let engine = Engine::classic().await;
    let around = Surroundings {
        clock: engine.clock.clone(),
        wechat: WeChat::new(&wechat::Settings {
            api_base: engine.wechat.base.parse().unwrap(),
            connect_timeout: SECOND,
            timeout: CALL_TIMEOUT,
            proxy: None,
        })
        .unwrap(),
        ledger: engine.ledger.clone(),
        gate: engine.gate.clone(),
    };
    let (hub, tasks) = Hub::build(Arc::new(around), vec![account("wx9", TokenMode::Classic)]).await.unwrap();
    let handle = hub.handle("wx9", Kind::AccessToken).unwrap();
    let mut waiting = std::pin::pin!(handle.complain(None, ErrCode(40001)));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    drop(tasks);
    let std::task::Poll::Ready(answer) = futures_util::poll!(waiting.as_mut()) else {
        panic!("the caller waits for ever")
    };
    assert!(matches!(answer, Err(NoValue::Unavailable { .. })), "{answer:?}");
}
