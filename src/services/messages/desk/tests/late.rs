//! Answers that come too late, or that nobody is there to take: sent once, or not at all.

use super::*;

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
    let verdict = || Arc::new(Verdict { answer: Arc::new(text("hi")), by: None, foreign: false });
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
        success(&stage.ask(1).await, How::Repeated);
        assert_eq!((stage.runs(), stage.sent().len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_unsubscribed_is_not_written_to() {
    // WeChat would answer 43004, and the log would tell somebody to mend it.
    let stage = Stage::new(Does::AnswersAfter(7 * SECOND, text("farewell")));
    let left = incoming(&[("MsgType", "event"), ("Event", "UNSUBSCRIBE")]);
    success(&stage.desk.answer(left, Instant::now()).await, How::TooSlow);
    let came = incoming(&[("MsgType", "event"), ("Event", "subscribe")]);
    success(&stage.desk.answer(came, Instant::now()).await, How::TooSlow);
    stage.desk.finished().await;
    assert_eq!((stage.runs(), stage.sent().len()), (2, 1));
    // In time it gets what the handler says: WeChat wants an answer to everything.
    let stage = Stage::new(Does::Answers(text("farewell")));
    let left = incoming(&[("MsgType", "event"), ("Event", "unsubscribe")]);
    said(&stage.desk.answer(left, Instant::now()).await, "farewell", How::Handled);
}

#[tokio::test(start_paused = true)]
async fn run_that_is_cut_off_while_its_answer_is_taken_takes_nothing_back() {
    let verdict = |words| Arc::new(Verdict { answer: Arc::new(text(words)), by: None, foreign: false });
    let run = Arc::new(Run::default());
    let open = run.enter();
    assert!(run.settle(verdict("hi")));
    run.settle(verdict("cut off"));
    let Some(End::Passive(taken)) = open.take() else { panic!("it is there to be taken") };
    assert_eq!(*taken.answer, text("hi"));
}
