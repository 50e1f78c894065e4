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
use zhongkong::services::messages::rules::{Book, Forwards, Looked, Names, Rules, RulesError, Watcher};

/// A business program in this process.
#[derive(Default)]
struct Program {
    seen: Mutex<Vec<String>>,
    says: Mutex<Option<String>>,
    fails: bool,
    /// Waited for before it answers, where a test wants it to be slow.
    gate: Option<Arc<Notify>>,
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
}

impl Bench {
    fn open(text: &str, forwards: Forwards) -> Result<Self, RulesError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.toml");
        fs::write(&path, text).unwrap();
        let (rules, watcher) = Rules::open(path, forwards, Clock::system())?;
        Ok(Self { dir, rules, watcher })
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
    assert_eq!([&looks_on, &down, &answers, &behind].map(|program| program.seen()), [1, 1, 1, 0]);
}

#[tokio::test]
async fn rule_that_goes_on_lets_programs_see_the_message_but_keeps_its_answer() {
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
    assert_eq!(program.seen(), 1, "the rule behind sees it, the fallback does not");
    // Without an answer the fallback is asked as well, and nobody answering is left to others.
    *program.says.lock().unwrap() = None;
    let bench =
        Bench::open(&text.replace("reply = 'this'", "forward = 'crm'"), forwards([("crm", &program)]))
            .unwrap();
    assert_eq!(bench.answer().await, None);
    assert_eq!(program.seen(), 4);
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

#[tokio::test]
async fn file_is_taken_over_when_it_is_good_and_refused_once_when_it_is_not() {
    let mut bench = Bench::open(&replies("one"), Forwards::new()).unwrap();
    assert!(matches!(bench.watcher.look().await, Looked::Same));
    // Written in place.
    fs::write(bench.path(), replies("two, longer")).unwrap();
    assert!(matches!(bench.watcher.look().await, Looked::Taken(1)));
    assert_eq!(bench.answer().await.as_deref(), Some("two, longer"));
    // Bad: the old ones stay, and it is said once, with everything that is wrong.
    fs::write(bench.path(), "[[rule]]\nrepl = 'a'\n[[rule]]\nforward = 'x'").unwrap();
    let Looked::Refused(error) = bench.watcher.look().await else { panic!("it is bad") };
    let RulesError::Invalid { problems, .. } = &error else { panic!("{error}") };
    assert!(problems.len() >= 2, "{problems:?}");
    assert!(matches!(bench.watcher.look().await, Looked::Same));
    assert_eq!(bench.answer().await.as_deref(), Some("two, longer"));
    assert!(bench.rules.reload().is_err());
    // Gone, also said once.
    fs::remove_file(bench.path()).unwrap();
    assert!(matches!(bench.watcher.look().await, Looked::Refused(RulesError::Unreadable { .. })));
    assert!(matches!(bench.watcher.look().await, Looked::Same));
    assert_eq!(bench.answer().await.as_deref(), Some("two, longer"));
    // Replaced by a rename, by a file of the same size and name.
    bench.replace(&replies("xx"));
    assert!(matches!(bench.watcher.look().await, Looked::Taken(1)));
    bench.replace(&replies("yy"));
    assert!(matches!(bench.watcher.look().await, Looked::Taken(1)));
    assert_eq!(bench.answer().await.as_deref(), Some("yy"));
}

#[tokio::test(start_paused = true)]
async fn watcher_looks_by_itself_until_it_is_stopped() {
    let Bench { dir, rules, watcher } = Bench::open(&replies("one"), Forwards::new()).unwrap();
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
    assert!(matches!(bench.watcher.look().await, Looked::Taken(1)));
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
