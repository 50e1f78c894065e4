//! Coming back from WeChat when not everything goes well: twice, with a code that is used, with a
//! daemon that is away, with a browser that has gone.

use std::time::Duration;

use zhongkong::services::oauth::flow;
use zhongkong::simulator::{Endpoint, Fault};

use crate::oauth_world::{Around, BASE, BINDING, Browser, Got, SESSION, callback, state};

const LOGIN: &str = "/oauth/shop/login?return_to=/x%23y";
const AWAY: &str = "WeChat cannot be asked at the moment";

#[tokio::test]
async fn second_arrival_gets_the_first_ones_answer_and_session() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin(LOGIN).await;
    let address = callback(&authorize, &around.consents(&authorize, "o1"));
    let before = browser.clone();
    let first = browser.go(&address).await;
    // With and without the cookie that the first answer brought.
    for mut browser in [before.clone(), browser.clone()] {
        let second = browser.go(&address).await;
        assert_eq!((second.status, second.location()), (303, first.location()));
        assert_eq!(second.cookie(SESSION), first.cookie(SESSION));
        assert_eq!(around.who(&browser).await.as_deref(), Some("o1"));
    }
    assert_eq!(around.exchanges(), 1);
}

#[tokio::test]
async fn many_arrivals_at_once_are_one_exchange_and_one_session() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin(LOGIN).await;
    let address = callback(&authorize, &around.consents(&authorize, "o1"));
    around.once(Fault::HoldAnswer);
    let arrivals = futures_util::future::join_all((0..20).map(|_| {
        let (mut browser, address) = (browser.clone(), address.clone());
        async move { browser.go(&address).await }
    }));
    let release = async {
        around.held(1).await;
        around.world.sim.control.release();
    };
    let (answers, ()) = tokio::join!(arrivals, release);
    assert_eq!(answers.len(), 20);
    for got in &answers {
        assert_eq!((got.status, got.location()), (303, "/x#y"));
        assert_eq!(got.cookie(SESSION), answers[0].cookie(SESSION));
    }
    assert_eq!(around.exchanges(), 1);
}

#[tokio::test]
async fn going_back_after_a_minute_leads_home_and_hands_out_no_session() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin(LOGIN).await;
    let address = callback(&authorize, &around.consents(&authorize, "o1"));
    browser.go(&address).await;
    around.world.frozen.advance(Duration::from_millis(59_999)).await;
    assert!(browser.go(&address).await.cookie(SESSION).is_some());
    around.world.frozen.advance(Duration::from_millis(1)).await;
    let got = browser.go(&address).await;
    assert_eq!((got.status, got.location(), got.cookie(SESSION)), (303, "/x#y", None));
    // And after the state's life it is over.
    around.world.frozen.advance(Duration::from_secs(600)).await;
    browser.go(&address).await.is_page(400, "This login is over");
    assert_eq!(around.exchanges(), 1);
    assert_eq!(around.who(&browser).await.as_deref(), Some("o1"), "the session has nothing to do with it");
}

#[tokio::test]
async fn browser_that_hangs_up_loses_nothing() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin(LOGIN).await;
    let address = callback(&authorize, &around.consents(&authorize, "o1"));
    around.once(Fault::HoldAnswer);
    {
        let gone = browser.request(&address).send();
        tokio::pin!(gone);
        tokio::select! {
            _ = &mut gone => panic!("it is held"),
            () = around.held(1) => {}
        }
    }
    around.world.sim.control.release();
    let got = browser.go(&address).await;
    assert_eq!((got.status, got.location()), (303, "/x#y"));
    assert_eq!(around.who(&browser).await.as_deref(), Some("o1"));
    assert_eq!(around.exchanges(), 1);
}

