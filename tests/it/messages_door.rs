//! What comes through the door of the message service: everything that WeChat sends, in all the
//! ways in which it sends it, and what the user sees of the answers.
//!
//! The service is the real process. WeChat is the sender of the simulator, which has the protocol
//! a second time and judges each answer as WeChat would.

use tokio::task::JoinSet;
use zhongkong::simulator::callback::{Format, KINDS, Mode, Push, Shown};

use super::messages_site::{Bench, KEY, OLD_KEY, Service, WAYS, shown_text, text, way};
use super::support::frozen::Guard;
use super::support::scrape::Scrape;

/// A text that has all that must be written with care.
const AWKWARD: &str = "一 <b>&amp;\n]]> 😀 \"q\" \\";
/// A rule for each kind of reply.
const KINDS_OF_REPLY: &str = r#"
    [[rule]]
    when = { content = "text" }
    reply = '''AWKWARD'''
    [[rule]]
    when = { content = "image" }
    reply = { image = "M-1" }
    [[rule]]
    when = { content = "voice" }
    reply = { voice = "M-2" }
    [[rule]]
    when = { content = "video" }
    reply = { video = { media_id = "M-3", title = "t" } }
    [[rule]]
    when = { content = "music" }
    reply = { music = { thumb_media_id = "M-4", url = "https://a.example/?a=1&b=2" } }
    [[rule]]
    when = { content = "news" }
    reply = { news = [{ title = "t]]>", url = "https://a.example/" }] }
    [[rule]]
    when = { content = "transfer" }
    reply = { transfer = true }
    [[rule]]
    when = { content = "agent" }
    reply = { transfer = "test1@test" }
    [[rule]]
    when = { content = "success" }
    reply = { success = true }
    [[rule]]
    when = { content = "empty" }
    reply = { empty = true }
    [[rule]]
    when = { event = "CLICK", key = "EIGHT" }
    reply = { news = [EIGHT] }
"#;

/// Pushes each of these in each way, at most so many at once; what the user saw of each.
async fn push_all(service: &Service, pushes: &[Push]) -> Vec<(String, usize, Shown)> {
    let mut tasks = JoinSet::new();
    for (mode, format) in WAYS {
        let sender = service.sender(&way(mode, format), mode, format);
        let pushes = pushes.to_vec();
        tasks.spawn(async move {
            let mut shown = Vec::new();
            for (nth, push) in pushes.iter().enumerate() {
                let delivery = sender.push(push).await;
                assert_eq!(delivery.attempts.len(), 1, "{mode:?} {format:?}: {:?}", delivery.shown);
                shown.push((way(mode, format), nth, delivery.shown));
            }
            shown
        });
    }
    tasks.join_all().await.concat()
}

#[tokio::test]
async fn every_kind_of_reply_is_shown_in_every_mode_and_format() {
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.accounts_of_all_ways();
    let article = |nth| format!("{{ title = \"{nth}\", url = \"https://a.example/{nth}\" }}");
    let eight: Vec<String> = (1..=8).map(article).collect();
    let rules =
        KINDS_OF_REPLY.replace("AWKWARD", AWKWARD).replace("[EIGHT]", &format!("[{}]", eight.join(", ")));
    bench.site.file("rules.toml", &rules);
    let service = bench.serve().await;
    let expected = [
        ("text", "text", "Content", AWKWARD),
        ("image", "image", "Image.MediaId", "M-1"),
        ("voice", "voice", "Voice.MediaId", "M-2"),
        ("video", "video", "Video.MediaId", "M-3"),
        ("music", "music", "Music.MusicUrl", "https://a.example/?a=1&b=2"),
        ("news", "news", "ArticleCount", "1"),
        ("transfer", "transfer_customer_service", "MsgType", "transfer_customer_service"),
        ("agent", "transfer_customer_service", "TransInfo.KfAccount", "test1@test"),
        ("success", "", "", ""),
        ("empty", "", "", ""),
        ("EIGHT", "news", "ArticleCount", "8"),
    ];
    let pushes = expected.map(|(asked, ..)| match asked {
        "EIGHT" => Push::new("event.CLICK").unwrap().set("EventKey", asked).unwrap(),
        _ => text(asked),
    });
    let shown = push_all(&service, &pushes).await;
    assert_eq!(shown.len(), WAYS.len() * expected.len());
    for (way, nth, shown) in shown {
        let (asked, kind, field, value) = expected[nth];
        let answer = match (&shown, kind) {
            (Shown::Nothing, "") => continue,
            (Shown::Answer(answer), _) => answer,
            _ => panic!("{way}: {asked}: {shown:?}\n{}", service.process.stderr()),
        };
        assert_eq!((answer.kind.as_str(), answer.fields.get(field)), (kind, Some(value)), "{way}: {asked}");
        assert!(answer.notes.is_empty(), "{way}: {asked}: {:?}", answer.notes);
    }
    assert!(bench.program.seen().is_empty(), "the rules have answered everything");
    let said = service.process.stop().await;
    assert!(!said.contains("ERROR"), "{said}");
}

