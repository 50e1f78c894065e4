//! Rules at work: programs that messages are handed to, and files that change meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::clock::Clock;
use zhongkong::services::messages::account::Account;
use zhongkong::services::messages::fields::{Fields, Format};
use zhongkong::services::messages::handler::{Handled, HandlerError, Incoming, MessageHandler, Trace};
use zhongkong::services::messages::message::Message;
use zhongkong::services::messages::reply::{Answer, Reply};
use zhongkong::services::messages::rules::{
    Beside, Book, Forwards, Looked, Names, Rules, RulesError, Watcher,
};

use crate::support::logged::Logged;

/// A business program in this process.
#[derive(Default)]
struct Program {
    seen: Mutex<Vec<String>>,
    says: Mutex<Option<String>>,
    fails: bool,
    panics: bool,
    /// Waited for before it answers, where a test wants it to be slow.
    gate: Option<Arc<Notify>>,
    ended: Mutex<usize>,
}

impl Program {
    fn saying(text: &str) -> Self {
        Self { says: Mutex::new(Some(text.to_owned())), ..Self::default() }
    }

    fn seen(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

#[async_trait]
impl MessageHandler for Program {
    fn name(&self) -> &'static str {
        "program"
    }

    fn matches(&self, _: &Incoming) -> bool {
        true
    }

    async fn handle(&self, incoming: &Incoming) -> Result<Handled, HandlerError> {
        self.seen.lock().unwrap().push(incoming.message.from().to_owned());
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        *self.ended.lock().unwrap() += 1;
        assert!(!self.panics, "on purpose");
        if self.fails {
            return Err(HandlerError { what: "the program is down".to_owned(), source: None });
        }
        let says = self.says.lock().unwrap().clone();
        Ok(says.map_or(Handled::Pass, |content| Handled::Answer(Answer::Reply(Reply::Text { content }))))
    }
}

/// A file of rules and what is made of it.
struct Bench {
    dir: TempDir,
    rules: Rules,
    watcher: Watcher,
    beside: Beside,
}

impl Bench {
    fn open(text: &str, forwards: Forwards) -> Result<Self, RulesError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.toml");
        fs::write(&path, text).unwrap();
        let beside = Beside::default();
        let (rules, watcher) = Rules::open(path, forwards, beside.clone(), Clock::system())?;
        Ok(Self { dir, rules, watcher, beside })
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("rules.toml")
    }

    /// Replaces the file by a rename, as an editor does.
    fn replace(&self, text: &str) {
        let other = self.dir.path().join("other");
        fs::write(&other, text).unwrap();
        fs::rename(other, self.path()).unwrap();
    }

    /// Looks until nothing is under way; what the last look said.
    async fn look(&mut self) -> Looked {
        loop {
            match self.watcher.look().await {
                Looked::Unsettled => {}
                settled => return settled,
            }
        }
    }

    /// Waits for everything that is told beside the answers; how much was given up.
    async fn told(&self) -> usize {
        self.beside.close(Duration::from_mins(1)).await
    }

    async fn answer(&self) -> Option<String> {
        said(self.rules.handle(&incoming("hello")).await.unwrap())
    }
}

fn said(handled: Handled) -> Option<String> {
    match handled {
        Handled::AnswerOf(Answer::Reply(Reply::Text { content }), _) => Some(content),
        other @ (Handled::Answer(_) | Handled::AnswerOf(..)) => panic!("{other:?}"),
        Handled::Pass => None,
    }
}

fn incoming(content: &str) -> Incoming {
    let xml = format!(
        "<xml><ToUserName>gh_1</ToUserName><FromUserName>oUser</FromUserName><CreateTime>1</CreateTime>\
         <MsgType>text</MsgType><Content><![CDATA[{content}]]></Content><MsgId>1</MsgId></xml>"
    );
    let message = Message::read(Fields::parse(Format::Xml, xml.as_bytes()).unwrap()).unwrap();
    let account = Arc::new(Account { appid: "wx1".parse().unwrap(), path: "main".to_owned() });
    Incoming { account, message, trace: Trace("t1".into()) }
}

fn forwards<const N: usize>(programs: [(&str, &Arc<Program>); N]) -> Forwards {
    programs
        .into_iter()
        .map(|(name, program)| (name.to_owned(), program.clone() as Arc<dyn MessageHandler>))
        .collect()
}

fn replies(text: &str) -> String {
    format!("[[rule]]\nreply = '{text}'\n")
}

