//! Sessions of the OAuth service: their ids, lives and ends.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::COOKIE;
use tower_sessions::Session;
use tower_sessions::session::Id;

use crate::oauth_support::{IDLE, LIFE, Stores, appid, openid};

fn session(stores: &Stores, id: Id) -> Session {
    Session::new(Some(id), Arc::new(stores.sessions.store()), None)
}

async fn openids(stores: &Stores, id: Id) -> Vec<String> {
    let logins = stores.sessions.logins(&session(stores, id)).await.unwrap();
    logins.into_iter().map(|login| login.openid.to_string()).collect()
}

#[tokio::test]
async fn a_login_gets_a_new_session_id_and_keeps_the_other_accounts() {
    let stores = Stores::sqlite().await;
    let first = stores.sessions.log_in(None, stores.login("wx1", "o1").await).await.unwrap();
    let second = stores.sessions.log_in(Some(first), stores.login("wx2", "o2").await).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(openids(&stores, first).await, [""; 0], "an id from before a login is worth nothing");
    assert_eq!(openids(&stores, second).await, ["o1", "o2"]);
    // An id that somebody made up does not become a session by a login.
    let planted = Id::default();
    let third = stores.sessions.log_in(Some(planted), stores.login("wx1", "o3").await).await.unwrap();
    assert_ne!(third, planted);
    assert_eq!(openids(&stores, planted).await, [""; 0]);
}

#[tokio::test]
async fn a_session_lives_while_it_is_used_and_not_longer_than_its_life() {
    let stores = Stores::sqlite().await;
    let unused = stores.sessions.log_in(None, stores.login("wx1", "o1").await).await.unwrap();
    let used = stores.sessions.log_in(None, stores.login("wx1", "o1").await).await.unwrap();
    let step = IDLE - Duration::from_secs(3_600);
    let mut lived = Duration::ZERO;
    while lived + step < LIFE {
        stores.pass(step);
        lived += step;
        assert_eq!(openids(&stores, used).await, ["o1"], "{lived:?}");
    }
    assert_eq!(openids(&stores, unused).await, [""; 0]);
    stores.pass(LIFE - lived);
    assert_eq!(openids(&stores, used).await, [""; 0]);
}

#[tokio::test]
async fn logging_out_everywhere_and_deletion_end_every_session_of_a_person() {
    let stores = Stores::sqlite().await;
    let phone = stores.sessions.log_in(None, stores.login("wx1", "o1").await).await.unwrap();
    let tablet = stores.sessions.log_in(None, stores.login("wx1", "o1").await).await.unwrap();
    let other = stores.sessions.log_in(None, stores.login("wx1", "o2").await).await.unwrap();
    stores.sessions.log_out_everywhere(&session(&stores, phone)).await.unwrap();
    assert_eq!(openids(&stores, phone).await, [""; 0]);
    assert_eq!(openids(&stores, tablet).await, [""; 0]);
    assert_eq!(openids(&stores, other).await, ["o2"]);
    stores.users.delete(&appid("wx1"), &openid("o2")).await.unwrap();
    assert_eq!(openids(&stores, other).await, [""; 0]);
    // Coming back does not revive what ended.
    stores.login("wx1", "o2").await;
    assert_eq!(openids(&stores, other).await, [""; 0]);
}

#[tokio::test]
async fn a_session_that_was_ended_is_not_brought_back_by_a_request_that_still_runs() {
    let stores = Stores::sqlite().await;
    let id = stores.sessions.log_in(None, stores.login("wx1", "o1").await).await.unwrap();
    let running = session(&stores, id);
    running.insert("page", 1).await.unwrap();
    stores.sessions.log_out(&session(&stores, id)).await.unwrap();
    running.save().await.unwrap();
    assert_eq!(openids(&stores, id).await, [""; 0]);
}

#[tokio::test]
async fn the_cookie_is_for_this_host_only_and_for_no_script() {
    let stores = Stores::sqlite().await;
    let id = stores.sessions.log_in(None, stores.login("wx1", "o1").await).await.unwrap();
    let cookie = stores.sessions.cookie(id).to_str().unwrap().to_owned();
    let mut parts: Vec<&str> = cookie.split("; ").collect();
    let value = parts.remove(0);
    parts.sort_unstable();
    assert_eq!(parts, ["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=Lax", "Secure"]);
    assert!(value.starts_with("__Host-zk_session="), "{value}");
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, format!("a=b; {value}; c=d").parse().unwrap());
    assert_eq!(stores.sessions.id_in(&headers), Some(id));
}
