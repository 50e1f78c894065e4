//! Two instances of the message service over one real memcached: one handler run for a message.
//!
//! Real time, as memcached has its own clock; everything waited for is an event.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use zhongkong::services::messages::account::Account;
use zhongkong::services::messages::dedup::DedupKey;
use zhongkong::services::messages::desk::{Answered, Busy, Desk, How, LateSender, Sent, Settings};
use zhongkong::services::messages::dispatch::{Dispatcher, Mode};
use zhongkong::services::messages::fields::{Fields, Value};
use zhongkong::services::messages::handler::{Handled, HandlerError, Incoming, MessageHandler, Trace};
use zhongkong::services::messages::message::Message;
use zhongkong::services::messages::reply::{Answer, Reply};

use crate::support::frozen::Guard;
use crate::support::memcached::Memcached;

/// Far more than anything here takes on a machine that is not busy.
const PATIENT: Duration = Duration::from_secs(60);

/// An instance, whose handler answers with the instance's name once its gate is open.
struct Instance {
    desk: Option<Arc<Desk>>,
    runs: Arc<AtomicUsize>,
    late: Arc<Late>,
    gate: watch::Sender<bool>,
    requests: JoinSet<Result<Answered, Busy>>,
}

struct Handler {
    name: &'static str,
    runs: Arc<AtomicUsize>,
    gate: watch::Receiver<bool>,
}

#[async_trait]
impl MessageHandler for Handler {
    fn name(&self) -> &str {
        self.name
    }

    fn matches(&self, _incoming: &Incoming) -> bool {
        true
    }

    async fn handle(&self, _incoming: &Incoming) -> Result<Handled, HandlerError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        // An instance that ended keeps its handler waiting.
        if self.gate.clone().wait_for(|open| *open).await.is_err() {
            std::future::pending::<()>().await;
        }
        Ok(Handled::Answer(said(self.name)))
    }
}

#[derive(Default)]
struct Late(watch::Sender<usize>);

#[async_trait]
impl LateSender for Late {
    async fn send(&self, _incoming: &Incoming, _reply: &Reply, _by: Option<&str>) -> Sent {
        self.0.send_modify(|sent| *sent += 1);
        Ok(())
    }
}

impl Instance {
    /// With a memcached that may be slow, as this machine may be.
    fn start(name: &'static str, memcached: &str, deadline: Duration) -> Self {
        Self::start_within(name, memcached, deadline, PATIENT)
    }

    fn start_within(name: &'static str, memcached: &str, deadline: Duration, limit: Duration) -> Self {
        let (gate, opened) = watch::channel(false);
        let runs = Arc::new(AtomicUsize::new(0));
        let handler = Arc::new(Handler { name, runs: Arc::clone(&runs), gate: opened });
        let late = Arc::new(Late::default());
        let memcached = vec![memcached.to_owned()];
        let settings = Settings { deadline, memcached, memcached_timeout: limit, ..Settings::default() };
        let dispatcher = Dispatcher::new(Mode::FirstAnswers, vec![handler]);
        let desk = Desk::new(settings, dispatcher, Arc::<Late>::clone(&late));
        Self { desk: Some(Arc::new(desk)), runs, late, gate, requests: JoinSet::new() }
    }

    fn open(self) -> Self {
        self.gate.send_replace(true);
        self
    }

    fn ask(&mut self) {
        let desk = Arc::clone(self.desk.as_ref().unwrap());
        self.requests.spawn(async move { desk.answer(message(), Instant::now()).await });
    }

    async fn answered(&mut self) -> Answered {
        self.requests.join_next().await.unwrap().unwrap().unwrap()
    }