#[tokio::test]
async fn message_is_handed_to_programs_in_order_and_the_first_answer_is_sent() {
    // A program that only looks on, one that is down, one that answers, and one that comes too
    // late in the order: that one is not asked.
    let looks_on = Arc::new(Program::default());
    let down = Arc::new(Program { fails: true, ..Program::default() });
    let answers = Arc::new(Program::saying("from the program"));
    let behind = Arc::new(Program::saying("too late"));
    let text = "
        [[rule]]
        forward = 'looks_on'
        continue = true
        [[rule]]
        forward = 'down'
        [[rule]]
        forward = 'answers'
        [[rule]]
        forward = 'behind'";
    let programs =
        forwards([("looks_on", &looks_on), ("down", &down), ("answers", &answers), ("behind", &behind)]);
    let bench = Bench::open(text, programs).unwrap();
    assert!(bench.rules.matches(&incoming("hello")));
    assert_eq!(bench.answer().await.as_deref(), Some("from the program"));
    assert_eq!(bench.told().await, 0);
    assert_eq!([&looks_on, &down, &answers, &behind].map(|program| program.seen()), [1, 1, 1, 0]);
}

#[tokio::test]
async fn program_whose_answer_cannot_count_is_told_and_its_answer_dropped() {
    let program = Arc::new(Program::saying("not this"));
    let text = "
        [[rule]]
        reply = 'this'
        continue = true
        [[rule]]
        forward = 'crm'
        [fallback]
        forward = 'crm'";
    let bench = Bench::open(text, forwards([("crm", &program)])).unwrap();
    assert_eq!(bench.answer().await.as_deref(), Some("this"));
    assert_eq!(bench.told().await, 0);
    assert_eq!(program.seen(), 1, "the rule behind sees it, the fallback does not");
    // A log that acknowledges what it gets silences nobody: what it says is not the answer.
    let log = "[[rule]]\nforward = 'crm'\ncontinue = true\n[[rule]]\nreply = 'that'";
    let bench = Bench::open(log, forwards([("crm", &program)])).unwrap();
    assert_eq!(bench.answer().await.as_deref(), Some("that"));
    assert_eq!(bench.told().await, 0);
    assert_eq!(program.seen(), 2);
    // Without an answer the fallback is asked as well, and nobody answering is left to others.
    *program.says.lock().unwrap() = None;
    let bench =
        Bench::open(&text.replace("reply = 'this'", "forward = 'crm'"), forwards([("crm", &program)]))
            .unwrap();
    assert_eq!(bench.answer().await, None);
    assert_eq!(bench.told().await, 0);
    assert_eq!(program.seen(), 5);
}

#[tokio::test]
async fn slow_log_holds_up_no_answer_and_gets_its_message_even_if_the_rules_go() {
    // A program that looks on hangs; the answer leaves at once. A reload takes the rules away while
    // it is being told, and a stop waits for it.
    let gate = Arc::new(Notify::new());
    let slow = Arc::new(Program { gate: Some(gate.clone()), ..Program::default() });
    let text = format!("[[rule]]\nforward = 'log'\ncontinue = true\n{}", replies("at once"));
    let bench = Bench::open(&text, forwards([("log", &slow)])).unwrap();
    assert_eq!(bench.answer().await.as_deref(), Some("at once"));
    while slow.seen() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*slow.ended.lock().unwrap(), 0);
    let Bench { beside, .. } = bench;
    gate.notify_one();
    assert_eq!(beside.close(Duration::from_mins(1)).await, 0);
    assert_eq!(*slow.ended.lock().unwrap(), 1);
}

#[tokio::test]
async fn log_that_fails_or_panics_costs_a_few_lines_and_no_answer() {
    let (logged, _guard) = Logged::start();
    let down = Arc::new(Program { fails: true, ..Program::default() });
    let broken = Arc::new(Program { panics: true, ..Program::default() });
    let text = format!(
        "[[rule]]\nname = 'first'\nforward = 'down'\ncontinue = true\n[[rule]]\nforward = 'broken'\ncontinue = true\n{}",
        replies("answered")
    );
    let bench = Bench::open(&text, forwards([("down", &down), ("broken", &broken)])).unwrap();
    for _ in 0..10 {
        assert_eq!(bench.answer().await.as_deref(), Some("answered"));
    }
    assert_eq!(bench.told().await, 0);
    assert_eq!((down.seen(), broken.seen()), (10, 10));
    let lines = logged.lines();
    let warned: Vec<_> = lines.iter().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warned.len(), 3, "{lines:#?}");
    assert!(
        warned[0].contains("rule 1 \"first\" (line 1) may not have told its program of a message")
            && warned[0].contains("the program is down")
            && !warned[0].contains("hello"),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn rule_that_cannot_answer_is_warned_of_three_times_without_a_users_words() {
    let (logged, _guard) = Logged::start();
    let text = format!("[[rule]]\nreply = '{{{{ Content | int }}}}'\n{}", replies("next"));
    let bench = Bench::open(&text, Forwards::new()).unwrap();
    for _ in 0..10 {
        assert_eq!(bench.answer().await.as_deref(), Some("next"));
    }
    let lines = logged.lines();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains("rule 1 (line 1) could not answer")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("hello") || line.contains("oUser")), "{lines:#?}");
}

