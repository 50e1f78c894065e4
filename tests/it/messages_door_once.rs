//! One message, one run: copied requests, two at once, callers that hang up, two processes and one
//! that dies. The program behind the service counts how often it is asked.

use std::time::Duration;

use tokio::task::JoinSet;
use zhongkong::clock::Clock;
use zhongkong::simulator::callback::{Ending, Fault, Format, Mode, Shown};

use super::messages_site::{Bench, WAYS, exchange, shown_text, text, way, wire};
use super::support::frozen::Guard;
use super::support::memcached::Memcached;

#[tokio::test]
async fn copied_request_is_answered_again_without_a_run_and_refused_when_its_time_is_over() {
    // Signed nearly as long ago as the window allows, so that its end is seen.
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.setting("replay_window = \"30s\"");
    bench.accounts_of_all_ways();
    let service = bench.serve().await;
    let signed = Clock::system().wall().seconds() - 25;
    let at = Duration::from_secs(signed.try_into().unwrap());
    let mut copies = Vec::new();
    for (mode, format) in WAYS {
        let sender = service.sender(&way(mode, format), mode, format).at(at);
        let delivery = sender.push(&text("hi").fault(Fault::Replay)).await;
        assert!(delivery.ok(), "{mode:?}: {:?}", delivery.trial);
        assert!(shown_text(&delivery.shown).is_some_and(|text| text.ends_with("answers hi")), "{delivery:?}");
        copies.push(wire(&delivery.attempts[0].request));
    }
    assert_eq!(bench.program.seen().len(), WAYS.len());
    for copy in copies {
        loop {
            let answer = exchange(service.http, &copy).await;
            if answer.status == 403 {
                break;
            }
            assert_eq!(answer.status, 200, "{answer:?}");
            let now = Clock::system().wall().seconds();
            assert!(now - signed <= 32, "the window has an end: {answer:?}");
        }
    }
    service.process.line("reason=\"stale\"").await;
    assert_eq!(bench.program.seen().len(), WAYS.len());
    service.process.stop().await;
}

#[tokio::test]
async fn same_message_at_once_is_one_run_and_one_answer() {
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.accounts_of_all_ways();
    let service = bench.serve().await;
    bench.program.hold();
    let mut tasks = JoinSet::new();
    for (mode, format) in WAYS {
        let sender = service.sender(&way(mode, format), mode, format);
        let push = text("hi");
        for _ in 0..8 {
            let (sender, push) = (sender.clone(), push.clone());
            tasks.spawn(async move { (way(mode, format), sender.push(&push).await) });
        }
    }
    bench.program.got(WAYS.len()).await;
    bench.program.open();
    let mut answers: Vec<(String, String)> = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (way, delivery) = done.unwrap();
        answers.push((way, shown_text(&delivery.shown).expect("each is answered").to_owned()));
    }
    assert_eq!(answers.len(), 8 * WAYS.len());
    answers.sort_unstable();
    answers.dedup();
    assert_eq!(answers.len(), WAYS.len(), "one message got two answers: {answers:?}");
    assert_eq!(bench.program.seen().len(), WAYS.len());
    service.process.stop().await;
}

#[tokio::test]
async fn messages_of_other_users_accounts_and_moments_are_never_taken_for_the_same() {
    // The same words at the same time, and even the same MsgId.
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.account("a", Mode::Safe, "");
    bench.account("b", Mode::Safe, "");
    let service = bench.serve().await;
    let push = text("hi").set("MsgId", "77").unwrap();
    let other_id = push.clone().set("MsgId", "78").unwrap();
    let mut tasks = JoinSet::new();
    for path in ["a", "b"] {
        let sender = service.sender(path, Mode::Safe, Format::Xml);
        for user in 0..20 {
            for push in [&push, &other_id] {
                let push = push.clone().from(&format!("oUser{user}")).unwrap();
                let sender = sender.clone();
                tasks.spawn(async move { sender.push(&push).await });
            }
        }
    }
    let mut answers = Vec::new();
    while let Some(done) = tasks.join_next().await {
        answers.push(shown_text(&done.unwrap().shown).expect("each is answered").to_owned());
    }
    answers.sort_unstable();
    answers.dedup();
    // A program that numbers its answers gave one to each.
    assert_eq!(answers.len(), 2 * 20 * 2);
    assert_eq!(bench.program.seen().len(), 2 * 20 * 2);
    service.process.stop().await;
}

