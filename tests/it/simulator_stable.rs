//! Stable tokens, tokens ended from outside, and tickets.

use std::time::Duration;

use serde_json::json;
use zhongkong::simulator::{Endpoint, Kind, Outcome, Settings, TicketRule, TokenMode};

use crate::support::frozen::Frozen;
use crate::support::simulated::{Simulated, errcode, listed, number, text};

// ---- stable tokens ----

#[tokio::test]
async fn stable_call_repeats_the_token_until_the_last_five_minutes() {
    // The same string with what is left of it, then a new one with an overlap.
    let clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let first = wechat.stable("wx1").await;
    assert_eq!(number(&first, "expires_in"), 7200);
    clock.advance_secs(6899).await;
    let again = wechat.stable("wx1").await;
    assert_eq!(text(&again, "access_token"), text(&first, "access_token"));
    assert_eq!(number(&again, "expires_in"), 301);
    clock.advance_secs(1).await;
    let second = wechat.stable("wx1").await;
    assert_ne!(text(&second, "access_token"), text(&first, "access_token"));
    assert_eq!(number(&second, "expires_in"), 7200);
    assert_eq!(wechat.probe(text(&first, "access_token")).await, 0);
    clock.advance_secs(300).await;
    assert_eq!(wechat.probe(text(&first, "access_token")).await, 42001);
    assert_eq!(wechat.probe(text(&second, "access_token")).await, 0);
}

#[tokio::test]
async fn forced_refresh_kills_the_old_token_at_once() {
    // No overlap: that is what it is for.
    let _clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let first = wechat.stable("wx1").await;
    let second = wechat.forced("wx1").await;
    assert_eq!(wechat.probe(text(&first, "access_token")).await, 40001);
    assert_eq!(wechat.probe(text(&second, "access_token")).await, 0);
    let last = wechat.control.with_log(|log| {
        let forced = log.calls().find(|call| call.forced).cloned();
        forced.unwrap()
    });
    assert_eq!(last.outcome, Outcome::Issued);
    assert_eq!(last.mode, Some(TokenMode::Stable));
}

#[tokio::test]
async fn forced_refreshes_closer_than_thirty_seconds_bring_the_current_token() {
    // WeChat does not say no: it silently does nothing.
    let clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let first = wechat.forced("wx1").await;
    clock.advance(Duration::from_millis(29_999)).await;
    let same = wechat.forced("wx1").await;
    assert_eq!(text(&same, "access_token"), text(&first, "access_token"));
    clock.advance(Duration::from_millis(1)).await;
    let other = wechat.forced("wx1").await;
    assert_ne!(text(&other, "access_token"), text(&first, "access_token"));
}

#[tokio::test]
async fn twenty_first_forced_refresh_of_a_day_brings_the_current_token() {
    // The day's allowance, well spaced.
    let clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let mut last = String::new();
    for n in 0..20 {
        let answer = wechat.forced("wx1").await;
        let token = text(&answer, "access_token").to_owned();
        assert_ne!(token, last, "forced refresh {n}");
        last = token;
        clock.advance_secs(30).await;
    }
    let answer = wechat.forced("wx1").await;
    assert_eq!(text(&answer, "access_token"), last);
    assert_eq!(wechat.control.issued(Endpoint::StableToken, "wx1"), 20);
}

#[tokio::test]
async fn stable_calls_are_limited_per_minute() {
    // 45011 asks for patience until the next minute, not for an operator.
    let clock = Frozen::start();
    let mut settings = listed();
    settings.limits.stable_per_minute = 2;
    let wechat = Simulated::start(settings).await;
    for code in [0, 0, 45011] {
        assert_eq!(errcode(&wechat.stable("wx1").await), code);
    }
    clock.advance_secs(60).await;
    assert_eq!(errcode(&wechat.stable("wx1").await), 0);
}

#[tokio::test]
async fn classic_and_stable_tokens_leave_each_other_alone() {
    // Neither a fetch nor a force of one line touches the other.
    let _clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let stable = wechat.stable("wx1").await;
    for _ in 0..3 {
        wechat.classic("wx1").await;
    }
    assert_eq!(wechat.probe(text(&stable, "access_token")).await, 0);
    let classic = wechat.classic("wx1").await;
    wechat.forced("wx1").await;
    assert_eq!(wechat.probe(text(&classic, "access_token")).await, 0);
    assert_eq!(wechat.probe(text(&stable, "access_token")).await, 40001);
}

// ---- killed from outside ----

