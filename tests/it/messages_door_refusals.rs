//! What does not come through the door: each fault has its status, its line in the log and its
//! count, and nobody behind the door hears of it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use zhongkong::clock::Clock;
use zhongkong::simulator::callback::{Ending, Fault, Format, Mode, Trial};

use super::callback_support::signature;
use super::messages_site::{Answer, Bench, Service, TOKEN, WAYS, answered, exchange, head, text, way};
use super::support::frozen::Guard;
use super::support::scrape::Scrape;

const VERIFY: &str = "MP_verify_aB3dE6gH9jK2mN5p.txt";

/// What a fault is answered with and called; `None` where it is no fault.
#[expect(clippy::match_same_arms, reason = "a line for each cause, also where two end alike")]
fn owed(fault: Fault, mode: Mode, format: Format) -> Option<(u16, &'static str)> {
    match (fault, mode) {
        (Fault::BadMsgSignature, _) | (Fault::BadSignature, Mode::Plain) => Some((403, "signature")),
        (Fault::StaleTimestamp, _) => Some((403, "stale")),
        (Fault::MissingParameters, _) => Some((403, "unsigned")),
        (Fault::PlainToSafe, Mode::Safe) => Some((403, "plain")),
        (Fault::SlowBody, _) => Some((408, "late_body")),
        (Fault::Oversize, _) => Some((413, "too_large")),
        (Fault::TruncatedBody, Mode::Plain) => Some((400, "unreadable")),
        (Fault::DoctypeBomb, Mode::Plain) if format == Format::Xml => Some((400, "unreadable")),
        // Deep nesting needs length.
        (Fault::DoctypeBomb, Mode::Plain) => Some((413, "too_large")),
        (Fault::TruncatedBody | Fault::DoctypeBomb, _) => Some((400, "body")),
        (Fault::WrongReceiveId | Fault::WrongKey | Fault::TamperedBody, Mode::Plain)
        | (Fault::BadSignature, Mode::Compatible | Mode::Safe)
        | (Fault::PlainToSafe, Mode::Plain | Mode::Compatible)
        | (Fault::Replay | Fault::Duplicate, _) => None,
        (Fault::WrongReceiveId, _) => Some((403, "foreign")),
        (Fault::WrongKey, _) => Some((400, "wrong_key")),
        (Fault::TamperedBody, _) => Some((403, "signature")),
    }
}

/// A query that WeChat could have signed just now.
fn query() -> String {
    let now = Clock::system().wall().seconds().to_string();
    format!("signature={}&timestamp={now}&nonce=n0nce", signature(&[TOKEN, &now, "n0nce"]))
}

/// A plain message.
fn message() -> String {
    let now = Clock::system().wall().seconds();
    format!(
        "<xml><ToUserName>gh_1</ToUserName><FromUserName>oRaw</FromUserName><CreateTime>{now}</CreateTime>\
         <MsgType>text</MsgType><Content>hi</Content><MsgId>7</MsgId></xml>"
    )
}

async fn refusals(service: &Service) -> BTreeMap<String, u64> {
    let page = Scrape::of(&service.process).await;
    let samples = page.growing().filter_map(|(series, value)| {
        let reason = series.strip_prefix("zhongkong_message_refusals_total{reason=\"")?;
        Some((reason.trim_end_matches("\"}").to_owned(), value.to_string().parse().unwrap()))
    });
    samples.collect()
}

#[tokio::test]
async fn every_fault_has_its_status_a_line_with_the_reason_and_a_count_and_reaches_nobody() {
    // An account for each case, because the log says a reason once a minute for each account.
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    let path = |mode, format, fault: Fault| format!("{}-{}", way(mode, format), fault.name());
    let cases = || WAYS.into_iter().flat_map(|way| Fault::ALL.map(|fault| (way.0, way.1, fault)));
    for (mode, format, fault) in cases() {
        bench.account(&path(mode, format, fault), mode, "");
    }
    let service = bench.serve().await;
    let mut tasks = JoinSet::new();
    for (mode, format, fault) in cases() {
        let sender = service.sender(&path(mode, format, fault), mode, format);
        // A machine that is busy is no fault.
        let sender = sender.wait(Duration::from_mins(1));
        tasks.spawn(async move { (mode, format, fault, sender.push(&text("hi").fault(fault)).await) });
    }
    let (mut counts, mut handled) = (BTreeMap::<String, u64>::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (mode, format, fault, delivery) = done.unwrap();
        let case = path(mode, format, fault);
        assert!(matches!(delivery.trial, Some(Trial::Withstood(_))), "{case}: {:?}", delivery.trial);
        let Ending::Answered(answer) = &delivery.attempts.last().unwrap().ending else {
            panic!("{case}: {:?}", delivery.attempts)
        };
        let Some((status, reason)) = owed(fault, mode, format) else {
            assert_eq!(answer.status, 200, "{case}");
            handled += 1;
            continue;
        };
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, status, "{case}: {said}");
        assert!(said.contains("\nrequest ") && !said.contains(reason), "strangers learn nothing: {said}");
        let line = service.process.line(&format!("a request to /wechat/{case} is refused")).await;
        assert!(line.contains(&format!("reason=\"{reason}\"")), "{case}: {line}");
        assert!(line.contains(&format!("account=\"{case}\"")), "{line}");
        *counts.entry(reason.to_owned()).or_default() += 1;
    }
    assert!(handled > 20 && counts.len() > 8, "{counts:?}");
    assert_eq!(refusals(&service).await, counts);
    let seen = bench.program.seen();
    assert_eq!(seen.len(), handled, "a refused push was handled, or one was handled twice");
    service.process.stop().await;
}