#[tokio::test]
async fn program_that_config_does_not_name_is_refused_with_those_that_it_does() {
    let program = Arc::new(Program::default());
    let bench = Bench::open("[[rule]]\nforward = 'cmr'", forwards([("crm", &program)]));
    let error = bench.err().expect("no such program").to_string();
    assert!(
        error.contains("line 2: rule 1: forward: there is no program \"cmr\": config.toml has crm"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn watcher_looks_by_itself_until_it_is_stopped() {
    let Bench { dir, rules, watcher, .. } = Bench::open(&replies("one"), Forwards::new()).unwrap();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(watcher.run(stop.clone()));
    fs::write(dir.path().join("rules.toml"), format!("{}{}", replies("one"), replies("two"))).unwrap();
    // Its clock is ours: hours pass in no time, and the guard of the test run ends a wait for ever.
    while rules.book().len() != 2 {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn message_is_judged_by_one_version_from_start_to_end() {
    // The file changes while a program thinks: the rule behind it is the one of before.
    let gate = Arc::new(Notify::new());
    let program = Arc::new(Program { gate: Some(gate.clone()), ..Program::default() });
    let before = format!("[[rule]]\nforward = 'crm'\n{}", replies("before"));
    let mut bench = Bench::open(&before, forwards([("crm", &program)])).unwrap();
    let rules = bench.rules.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { rules.handle(&incoming("hello")).await.unwrap() });
    while program.seen() == 0 {
        tokio::task::yield_now().await;
    }
    bench.replace(&replies("after"));
    assert!(matches!(bench.look().await, Looked::Taken(1)));
    gate.notify_one();
    assert_eq!(said(tasks.join_next().await.unwrap().unwrap()).as_deref(), Some("before"));
    assert_eq!(bench.answer().await.as_deref(), Some("after"));
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_block_of_the_page_about_rules_is_a_good_file() {
    let page = fs::read_to_string(project().join("docs/rules.md")).unwrap();
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 4, "the page has blocks");
    for block in blocks {
        let read = Book::parse(block, &Names::These(vec!["crm"]));
        let (book, warnings) = read.unwrap_or_else(|problems| panic!("{problems:#?}\n{block}"));
        assert!(!book.is_empty() && warnings.is_empty(), "{warnings:?}\n{block}");
    }
}

#[test]
fn example_is_a_good_file_and_has_every_key_that_the_page_explains() {
    let example = project().join("examples/rules.toml");
    let (book, warnings) = Book::read(&example, &Names::These(Vec::new())).unwrap();
    assert!(book.len() > 15 && warnings.is_empty(), "{warnings:?}");
    let text = fs::read_to_string(example).unwrap();
    // What is commented out, because it needs a program, is right as well.
    let with_program = text.replace("\n# [[rule]]", "\n[[rule]]").replace("\n# name", "\nname");
    let with_program = with_program.replace("\n# forward", "\nforward").replace("\n# continue", "\ncontinue");
    let (more, _) = Book::parse(&with_program, &Names::These(vec!["crm"])).unwrap();
    assert_eq!(more.len(), book.len() + 1);
    for key in [
        "timezone",
        "[fallback]",
        "continue",
        "forward",
        "when.type",
        "when.event",
        "when.key",
        "when.content",
        "when.scene",
        "when.from",
        "when.account",
        "when.time",
        "when.days",
        "when.field.",
        "prefix",
        "contains",
        "regex",
        "ignore_case",
        "present",
        "reply.image",
        "reply.voice",
        "reply.video",
        "reply.music",
        "reply.news",
        "reply.transfer",
        "reply.success",
        "reply.empty",
        "captures",
        "now.",
    ] {
        assert!(text.contains(key), "examples/rules.toml lacks {key}");
    }
}