#[tokio::test]
async fn killed_token_is_dead_and_the_next_fetch_brings_a_living_one() {
    // A foreign program used the AppSecret, in either mode.
    let _clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    for kind in [Kind::Classic, Kind::Stable] {
        let fetch = async || match kind {
            Kind::Classic => wechat.classic("wx1").await,
            _ => wechat.stable("wx1").await,
        };
        let old = fetch().await;
        wechat.control.kill("wx1", kind);
        assert_eq!(wechat.probe(text(&old, "access_token")).await, 40001);
        let new = fetch().await;
        assert_eq!(wechat.probe(text(&new, "access_token")).await, 0);
        assert_eq!(wechat.control.current("wx1", kind).as_deref(), Some(text(&new, "access_token")));
    }
}

#[tokio::test]
async fn stable_token_killed_in_place_is_handed_out_dead_until_it_is_forced() {
    // The one case in which a normal call cannot repair anything.
    let _clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let old = wechat.stable("wx1").await;
    wechat.control.kill_in_place("wx1", Kind::Stable);
    let same = wechat.stable("wx1").await;
    assert_eq!(text(&same, "access_token"), text(&old, "access_token"));
    assert_eq!(wechat.probe(text(&same, "access_token")).await, 40001);
    let new = wechat.forced("wx1").await;
    assert_eq!(wechat.probe(text(&new, "access_token")).await, 0);
}

#[tokio::test]
async fn foreign_fetch_starts_the_overlap_and_is_not_counted_as_ours() {
    // A token war: their fetch ends ours after five minutes.
    let clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let ours = wechat.classic("wx1").await;
    let theirs = wechat.control.foreign_fetch("wx1").unwrap();
    assert_eq!(wechat.probe(text(&ours, "access_token")).await, 0);
    clock.advance_secs(300).await;
    assert_eq!(wechat.probe(text(&ours, "access_token")).await, 40001);
    assert_eq!(wechat.probe(&theirs).await, 0);
    assert_eq!(wechat.control.count(Endpoint::Token, "wx1"), 1);
    assert_eq!(wechat.control.foreign_fetch("wx9"), None, "nobody's account");
}

// ---- tickets ----

#[tokio::test]
async fn ticket_needs_a_living_token_of_either_line() {
    // Two types, two strings; a dead token is refused as everywhere.
    let clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let classic = wechat.classic("wx1").await;
    let stable = wechat.stable("wx1").await;
    let jsapi = wechat.ticket(text(&classic, "access_token"), "jsapi").await;
    let card = wechat.ticket(text(&stable, "access_token"), "wx_card").await;
    assert_eq!(jsapi.get("errcode"), Some(&json!(0)), "success has an errcode");
    assert_ne!(text(&jsapi, "ticket"), text(&card, "ticket"));
    let refused = wechat.ticket(text(&classic, "access_token"), "sdk").await;
    assert_eq!(errcode(&refused), 40035);
    let refused = wechat.ticket(text(&jsapi, "ticket"), "jsapi").await;
    assert_eq!(errcode(&refused), 40001, "a ticket is no token");
    clock.advance_secs(7200).await;
    let refused = wechat.ticket(text(&classic, "access_token"), "jsapi").await;
    assert_eq!(errcode(&refused), 42001);
}

#[tokio::test]
async fn ticket_repeats_itself_as_its_rule_says() {
    // The three behaviours that WeChat's silence leaves open.
    let clock = Frozen::start();
    let rules = [
        (TicketRule::SameStringWithinLife, true, 6200),
        (TicketRule::SameStringOverstated, true, 7200),
        (TicketRule::NewEachCall, false, 7200),
    ];
    for (rule, same, left) in rules {
        let settings = Settings { ticket_rule: rule, ..listed() };
        let wechat = Simulated::start(settings).await;
        let token = wechat.classic("wx1").await;
        let first = wechat.ticket(text(&token, "access_token"), "jsapi").await;
        clock.advance_secs(1000).await;
        // Another token: the ticket does not hang on the one that fetched it.
        let token = wechat.classic("wx1").await;
        let again = wechat.ticket(text(&token, "access_token"), "jsapi").await;
        let equal = text(&again, "ticket") == text(&first, "ticket");
        assert_eq!(equal, same, "{rule:?}");
        assert_eq!(number(&again, "expires_in"), left, "{rule:?}");
        assert!(wechat.control.alive(text(&first, "ticket")), "{rule:?}");
        clock.advance_secs(6200).await;
        assert!(!wechat.control.alive(text(&first, "ticket")), "{rule:?}");
        let token = wechat.classic("wx1").await;
        let next = wechat.ticket(text(&token, "access_token"), "jsapi").await;
        assert_ne!(text(&next, "ticket"), text(&first, "ticket"), "{rule:?}");
    }
}
