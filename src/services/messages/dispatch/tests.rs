//! Who is asked, in which order, and what a broken one costs.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::services::messages::account::Account;
use crate::services::messages::fields::{Fields, Value};
use crate::services::messages::handler::Trace;
use crate::services::messages::message::Message;
use crate::services::messages::reply::Reply;

type Seen = Arc<Mutex<Vec<String>>>;

/// What a handler of these tests does.
#[derive(Clone, Copy)]
enum Does {
    Answers,
    Passes,
    Fails,
    Panics,
    PanicsOverTheQuestion,
}

/// Notes that it was asked.
struct Noting {
    name: &'static str,
    matches: Option<&'static str>,
    does: Does,
    aside: Does,
    seen: Seen,
}

#[async_trait]
impl MessageHandler for Noting {
    fn name(&self) -> &str {
        self.name
    }

    fn matches(&self, incoming: &Incoming) -> bool {
        assert!(!matches!(self.does, Does::PanicsOverTheQuestion), "as it was told");
        self.matches.is_none_or(|kind| incoming.message.msg_type() == kind)
    }

    async fn handle(&self, _incoming: &Incoming) -> Result<Handled, HandlerError> {
        self.seen.lock().unwrap().push(self.name.to_owned());
        act(self.name, self.does)
    }

    async fn handle_not_match(&self, _incoming: &Incoming) -> Result<Handled, HandlerError> {
        self.seen.lock().unwrap().push(format!("not {}", self.name));
        act(self.name, self.aside)
    }
}

fn act(name: &str, does: Does) -> Result<Handled, HandlerError> {
    match does {
        Does::Answers => Ok(Handled::Answer(text(name))),
        Does::Passes => Ok(Handled::Pass),
        Does::Fails => Err(HandlerError { what: "the program is down".to_owned(), source: None }),
        Does::Panics | Does::PanicsOverTheQuestion => panic!("as it was told"),
    }
}

fn text(content: &str) -> Answer {
    Answer::Reply(Reply::Text { content: content.to_owned() })
}

fn incoming(kind: &str, event: Option<&str>) -> Incoming {
    let mut fields = Fields::default();
    let pairs = [("ToUserName", "gh_1"), ("FromUserName", "o1"), ("CreateTime", "1"), ("MsgType", kind)];
    for (name, text) in pairs.into_iter().chain(event.map(|event| ("Event", event))) {
        fields.push(name, Value::Text(text.into()));
    }
    Incoming {
        account: Arc::new(Account { appid: "wx1".parse().unwrap(), path: "a".into() }),
        message: Message::read(fields).unwrap(),
        trace: Trace("t".into()),
    }
}

struct Round {
    seen: Seen,
    handlers: Vec<Arc<dyn MessageHandler>>,
}

impl Round {
    fn new() -> Self {
        Self { seen: Seen::default(), handlers: Vec::new() }
    }

    fn with(self, name: &'static str, matches: Option<&'static str>, does: Does) -> Self {
        self.watching(name, matches, does, Does::Passes)
    }

    fn watching(
        mut self,
        name: &'static str,
        matches: Option<&'static str>,
        does: Does,
        aside: Does,
    ) -> Self {
        let seen = Arc::clone(&self.seen);
        self.handlers.push(Arc::new(Noting { name, matches, does, aside, seen }));
        self
    }

    /// Who answered a text, who was asked, how many failed.
    async fn run(self, mode: Mode) -> (Option<String>, Vec<String>, u32) {
        let round = Dispatcher::new(mode, self.handlers).dispatch(&incoming("text", None)).await;
        let by = round.answer.map(|(answer, by)| {
            assert_eq!(answer, text(&by), "the answer is that of who is named");
            by.to_string()
        });
        (by, self.seen.lock().unwrap().clone(), round.failures)
    }
}

#[tokio::test]
async fn first_that_matches_and_answers_ends_the_chain() {
    let round = Round::new()
        .with("image", Some("image"), Does::Answers)
        .with("log", None, Does::Passes)
        .with("text", Some("text"), Does::Answers)
        .with("all", None, Does::Answers);
    let (by, seen, failures) = round.run(Mode::FirstAnswers).await;
    assert_eq!((by.as_deref(), failures), (Some("text"), 0));
    assert_eq!(seen, ["not image", "log", "text"]);
}

#[tokio::test]
async fn everybody_sees_it_in_order_and_the_first_answer_counts() {
    let round = Round::new()
        .with("log", None, Does::Passes)
        .with("one", Some("text"), Does::Answers)
        .with("image", Some("image"), Does::Answers)
        .with("two", None, Does::Answers);
    let (by, seen, _) = round.run(Mode::AllSee).await;
    assert_eq!(by.as_deref(), Some("one"));
    assert_eq!(seen, ["log", "one", "not image", "two"]);
}

