//! Servers that are away, empty, slow or no memcached at all, and who must not notice.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use zhongkong::mirror::Layout;
use zhongkong::model::Kind;

use crate::mirror::{LIMIT, Mirrored, ROUND, key};
use crate::support::memcached::Memcached;

/// Longer than the first wait with all its jitter.
const FIRST_WAIT: Duration = Duration::from_millis(1_501);

fn name() -> String {
    key(Kind::AccessToken).to_string()
}

#[tokio::test]
async fn server_that_was_away_gets_the_latest_when_it_is_back() {
    // It dies; two values come and one goes meanwhile; it is started again, empty.
    let mut memcached = Memcached::start();
    let mirrored = Mirrored::start(vec![memcached.addr()], vec![Layout::Raw]);
    mirrored.publish("before");
    mirrored.handle.publish(mirrored.entry(Kind::JsapiTicket, "ticket", Duration::from_hours(2)));
    mirrored.written(0).await;
    memcached.kill();
    let status = mirrored.until(0, |status| !status.connected).await;
    assert!(status.last_error.is_some());
    mirrored.publish("meanwhile");
    mirrored.publish("latest");
    mirrored.handle.withdraw(&key(Kind::JsapiTicket));
    memcached.restart();
    mirrored.frozen.advance(FIRST_WAIT).await;
    mirrored.written(0).await;
    assert_eq!(memcached.value(&name()).as_deref(), Some("latest"));
    assert_eq!(memcached.get(&key(Kind::JsapiTicket).to_string()), None);
}

#[tokio::test]
async fn restart_without_any_change_is_noticed_at_once_and_everything_is_written_again() {
    let mut memcached = Memcached::start();
    let mirrored = Mirrored::start(vec![memcached.addr()], vec![Layout::Raw]);
    for kind in Kind::ALL {
        mirrored.handle.publish(mirrored.entry(kind, kind.as_str(), Duration::from_hours(2)));
    }
    mirrored.written(0).await;
    memcached.restart();
    mirrored.until(0, |status| !status.connected).await;
    mirrored.frozen.advance(FIRST_WAIT).await;
    mirrored.until(0, |status| status.rewrites == 2).await;
    mirrored.written(0).await;
    for kind in Kind::ALL {
        assert_eq!(memcached.value(&key(kind).to_string()).as_deref(), Some(kind.as_str()));
    }
}

#[tokio::test]
async fn contents_lost_on_a_standing_connection_are_back_after_one_round() {
    // flush_all closes nothing: only the sentinel tells.
    let memcached = Memcached::start();
    let mirrored = Mirrored::start(vec![memcached.addr()], vec![Layout::Raw]);
    mirrored.publish("v");
    mirrored.written(0).await;
    memcached.flush_all();
    assert_eq!(memcached.get(&name()), None);
    mirrored.frozen.advance(ROUND).await;
    mirrored.until(0, |status| status.rewrites == 2).await;
    let status = mirrored.written(0).await;
    assert_eq!(memcached.value(&name()).as_deref(), Some("v"));
    assert!(status.connected && status.failures == 0);
}

#[tokio::test]
async fn server_that_is_down_at_the_start_is_written_once_it_is_up() {
    let mut memcached = Memcached::start();
    memcached.kill();
    let mirrored = Mirrored::start(vec![memcached.addr()], vec![Layout::Raw]);
    mirrored.publish("v");
    let status = mirrored.until(0, |status| status.failures == 1).await;
    assert_eq!((status.connected, status.pending, status.written), (false, 1, 0));
    assert!(status.last_error.unwrap().what.starts_with("it cannot be reached: "));
    memcached.restart();
    mirrored.frozen.advance(FIRST_WAIT).await;
    mirrored.written(0).await;
    assert_eq!(memcached.value(&name()).as_deref(), Some("v"));
}

#[tokio::test]
async fn value_that_expired_while_the_server_was_away_does_not_come_back_to_life() {
    let mut memcached = Memcached::start();
    memcached.kill();
    let mirrored = Mirrored::start(vec![memcached.addr()], vec![Layout::Raw]);
    mirrored.handle.publish(mirrored.entry(Kind::AccessToken, "v", Duration::from_mins(1)));
    mirrored.until(0, |status| status.failures == 1).await;
    memcached.restart();
    memcached.set(&name(), "an older copy");
    mirrored.frozen.advance(Duration::from_mins(1)).await;
    mirrored.written(0).await;
    assert_eq!(memcached.get(&name()), None);
}

