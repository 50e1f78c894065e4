//! A message's way over the desk, on a paused clock: who is answered what, when, and how often.

use std::sync::atomic::AtomicUsize;

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
    let mut fields = Fields::default();
    let pairs = [
        ("ToUserName", "gh_1"),
        ("FromUserName", "o1"),
        ("CreateTime", "1700000000"),
        ("MsgType", "text"),
        ("Content", "hello"),
        ("MsgId", &number),
    ];
    for (name, text) in pairs {
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
async fn slow_handler_is_acknowledged_at_the_deadline_and_answered_late_once() {
    let stage = Stage::new(Does::AnswersAfter(7 * SECOND, text("sorry")));
    let begun = Instant::now();
    success(&stage.ask(1).await, How::TooSlow);
    assert_eq!(begun.elapsed(), Duration::from_millis(4_500));
    stage.until_sent().await;
    assert_eq!(begun.elapsed(), 7 * SECOND);
    // WeChat's retries come all the same, and must not bring it a second time.
    for _ in 0..3 {
        success(&stage.ask(1).await, How::Repeated);
        sleep(5 * SECOND).await;
    }
    assert_eq!(stage.sent(), [("o1".to_owned(), reply("sorry"))]);
    assert_eq!(stage.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn deadline_counts_from_the_arrival_and_not_from_the_call() {
    let stage = Stage::new(Does::AnswersAfter(7 * SECOND, text("sorry")));
    let arrived = Instant::now();
    advance(3 * SECOND).await;
    success(&stage.desk.answer(message(1), arrived).await, How::TooSlow);
    assert_eq!(arrived.elapsed(), Duration::from_millis(4_500));
}

#[tokio::test(start_paused = true)]
async fn retry_that_is_there_when_the_handler_ends_gets_the_answer_and_nothing_is_sent_late() {
    let stage = Stage::new(Does::AnswersAfter(7 * SECOND, text("just in time")));
    let begun = Instant::now();
    success(&stage.ask(1).await, How::TooSlow);
    advance(Duration::from_millis(500)).await;
    said(&stage.ask(1).await, "just in time", How::Repeated);
    assert_eq!(begun.elapsed(), 7 * SECOND);
    assert_eq!(stage.desk.close(SECOND).await, 0);
    assert_eq!((stage.runs(), stage.sent()), (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn answer_is_repeated_for_a_minute_and_then_acknowledged() {
    let stage = Stage::new(Does::AnswersAfter(SECOND, text("hi")));
    let first = stage.ask(1).await;
    said(&first, "hi", How::Handled);
    // The run notes its end.
    assert_eq!(stage.desk.close(SECOND).await, 0);
    stage.desk.closing.store(false, Ordering::SeqCst);
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
async fn caller_that_hangs_up_ends_no_run_and_gets_the_answer_late() {
    let stage = Stage::new(Does::AnswersAfter(2 * SECOND, text("still here")));
    let mut connections = JoinSet::new();
    let connection = stage.connect(&mut connections, 1);
    tokio::task::yield_now().await;
    advance(SECOND).await;
    connection.abort();
    connections.join_next().await.unwrap().unwrap_err();
    let begun = Instant::now();
    stage.until_sent().await;
    assert!(begun.elapsed() <= SECOND + Duration::from_millis(2), "{:?}", begun.elapsed());
    assert_eq!(stage.sent(), [("o1".to_owned(), reply("still here"))]);
    // One of two that hangs up changes nothing for the other.
    stage.connect(&mut connections, 2).abort();
    stage.connect(&mut connections, 2);
    let hung_up = stage.connect(&mut connections, 2);
    tokio::task::yield_now().await;
    advance(SECOND).await;
    hung_up.abort();
    let ends = [connections.join_next().await, connections.join_next().await, connections.join_next().await];
    let answered: Vec<_> = ends.into_iter().flatten().filter_map(Result::ok).collect();
    assert_eq!(answered.len(), 1);
    assert_eq!(*answered[0].as_ref().unwrap().answer, text("still here"));
    assert_eq!((stage.runs(), stage.sent().len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn answer_that_nobody_took_in_the_instant_of_its_end_goes_out_late() {
    // The run ends while a caller is there, and the caller hangs up before it has the answer.
    let verdict =
        || Arc::new(Verdict { answer: Arc::new(text("hi")), by: None, failed: false, foreign: false });
    let run = Arc::new(Run::default());
    let open = run.enter();
    assert!(run.settle(verdict()));
    drop(open);
    assert!(!run.delivered().await);
    assert!(matches!(run.enter().take(), Some(End::Late)), "who comes now is not answered twice");

    // With another one there, that one has it.
    let run = Arc::new(Run::default());
    let (one, other) = (run.enter(), run.enter());
    assert!(run.settle(verdict()));
    drop(one);
    let (delivered, end) = tokio::join!(run.delivered(), other.wait(Instant::now() + SECOND));
    assert!(delivered && matches!(end, Some(End::Passive(_))));
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_is_never_sent_late() {
    for nothing in [Answer::Success, Answer::Empty] {
        let stage = Stage::new(Does::AnswersAfter(6 * SECOND, nothing.clone()));
        success(&stage.ask(1).await, How::TooSlow);
        assert_eq!(stage.desk.close(10 * SECOND).await, 0);
        assert_eq!((stage.runs(), stage.sent()), (1, vec![]));
        let stage = Stage::new(Does::AnswersAfter(SECOND, nothing.clone()));
        assert_eq!(*stage.ask(1).await.unwrap().answer, nothing);
    }
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

#[tokio::test(start_paused = true)]
async fn handler_that_never_ends_is_given_up_and_makes_room() {
    let (gate, opened) = watch::channel(false);
    let settings = Settings { in_flight: 1, queue: 0, ..Settings::default() };
    let stage = Stage::with(Does::WaitsFor(opened), settings, Sending::Works);
    let begun = Instant::now();
    success(&stage.ask(1).await, How::TooSlow);
    assert_eq!(stage.ask(2).await, Err(Busy));
    assert_eq!(stage.desk.close(100 * SECOND).await, 0);
    assert_eq!(begun.elapsed(), 60 * SECOND);
    assert_eq!(stage.sent(), []);
    success(&stage.ask_again(1).await, How::Repeated);
    drop(gate);
}

impl Stage {
    /// As if the desk had not been closed, which these tests do to wait for what runs.
    async fn ask_again(&self, number: u64) -> Result<Answered, Busy> {
        self.desk.closing.store(false, Ordering::SeqCst);
        self.ask(number).await
    }
}

#[tokio::test(start_paused = true)]
async fn message_waits_for_a_place_and_what_does_not_fit_into_the_queue_is_refused() {
    let settings = Settings { in_flight: 1, queue: 1, ..Settings::default() };
    let stage = Stage::with(Does::AnswersAfter(2 * SECOND, text("next")), settings, Sending::Works);
    let (mut connections, begun) = (JoinSet::new(), Instant::now());
    stage.connect(&mut connections, 1);
    stage.connect(&mut connections, 2);
    tokio::task::yield_now().await;
    assert_eq!(stage.ask(3).await, Err(Busy), "at once, so that WeChat comes again");
    assert_eq!((begun.elapsed(), stage.runs()), (Duration::ZERO, 1));
    let retry = stage.ask(1).await;
    said(&retry, "next", How::Repeated);
    for answered in connections.join_all().await {
        said(&answered, "next", How::Handled);
    }
    assert_eq!(begun.elapsed(), 4 * SECOND, "one behind the other");
    said(&stage.ask(3).await, "next", How::Handled);
    assert_eq!(stage.runs(), 3);
}

#[tokio::test(start_paused = true)]
async fn message_whose_place_comes_too_late_is_acknowledged_and_answered_late() {
    let settings = Settings { in_flight: 1, ..Settings::default() };
    let stage = Stage::with(Does::AnswersAfter(4 * SECOND, text("at last")), settings, Sending::Works);
    let (mut connections, begun) = (JoinSet::new(), Instant::now());
    stage.connect(&mut connections, 1);
    stage.connect(&mut connections, 2);
    let answers = connections.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.as_ref().unwrap().how == How::TooSlow).count(), 1);
    assert_eq!(begun.elapsed(), Duration::from_millis(4_500));
    stage.until_sent().await;
    assert_eq!((begun.elapsed(), stage.sent().len(), stage.runs()), (8 * SECOND, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn late_answer_that_cannot_be_sent_is_not_sent_again_and_holds_nothing_up() {
    for sending in [Sending::Fails, Sending::Hangs] {
        let stage = Stage::with(Does::AnswersAfter(5 * SECOND, text("lost")), Settings::default(), sending);
        success(&stage.ask(1).await, How::TooSlow);
        stage.until_sent().await;
        success(&stage.ask(1).await, How::Repeated);
        assert_eq!(stage.desk.close(70 * SECOND).await, 0, "a sender that hangs is given up");
        success(&stage.ask_again(1).await, How::Repeated);
        assert_eq!((stage.runs(), stage.sent().len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn desk_that_closes_takes_nothing_new_and_finishes_what_runs() {
    let stage = Stage::new(Does::AnswersAfter(7 * SECOND, text("before the end")));
    let mut connections = JoinSet::new();
    stage.connect(&mut connections, 1);
    let begun = Instant::now();
    tokio::task::yield_now().await;
    let closing = stage.desk.close(10 * SECOND);
    let refused = async {
        sleep(SECOND).await;
        stage.ask(2).await
    };
    assert_eq!(tokio::join!(closing, refused), (0, Err(Busy)));
    assert_eq!(begun.elapsed(), 7 * SECOND);
    success(&connections.join_next().await.unwrap().unwrap(), How::TooSlow);
    assert_eq!(stage.sent().len(), 1, "the late answer is part of it");

    // One that takes longer than the grace is given up, and those who wait are told.
    stage.desk.closing.store(false, Ordering::SeqCst);
    stage.connect(&mut connections, 3);
    tokio::task::yield_now().await;
    assert_eq!(stage.desk.close(2 * SECOND).await, 1);
    success(&connections.join_next().await.unwrap().unwrap(), How::Handled);
    assert_eq!(stage.sent().len(), 1);
}
