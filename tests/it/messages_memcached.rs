//! A memcached whose answers get lost, or are none: what was done is not done again, and nobody's
//! message is lost.
//!
//! A relay stands before the real memcached and loses what it is told to lose.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use zhongkong::services::messages::account::Account;
use zhongkong::services::messages::dedup::DedupKey;
use zhongkong::services::messages::desk::{Desk, How, LateSender, Settings};
use zhongkong::services::messages::dispatch::{Dispatcher, Mode};
use zhongkong::services::messages::fields::{Fields, Value};
use zhongkong::services::messages::handler::{Handled, HandlerError, Incoming, MessageHandler, Trace};
use zhongkong::services::messages::message::Message;
use zhongkong::services::messages::reply::{Answer, Reply};

use crate::support::frozen::Guard;
use crate::support::logged::Logged;
use crate::support::memcached::Memcached;

const PATIENT: Duration = Duration::from_secs(60);

/// Answers when it is told to, and counts.
#[derive(Default)]
struct Program {
    runs: AtomicUsize,
    late: AtomicUsize,
    go: Notify,
}

#[async_trait]
impl MessageHandler for Program {
    fn name(&self) -> &'static str {
        "program"
    }

    fn matches(&self, _incoming: &Incoming) -> bool {
        true
    }

    async fn handle(&self, _incoming: &Incoming) -> Result<Handled, HandlerError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.go.notified().await;
        Ok(Handled::Answer(Answer::Reply(Reply::Text { content: "hi".to_owned() })))
    }
}

#[async_trait]
impl LateSender for Program {
    async fn send(
        &self,
        _incoming: &Incoming,
        _reply: &Reply,
        _by: Option<&str>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.late.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn desk(memcached: &str, deadline: Duration) -> (Desk, Arc<Program>) {
    let program = Arc::new(Program::default());
    let memcached = vec![memcached.to_owned()];
    let settings = Settings { deadline, memcached, memcached_timeout: PATIENT, ..Settings::default() };
    let dispatcher = Dispatcher::new(Mode::FirstAnswers, vec![Arc::<Program>::clone(&program)]);
    (Desk::new(settings, dispatcher, Arc::<Program>::clone(&program)), program)
}

fn message() -> Arc<Incoming> {
    numbered(1)
}

fn numbered(id: u64) -> Arc<Incoming> {
    let id = id.to_string();
    let mut fields = Fields::default();
    let pairs = [("ToUserName", "gh_1"), ("FromUserName", "o1"), ("CreateTime", "1"), ("MsgType", "text")];
    for (name, text) in pairs.into_iter().chain([("Content", "hello"), ("MsgId", &id)]) {
        fields.push(name, Value::Text(text.into()));
    }
    Arc::new(Incoming {
        account: Arc::new(Account { appid: "wx1".parse().unwrap(), path: "a".into() }),
        message: Message::read(fields).unwrap(),
        trace: Trace("t".into()),
    })
}

fn name() -> String {
    let of = message();
    DedupKey::of(&of.account, &of.message).name()
}

/// Hands everything on, but for the answer to the first command with these words in it: that one
/// is carried out, and its connection ends without a word.
struct Relay {
    addr: String,
    lost: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Relay {
    async fn start(to: String, losing: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let lost = Arc::new(AtomicUsize::new(0));
        let mut serving = JoinSet::new();
        let counted = Arc::clone(&lost);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(relay(stream, to.clone(), losing, Arc::clone(&counted)));
            }
        });
        Self { addr, lost, _serving: serving }
    }

    fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

/// One exchange after the other: a command here is one write, and so is its answer.
async fn relay(mut from: TcpStream, to: String, losing: &str, lost: Arc<AtomicUsize>) {
    let Ok(mut server) = TcpStream::connect(to).await else { return };
    let (mut command, mut answer) = ([0; 4_096], [0; 4_096]);
    while let Ok(read @ 1..) = from.read(&mut command).await {
        if server.write_all(&command[..read]).await.is_err() {
            return;
        }
        let Ok(answered @ 1..) = server.read(&mut answer).await else { return };
        let told = String::from_utf8_lossy(&command[..read]).contains(losing);
        if told && lost.fetch_add(1, Ordering::SeqCst) == 0 {
            return;
        }
        if from.write_all(&answer[..answered]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn claim_whose_answer_was_lost_is_found_to_be_the_own_one() {
    let _guard = Guard::start();
    let memcached = Memcached::start();
    let relay = Relay::start(memcached.addr(), "working ").await;
    let (desk, program) = desk(&relay.addr, PATIENT);
    program.go.notify_one();
    let answered = desk.answer(message(), Instant::now()).await.unwrap();
    assert_eq!((answered.how, relay.lost()), (How::Handled, 1));
    assert_eq!(desk.close(PATIENT).await, 0);
    // The claim is recognized, and what comes of it told.
    assert_eq!(memcached.value(&name()).as_deref(), Some("answered"));
    assert_eq!(program.runs.load(Ordering::SeqCst), 1);
    // Another instance repeats it.
    let (other, idle) = self::desk(&memcached.addr(), PATIENT);
    let repeated = other.answer(message(), Instant::now()).await.unwrap();
    assert_eq!((repeated.how, &repeated.answer), (How::Repeated, &answered.answer));
    assert_eq!(idle.runs.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn late_answer_is_sent_once_though_the_note_of_it_was_answered_into_the_void() {
    // The note is written, its answer lost, and the same written once more, which is refused:
    // what stands there is the own note, and not another instance's.
    let _guard = Guard::start();
    let memcached = Memcached::start();
    let relay = Relay::start(memcached.addr(), "late ").await;
    let (desk, program) = desk(&relay.addr, Duration::from_millis(200));
    assert_eq!(desk.answer(message(), Instant::now()).await.unwrap().how, How::TooSlow);
    program.go.notify_one();
    assert_eq!(desk.close(PATIENT).await, 0);
    assert!(relay.lost() >= 2, "it was tried again");
    assert_eq!((program.runs.load(Ordering::SeqCst), program.late.load(Ordering::SeqCst)), (1, 1));
    assert!(memcached.value(&name()).unwrap().starts_with("late "));
}

#[tokio::test]
async fn late_answer_of_a_message_that_another_instance_has_taken_over_is_not_sent() {
    // This one stood still for longer than its claim; the other one answers.
    let _guard = Guard::start();
    let memcached = Memcached::start();
    for note in ["working 00000000000000aa", "answered", "late 00000000000000aa"] {
        memcached.flush_all();
        let (desk, program) = desk(&memcached.addr(), Duration::from_millis(200));
        assert_eq!(desk.answer(message(), Instant::now()).await.unwrap().how, How::TooSlow);
        // On a busy machine the claim itself may have taken longer than the deadline.
        while program.runs.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        memcached.set(&name(), note);
        program.go.notify_one();
        assert_eq!(desk.close(PATIENT).await, 0);
        assert_eq!(
            (program.runs.load(Ordering::SeqCst), program.late.load(Ordering::SeqCst)),
            (1, 0),
            "{note}"
        );
        assert_eq!(memcached.value(&name()).as_deref(), Some(note), "the other's note stays");
    }
}

#[tokio::test]
async fn server_that_speaks_another_language_costs_three_lines_and_no_message() {
    let _guard = Guard::start();
    let (logged, _log) = Logged::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let words = [
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "\u{0}\u{1}\u{2}\r\n",
            "HD c\r\n",
            "HD cx1\r\n",
            "VA 99\r\n",
        ];
        for word in words.into_iter().cycle() {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut command = [0; 4_096];
            let _ = stream.read(&mut command).await;
            let _ = stream.write_all(word.as_bytes()).await;
        }
    });
    for _ in 0..5 {
        let (desk, program) = desk(&addr, PATIENT);
        program.go.notify_one();
        assert_eq!(desk.answer(message(), Instant::now()).await.unwrap().how, How::Handled);
        assert_eq!(desk.close(PATIENT).await, 0);
        assert_eq!(program.runs.load(Ordering::SeqCst), 1);
    }
    let lines = logged.lines();
    let warned: Vec<_> = lines.iter().filter(|line| line.contains(" WARN ")).collect();
    assert!(!warned.is_empty() && warned.len() <= 15, "{warned:#?}");
    for line in warned {
        assert!(line.contains("cannot be asked whether another instance has a message"), "{line}");
        assert!(!line.contains("Bad Request"), "what strangers say is not repeated: {line}");
    }
}

#[tokio::test]
async fn answer_of_another_instance_is_never_sent_late_by_this_one() {
    // It was given in time there; here nobody waits for it any more.
    let _guard = Guard::start();
    let memcached = Memcached::start();
    let (first, program) = desk(&memcached.addr(), PATIENT);
    let (second, idle) = desk(&memcached.addr(), Duration::from_millis(200));
    let answers = async {
        while program.runs.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(second.answer(message(), Instant::now()).await.unwrap().how, How::TooSlow);
        program.go.notify_one();
    };
    let (answered, ()) = tokio::join!(first.answer(message(), Instant::now()), answers);
    assert_eq!(answered.unwrap().how, How::Handled);
    assert_eq!((first.close(PATIENT).await, second.close(PATIENT).await), (0, 0));
    for program in [program, idle] {
        assert_eq!(program.late.load(Ordering::SeqCst), 0);
    }
}

/// Answers each connection's first command; counts them.
fn server(listener: TcpListener, says: fn(&str) -> &'static str) -> (Arc<AtomicUsize>, JoinSet<()>) {
    let (asked, mut serving) = (Arc::<AtomicUsize>::default(), JoinSet::new());
    let count = Arc::clone(&asked);
    serving.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let mut command = [0; 4_096];
            let read = stream.read(&mut command).await.unwrap_or(0);
            let _ = stream.write_all(says(&String::from_utf8_lossy(&command[..read])).as_bytes()).await;
        }
    });
    (asked, serving)
}

#[tokio::test]
async fn server_that_has_neither_room_nor_owner_costs_no_message() {
    let _guard = Guard::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let (asked, _serving) =
        server(listener, |command| if command.starts_with("ms ") { "NS\r\n" } else { "EN\r\n" });
    let (desk, program) = desk(&addr, PATIENT);
    program.go.notify_one();
    assert_eq!(desk.answer(message(), Instant::now()).await.unwrap().how, How::Handled);
    assert!(asked.load(Ordering::SeqCst) < 20);
}

#[tokio::test]
async fn server_that_fails_again_and_again_is_left_alone_for_a_second() {
    let _guard = Guard::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let (asked, _serving) = server(listener, |_| "no idea\r\n");
    let (desk, program) = desk(&addr, PATIENT);
    let begun = Instant::now();
    for id in 0..40 {
        program.go.notify_one();
        assert_eq!(desk.answer(numbered(id), Instant::now()).await.unwrap().how, How::Handled);
    }
    assert_eq!(desk.close(PATIENT).await, 0);
    let (asked, seconds) = (asked.load(Ordering::SeqCst), begun.elapsed().as_secs());
    // Three before the first rest, and one behind each.
    assert!(asked as u64 <= 4 + seconds, "{asked} connections in {seconds} s");
}
