//! A message's way over the desk, on a paused clock: one run, and the same answer for every request.

mod late;
mod room;

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;
use tokio::time::{advance, sleep};

use super::*;
use crate::services::messages::account::Account;
use crate::services::messages::dispatch::Mode;
use crate::services::messages::fields::{Fields, Value};
use crate::services::messages::handler::{Handled, HandlerError, MessageHandler, Trace};

const SECOND: Duration = Duration::from_secs(1);

/// What the handler of these tests does with every message.
#[derive(Clone)]
enum Does {
    Answers(Answer),
    AnswersAfter(Duration, Answer),
    WaitsFor(watch::Receiver<bool>),
    Panics,
    PanicsAfter(Duration),
}

struct Handler {
    does: Does,
    runs: Arc<AtomicUsize>,
}

#[async_trait]
impl MessageHandler for Handler {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn matches(&self, _incoming: &Incoming) -> bool {
        true
    }

    async fn handle(&self, _incoming: &Incoming) -> Result<Handled, HandlerError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let answer = match self.does.clone() {
            Does::Answers(answer) => answer,
            Does::AnswersAfter(span, answer) => {
                sleep(span).await;
                answer
            }
            Does::WaitsFor(mut gate) => {
                gate.wait_for(|open| *open).await.unwrap();
                text("through the gate")
            }
            Does::Panics => panic!("as it was told"),
            Does::PanicsAfter(span) => {
                sleep(span).await;
                panic!("as it was told")
            }
        };
        Ok(Handled::Answer(answer))
    }
}

/// What sends late answers in these tests.
struct Recorder {
    sent: watch::Sender<Vec<(String, Reply)>>,
    does: Sending,
}

#[derive(Clone, Copy)]
enum Sending {
    Works,
    Fails,
    Hangs,
}

#[async_trait]
impl LateSender for Recorder {
    async fn send(&self, incoming: &Incoming, reply: &Reply, by: Option<&str>) -> Sent {
        assert_eq!(by, Some("handler"), "who said it is told with it");
        self.sent.send_modify(|sent| sent.push((incoming.message.from().to_owned(), reply.clone())));
        match self.does {
            Sending::Works => Ok(()),
            Sending::Fails => Err("errcode 45015".into()),
            Sending::Hangs => std::future::pending().await,
        }
    }
}

struct Stage {
    desk: Arc<Desk>,
    runs: Arc<AtomicUsize>,
    late: Arc<Recorder>,
}

impl Stage {
    fn new(does: Does) -> Self {
        Self::with(does, Settings::default(), Sending::Works)
    }

    fn with(does: Does, settings: Settings, sending: Sending) -> Self {
        let runs = Arc::new(AtomicUsize::new(0));
        let handler = Arc::new(Handler { does, runs: Arc::clone(&runs) });
        let late = Arc::new(Recorder { sent: watch::Sender::default(), does: sending });
        let dispatcher = Dispatcher::new(Mode::FirstAnswers, vec![handler]);
        let desk = Arc::new(Desk::new(settings, dispatcher, Arc::<Recorder>::clone(&late)));
        Self { desk, runs, late }
    }

    /// With these handlers, of which one may be the scripted one.
    fn of(settings: Settings, dispatcher: Dispatcher) -> Self {
        let (runs, late) =
            (Arc::default(), Recorder { sent: watch::Sender::default(), does: Sending::Works });
        let late = Arc::new(late);
        let desk = Arc::new(Desk::new(settings, dispatcher, Arc::<Recorder>::clone(&late)));
        Self { desk, runs, late }
    }

    /// A request with message `number`, which arrives now.
    async fn ask(&self, number: u64) -> Result<Answered, Busy> {
        self.desk.answer(message(number), Instant::now()).await
    }

