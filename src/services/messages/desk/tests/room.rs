//! How much at once, for how long, and what happens at the end.

use super::*;

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
    success(&stage.ask(1).await, How::Repeated);
    drop(gate);
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
    success(&stage.ask(1).await, How::Repeated);

    // One that takes longer than the grace is given up, and those who wait are told.
    let stage = Stage::new(Does::AnswersAfter(7 * SECOND, text("never")));
    stage.connect(&mut connections, 3);
    tokio::task::yield_now().await;
    let closing = stage.desk.close(2 * SECOND);
    let retry = async {
        sleep(SECOND).await;
        stage.ask(3).await
    };
    let (left, retried) = tokio::join!(closing, retry);
    assert_eq!((left, stage.desk.core.table().working()), (1, 0));
    success(&retried, How::Repeated);
    success(&connections.join_next().await.unwrap().unwrap(), How::Handled);
    assert_eq!((stage.runs(), stage.sent()), (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn close_that_is_dropped_gives_nothing_up() {
    let stage = Stage::new(Does::AnswersAfter(6 * SECOND, text("all the same")));
    success(&stage.ask(1).await, How::TooSlow);
    let dropped = tokio::time::timeout(SECOND, stage.desk.close(10 * SECOND)).await;
    assert!(dropped.is_err());
    stage.until_sent().await;
    assert_eq!(stage.desk.close(SECOND).await, 0);
    assert_eq!(stage.sent(), [("o1".to_owned(), reply("all the same"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn message_that_slips_in_while_the_desk_closes_is_refused_or_waited_for() {
    // Real threads: each message is either refused or has been handled when the desk is closed.
    for round in 0..200 {
        let (gate, opened) = watch::channel(false);
        let stage = Stage::new(Does::WaitsFor(opened));
        let mut connections = JoinSet::new();
        for number in 0..8 {
            stage.connect(&mut connections, number);
        }
        gate.send_replace(true);
        assert_eq!(stage.desk.close(Duration::from_secs(60)).await, 0);
        assert!(stage.desk.runs().is_empty(), "round {round}: a run was left behind");
        let runs = stage.runs();
        let answered = connections.join_all().await.into_iter().flatten().count();
        assert_eq!(answered, runs, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn acknowledgement_takes_no_room_among_the_answers() {
    let settings = Settings { answers: 2, ..Settings::default() };
    let stage = Stage::with(Does::Answers(Answer::Success), settings.clone(), Sending::Works);
    for number in 1..=5 {
        success(&stage.ask(number).await.map(|answered| Answered { by: None, ..answered }), How::Handled);
    }
    success(&stage.ask(1).await, How::Repeated);
    assert!(matches!(known(&stage, 5), State::Done));
    // The last two answers are repeated, the others acknowledged; an empty one is an answer.
    for answer in [text("hi"), Answer::Empty] {
        let stage = Stage::with(Does::Answers(answer.clone()), settings.clone(), Sending::Works);
        for number in 1..=3 {
            assert_eq!(*stage.ask(number).await.unwrap().answer, answer);
        }
        success(&stage.ask(1).await, How::Repeated);
        assert_eq!(*stage.ask(2).await.unwrap().answer, answer);
        assert_eq!(stage.runs(), 3);
    }
}

fn known(stage: &Stage, number: u64) -> State<Run, Verdict> {
    let of = message(number);
    let key = DedupKey::of(&of.account, &of.message);
    match stage.desk.core.table().find(key, Instant::now(), unreachable_run) {
        Found::Known(state) => state,
        found => panic!("{found:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn answer_that_is_there_is_not_lost_by_one_who_looks_on_for_ever() {
    let (gate, opened) = watch::channel(false);
    let handler = |does| Arc::new(Handler { does, runs: Arc::default() }) as Arc<dyn MessageHandler>;
    let handlers = vec![handler(Does::Answers(text("hi"))), handler(Does::WaitsFor(opened))];
    let settings = Settings { handler_timeout: 3 * SECOND, ..Settings::default() };
    let stage = Stage::of(settings, Dispatcher::new(Mode::AllSee, handlers));
    let begun = Instant::now();
    said(&stage.ask(1).await, "hi", How::Handled);
    assert_eq!(begun.elapsed(), 3 * SECOND);
    drop(gate);
}