#[tokio::test]
async fn caller_that_hangs_up_and_comes_again_gets_the_one_answer_by_one_way() {
    // An impatient WeChat: the answer falls into the first wait, a retry, or the gap between two.
    // Whichever it is, each user sees one answer, in the chat or as a customer-service message.
    const USERS: usize = 24;
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.account("a", Mode::Safe, "");
    let daemon = bench.site.start_ready().await;
    let service = bench.serve().await;
    bench.program.hold();
    let mut tasks = JoinSet::new();
    for user in 0..USERS {
        let sender = service.sender("a", Mode::Safe, Format::Xml);
        // No two of them hang up at the same moment.
        let wait = Duration::from_millis(150 + 7 * u64::try_from(user).unwrap());
        let push = text("hi").from(&format!("oUser{user}")).unwrap();
        tasks.spawn(async move { (user, sender.wait(wait).attempts(200).push(&push).await) });
    }
    bench.program.got(USERS).await;
    // A retry of every user, at least, has come before the answer.
    service.process.page("/metrics").await;
    bench.program.open();
    let mut late = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (user, delivery) = done.unwrap();
        match &delivery.shown {
            Shown::Answer(_) => {}
            Shown::Nothing => late.push(format!("oUser{user}")),
            Shown::Failed(flaw) => panic!("{flaw}"),
        }
    }
    service.process.stop().await;
    let mut sent: Vec<String> =
        bench.wechat.control.messages("wx-a").into_iter().map(|message| message.touser).collect();
    sent.sort_unstable();
    late.sort_unstable();
    assert_eq!(sent, late, "an answer was lost, or given twice");
    assert_eq!(bench.program.seen().len(), USERS);
    daemon.stop().await;
}

#[tokio::test]
async fn two_processes_over_one_memcached_run_a_message_once() {
    let _guard = Guard::start();
    let memcached = Memcached::start();
    let mut bench = Bench::new("4500ms").await;
    bench.setting(&format!("memcached = [\"{}\"]", memcached.addr()));
    bench.account("a", Mode::Safe, "");
    let one = bench.serve().await;
    bench.site.section("messages.log", "");
    let other = bench.serve().await;
    // A memcached that does not answer in a tenth of a second is gone round, and says so: on a
    // machine that is busy for so long it is done again.
    let alone = || one.process.count("cannot be asked") + other.process.count("cannot be asked");
    for round in 1..=10 {
        let (before, asked) = (alone(), bench.program.seen().len());
        bench.program.hold();
        let mut tasks = JoinSet::new();
        for user in 0..10 {
            let push = text("hi").from(&format!("oUser{user}")).unwrap();
            for service in [&one, &other] {
                let (sender, push) = (service.sender("a", Mode::Safe, Format::Xml), push.clone());
                tasks.spawn(async move { (user, sender.push(&push).await) });
            }
        }
        bench.program.got(asked + 10).await;
        bench.program.open();
        let mut answers = Vec::new();
        while let Some(done) = tasks.join_next().await {
            let (user, delivery) = done.unwrap();
            answers.push((user, shown_text(&delivery.shown).expect("each is answered").to_owned()));
        }
        assert_eq!(answers.len(), 20);
        if alone() > before {
            assert!(round < 10, "memcached is never in time");
            continue;
        }
        answers.sort_unstable();
        answers.dedup();
        assert_eq!(answers.len(), 10, "the processes answered differently: {answers:?}");
        assert_eq!(bench.program.seen().len(), asked + 10);
        break;
    }
    one.process.stop().await;
    other.process.stop().await;
}

#[tokio::test]
async fn message_of_a_killed_process_is_run_by_the_one_that_gets_the_retry() {
    let _guard = Guard::start();
    let memcached = Memcached::start();
    let mut bench = Bench::new("4500ms").await;
    bench.setting(&format!("memcached = [\"{}\"]", memcached.addr()));
    bench.account("a", Mode::Safe, "");
    let daemon = bench.site.start_ready().await;
    let mut one = bench.serve().await;
    bench.site.section("messages.log", "");
    let other = bench.serve().await;
    bench.program.hold();
    let push = text("hi");
    let first = one.sender("a", Mode::Safe, Format::Xml).attempts(1);
    let asked = first.push(&push);
    let dies = async {
        bench.program.got(1).await;
        one.process.end_now().await;
    };
    let (delivery, ()) = tokio::join!(asked, dies);
    assert!(matches!(delivery.attempts[0].ending, Ending::Broken(_)), "{delivery:?}");

    let retry = other.sender("a", Mode::Safe, Format::Xml);
    let asked = retry.push(&push);
    let answers = async {
        bench.program.got(2).await;
        bench.program.open();
    };
    let (delivery, ()) = tokio::join!(asked, answers);
    other.process.stop().await;
    let sent = bench.wechat.control.messages("wx-a").len();
    match shown_text(&delivery.shown) {
        Some(text) => assert_eq!((text, sent), ("2 answers hi", 0)),
        // On a busy machine it came after the deadline.
        None => assert_eq!((&delivery.shown, sent), (&Shown::Nothing, 1)),
    }
    assert_eq!(bench.program.seen().len(), 2);
    daemon.stop().await;
}
