//! Who answered a message, as the message log has it: the rule, the program, or a program in the
//! name of a rule, in time or late; and the late one by the proxy of the configuration.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::messages_support::Standin;
use super::support::frozen::Guard;
use super::support::process::{Process, SECRET, Site, TOKEN};
use super::support::simulated::{Simulated, listed_with};

/// A business program that answers what is `quick` at once, and anything else when it is let.
async fn program(answer: watch::Receiver<bool>) -> (String, JoinSet<()>) {
    let says = async |State(answer): State<Arc<watch::Receiver<bool>>>, body: String| {
        if !body.contains("quick") {
            answer.as_ref().clone().wait_for(|answer| *answer).await.unwrap();
        }
        ([("content-type", "text/plain")], "from the program")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().fallback(says).with_state(Arc::new(answer));
    let mut served = JoinSet::new();
    served.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, served)
}

/// The service with these tokens' daemon, this program, and this proxy on its way to WeChat.
fn service(daemon: &Site, program: &str, proxy: &str) -> Site {
    let mut site = Site::new("http://127.0.0.1:1");
    site.file("daemon.token", TOKEN);
    site.file("token", "AAAAA");
    site.file("key", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG");
    site.file("hmac", "0123456789abcdef0123456789abcdef");
    site.file(
        "rules.toml",
        "[[rule]]\nname = \"hello\"\nwhen.content = \"hello\"\nreply = \"hi\"\n\
         [[rule]]\nname = \"orders\"\nwhen.content = { prefix = \"order\" }\nforward = \"crm\"\n",
    );
    site.section(
        "wechat",
        &format!("api_base = \"http://wechat.invalid\"\ninsecure = true\nproxy = \"{proxy}\""),
    );
    site.section("serve", "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n");
    let daemon = daemon.addr();
    site.section(
        "messages",
        &format!(
            "daemon = \"{daemon}\"\ntoken_file = \"daemon.token\"\nrules = \"rules.toml\"\ndeadline = \"2s\"\n\
             [messages.log]\nfile = \"messages.log\""
        ),
    );
    site.raw(&format!(
        "[[messages.account]]\nappid = \"wx1\"\npath = \"shop\"\ntoken_file = \"token\"\naes_key_file = \"key\"\n\
         forward = \"crm\"\n[[messages.forward]]\nname = \"crm\"\nurl = \"{program}\"\nsecret_file = \"hmac\"\n"
    ));
    site
}

#[tokio::test]
async fn log_names_the_rule_and_the_program_that_answered_and_a_late_answer_takes_the_proxy() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let tokens = Site::classic(&wechat.base);
    let daemon = tokens.start_ready().await;
    let (answer, answers) = watch::channel(false);
    let (program, _served) = program(answers).await;
    let proxy = Standin::start([]).await;
    let site = service(&tokens, &program, &proxy.base);
    let config = site.write();
    let mut command = site.command();
    command.arg("--config").arg(config).args(["serve", "messages"]);
    let process = Process::spawn(command);
    let line = process.line("listening http=").await;
    let http = line.split_once("http=").unwrap().1.split_whitespace().next().unwrap().to_owned();
    process.line("running: ").await;

    let url = format!("http://{http}/wechat/shop");
    for content in ["hello", "quick", "order quick", "slow"] {
        let content = format!("Content={content}");
        site.run(&["messages", "send", &url, "text", &content, "--account", "shop", "--retries", "0"]).await;
    }
    answer.send_replace(true);
    // Its end waits for what is late.
    let said = process.stop().await;

    let log = std::fs::read_to_string(site.path("messages.log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> =
        lines.iter().map(|line| (line["outcome"].as_str().unwrap(), line["handler"].as_str())).collect();
    assert_eq!(
        told,
        [
            ("answered", Some("rules: hello")),
            ("answered", Some("forward: crm")),
            ("answered", Some("rules: orders, forward: crm")),
            ("deferred", None),
            ("late", Some("forward: crm")),
        ],
        "{log}\n{said}"
    );
    let came = proxy.came();
    assert_eq!(came.len(), 1, "{came:?}");
    let token = tokens.value("wx1").await;
    let whole = format!("POST http://wechat.invalid/cgi-bin/message/custom/send?access_token={token}");
    assert_eq!(came[0].line, whole, "a proxy is asked for the whole address");
    daemon.stop().await;
}