#[tokio::test]
async fn two_instances_agree_about_an_arrival_at_both() {
    let around = Around::start().await;
    let (one, two) = (around.instance().await, around.instance().await);
    let mut browser = one.browser();
    let authorize = browser.begin(LOGIN).await;
    let address = callback(&authorize, &around.consents(&authorize, "o1"));
    around.once(Fault::HoldAnswer);
    let (mut here, mut there) = (browser.at(&one), browser.at(&two));
    let second = async {
        around.held(1).await;
        let second = there.go(&address);
        tokio::pin!(second);
        // It looks now and then what the other one has made of it. Time passes for that only, and only
        // as fast as the store answers.
        let mut step = 0;
        loop {
            let passes = async {
                around.world.frozen.advance(Duration::from_millis(100)).await;
                for _ in 0..20 {
                    around.user("nobody").await;
                }
            };
            tokio::select! {
                biased;
                got = &mut second => return got,
                () = passes => step += 1,
            }
            if step == 10 {
                around.world.sim.control.release();
            }
            assert!(step < 100, "it never looked");
        }
    };
    let (first, second) = tokio::join!(here.go(&address), second);
    assert_eq!((first.status, first.location()), (303, "/x#y"));
    assert_eq!((second.status, second.location()), (303, "/x#y"));
    assert_eq!(second.cookie(SESSION), first.cookie(SESSION));
    assert_eq!(around.exchanges(), 1);
    // Afterwards, too, and for strangers not.
    assert_eq!(there.go(&address).await.cookie(SESSION), first.cookie(SESSION));
    two.browser().go(&address).await.is_page(403, "This login was begun somewhere else");
}

/// Comes back once with a code that WeChat refuses in this way.
async fn comes_back(around: &Around, browser: &mut Browser, authorize: &str) -> Got {
    let code = around.consents(authorize, "o1");
    browser.go(&callback(authorize, &code)).await
}

#[tokio::test]
async fn code_that_is_not_good_asks_wechat_again_twice_and_then_says_so() {
    let around = Around::start().await;
    let instance = around.instance().await;
    for fault in [Fault::errcode(40_029), Fault::errcode(40_163), Fault::errcode(42_003), Fault::AnswerLost] {
        let (before, mut browser) = (around.exchanges(), instance.browser());
        let mut authorize = browser.begin(LOGIN).await;
        around.always(fault.clone());
        for _ in 0..2 {
            let got = comes_back(&around, &mut browser, &authorize).await;
            assert_eq!(got.status, 303, "{fault:?}: {}", got.body);
            let next = got.location().to_owned();
            assert!(next.ends_with("#wechat_redirect") && state(&next) != state(&authorize), "{next}");
            authorize = next;
        }
        let got = comes_back(&around, &mut browser, &authorize).await;
        got.is_page(502, "WeChat did not complete the login");
        assert_eq!(around.exchanges() - before, 3, "{fault:?}");
        // Whoever tries again begins anew, and gets in when WeChat does its work.
        around.world.sim.control.clear_faults();
        let authorize = browser.begin(&got.button()).await;
        assert_eq!(comes_back(&around, &mut browser, &authorize).await.location(), "/x#y");
    }
}

#[tokio::test]
async fn second_arrival_of_a_bad_code_is_sent_to_the_same_page_of_wechat() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin(LOGIN).await;
    let address = callback(&authorize, "made-up");
    let (first, second) = (browser.go(&address).await, browser.go(&address).await);
    assert_eq!(first.location(), second.location());
    assert_eq!(around.exchanges(), 1);
    // The new state is this browser's only, as the first was.
    let code = around.consents(first.location(), "o1");
    instance
        .browser()
        .go(&callback(first.location(), &code))
        .await
        .is_page(403, "This login was begun somewhere else");
    assert_eq!(browser.go(&callback(first.location(), &code)).await.location(), "/x#y");
}