    async fn until_it_runs(&self) {
        while self.runs.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Ends it as `kill -9` does: nothing is finished, nothing is told.
    async fn dies(&mut self) {
        self.requests.shutdown().await;
        let desk = self.desk.take().unwrap();
        drop(Arc::into_inner(desk).expect("nobody else holds it"));
    }

    async fn close(&self) {
        assert_eq!(self.desk.as_ref().unwrap().close(PATIENT).await, 0);
    }

    fn counts(&self) -> (usize, usize) {
        (self.runs.load(Ordering::SeqCst), *self.late.0.borrow())
    }
}

fn message() -> Arc<Incoming> {
    let mut fields = Fields::default();
    for (name, text) in [
        ("ToUserName", "gh_1"),
        ("FromUserName", "o1"),
        ("CreateTime", "1700000000"),
        ("MsgType", "text"),
        ("Content", "hello"),
        ("MsgId", "1"),
    ] {
        fields.push(name, Value::Text(text.into()));
    }
    Arc::new(Incoming {
        account: Arc::new(Account { appid: "wx1".parse().unwrap(), path: "a".into() }),
        message: Message::read(fields).unwrap(),
        trace: Trace("t".into()),
    })
}

fn name() -> String {
    let incoming = message();
    DedupKey::of(&incoming.account, &incoming.message).name()
}

fn said(words: &str) -> Answer {
    Answer::Reply(Reply::Text { content: words.to_owned() })
}

fn is(answered: &Answered, answer: &Answer, how: How) {
    assert_eq!((&*answered.answer, answered.how), (answer, how));
}

/// Each look is a connection of its own, and ports are not without end.
fn looks() -> tokio::time::Interval {
    tokio::time::interval(Duration::from_millis(20))
}

/// Waits until the item is so.
async fn until(memcached: &Memcached, key: &str, so: impl Fn(Option<&str>) -> bool) {
    let mut looks = looks();
    while !so(memcached.value(key).as_deref()) {
        looks.tick().await;
    }
}

#[tokio::test]
async fn retry_that_comes_to_another_instance_gets_the_answer_of_the_first() {
    let _guard = Guard::start();
    let memcached = Memcached::start();
    let mut a = Instance::start("a", &memcached.addr(), PATIENT);
    let mut b = Instance::start("b", &memcached.addr(), PATIENT).open();
    a.ask();
    a.until_it_runs().await;
    assert!(memcached.value(&name()).unwrap().starts_with("working "));
    assert!((0..=3).contains(&memcached.ttl(&name()).unwrap()), "a claim stands by itself for seconds");
    for _ in 0..100 {
        b.ask();
    }
    a.gate.send_replace(true);
    is(&a.answered().await, &said("a"), How::Handled);
    for _ in 0..100 {
        is(&b.answered().await, &said("a"), How::Repeated);
    }
    a.close().await;
    b.close().await;
    assert_eq!((a.counts(), b.counts()), ((1, 0), (0, 0)));
    // What is personal is gone after a minute; that there was something stays for the window.
    assert_eq!(memcached.value(&name()).as_deref(), Some("answered"));
    assert!((500..=600).contains(&memcached.ttl(&name()).unwrap()));
    let answer = format!("{}:answer", name());
    assert!((1..=60).contains(&memcached.ttl(&answer).unwrap()));
    // A third one, started since, repeats it; and acknowledges when the answer is forgotten.
    let mut c = Instance::start("c", &memcached.addr(), PATIENT).open();
    c.ask();
    is(&c.answered().await, &said("a"), How::Repeated);
    memcached.set(&answer, "no answer of ours");
    let mut d = Instance::start("d", &memcached.addr(), PATIENT).open();
    d.ask();
    is(&d.answered().await, &Answer::Success, How::Repeated);
    assert_eq!((c.counts(), d.counts()), ((0, 0), (0, 0)));
}

#[tokio::test]
async fn message_of_an_instance_that_died_is_run_by_who_has_the_retry() {
    let _guard = Guard::start();
    let memcached = Memcached::start();
    let mut a = Instance::start("a", &memcached.addr(), PATIENT);
    let mut b = Instance::start("b", &memcached.addr(), PATIENT).open();
    a.ask();
    a.until_it_runs().await;
    b.ask();
    // It lives for longer than its claim would stand by itself, and keeps it.
    let (begun, mut looks) = (Instant::now(), looks());
    while begun.elapsed() < Duration::from_millis(3_500) {
        assert!(memcached.value(&name()).is_some_and(|note| note.starts_with("working ")));
        looks.tick().await;
    }
    assert_eq!(b.counts(), (0, 0));
    a.dies().await;
    is(&b.answered().await, &said("b"), How::Handled);
    assert_eq!((a.counts(), b.counts()), ((1, 0), (1, 0)));
}

#[tokio::test]
async fn late_answer_is_sent_by_the_instance_that_ran_the_handler_and_by_no_other() {
    let _guard = Guard::start();
    let memcached = Memcached::start();
    let short = Duration::from_millis(300);
    let mut a = Instance::start("a", &memcached.addr(), short);
    let mut b = Instance::start("b", &memcached.addr(), short).open();
    a.ask();
    is(&a.answered().await, &Answer::Success, How::TooSlow);
    b.ask();
    is(&b.answered().await, &Answer::Success, How::TooSlow);
    a.gate.send_replace(true);
    a.close().await;
    b.close().await;
    assert!(memcached.value(&name()).is_some_and(|note| note.starts_with("late ")));
    let mut c = Instance::start("c", &memcached.addr(), PATIENT).open();
    c.ask();
    is(&c.answered().await, &Answer::Success, How::Repeated);
    assert_eq!((a.counts(), b.counts(), c.counts()), ((1, 1), (0, 0), (0, 0)));
}

#[tokio::test]
async fn flush_takes_no_claim_away_from_an_instance_that_lives() {
    let _guard = Guard::start();
    let memcached = Memcached::start();
    let mut a = Instance::start("a", &memcached.addr(), PATIENT);
    let mut b = Instance::start("b", &memcached.addr(), PATIENT).open();
    a.ask();
    a.until_it_runs().await;
    b.ask();
    // b has seen whose it is: its looks are the only reads of the server besides ours.
    let mut looks = looks();
    while memcached.stat("get_hits") == 0 {
        looks.tick().await;
    }
    memcached.flush_all();
    until(&memcached, &name(), |note| note.is_some_and(|note| note.starts_with("working "))).await;
    a.gate.send_replace(true);
    is(&a.answered().await, &said("a"), How::Handled);
    is(&b.answered().await, &said("a"), How::Repeated);
    assert_eq!((a.counts(), b.counts()), ((1, 0), (0, 0)));
}

#[tokio::test]
async fn memcached_that_is_down_or_silent_or_holds_garbage_costs_neither_message_nor_deadline() {
    let _guard = Guard::start();
    let deadline = Duration::from_millis(4_500);
    let mut memcached = Memcached::start();
    memcached.set(&name(), "something of somebody else");
    let mut garbage = Instance::start("garbage", &memcached.addr(), deadline).open();
    garbage.ask();
    is(&garbage.answered().await, &said("garbage"), How::Handled);
    garbage.close().await;
    assert_eq!(memcached.value(&name()).as_deref(), Some("something of somebody else"));

    memcached.signal("-STOP");
    let limit = Settings::default().memcached_timeout;
    assert_eq!(limit, Duration::from_millis(100));
    let mut silent = Instance::start_within("silent", &memcached.addr(), deadline, limit).open();
    silent.ask();
    is(&silent.answered().await, &said("silent"), How::Handled);
    silent.ask();
    is(&silent.answered().await, &said("silent"), How::Repeated);
    memcached.signal("-CONT");

    memcached.kill();
    let mut down = Instance::start("down", &memcached.addr(), deadline).open();
    down.ask();
    is(&down.answered().await, &said("down"), How::Handled);
    down.ask();
    is(&down.answered().await, &said("down"), How::Repeated);
    for instance in [&garbage, &silent, &down] {
        assert_eq!(instance.counts(), (1, 0));
    }
}

#[tokio::test]
async fn memcached_that_comes_back_while_a_handler_runs_hears_of_it() {
    let _guard = Guard::start();
    let mut memcached = Memcached::start();
    let mut a = Instance::start("a", &memcached.addr(), PATIENT);
    memcached.kill();
    a.ask();
    a.until_it_runs().await;
    memcached.restart();
    until(&memcached, &name(), |note| note.is_some_and(|note| note.starts_with("working "))).await;
    a.gate.send_replace(true);
    is(&a.answered().await, &said("a"), How::Handled);
    a.close().await;
    let mut b = Instance::start("b", &memcached.addr(), PATIENT).open();
    b.ask();
    is(&b.answered().await, &said("a"), How::Repeated);
    assert_eq!((a.counts(), b.counts()), ((1, 0), (0, 0)));
}
