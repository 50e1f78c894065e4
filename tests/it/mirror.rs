//! What programs read from memcached: keys, bytes, flags, lives. Over real servers.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::clock::{BootTime, Clock, WallTime};
use zhongkong::mirror::{Entry, Layout, Mirror, MirrorHandle, ServerStatus, Settings};
use zhongkong::model::{Fingerprint, Generation, Key, Kind};
use zhongkong::secret::Secret;

use crate::support::frozen::Frozen;
use crate::support::memcached::{Memcached, Stored};

pub(crate) const APPID: &str = "wx0123456789abcdef";
/// How long a server may take, on the frozen clock.
pub(crate) const LIMIT: Duration = Duration::from_secs(1);
/// Between two questions after the server's contents. tokio's timers have whole milliseconds, so
/// they end up to one late.
pub(crate) const ROUND: Duration = Duration::from_millis(30_001);
/// 2023-11-14T22:13:20Z.
const WALL: i64 = 1_700_000_000;

/// A mirror that runs on a frozen clock.
pub(crate) struct Mirrored {
    pub(crate) handle: MirrorHandle,
    pub(crate) clock: Clock,
    pub(crate) frozen: Frozen,
    _tasks: JoinSet<()>,
}

impl Mirrored {
    pub(crate) fn start(servers: Vec<String>, layouts: Vec<Layout>) -> Self {
        let frozen = Frozen::start();
        let clock = Clock::manual(WallTime(WALL * 1_000), BootTime(1_000_000), "boot");
        let (mirror, handle) = Mirror::new(Settings { servers, layouts, timeout: LIMIT }, clock.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(mirror.run(CancellationToken::new()));
        Self { handle, clock, frozen, _tasks: tasks }
    }

    /// A value that lives this long, whose next attempt is far away.
    pub(crate) fn entry(&self, kind: Kind, value: &str, lives: Duration) -> Entry {
        let value = Secret::from(value);
        Entry {
            key: key(kind),
            fingerprint: Fingerprint::of(&value),
            value,
            generation: Generation(1_700_000_001),
            expires_at: self.clock.boot() + lives,
            next_attempt: None,
        }
    }

    pub(crate) fn publish(&self, value: &str) {
        self.handle.publish(self.entry(Kind::AccessToken, value, Duration::from_hours(2)));
    }

    /// Waits until this is so of a server.
    pub(crate) async fn until(&self, server: usize, so: impl Fn(&ServerStatus) -> bool) -> ServerStatus {
        let mut changes = self.handle.changes();
        loop {
            changes.borrow_and_update();
            let status = self.handle.status().swap_remove(server);
            if so(&status) {
                return status;
            }
            changes.changed().await.expect("the handle keeps the sender");
        }
    }

    /// Waits until a server has everything.
    pub(crate) async fn written(&self, server: usize) -> ServerStatus {
        self.until(server, |status| status.connected && status.pending == 0).await
    }
}

pub(crate) fn key(kind: Kind) -> Key {
    Key::new(APPID.parse().expect("an appid"), kind)
}

fn text(value: &str) -> Stored {
    Stored { value: value.to_owned(), flags: 0 }
}

#[tokio::test]
async fn every_layout_is_readable_as_its_readers_expect_it() {
    // One token and both tickets, all five layouts at once, read by hand over the text protocol.
    let memcached = Memcached::start();
    let seed = Layout::Seed { key: "bigtech_weixin_access_token".to_owned() };
    let layouts = vec![Layout::Zhongkong, Layout::Raw, Layout::Wechatpy, Layout::Silenceper, seed];
    let mirrored = Mirrored::start(vec![memcached.addr()], layouts);
    let life = Duration::from_hours(2);
    mirrored.handle.publish(mirrored.entry(Kind::AccessToken, "TOKEN-1_a", life));
    mirrored.handle.publish(mirrored.entry(Kind::JsapiTicket, "TICKET-j", life));
    mirrored.handle.publish(mirrored.entry(Kind::WxCardTicket, "TICKET-c", life));
    mirrored.written(0).await;

    let print = Fingerprint::of(&Secret::from("TOKEN-1_a"));
    let zhongkong = format!(
        r#"{{"value":"TOKEN-1_a","fingerprint":"{print}","generation":1700000001,"expires_at":1700007200}}"#
    );
    let expected = [
        ("zhongkong:wx0123456789abcdef:access_token", zhongkong.as_str()),
        ("wx0123456789abcdef:access_token", "TOKEN-1_a"),
        ("wx0123456789abcdef:jsapi_ticket", "TICKET-j"),
        ("wx0123456789abcdef:wx_card_ticket", "TICKET-c"),
        ("wechatpy:wx0123456789abcdef_access_token", r#""TOKEN-1_a""#),
        ("wechatpy:wx0123456789abcdef_access_token_expires_at", "1700007200"),
        ("wechatpy:wx0123456789abcdef_jsapi_ticket", r#""TICKET-j""#),
        ("wechatpy:wx0123456789abcdef_jsapi_ticket_expires_at", "1700007200"),
        ("wechatpy:wx0123456789abcdef_jsapi_card_ticket", r#""TICKET-c""#),
        ("wechatpy:wx0123456789abcdef_jsapi_card_ticket_expires_at", "1700007200"),
        ("gowechat_officialaccount__access_token_wx0123456789abcdef", r#""TOKEN-1_a""#),
        ("gowechat_officialaccount__stable_access_token_wx0123456789abcdef", r#""TOKEN-1_a""#),
        ("gowechat_officialaccount__jsapi_ticket_wx0123456789abcdef", r#""TICKET-j""#),
        ("bigtech_weixin_access_token", r#"{"access_token":"TOKEN-1_a","expires_in":7200}"#),
        (
            "bigtech_weixin_jsapi_ticket",
            r#"{"errcode":0,"errmsg":"ok","ticket":"TICKET-j","expires_in":7200}"#,
        ),
        (
            "bigtech_weixin_wx_card_ticket",
            r#"{"errcode":0,"errmsg":"ok","ticket":"TICKET-c","expires_in":7200}"#,
        ),
    ];
    for (key, value) in expected {
        assert_eq!(memcached.get(key), Some(text(value)), "{key}");
        let ttl = memcached.ttl(key).unwrap();
        assert!((7_140..=7_200).contains(&ttl), "{key} lives {ttl} s");
    }
    // 16 above, the two tickets in zhongkong's layout, and the sentinel: nothing else.
    assert_eq!(memcached.stat("curr_items"), 19);
}

#[tokio::test]
async fn every_server_gets_every_value() {
    // Three servers; whichever a reader's hashing picks has each value.
    let servers = [Memcached::start(), Memcached::start(), Memcached::start()];
    let mirrored = Mirrored::start(servers.iter().map(Memcached::addr).collect(), vec![Layout::Raw]);
    for kind in Kind::ALL {
        mirrored.handle.publish(mirrored.entry(kind, kind.as_str(), Duration::from_hours(2)));
    }
    for (index, server) in servers.iter().enumerate() {
        mirrored.written(index).await;
        for kind in Kind::ALL {
            assert_eq!(server.get(&key(kind).to_string()), Some(text(kind.as_str())));
        }
    }
}

#[tokio::test]
async fn copy_lives_until_the_value_may_be_dead_or_300_seconds_past_its_next_attempt() {
    let memcached = Memcached::start();
    let mirrored = Mirrored::start(vec![memcached.addr()], vec![Layout::Raw]);
    let life = Duration::from_millis(5_000_999);
    // No attempt is planned: what is left, rounded down.
    mirrored.handle.publish(mirrored.entry(Kind::AccessToken, "a", life));
    // An attempt in 1000 s will replace it.
    let mut entry = mirrored.entry(Kind::JsapiTicket, "b", life);
    entry.next_attempt = Some(mirrored.clock.boot() + Duration::from_secs(1_000));
    mirrored.handle.publish(entry);
    // More than memcached can count: it must not become a date in 1970.
    mirrored.handle.publish(mirrored.entry(Kind::WxCardTicket, "c", Duration::from_hours(40 * 24)));
    mirrored.written(0).await;
    for (kind, most) in
        [(Kind::AccessToken, 5_000), (Kind::JsapiTicket, 1_300), (Kind::WxCardTicket, 2_592_000)]
    {
        let ttl = memcached.ttl(&key(kind).to_string()).unwrap();
        // memcached counts real seconds meanwhile.
        assert!((most - 60..=most).contains(&ttl), "{kind} lives {ttl} s");
    }
}

#[tokio::test]
async fn value_without_a_second_to_live_is_deleted_not_stored_for_ever() {
    // An older copy without an end, by another program's hand, makes the deletion visible.
    let memcached = Memcached::start();
    let name = key(Kind::AccessToken).to_string();
    memcached.set(&name, "old");
    let mirrored = Mirrored::start(vec![memcached.addr()], vec![Layout::Raw]);
    mirrored.handle.publish(mirrored.entry(Kind::AccessToken, "dead soon", Duration::from_millis(999)));
    mirrored.written(0).await;
    assert_eq!(memcached.get(&name), None);
}

#[tokio::test]
async fn replaced_value_is_overwritten_and_a_withdrawn_one_deleted_in_every_layout() {
    let memcached = Memcached::start();
    let mirrored = Mirrored::start(vec![memcached.addr()], vec![Layout::Raw, Layout::Wechatpy]);
    let name = key(Kind::AccessToken).to_string();
    mirrored.publish("first");
    mirrored.written(0).await;
    mirrored.publish("second");
    mirrored.written(0).await;
    assert_eq!(memcached.get(&name), Some(text("second")));
    assert_eq!(memcached.stat("curr_items"), 4);
    mirrored.handle.withdraw(&key(Kind::AccessToken));
    mirrored.written(0).await;
    assert_eq!(memcached.get(&name), None);
    assert_eq!(memcached.stat("curr_items"), 1, "only the sentinel is left");
}

#[tokio::test]
async fn each_key_is_written_again_within_half_an_hour() {
    // Somebody deletes one key by hand; nothing tells the mirror. Rounds find nothing wrong.
    let memcached = Memcached::start();
    let mirrored = Mirrored::start(vec![memcached.addr()], vec![Layout::Raw]);
    mirrored.publish("v");
    mirrored.written(0).await;
    let name = key(Kind::AccessToken).to_string();
    memcached.set(&name, "somebody else's");
    mirrored.frozen.advance(ROUND).await;
    let status = mirrored.until(0, |status| status.rounds == 2).await;
    assert_eq!((status.written, status.rewrites), (1, 1), "an intact server is left alone");
    assert_eq!(memcached.get(&name), Some(text("somebody else's")));
    mirrored.frozen.advance(Duration::from_secs(1_770)).await;
    mirrored.until(0, |status| status.written == 2).await;
    assert_eq!(memcached.get(&name), Some(text("v")));
    let ttl = memcached.ttl(&name).unwrap();
    assert!((5_340..=5_400).contains(&ttl), "what is left after half an hour, not {ttl} s");
}