#[tokio::test]
async fn wechat_that_is_busy_or_away_loses_no_login_and_the_same_code_goes_on() {
    // What WeChat refused as busy, and what never reached it, may be tried again.
    let around = Around::start().await;
    let instance = around.instance().await;
    for (fault, number) in [(Fault::errcode(-1), "-1"), (Fault::errcode(45_011), "45011")] {
        let (before, mut browser) = (around.exchanges(), instance.browser());
        let authorize = browser.begin(LOGIN).await;
        let address = callback(&authorize, &around.consents(&authorize, "o1"));
        around.once(fault.clone());
        let got = browser.go(&address).await;
        got.is_page(503, AWAY);
        assert_eq!(got.headers["retry-after"], "3");
        assert!(got.body.contains(number), "{}", got.body);
        // The button loads the same address again, without holding it.
        assert_eq!(got.button(), "");
        assert_eq!(browser.go(&address).await.location(), "/x#y", "{fault:?}");
        assert_eq!(around.exchanges() - before, 2);
    }
}

#[tokio::test]
async fn daemon_that_is_away_loses_no_login() {
    let mut around = Around::start().await;
    let nowhere =
        zhongkong::client::Client::lazy("http://127.0.0.1:1", zhongkong::client::Credentials::default())
            .unwrap();
    let without = around.instance_with(flow::Settings::default(), nowhere, BASE).await;
    let with = around.instance().await;
    let mut browser = without.browser();
    let authorize = browser.begin(LOGIN).await;
    let address = callback(&authorize, &around.consents(&authorize, "o1"));
    let got = browser.go(&address).await;
    got.is_page(503, AWAY);
    assert!(got.headers.contains_key("retry-after"));
    // It is back, and the user loads the page again.
    assert_eq!(browser.at(&with).go(&address).await.location(), "/x#y");
    // And one that goes away later.
    let authorize = browser.begin("/oauth/shop/login?return_to=/z&scope=snsapi_userinfo").await;
    let code = around.consents(&authorize, "o2");
    around.world.ended().await;
    browser.at(&with).go(&callback(&authorize, &code)).await.is_page(503, AWAY);
}

#[tokio::test]
async fn what_only_an_operator_can_mend_is_a_page_with_wechats_number() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin(LOGIN).await;
    around.once(Fault::errcode(40_125));
    let got = comes_back(&around, &mut browser, &authorize).await;
    got.is_page(502, "WeChat refused the login");
    assert!(got.body.contains("40125"), "{}", got.body);
    // A client without the right to exchange.
    let weak = around.instance_with(flow::Settings::default(), around.world.client("weak"), BASE).await;
    let mut browser = weak.browser();
    let authorize = browser.begin(LOGIN).await;
    comes_back(&around, &mut browser, &authorize).await.is_page(502, "The login is not set up");
}

#[tokio::test]
async fn store_that_fails_is_a_page_and_not_a_login() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin(LOGIN).await;
    let address = callback(&authorize, &around.consents(&authorize, "o1"));
    std::fs::rename(around.stores.file(), around.stores.file().with_extension("gone")).unwrap();
    let got = browser.go(&address).await;
    got.is_page(503, "The login cannot be kept at the moment");
    browser.go(LOGIN).await.is_page(503, "The login cannot be kept at the moment");
    assert_eq!(around.exchanges(), 0, "nothing is spent that cannot be kept");
}

#[tokio::test]
async fn service_that_stops_waits_for_logins_under_way_and_lets_nobody_in() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin(LOGIN).await;
    let late = browser.begin(LOGIN).await;
    let address = callback(&authorize, &around.consents(&authorize, "o1"));
    around.once(Fault::HoldAnswer);
    let mut own = browser.clone();
    let stops = async {
        around.held(1).await;
        let closing = instance.flow.close(Duration::from_secs(10));
        tokio::pin!(closing);
        tokio::select! {
            biased;
            left = &mut closing => panic!("it did not wait: {left}"),
            () = tokio::task::yield_now() => {}
        }
        let refused = callback(&late, &around.consents(&late, "o1"));
        browser.go(&refused).await.is_page(503, "Too many people are logging in");
        around.world.sim.control.release();
        closing.await
    };
    let (got, left) = tokio::join!(own.go(&address), stops);
    assert_eq!((got.location(), left), ("/x#y", 0));
    assert!(got.cookie(BINDING).is_none());
    instance.stop();
    assert_eq!(around.world.sim.control.count_all(Endpoint::OauthToken), 1);
}
