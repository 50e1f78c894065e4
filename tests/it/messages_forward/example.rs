//! examples/forward/app.py as a real program, and the Python of docs/forward.md: another language's
//! reading of what we sign.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use zhongkong::clock::Clock;
use zhongkong::services::messages::forward::{Forwarder, Settings};
use zhongkong::services::messages::handler::MessageHandler as _;
use zhongkong::services::messages::reply::Answer;

use super::super::support::frozen::Guard;
use super::super::support::process::Process;
use super::program::{Program, Script};
use super::{Handled, SECRET, ask, forwarder, incoming, replied, sentence, settings};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The example, and the address that it prints.
async fn example() -> (Process, String) {
    let mut command = Command::new("python3");
    command.arg(root().join("examples/forward/app.py")).arg("0").env("ZHONGKONG_SECRET", SECRET);
    command.kill_on_drop(true);
    let app = Process::spawn(command);
    let url = app.out_line(0, "http://").await;
    (app, url)
}

#[tokio::test]
async fn example_in_python_echoes_what_is_proven_and_refuses_what_is_not() {
    let _guard = Guard::start();
    let (_app, url) = example().await;
    let with = |secret: &str, clock| {
        Forwarder::new(Settings { secret: Some(secret.into()), ..settings(&url) }, clock).unwrap()
    };
    let ours = with(SECRET, Clock::system());
    assert_eq!(ask(&ours).await.unwrap(), replied("你好"));
    let subscribe = [("MsgType", "event"), ("Event", "subscribe"), ("EventKey", "qrscene_poster")];
    assert_eq!(ours.handle(&incoming(&subscribe)).await.unwrap(), replied("Welcome! You came by poster."));
    let other = [("MsgType", "location"), ("Label", "上海")];
    assert_eq!(ours.handle(&incoming(&other)).await.unwrap(), Handled::Answer(Answer::Success));

    // Another secret; a request of 2023, which somebody kept.
    let refused = "the program \"crm\" answered with HTTP status 403; does it have the same secret, and is its clock right?";
    assert_eq!(sentence(&with("another", Clock::system())).await, refused);
    assert_eq!(sentence(&forwarder(&url)).await, refused);
}

#[test]
fn example_is_as_short_as_the_page_says_and_needs_nothing_but_python() {
    let text = std::fs::read_to_string(root().join("examples/forward/app.py")).unwrap();
    assert!(text.lines().count() <= 40, "{}", text.lines().count());
}

/// The first block of code in this language on the page.
fn block(page: &Path, language: &str) -> String {
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).expect("the page has the block");
    rest.split_once("```").unwrap().0.to_owned()
}

/// Runs a program on a request that we signed, and on one with another body.
async fn judges(command: &dyn Fn() -> Command) {
    let program = Program::start(Script::Says(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())).await;
    let forwarder = Forwarder::new(
        Settings { timeout: Duration::from_secs(30), ..settings(&program.url()) },
        Clock::system(),
    )
    .unwrap();
    ask(&forwarder).await.unwrap();
    let request = program.requests().remove(0);
    let header = |name| request.header(name).unwrap().to_owned();
    let (timestamp, signature) = (header("x-zhongkong-timestamp"), header("x-zhongkong-signature"));
    let old = (timestamp.parse::<i64>().unwrap() - 301).to_string();
    let forged = request.body.replace("你好", "再见");
    let cases = [
        (&timestamp, &signature, &request.body, "true"),
        (&timestamp, &signature, &forged, "false"),
        (&old, &signature, &request.body, "false"),
        (&timestamp, &"v1=中".to_owned(), &request.body, "false"),
        (&timestamp, &String::new(), &request.body, "false"),
        (&"soon".to_owned(), &signature, &request.body, "false"),
    ];
    for (timestamp, signature, body, genuine) in cases {
        let output = command().args([SECRET, timestamp, signature, body]).output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let trouble = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said.trim().to_lowercase(), genuine, "{timestamp} {signature} {body}: {trouble}");
    }
}

#[tokio::test]
async fn python_on_the_page_tells_our_requests_from_forged_and_old_ones() {
    let _guard = Guard::start();
    let code = block(&root().join("docs/forward.md"), "python");
    let end = "\nimport sys\nprint(genuine(*(word.encode() for word in sys.argv[1:2]), *sys.argv[2:4], sys.argv[4].encode()))";
    judges(&|| {
        let mut command = Command::new("python3");
        command.arg("-c").arg(format!("{code}{end}"));
        command
    })
    .await;
}

#[tokio::test]
async fn javascript_on_the_page_does_the_same_where_there_is_node() {
    let _guard = Guard::start();
    if Command::new("node").arg("--version").output().await.is_err() {
        return;
    }
    let code = block(&root().join("docs/forward.md"), "js");
    let end = "\nconst [secret, time, signature, body] = process.argv.slice(1);\nconsole.log(genuine(secret, time, signature, Buffer.from(body)));";
    judges(&|| {
        let mut command = Command::new("node");
        command.arg("-e").arg(format!("{code}{end}")).arg("--");
        command
    })
    .await;
}

#[tokio::test]
async fn go_on_the_page_does_the_same_where_there_is_go() {
    let _guard = Guard::start();
    if Command::new("go").arg("version").output().await.is_err() {
        return;
    }
    let page = block(&root().join("docs/forward.md"), "go");
    let (imports, code) = page.split_once('\n').unwrap();
    let imports = imports.strip_prefix("// import ").expect("the block says what it imports");
    let end =
        "func main() {\n\ta := os.Args\n\tfmt.Println(genuine([]byte(a[1]), a[2], a[3], []byte(a[4])))\n}\n";
    let program = format!("package main\n\nimport (\"fmt\"; \"os\"; {imports})\n{code}\n{end}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("main.go"), program).unwrap();
    let mut build = Command::new("go");
    build.args(["build", "-o", "judge", "main.go"]).current_dir(dir.path());
    let built =
        build.env("GOCACHE", dir.path().join("cache")).env("GO111MODULE", "off").output().await.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    judges(&|| Command::new(dir.path().join("judge"))).await;
}
