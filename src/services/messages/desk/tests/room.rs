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
    success(&stage.ask_again(1).await, How::Repeated);
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

    // One that takes longer than the grace is given up, and those who wait are told.
    stage.desk.closing.store(false, Ordering::SeqCst);
    stage.connect(&mut connections, 3);
    tokio::task::yield_now().await;
    assert_eq!(stage.desk.close(2 * SECOND).await, 1);
    success(&connections.join_next().await.unwrap().unwrap(), How::Handled);
    assert_eq!(stage.sent().len(), 1);
}