#[tokio::test]
async fn forged_and_old_verifications_are_refused_in_every_mode() {
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.accounts_of_all_ways();
    let service = bench.serve().await;
    for (mode, format) in WAYS {
        let sender = service.sender(&way(mode, format), mode, format);
        for fault in [Fault::BadSignature, Fault::StaleTimestamp, Fault::MissingParameters] {
            let verified = sender.verify_spoilt(Some(fault)).await;
            assert!(matches!(verified.trial, Some(Trial::Withstood(_))), "{fault:?}: {:?}", verified.trial);
            let Ending::Answered(answer) = verified.attempt.ending else { panic!("{fault:?}") };
            assert_eq!(answer.status, 403, "{mode:?} {fault:?}");
        }
    }
    let six = |reason: &str| (reason.to_owned(), 6);
    let expected = BTreeMap::from([six("signature"), six("stale"), six("unsigned")]);
    assert_eq!(refusals(&service).await, expected);
    service.process.stop().await;
}

#[tokio::test]
async fn body_is_taken_in_any_framing_and_refused_when_it_is_cut_off_or_too_much() {
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.account("shop", Mode::Plain, "");
    let service = bench.serve().await;
    let (to, body) = (service.http, message());
    let target = || format!("/wechat/shop?{}", query());
    let post = |headers: &str, body: &[u8]| head("POST", &target(), headers, body);
    let chunked = "transfer-encoding: chunked\r\n";

    // In chunks of one byte, as some proxies do.
    let one_by_one = body.chars().map(|byte| ["1\r\n", byte.encode_utf8(&mut [0; 4]), "\r\n"].concat());
    let one_by_one: String = one_by_one.collect();
    let answer = exchange(to, &post(chunked, format!("{one_by_one}0\r\n\r\n").as_bytes())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("1 answers hi"), "{answer:?}");

    // Without an end: chunks for ever, and a length that it does not have.
    let endless = format!("10000\r\n{}\r\n", " ".repeat(0x10000)).repeat(6);
    assert_eq!(exchange(to, &post(chunked, endless.as_bytes())).await.status, 413);
    assert_eq!(exchange(to, &post("content-length: 262145\r\n", b"")).await.status, 413);
    let mut stream = TcpStream::connect(to).await.unwrap();
    let length = format!("content-length: {}\r\n", body.len() + 1);
    stream.write_all(&post(&length, body.as_bytes())).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(answered(&mut stream).await.status, 400);
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(&post(chunked, b"5\r\n<xml>\r\n")).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(answered(&mut stream).await.status, 400);
    assert_eq!(exchange(to, &post(chunked, b"zz\r\n<xml>\r\n0\r\n\r\n")).await.status, 400);
    // Nothing at all, and two lengths: one of them is somebody else's.
    assert_eq!(exchange(to, &post("", b"")).await.status, 400);
    let two = post("content-length: 5\r\ncontent-length: 6\r\n", b"<xml>");
    assert_eq!(exchange(to, &two).await.status, 400);

    assert_eq!(bench.program.seen().len(), 1);
    let counted = refusals(&service).await;
    assert_eq!((counted["too_large"], counted["broken_body"]), (2, 3), "{counted:?}");
    service.process.line("reason=\"broken_body\"").await;
    service.process.line("reason=\"too_large\"").await;
    service.process.stop().await;
}