#[tokio::test]
async fn handler_that_answers_what_it_does_not_match_never_ends_the_chain() {
    // The old framework stopped at the first handler that had a handle_not_match of its own, so
    // that the one that was meant never saw the message.
    for mode in [Mode::FirstAnswers, Mode::AllSee] {
        let round = Round::new().watching("aside", Some("image"), Does::Answers, Does::Answers).with(
            "meant",
            Some("text"),
            Does::Answers,
        );
        let (by, seen, _) = round.run(mode).await;
        assert_eq!(by.as_deref(), Some("meant"));
        assert_eq!(seen, ["not aside", "meant"]);

        // With nobody who is meant, the first such answer counts.
        let round = Round::new()
            .watching("one", Some("image"), Does::Answers, Does::Answers)
            .with("log", Some("text"), Does::Passes)
            .watching("two", Some("image"), Does::Answers, Does::Answers);
        let (by, seen, _) = round.run(mode).await;
        assert_eq!(by.as_deref(), Some("one"));
        assert_eq!(seen, ["not one", "log", "not two"]);
    }
}

#[tokio::test]
async fn handler_that_fails_or_panics_costs_only_its_own_answer() {
    let round = Round::new()
        .with("broken", None, Does::Fails)
        .with("mad", None, Does::Panics)
        .with("odd", None, Does::PanicsOverTheQuestion)
        .watching("bad watcher", Some("image"), Does::Answers, Does::Panics)
        .with("sound", None, Does::Answers);
    let (by, seen, failures) = round.run(Mode::FirstAnswers).await;
    assert_eq!((by.as_deref(), failures), (Some("sound"), 4));
    assert_eq!(seen, ["broken", "mad", "not bad watcher", "sound"]);

    let nobody = Round::new().with("broken", None, Does::Fails);
    assert_eq!(nobody.run(Mode::AllSee).await.0, None);
}

async fn greets(incoming: &Incoming) -> Result<Handled, HandlerError> {
    Ok(Handled::Answer(text(&format!("hello, {}", incoming.message.from()))))
}

#[tokio::test]
async fn named_handlers_are_asked_the_most_specific_first_whatever_the_order_and_case() {
    let seen = Seen::default();
    let noting = |name: &'static str, does| {
        let seen = Arc::clone(&seen);
        Noting { name, matches: None, does, aside: Does::Passes, seen }
    };
    let named = Named::builder()
        .on("unsupported", noting("rest", Does::Answers))
        .on("EVENT", noting("any event", Does::Answers))
        .on("Event.scan", noting("a scan", Does::Answers))
        .on("event.CLICK", noting("a click", Does::Passes))
        .on("event.VIEW", noting("a view", Does::Panics))
        .on("link", noting("a link", Does::Fails))
        .on("text", greets)
        .on("image", async |incoming: &Incoming| Ok(Handled::Answer(text(incoming.message.msg_type()))))
        .build()
        .unwrap();
    let dispatcher = Dispatcher::new(Mode::FirstAnswers, Vec::new()).then(named);
    let by = async |kind: &str, event| {
        let round = dispatcher.dispatch(&incoming(kind, event)).await;
        let (answer, by) = round.answer.unwrap();
        (answer, by.to_string())
    };
    assert_eq!(by("event", Some("SCAN")).await, (text("a scan"), "Event.scan".to_owned()));
    assert_eq!(by("event", Some("subscribe")).await.1, "EVENT");
    assert_eq!(by("event", Some("CLICK")).await.1, "EVENT", "who passes leaves it to the next");
    assert_eq!(by("event", Some("VIEW")).await.1, "EVENT", "who panics, too");
    assert_eq!(by("link", None).await.1, "unsupported");
    assert_eq!(by("never-heard-of", None).await.1, "unsupported");
    assert_eq!(by("text", None).await, (text("hello, o1"), "text".to_owned()));
    assert_eq!(by("image", None).await, (text("image"), "image".to_owned()));
    let order =
        ["a scan", "any event", "a click", "any event", "a view", "any event", "a link", "rest", "rest"];
    assert_eq!(*seen.lock().unwrap(), order);
}

#[tokio::test]
async fn names_are_a_handler_that_matches_what_has_one_of_them() {
    let named = Named::builder().on("event.SCAN", greets).on("text", greets).build().unwrap();
    assert!(named.matches(&incoming("event", Some("scan"))));
    assert!(!named.matches(&incoming("event", Some("CLICK"))));
    assert!(!named.matches(&incoming("image", None)));
    let behind = Arc::new(Noting {
        name: "behind",
        matches: None,
        does: Does::Answers,
        aside: Does::Passes,
        seen: Seen::default(),
    });
    let dispatcher = Dispatcher::new(Mode::FirstAnswers, vec![Arc::new(named), behind]);
    let by =
        async |kind: &str| dispatcher.dispatch(&incoming(kind, None)).await.answer.unwrap().1.to_string();
    assert_eq!(by("text").await, "text", "the name that answered, not all of them");
    assert_eq!(by("image").await, "behind");
}

#[test]
fn name_that_no_message_can_have_is_refused() {
    for wrong in ["", "event.", "evnt.SCAN", "text.", "my text", "text.hello"] {
        let refused = Named::builder().on(wrong, greets).on("text", greets).build().unwrap_err();
        assert_eq!(refused.name, wrong);
        assert!(refused.to_string().contains("event.SCAN"), "{refused}");
    }
}