    /// The same, in a task that can be aborted: a connection.
    fn connect(
        &self,
        connections: &mut JoinSet<Result<Answered, Busy>>,
        number: u64,
    ) -> tokio::task::AbortHandle {
        let (desk, arrived) = (Arc::clone(&self.desk), Instant::now());
        connections.spawn(async move { desk.answer(message(number), arrived).await })
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    fn sent(&self) -> Vec<(String, Reply)> {
        self.late.sent.borrow().clone()
    }

    async fn until_sent(&self) {
        self.late.sent.subscribe().wait_for(|sent| !sent.is_empty()).await.unwrap();
    }
}

fn text(content: &str) -> Answer {
    Answer::Reply(reply(content))
}

fn reply(content: &str) -> Reply {
    Reply::Text { content: content.to_owned() }
}

fn message(number: u64) -> Arc<Incoming> {
    let number = number.to_string();
    incoming(&[("MsgType", "text"), ("Content", "hello"), ("MsgId", &number)])
}

/// A message of these fields besides those that every one has.
fn incoming(own: &[(&str, &str)]) -> Arc<Incoming> {
    let mut fields = Fields::default();
    let pairs = [("ToUserName", "gh_1"), ("FromUserName", "o1"), ("CreateTime", "1700000000")];
    for &(name, text) in pairs.iter().chain(own) {
        fields.push(name, Value::Text(text.into()));
    }
    Arc::new(Incoming {
        account: Arc::new(Account { appid: "wx1".parse().unwrap(), path: "a".into() }),
        message: Message::read(fields).unwrap(),
        trace: Trace("t".into()),
    })
}

fn success(answered: &Result<Answered, Busy>, how: How) {
    let answered = answered.as_ref().unwrap();
    assert_eq!((&*answered.answer, &answered.by, answered.how), (&Answer::Success, &None, how));
}

fn said(answered: &Result<Answered, Busy>, words: &str, how: How) {
    let answered = answered.as_ref().unwrap();
    assert_eq!((&*answered.answer, answered.how), (&text(words), how));
    if how == How::Handled {
        assert_eq!(answered.by.as_deref(), Some("scripted"));
    }
}

#[tokio::test(start_paused = true)]
async fn handler_that_is_ready_at_once_answers_without_a_task() {
    let stage = Stage::new(Does::Answers(text("hi")));
    said(&stage.ask(1).await, "hi", How::Handled);
    assert!(stage.desk.runs().is_empty(), "no task was made");
    said(&stage.ask(1).await, "hi", How::Repeated);
    said(&stage.ask(2).await, "hi", How::Handled);
    assert_eq!(stage.runs(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousand_requests_for_one_message_at_once_run_its_handler_once() {
    // Real threads. The gate opens when all of them wait.
    let (gate, opened) = watch::channel(false);
    let stage = Stage::new(Does::WaitsFor(opened));
    let mut connections = JoinSet::new();
    for _ in 0..1_000 {
        stage.connect(&mut connections, 7);
    }
    let of = message(7);
    let key = DedupKey::of(&of.account, &of.message);
    while stage.runs() == 0 {
        tokio::task::yield_now().await;
    }
    loop {
        let found = stage.desk.core.table().find(key, Instant::now(), unreachable_run);
        if matches!(found, Found::Known(State::Working(run)) if run.waiting() == 1_000) {
            break;
        }
        tokio::task::yield_now().await;
    }
    gate.send_replace(true);
    let answers = connections.join_all().await;
    assert_eq!(answers.len(), 1_000);
    let first = Arc::clone(&answers[0].as_ref().unwrap().answer);
    assert_eq!(*first, text("through the gate"));
    for answer in &answers {
        assert!(Arc::ptr_eq(&answer.as_ref().unwrap().answer, &first), "everybody gets the same");
    }
    let handled = answers.iter().filter(|answer| answer.as_ref().unwrap().how == How::Handled).count();
    assert_eq!((stage.runs(), handled), (1, 1));
    assert_eq!(stage.sent(), []);
}

/// For a message that is known.
fn unreachable_run() -> Arc<Run> {
    panic!("a test must not bring a message itself")
}

#[tokio::test(start_paused = true)]
async fn answer_is_repeated_for_a_minute_and_then_acknowledged() {
    let stage = Stage::new(Does::AnswersAfter(SECOND, text("hi")));
    let first = stage.ask(1).await;
    said(&first, "hi", How::Handled);
    // The run notes its end.
    stage.desk.finished().await;
    advance(Duration::from_secs(58)).await;
    let second = stage.ask(1).await;
    said(&second, "hi", How::Repeated);
    assert!(Arc::ptr_eq(&first.unwrap().answer, &second.unwrap().answer), "the very same");
    advance(3 * SECOND).await;
    success(&stage.ask(1).await, How::Repeated);
    advance(Duration::from_secs(538)).await;
    success(&stage.ask(1).await, How::Repeated);
    assert_eq!(stage.runs(), 1);
    // Beyond the replay window nobody gets here with it; if so, it is a new message.
    advance(3 * SECOND).await;
    said(&stage.ask(1).await, "hi", How::Handled);
}

#[tokio::test(start_paused = true)]
async fn handler_that_panics_is_acknowledged_and_not_run_again_by_the_retry() {
    for does in [Does::Panics, Does::PanicsAfter(SECOND)] {
        let stage = Stage::new(does);
        success(&stage.ask(1).await, How::Handled);
        success(&stage.ask(1).await, How::Repeated);
        assert_eq!((stage.runs(), stage.sent()), (1, vec![]));
    }
}
