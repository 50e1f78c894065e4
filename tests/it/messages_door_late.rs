//! Programs that are slower than WeChat waits: the message is acknowledged in time, and the answer
//! goes out once as a customer-service message, with the daemon's token.

use std::time::Duration;

use zhongkong::simulator::callback::{Format, Mode, Shown};
use zhongkong::simulator::{Endpoint, Kind, Outcome};

use super::messages_site::{Bench, WAYS, appid, shown_text, text, way};
use super::support::frozen::Guard;
use super::support::scrape::Scrape;

const SEND: &str = "/cgi-bin/message/custom/send";

/// What came of each call of the customer-service API.
fn outcomes(bench: &Bench) -> Vec<Outcome> {
    let calls = bench.wechat.control.calls();
    calls.into_iter().filter(|call| call.path == SEND).map(|call| call.outcome).collect()
}

#[tokio::test]
async fn slow_answer_is_acknowledged_in_time_and_sent_once_in_every_mode() {
    let _guard = Guard::start();
    let mut bench = Bench::new("500ms").await;
    bench.accounts_of_all_ways();
    let daemon = bench.site.start_ready().await;
    let service = bench.serve().await;
    bench.program.hold();
    let mut users = Vec::new();
    for (mode, format) in WAYS {
        let push = text("hi").from(&format!("oUser-{}", way(mode, format))).unwrap();
        let sender = service.sender(&way(mode, format), mode, format);
        for _ in 0..2 {
            // WeChat may repeat what was acknowledged, too.
            let delivery = sender.push(&push).await;
            assert_eq!(delivery.shown, Shown::Nothing, "{mode:?} {format:?}");
            let took = delivery.attempts[0].took;
            assert!(took >= Duration::from_millis(450) && delivery.attempts.len() == 1, "{took:?}");
        }
        users.push(format!("oUser-{}", way(mode, format)));
    }
    assert_eq!(bench.program.seen().len(), WAYS.len());
    assert_eq!(outcomes(&bench), []);
    bench.program.open();
    let mut sent = Vec::new();
    for (mode, format) in WAYS {
        sent.extend(bench.wechat.control.wait_messages(&appid(&way(mode, format)), 1).await);
    }
    // One that comes when all is over is acknowledged at once.
    let again = service.sender("safe-xml", Mode::Safe, Format::Xml);
    let late = text("more");
    assert!(shown_text(&again.push(&late).await.shown).is_some());
    service.process.stop().await;
    assert_eq!(outcomes(&bench).len(), WAYS.len(), "each was sent once");
    assert_eq!(
        sent.iter().map(|message| &message.touser).collect::<Vec<_>>(),
        users.iter().collect::<Vec<_>>()
    );
    assert!(sent.iter().all(|message| message.msgtype == "text"), "{sent:?}");
    assert_eq!(bench.program.seen().len(), WAYS.len() + 1);
    daemon.stop().await;
}

#[tokio::test]
async fn dead_token_costs_a_complaint_and_no_answer() {
    let _guard = Guard::start();
    let mut bench = Bench::new("500ms").await;
    bench.account("a", Mode::Safe, "");
    let daemon = bench.site.start_ready().await;
    let service = bench.serve().await;
    bench.program.hold();
    let sender = service.sender("a", Mode::Safe, Format::Xml);
    assert_eq!(sender.push(&text("hi")).await.shown, Shown::Nothing);
    bench.wechat.control.kill("wx-a", Kind::Classic);
    bench.program.open();
    let sent = bench.wechat.control.wait_messages("wx-a", 1).await;
    assert_eq!(sent[0].touser, zhongkong::simulator::callback::SOMEBODY);
    service.process.stop().await;
    assert_eq!(outcomes(&bench), [Outcome::Errcode(40001), Outcome::Ok]);
    assert_eq!(bench.wechat.control.count_all(Endpoint::Token), 2, "one token before, one after");
    assert_eq!(bench.wechat.control.messages("wx-a").len(), 1);
    let lines = bench.log();
    let all: Vec<_> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(all, ["deferred", "late"]);
    assert_eq!(lines[0]["trace"], lines[1]["trace"]);
    daemon.stop().await;
}

#[tokio::test]
async fn late_answer_without_the_daemon_is_lost_with_a_sentence_and_the_service_lives() {
    let _guard = Guard::start();
    let mut bench = Bench::new("500ms").await;
    bench.account("a", Mode::Safe, "");
    let daemon = bench.site.start_ready().await;
    let service = bench.serve().await;
    bench.program.hold();
    let sender = service.sender("a", Mode::Safe, Format::Xml);
    assert_eq!(sender.push(&text("hi")).await.shown, Shown::Nothing);
    daemon.kill().await;
    bench.program.open();
    let line = service.process.line("a late answer of wx-a could not be sent").await;
    assert!(line.contains("WARN") && line.contains("systemctl start zhongkong"), "{line}");
    assert!(line.contains(&bench.site.addr()), "{line}");
    assert!(!line.contains("answers hi") && !line.contains("oSimulatedUser"), "{line}");
    // Everything that is in time is as before, and the page says what is not.
    let delivery = sender.push(&text("more")).await;
    assert!(shown_text(&delivery.shown).is_some(), "{delivery:?}");
    let page = Scrape::of(&service.process).await;
    assert_eq!(
        page.count("zhongkong_messages_total{family=\"text\",outcome=\"late_failed\"}"),
        1,
        "{}",
        page.text
    );

    // The daemon comes back, and so do late answers; nobody restarts the service.
    let daemon = bench.site.start_ready().await;
    bench.program.hold();
    assert_eq!(sender.push(&text("slow")).await.shown, Shown::Nothing);
    bench.program.open();
    bench.wechat.control.wait_messages("wx-a", 1).await;
    service.process.stop().await;
    let lines = bench.log();
    let lost = lines.iter().find(|line| line["outcome"] == "lost").unwrap();
    assert!(lost["reason"].as_str().unwrap().contains("systemctl start zhongkong"), "{lost}");
    assert_eq!(bench.wechat.control.messages("wx-a").len(), 1, "what was lost is not sent again");
    daemon.stop().await;
}

#[tokio::test]
async fn stop_waits_for_the_late_answer() {
    let _guard = Guard::start();
    let mut bench = Bench::new("500ms").await;
    bench.account("a", Mode::Safe, "");
    let daemon = bench.site.start_ready().await;
    let mut service = bench.serve().await;
    bench.program.hold();
    let sender = service.sender("a", Mode::Safe, Format::Xml);
    assert_eq!(sender.push(&text("hi")).await.shown, Shown::Nothing);
    service.process.signal(rustix::process::Signal::TERM);
    service.process.line("stopping; requests under way").await;
    bench.program.open();
    assert_eq!(service.process.ended().await.code(), Some(0), "{}", service.process.stderr());
    assert_eq!(bench.wechat.control.messages("wx-a").len(), 1);
    daemon.stop().await;
}