#[tokio::test]
async fn every_type_and_event_is_handed_on_whole_and_its_answer_shown() {
    // The catalogue of the sender, and what WeChat will invent.
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.accounts_of_all_ways();
    let service = bench.serve().await;
    let mut pushes: Vec<Push> = KINDS.iter().map(|kind| Push::new(kind.name).unwrap()).collect();
    assert!(pushes.len() > 60, "{}", pushes.len());
    pushes.push(Push::new("text").unwrap().set("MsgType", "hologram").unwrap());
    pushes.push(Push::new("event.SCAN").unwrap().set("Event", "a_future.event").unwrap());
    let shown = push_all(&service, &pushes).await;
    for (way, nth, shown) in &shown {
        let kind = KINDS.get(*nth).map_or("unknown", |kind| kind.name);
        assert!(shown_text(shown).is_some_and(|text| text.contains("answers")), "{way}: {kind}: {shown:?}");
    }
    let seen = bench.program.seen();
    assert_eq!(seen.len(), pushes.len() * WAYS.len());
    // Each was understood as what it is, whichever way it came.
    for push in &pushes {
        let of = |name: &str| push.fields().get(name);
        let same = seen.iter().filter(|asked| {
            let message = &asked["message"];
            message["type"].as_str() == of("MsgType")
                && message["event"].as_str() == of("Event")
                && message["fields"]["EventKey"].as_str() == of("EventKey")
        });
        assert!(same.count() >= WAYS.len(), "{:?} {:?}", of("MsgType"), of("Event"));
    }
    service.process.stop().await;

    // Where nobody answers, each is acknowledged all the same.
    bench.without_accounts();
    bench.account("mute", Mode::Safe, "");
    bench.site.file("rules.toml", "[[rule]]\nwhen = { content = \"nobody says this\" }\nreply = \"x\"\n");
    let raw = "[[messages.account]]\nappid = \"wx-mute\"\npath = \"mute\"\ntoken_file = \"token\"\naes_key_file = \"key\"\n";
    bench.site.raw(raw);
    let service = bench.serve().await;
    let sender = service.sender("mute", Mode::Safe, Format::Xml);
    for push in &pushes {
        let delivery = sender.push(push).await;
        assert_eq!(delivery.shown, Shown::Nothing, "{}", delivery.message);
    }
    service.process.stop().await;
}

#[tokio::test]
async fn url_is_verified_in_every_mode_and_by_nobody_else() {
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.accounts_of_all_ways();
    let service = bench.serve().await;
    for (mode, format) in WAYS {
        let verified = service.sender(&way(mode, format), mode, format).verify().await;
        assert_eq!(verified.result, Ok(()), "{mode:?}");
    }
    service.process.line("WeChat has checked the URL of /wechat/safe-xml").await;
    assert!(bench.program.seen().is_empty());
    service.process.stop().await;
}

#[tokio::test]
async fn reply_is_encrypted_with_the_key_that_opened_the_message() {
    // The console's key was changed; WeChat uses the one before it for a while. The sender knows
    // one key only, and so cannot show a reply that was encrypted with the other.
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.account("a", Mode::Safe, "previous_aes_key_file = \"old-key\"\n");
    bench.account("b", Mode::Safe, "");
    let service = bench.serve().await;
    // The same key with other bits behind its 256.
    let same = KEY.replace("DEFG", "DEFE");
    for format in Format::ALL {
        for key in [KEY, OLD_KEY, &same] {
            let delivery = service.sender_with("a", Mode::Safe, format, key).push(&text("hi")).await;
            assert!(shown_text(&delivery.shown).is_some_and(|text| text.ends_with("answers hi")), "{key}");
        }
    }
    assert_eq!(bench.program.seen().len(), 6);
    let said = service.process.line("still uses the previous EncodingAESKey for /wechat/a").await;
    assert!(said.contains("leave previous_aes_key"), "{said}");
    let other = KEY.replace("abc", "bca");
    for (path, key) in [("a", other.as_str()), ("b", OLD_KEY)] {
        let delivery = service.sender_with(path, Mode::Safe, Format::Xml, key).push(&text("hi")).await;
        assert!(delivery.shown.flaw().is_some_and(|flaw| flaw.to_string().contains("400")), "{delivery:?}");
        let line = service.process.line(&format!("a request to /wechat/{path} is refused")).await;
        assert!(line.contains("reason=\"wrong_key\"") && line.contains("EncodingAESKey"), "{line}");
    }
    assert_eq!(bench.program.seen().len(), 6);
    let page = Scrape::of(&service.process).await;
    // WeChat sent each three times.
    assert_eq!(page.count("zhongkong_message_refusals_total{reason=\"wrong_key\"}"), 6);
    service.process.stop().await;
}

#[tokio::test]
async fn texts_of_all_lengths_come_and_go_whole() {
    // Around every padding, on both ways, and up to the longest that WeChat takes.
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.account("a", Mode::Safe, "");
    let echo = "[[rule]]\nwhen = { type = \"text\" }\nreply = \"{{ content }}\"\n";
    bench.site.file("rules.toml", echo);
    let service = bench.serve().await;
    let lengths: Vec<usize> = (1..=70).chain(980..=1_015).chain(2_010..=2_048).collect();
    let mut tasks = JoinSet::new();
    for format in Format::ALL {
        let sender = service.sender("a", Mode::Safe, format);
        let lengths = lengths.clone();
        tasks.spawn(async move {
            for length in lengths {
                let content = match length % 4 {
                    0 => "😀".repeat(length / 4),
                    _ => "x".repeat(length),
                };
                let shown = sender.push(&text(&content)).await.shown;
                assert_eq!(shown_text(&shown), Some(content.as_str()), "{length} bytes: {shown:?}");
            }
        });
    }
    tasks.join_all().await;
    // One byte more is not shown by WeChat, so it is not sent: the user would see a fault.
    let delivery = service.sender("a", Mode::Safe, Format::Xml).push(&text(&"x".repeat(2_049))).await;
    assert_eq!(delivery.shown, Shown::Nothing);
    let line = service.process.line("takes at most 2048").await;
    assert!(line.contains("WARN") && line.contains("shorten"), "{line}");
    service.process.stop().await;
}