#[tokio::test]
async fn server_that_never_answers_delays_neither_the_publisher_nor_another_server() {
    // The first server's listener is never read: the kernel accepts for it. The clock stands still, so its
    // time-out never comes: whoever waited for it would wait for ever.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let memcached = Memcached::start();
    let servers = vec![silent.local_addr().unwrap().to_string(), memcached.addr()];
    let mirrored = Mirrored::start(servers, vec![Layout::Raw]);
    for number in 0..100 {
        mirrored.publish(&format!("v{number}"));
    }
    mirrored.written(1).await;
    assert_eq!(memcached.value(&name()).as_deref(), Some("v99"));
    let status = &mirrored.handle.status()[0];
    assert_eq!((status.connected, status.pending), (false, 1));

    // When its time is up it is left alone for a while, and a value still passes it by.
    mirrored.frozen.advance(LIMIT + Duration::from_millis(1)).await;
    let status = mirrored.until(0, |status| status.failures == 1).await;
    assert_eq!(status.last_error.unwrap().what, "it did not answer within 1s");
    mirrored.publish("after");
    mirrored.written(1).await;
    assert_eq!(memcached.value(&name()).as_deref(), Some("after"));
}

#[tokio::test]
async fn server_that_stalls_in_a_write_has_the_latest_value_when_it_goes_on() {
    // It stops with its connections open. The write on the old connection stays in its socket
    // and may be executed after the one on the new connection: so the key is written twice.
    let memcached = Memcached::start();
    let mirrored = Mirrored::start(vec![memcached.addr()], vec![Layout::Raw]);
    mirrored.publish("first");
    let before = mirrored.written(0).await.written;
    memcached.signal("-STOP");
    mirrored.publish("second");
    // The batch is under way once it is not in the queue any more, which the status does not
    // tell; so the clock moves until its time-out has been counted.
    while mirrored.handle.status()[0].failures == 0 {
        tokio::task::yield_now().await;
        mirrored.frozen.advance(LIMIT).await;
    }
    memcached.signal("-CONT");
    mirrored.publish("third");
    mirrored.frozen.advance(FIRST_WAIT).await;
    mirrored.until(0, |status| status.connected && status.written > before).await;
    assert_eq!(mirrored.handle.status()[0].pending, 1, "nobody can be sure yet");
    mirrored.frozen.advance(ROUND).await;
    mirrored.written(0).await;
    assert_eq!(memcached.value(&name()).as_deref(), Some("third"));
}

#[tokio::test]
async fn something_that_is_no_memcached_sees_no_value_and_its_words_are_not_repeated() {
    // An old server, one that wants a login, a web server and a full one: each is asked with the
    // sentinel first, and none takes it.
    let too_old = "it does not know the meta commands; memcached 1.6 or later is needed, without a login";
    let cases = [
        ("ERROR\r\n", too_old),
        ("CLIENT_ERROR unauthenticated\r\n", too_old),
        ("HTTP/1.1 400 Bad Request\r\n", "its answer is not memcached's"),
        ("SERVER_ERROR out of \u{7}memory\r\n", "it refused: out of  memory"),
    ];
    let listeners = cases.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let addr = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
    let mirrored = Mirrored::start(listeners.iter().map(addr).collect(), vec![Layout::Raw]);
    mirrored.publish("s3cr3t");
    for (index, (listener, (answer, what))) in listeners.into_iter().zip(cases).enumerate() {
        let server = tokio::task::spawn_blocking(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut heard = String::new();
            lines.read_line(&mut heard).unwrap();
            lines.read_line(&mut heard).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            while lines.read_line(&mut heard).is_ok_and(|read| read > 0) {}
            heard
        });
        let status = mirrored.until(index, |status| status.failures == 1).await;
        assert_eq!(status.last_error.unwrap().what, what);
        let heard = server.await.unwrap();
        assert!(heard.starts_with("ms zhongkong:sentinel:") && !heard.contains("s3cr3t"), "{heard}");
    }
}

#[tokio::test]
async fn value_that_the_server_refuses_holds_up_no_other_and_is_tried_again_each_round() {
    // memcached takes no item above 1 MiB; the small one of the same batch comes after it.
    let memcached = Memcached::start();
    let mirrored = Mirrored::start(vec![memcached.addr()], vec![Layout::Raw]);
    let large = "x".repeat(2 << 20);
    mirrored.publish(&large);
    mirrored.handle.publish(mirrored.entry(Kind::JsapiTicket, "ticket", Duration::from_hours(2)));
    let status = mirrored.until(0, |status| status.pending == 1 && status.last_error.is_some()).await;
    assert_eq!(status.last_error.unwrap().what, "it refused: object too large for cache");
    assert_eq!((status.connected, status.failures), (true, 0));
    assert_eq!(memcached.value(&key(Kind::JsapiTicket).to_string()).as_deref(), Some("ticket"));

    // The next round tries it again; nothing else is written for it.
    let before = memcached.stat("cmd_set");
    mirrored.frozen.advance(ROUND).await;
    mirrored.until(0, |status| status.rounds == 2 && status.pending == 1).await;
    mirrored.publish("small");
    mirrored.written(0).await;
    assert_eq!(memcached.value(&name()).as_deref(), Some("small"));
    assert!(memcached.stat("cmd_set") > before);
}