#[tokio::test]
async fn kept_connection_of_a_proxy_serves_push_after_push_whatever_became_of_the_one_before() {
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.account("shop", Mode::Plain, "");
    let service = bench.serve().await;
    let body = message();
    let length = format!("content-length: {}\r\n", body.len());
    let post = |target: &str| {
        let request = head("POST", target, &length, body.as_bytes());
        String::from_utf8(request).unwrap().replace("connection: close\r\n", "")
    };
    let good = format!("/wechat/shop?{}", query());
    let mut stream = TcpStream::connect(service.http).await.unwrap();
    // All at once: each answer belongs to its request by its place alone.
    let mut all = String::new();
    for target in [&good, "/wechat/shop", "/wechat/nobody", &good] {
        all.push_str(&post(target));
    }
    all.push_str("GET /wechat/shop HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(all.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let said = String::from_utf8(bytes).unwrap();
    let statuses: Vec<&str> = said.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "403", "404", "200", "403"], "{said}");
    assert_eq!(said.matches("1 answers hi").count(), 2, "the same message has the same answer: {said}");
    assert_eq!(bench.program.seen().len(), 1);
    service.process.stop().await;
}

#[tokio::test]
async fn only_get_and_post_are_taken() {
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.account("shop", Mode::Plain, "");
    let service = bench.serve().await;
    let body = message();
    let length = format!("content-length: {}\r\n", body.len());
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"] {
        let target = format!("/wechat/shop?{}", query());
        let answer = exchange(service.http, &head(method, &target, &length, body.as_bytes())).await;
        assert_eq!(answer.status, 405, "{method}: {answer:?}");
        let allowed = answer.header("allow").unwrap();
        assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    }
    // HEAD is a GET without its body, and proves itself as one.
    let signed = format!("/wechat/shop?{}&echostr=abc", query());
    let answer = exchange(service.http, &head("HEAD", &signed, "", b"")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    let answer = exchange(service.http, &head("HEAD", "/wechat/shop", "", b"")).await;
    assert_eq!((answer.status, answer.body.as_str()), (403, ""));
    assert!(bench.program.seen().is_empty());
    service.process.stop().await;
}

#[tokio::test]
async fn address_is_taken_letter_for_letter() {
    // A path that only resembles an account's is nobody's, however well it is signed: two spellings
    // of one address would be two rules in a proxy and one here.
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.account("shop", Mode::Plain, &format!("verify_files = [\"{VERIFY}\"]\n"));
    let service = bench.serve().await;
    let body = message();
    let post = |path: &str| {
        let length = format!("content-length: {}\r\n", body.len());
        head("POST", &format!("{path}?{}", query()), &length, body.as_bytes())
    };
    let get = |path: &str| head("GET", &format!("{path}?{}&echostr=xyz", query()), "", b"");
    let nothing = |path: &str, answer: Answer| {
        // 400 is hyper's word for what is no path at all.
        assert!([404, 400].contains(&answer.status), "{path}: {answer:?}");
        assert!(!answer.body.contains("xyz") && !answer.body.contains("shop"), "{path}: {answer:?}");
    };
    for path in [
        "/wechat/nobody",
        "/wechat/",
        "/wechat",
        "/wechat/shop/",
        "/wechat//shop",
        "//wechat/shop",
        "/WeChat/shop",
        "/wechat/Shop",
        "/wechat/%73hop",
        "/wechat/sho%70",
        "/wechat%2fshop",
        "/wechat/shop%2f",
        "/wechat/shop%20",
        "/wechat/shop%00",
        "/wechat/%2e/shop",
        "/wechat/./shop",
        "/wechat/x/../shop",
        "/wechat/%2e%2e/wechat/shop",
        "/wechat/shop;a=b",
        "/wechat/shop.",
        "/wechat\\shop",
        "/shop",
    ] {
        nothing(path, exchange(service.http, &post(path)).await);
        nothing(path, exchange(service.http, &get(path)).await);
    }
    assert!(bench.program.seen().is_empty());
    let answer = exchange(service.http, &post("/wechat/shop")).await;
    assert_eq!(answer.status, 200, "{answer:?}");

    let answer = exchange(service.http, &get(&format!("/{VERIFY}"))).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "aB3dE6gH9jK2mN5p"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let answer = exchange(service.http, &post(&format!("/{VERIFY}"))).await;
    assert_eq!(answer.status, 405, "it is there, to be read: {answer:?}");
    for path in [
        "/MP_verify_.txt",
        "/MP_verify_AB3DE6GH9JK2MN5P.txt",
        "/MP_verify_aB3dE6gH9jK2mN5p.TXT",
        "/MP_verify_aB3dE6gH9jK2mN5p.txt/",
        "/MP_verify_aB3dE6gH9jK2mN5p.txt%00",
        "/MP_verify_%61B3dE6gH9jK2mN5p.txt",
        "/./MP_verify_aB3dE6gH9jK2mN5p.txt",
        "//MP_verify_aB3dE6gH9jK2mN5p.txt",
        "/wechat/MP_verify_aB3dE6gH9jK2mN5p.txt",
        "/..%2fconfig.toml",
        "/config.toml",
        "/%2e%2e%2ftoken",
    ] {
        nothing(path, exchange(service.http, &get(path)).await);
    }
    service.process.stop().await;
}
