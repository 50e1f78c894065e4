//! The service's life under load: its logs, its reloads, its end, and who watches over it. No
//! request is lost by any of them, and nothing secret or personal is written.

use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::simulator::callback::{Ending, Fault, Format, Mode, Sender};

use super::messages_site::{
    Bench, HMAC, KEY, OLD_KEY, Service, TOKEN, WAYS, exchange, shown_text, text, way, wire,
};
use super::support::frozen::Guard;
use super::support::manager::{Manager, READY, value};
use super::support::process::{Process, SECRET, TOKEN as BEARER};

/// Pushes without a pause.
struct Load {
    pushed: Arc<AtomicUsize>,
    stop: CancellationToken,
    tasks: JoinSet<Vec<String>>,
}

impl Load {
    /// Eight at once, each with the next of these senders.
    fn start(senders: &[Sender]) -> Self {
        let (pushed, stop) = (Arc::<AtomicUsize>::default(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        for nth in 0..8 {
            let sender = senders[nth % senders.len()].clone().attempts(1);
            let (pushed, stop) = (pushed.clone(), stop.clone());
            tasks.spawn(async move {
                let mut lost = Vec::new();
                while !stop.is_cancelled() {
                    let delivery = sender.push(&text("load")).await;
                    match &delivery.attempts[0].ending {
                        Ending::Unreachable(_) => break,
                        Ending::Answered(_) if shown_text(&delivery.shown).is_some() => {}
                        ending => lost.push(format!("{ending:?} {:?}", delivery.shown)),
                    }
                    pushed.fetch_add(1, Ordering::SeqCst);
                }
                lost
            });
        }
        Self { pushed, stop, tasks }
    }

    /// Waits for so many more.
    async fn more(&self, count: usize) {
        let enough = self.pushed.load(Ordering::SeqCst) + count;
        while self.pushed.load(Ordering::SeqCst) < enough {
            tokio::task::yield_now().await;
        }
    }

    /// How many were pushed, and what went wrong.
    async fn end(self) -> (usize, Vec<String>) {
        self.stop.cancel();
        let lost = self.tasks.join_all().await.concat();
        (self.pushed.load(Ordering::SeqCst), lost)
    }
}

#[tokio::test]
async fn each_message_has_a_line_under_its_request_id_and_no_line_a_secret_or_a_users_words() {
    let _guard = Guard::start();
    let words = "the-users-own-words";
    let mut bench = Bench::new("4500ms").await;
    bench.accounts_of_all_ways();
    bench.setting("");
    bench.site.section("serve.log", "filter = \"debug\"");
    let service = bench.serve().await;
    let mut pushed = 0;
    let mut ids = Vec::new();
    for (mode, format) in WAYS {
        let sender = service.sender(&way(mode, format), mode, format);
        let delivery = sender.push(&text(words)).await;
        assert!(shown_text(&delivery.shown).is_some_and(|text| text.contains(words)));
        // The same once more on a bare socket, to see the answer's headers.
        let again = exchange(service.http, &wire(&delivery.attempts[0].request)).await;
        assert_eq!(again.status, 200);
        ids.push(again.header("x-request-id").expect("every answer has one").to_owned());
        pushed += 2;
    }
    let refused = service.sender("safe-xml", Mode::Safe, Format::Xml);
    let delivery = refused.push(&text(words).fault(Fault::WrongKey)).await;
    let refused = exchange(service.http, &wire(&delivery.attempts[0].request)).await;
    assert_eq!(refused.status, 400);
    ids.push(refused.header("x-request-id").unwrap().to_owned());
    service.process.page("/metrics").await;
    let stderr = service.process.stop().await;

    let lines = bench.log();
    assert_eq!(lines.len(), pushed + 2);
    for id in &ids {
        let own: Vec<_> = lines.iter().filter(|line| line["trace"] == id.as_str()).collect();
        assert_eq!(own.len(), 1, "{id}: {own:?}");
    }
    let of = |delivery: &str| lines.iter().filter(|line| line["delivery"] == delivery).count();
    assert_eq!((of("first"), of("repeat")), (WAYS.len(), WAYS.len()));
    let refused = lines.iter().find(|line| line["trace"] == refused.header("x-request-id").unwrap()).unwrap();
    assert_eq!((refused["reason"].as_str(), refused["status"].as_u64()), (Some("wrong_key"), Some(400)));
    // A first message's trace is the one that its program was told.
    for asked in bench.program.seen() {
        let line = lines.iter().find(|line| line["trace"] == asked["trace"]).expect("it has a line");
        assert_eq!(
            (line["delivery"].as_str(), line["handler"].as_str()),
            (Some("first"), Some("forward: program"))
        );
    }

    let log = std::fs::read_to_string(bench.site.path("messages.log")).unwrap();
    assert!(stderr.contains("DEBUG"), "the most talkative log is looked through: {stderr}");
    for (name, text) in [("stderr", &stderr), ("messages.log", &log)] {
        for secret in [TOKEN, KEY, OLD_KEY, HMAC, BEARER, SECRET, words, "oSimulatedUser"] {
            assert!(!text.contains(secret), "{name} has {secret}:\n{text}");
        }
    }
}

#[tokio::test]
async fn reload_of_rules_keys_and_accounts_loses_no_request() {
    // Under load the console's key is changed to and fro, accounts come and go, rules say another
    // word; the key that WeChat uses is always the current or the previous one.
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    let put = |bench: &mut Bench, round: usize| {
        bench.without_accounts();
        let old = "previous_aes_key_file = \"old-key\"\n";
        bench.account("shop", Mode::Safe, old);
        bench.account("club", Mode::Plain, "");
        for extra in 0..round % 3 {
            bench.account(&format!("extra{extra}"), Mode::Safe, "");
        }
        // What the files hold changes places.
        let (now, before) = if round.is_multiple_of(2) { (KEY, OLD_KEY) } else { (OLD_KEY, KEY) };
        bench.site.file("key", now);
        bench.site.file("old-key", before);
        let rule = format!(
            "[[rule]]\nname = \"r{round}\"\nwhen = {{ type = \"text\" }}\nreply = \"word {round}\"\n"
        );
        bench.site.file("rules.toml", &rule);
        bench.site.write();
    };
    put(&mut bench, 0);
    let service = bench.serve().await;
    let senders = [
        service.sender("shop", Mode::Safe, Format::Xml),
        service.sender_with("shop", Mode::Safe, Format::Json, OLD_KEY),
        service.sender("club", Mode::Plain, Format::Xml),
    ];
    let load = Load::start(&senders);
    for round in 1..=12 {
        load.more(20).await;
        put(&mut bench, round);
        service.process.reload("configuration taken over").await;
        let shown = senders[0].push(&text("load")).await.shown;
        assert_eq!(shown_text(&shown), Some(format!("word {round}").as_str()));
        // A file that is none changes nothing.
        bench.site.file("key", "short");
        service.process.reload("not taken over, everything goes on as before").await;
        put(&mut bench, round);
    }
    let (pushed, lost) = load.end().await;
    assert!(pushed >= 240 && lost.is_empty(), "{pushed}: {lost:?}");
    let said = service.process.stop().await;
    assert_eq!(bench.log().len(), pushed + 12, "each has its line");
    assert!(!said.contains("is refused"), "{said}");
}

#[tokio::test]
async fn end_under_load_answers_everything_that_came() {
    // Many are being answered when the end is asked for, and more come until nobody listens.
    const WAITING: usize = 40;
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.account("shop", Mode::Safe, "");
    bench.account("club", Mode::Plain, "");
    let rules = "[[rule]]\nwhen = { account = \"club\" }\nreply = \"at once\"\n";
    bench.site.file("rules.toml", rules);
    let mut service = bench.serve().await;
    bench.program.hold();
    let mut waiting = JoinSet::new();
    for _ in 0..WAITING {
        let sender = service.sender("shop", Mode::Safe, Format::Xml).attempts(1);
        waiting.spawn(async move { sender.push(&text("slow")).await });
    }
    bench.program.got(WAITING).await;
    let load = Load::start(&[service.sender("club", Mode::Plain, Format::Xml)]);
    load.more(40).await;
    service.process.signal(Signal::TERM);
    service.process.line("stopping; requests under way").await;
    bench.program.open();
    for delivery in waiting.join_all().await {
        assert!(shown_text(&delivery.shown).is_some(), "{:?}", delivery.attempts);
    }
    assert_eq!(service.process.ended().await.code(), Some(0), "{}", service.process.stderr());
    let (pushed, lost) = load.end().await;
    // What the kernel takes in the very moment in which the listener goes is reset; it has not been
    // handled, and WeChat sends it again. A socket of systemd's loses none: see below.
    assert!(lost.len() <= 1 && lost.iter().all(|lost| lost.contains("reset")), "of {pushed}: {lost:?}");
    assert_eq!(bench.log().len(), pushed - lost.len() + WAITING);
}

#[tokio::test]
async fn manager_is_told_of_start_reload_end_and_life() {
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.account("shop", Mode::Safe, "");
    let daemon = bench.site.start_ready().await;
    let path = bench.site.path("notify.sock");
    let mut manager = Manager::at(&path);
    bench.site.env("NOTIFY_SOCKET", path.to_str().unwrap());
    bench.site.env("WATCHDOG_USEC", "400000");
    let service = bench.serve().await;
    let said = manager.until(READY).await;
    assert_eq!(value(&said, "STATUS"), "1 account, 0 rules, 1 program");
    // Who hears READY can be called.
    let sender = service.sender("shop", Mode::Safe, Format::Xml);
    assert!(sender.verify().await.result.is_ok());
    for _ in 0..3 {
        manager.until("WATCHDOG=1").await;
    }

    bench.account("club", Mode::Plain, "");
    bench.site.write();
    service.process.signal(Signal::HUP);
    assert!(value(&manager.until("RELOADING=1").await, "MONOTONIC_USEC").parse::<u128>().is_ok());
    manager.until(READY).await;
    manager.until("STATUS=2 accounts, 0 rules, 1 program").await;
    // One that changes nothing does not leave the line of the reload behind.
    service.process.signal(Signal::HUP);
    manager.until("RELOADING=1").await;
    manager.until(READY).await;
    manager.until("STATUS=2 accounts, 0 rules, 1 program").await;
    bench.site.file("rules.toml", "[[rule]]\n");
    service.process.signal(Signal::HUP);
    manager.until("RELOADING=1").await;
    manager.until(READY).await;
    let said = manager.until("reload refused").await;
    assert!(value(&said, "STATUS").contains("the old configuration is in force"), "{said}");
    manager.until("WATCHDOG=1").await;

    // The end is told before it comes, and life until then.
    bench.program.hold();
    let push = text("slow");
    let asked = sender.push(&push);
    let ends = async {
        bench.program.got(1).await;
        service.process.signal(Signal::TERM);
        let said = manager.until("STOPPING=1").await;
        assert!(said.contains("EXTEND_TIMEOUT_USEC="), "{said}");
        manager.until("WATCHDOG=1").await;
        bench.program.open();
    };
    let (delivery, ()) = tokio::join!(asked, ends);
    assert!(shown_text(&delivery.shown).is_some(), "{delivery:?}");
    let mut service = service;
    assert_eq!(service.process.ended().await.code(), Some(0), "{}", service.process.stderr());
    assert_eq!((manager.count(READY), manager.count("RELOADING=1"), manager.count("STOPPING=1")), (4, 3, 1));
    daemon.stop().await;
}

/// The service with this socket as the descriptor that systemd passes under the name `http`.
async fn serve_on(bench: &Bench, listener: &TcpListener) -> Service {
    let config = bench.site.write();
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http exec \"$0\" --config \
                  \"$1\" serve messages";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_zhongkong")]).arg(config);
    command.current_dir(bench.site.path("")).kill_on_drop(true);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener.try_clone().unwrap())));
    Service::of(Process::spawn(command)).await
}

#[tokio::test]
async fn restart_on_an_inherited_socket_loses_no_request() {
    let _guard = Guard::start();
    let mut bench = Bench::new("4500ms").await;
    bench.account("shop", Mode::Safe, "");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut service = serve_on(&bench, &listener).await;
    assert_eq!(service.http, listener.local_addr().unwrap());
    service.process.line("inherited").await;
    let load = Load::start(&[service.sender("shop", Mode::Safe, Format::Xml)]);
    for _ in 0..3 {
        load.more(30).await;
        service.process.stop().await;
        service = serve_on(&bench, &listener).await;
    }
    load.more(30).await;
    let (pushed, lost) = load.end().await;
    assert!(pushed >= 120 && lost.is_empty(), "of {pushed}: {lost:?}");
    assert_eq!(bench.program.seen().len(), pushed);
    service.process.stop().await;
}
