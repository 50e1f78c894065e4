//! `zhongkong serve messages` as a process: it starts without the daemon, answers and refuses as
//! it must, reloads, and ends without losing an answer.

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::messages_serve_support::{
    KEY, RULES, TOKEN, body, command, fails, get, http, post, query, send, site, start, text,
};
use crate::support::process::ran;
use crate::support::scrape::Scrape;

#[tokio::test]
async fn service_starts_without_the_daemon_and_answers_by_its_rules() {
    // WeChat must be answered whether or not tokens are to be had.
    let process = start(&site()).await;
    assert!(process.line("running: ").await.contains("2 accounts, 1 rule, 0 programs"));
    let line = process.line("the daemon gives no token").await;
    assert!(line.contains("daemon=\"unix:/nonexistent/grpc.sock\""), "which one: {line}");
    let (status, ready) = process.page("/readyz").await;
    assert!(status.contains("200"), "{status}");
    assert_eq!(ready, "ready, but the daemon gives no token: late answers cannot be sent\n");
    assert!(process.page("/healthz").await.0.contains("200"));
    let to = http(&process).await;

    let (status, checked) = get(to, &format!("/wechat/shop?{}&echostr=5Abc%2B1", query(0))).await;
    assert_eq!((status, body(&checked)), (200, "5Abc+1"), "{checked}");
    assert!(checked.contains("content-type: text/plain"), "{checked}");

    let (status, said) = post(to, &format!("/wechat/shop?{}", query(0)), &text("hello", 1)).await;
    assert_eq!(status, 200, "{said}");
    assert!(said.contains("content-type: text/xml; charset=utf-8"), "{said}");
    assert!(said.contains("hello yourself") && said.contains("<ToUserName><![CDATA[o1]]>"), "{said}");
    let (_, id) = said.split_once("x-request-id: ").expect("every answer has one");
    assert!(id[..16].bytes().all(|byte| byte.is_ascii_hexdigit()), "{said}");

    // Nobody answers this one, and a type of the future: acknowledged.
    let (status, said) = post(to, &format!("/wechat/shop?{}", query(0)), &text("else", 2)).await;
    assert_eq!((status, body(&said)), (200, "success"), "{said}");
    let future = text("x", 3).replace("CDATA[text]", "CDATA[hologram]");
    let (status, said) = post(to, &format!("/wechat/shop?{}", query(0)), &future).await;
    assert_eq!((status, body(&said)), (200, "success"), "{said}");

    let (_, page) = process.page("/metrics").await;
    assert!(page.contains("zhongkong_daemon_reachable{service=\"messages\"} 0"), "{page}");
    assert!(!page.contains("zhongkong_attempts_total{"), "it is not the daemon: {page}");
    process.stop().await;
}

#[tokio::test]
async fn every_refusal_has_its_status_a_line_with_the_reason_and_a_count() {
    let process = start(&site()).await;
    let to = http(&process).await;
    let shop = |offset| format!("/wechat/shop?{}", query(offset));
    let forged =
        format!("/wechat/shop?{}&echostr=%3Cscript%3E", query(0).replace("nonce=n0nce", "nonce=other"));
    for (reason, status, target, body) in [
        ("unsigned", 403, "/wechat/shop".to_owned(), text("hello", 1)),
        ("signature", 403, shop(0).replace("n0nce", "other"), text("hello", 1)),
        ("stale", 403, shop(-601), text("hello", 1)),
        ("ahead", 403, shop(620), text("hello", 1)),
        ("plain", 403, format!("/wechat/wx2?{}", query(0)), text("hello", 1)),
        ("body", 400, shop(0), "hello".to_owned()),
        ("unreadable", 400, shop(0), "<!DOCTYPE x><xml></xml>".to_owned()),
        ("unreadable", 400, shop(0), "<xml><a>".to_owned()),
        ("no_message", 400, shop(0), "<xml><ToUserName>gh_1</ToUserName></xml>".to_owned()),
        ("too_large", 413, shop(0), " ".repeat(65 * 1_024)),
        ("too_large", 413, shop(0), " ".repeat(300 * 1_024)),
    ] {
        let (got, said) = post(to, &target, &body).await;
        assert_eq!(got, status, "{reason}: {said}");
        assert!(said.contains("content-type: text/plain") && said.contains("\nrequest "), "{said}");
        let line = process.line(&format!("reason=\"{reason}\"")).await;
        assert!(line.contains("is refused"), "{line}");
    }
    let (status, said) = get(to, &forged).await;
    assert_eq!(status, 403);
    assert!(!said.contains("script"), "nothing of the request comes back: {said}");

    // What announces too much is refused before it is sent.
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 262145\r\n\r\n",
        shop(0)
    );
    assert_eq!(send(to, &head).await.0, 413);

    for target in [
        "/",
        "/wechat/",
        "/wechat/nobody",
        "/wechat/shop/x",
        "/wechat/%73hop",
        "/MP_verify_0000000000000000.txt",
    ] {
        assert_eq!(get(to, target).await.0, 404, "{target}");
    }
    assert_eq!(post(to, "/wechat/nobody", "x").await.0, 404);
    // A slip in the console's URL is seen here only.
    let line =
        process.line("a request to /wechat/nobody is refused: no [[messages.account]] has this path").await;
    assert!(line.contains("reason=\"no_account\""), "{line}");
    let put =
        format!("PUT {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", shop(0));
    let (status, said) = send(to, &put).await;
    assert_eq!(status, 405);
    let allow = said.lines().find(|line| line.starts_with("allow: ")).expect("it says what is allowed");
    assert!(allow.contains("GET") && allow.contains("POST"), "{said}");

    let (_, page) = process.page("/metrics").await;
    assert!(page.contains("zhongkong_message_refusals_total{reason=\"stale\"} 1"), "{page}");
    let said = process.stop().await;
    assert!(!said.contains(TOKEN) && !said.contains(KEY) && !said.contains("hello"), "{said}");
}

#[tokio::test]
async fn verification_file_is_served_by_its_exact_name_only_and_changes_with_a_reload() {
    let mut site = site();
    let process = start(&site).await;
    let to = http(&process).await;
    let (status, said) = get(to, "/MP_verify_aB3dE6gH9jK2mN5p.txt").await;
    assert_eq!((status, body(&said)), (200, "aB3dE6gH9jK2mN5p"));
    for other in [
        "/MP_verify_ab3de6gh9jk2mn5p.txt",
        "/MP_verify_aB3dE6gH9jK2mN5p",
        "/x/MP_verify_aB3dE6gH9jK2mN5p.txt",
    ] {
        assert_eq!(get(to, other).await.0, 404, "{other}");
    }
    site.raw(
        "[[messages.account]]\nappid = \"wx1\"\nmode = \"plain\"\ntoken_file = \"token\"\n\
         verify_files = [\"MP_verify_0123456789abcdef.txt\"]\n",
    );
    site.write();
    process.reload("configuration taken over").await;
    assert_eq!(body(&get(to, "/MP_verify_0123456789abcdef.txt").await.1), "0123456789abcdef");
    assert_eq!(get(to, "/MP_verify_aB3dE6gH9jK2mN5p.txt").await.0, 404);
    process.stop().await;
}

#[tokio::test]
async fn reload_takes_over_accounts_and_rules_and_a_bad_file_leaves_the_old_ones() {
    let mut site = site();
    let process = start(&site).await;
    let to = http(&process).await;
    site.file("rules.toml", &RULES.replace("yourself", "again"));
    site.raw(
        "[[messages.account]]\nappid = \"wx1\"\npath = \"club\"\nmode = \"plain\"\ntoken_file = \"token\"\n",
    );
    site.section("serve", "listen = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:0\"\n");
    site.write();
    process.reload("configuration taken over").await;
    process.line("need a restart: serve.listen").await;
    assert_eq!(get(to, &format!("/wechat/shop?{}&echostr=x", query(0))).await.0, 404);
    let (_, said) = post(to, &format!("/wechat/club?{}", query(0)), &text("hello", 9)).await;
    assert!(said.contains("hello again"), "{said}");

    // A key that was cut off, then rules that are none.
    site.file("key", "short");
    site.raw("[[messages.account]]\nappid = \"wx1\"\ntoken_file = \"token\"\naes_key_file = \"key\"\n");
    site.write();
    let line = process.reload("not taken over, everything goes on as before").await;
    assert!(line.contains("EncodingAESKey"), "{line}");
    site.raw("[[messages.account]]\nappid = \"wx1\"\nmode = \"plain\"\ntoken_file = \"token\"\n");
    site.file("rules.toml", "[[rule]]\nwehn = 1\n");
    site.write();
    process.reload("not taken over, everything goes on as before").await;
    let ready = loop {
        let ready = process.page("/readyz").await.1;
        if ready.contains("the rules file is bad") {
            break ready;
        }
    };
    assert!(ready.starts_with("ready, but ") && ready.contains("reload refused at"), "{ready}");
    let refused = Scrape::of(&process).await;
    assert_eq!(refused.count("zhongkong_last_rules_reload_successful"), 0);
    assert_eq!(refused.count(r#"zhongkong_rules_reloads_total{result="failed"}"#), 1);
    assert_eq!(get(to, &format!("/wechat/club?{}&echostr=x", query(0))).await.0, 200);
    // Mended, they are taken over by themselves.
    site.file("rules.toml", RULES);
    let mended =
        Scrape::until(&process, |seen| seen.count("zhongkong_last_rules_reload_successful") == 1).await;
    assert_eq!(mended.count(r#"zhongkong_rules_reloads_total{result="ok"}"#), 1);
    process.stop().await;
}

#[tokio::test]
async fn message_under_way_is_answered_before_the_end() {
    // A program that takes its time is asked; the service is told to end; then the program answers.
    let program = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut site = site();
    site.file("hmac", "0123456789abcdef0123456789abcdef");
    site.raw(&format!(
        "[[messages.account]]\nappid = \"wx1\"\npath = \"shop\"\nmode = \"plain\"\ntoken_file = \"token\"\nforward = \"slow\"\n\
         [[messages.forward]]\nname = \"slow\"\nurl = \"http://{}/\"\nsecret_file = \"hmac\"\n",
        program.local_addr().unwrap()
    ));
    let process = start(&site).await;
    let to = http(&process).await;
    let target = format!("/wechat/shop?{}", query(0));
    let message = text("are you there?", 5);
    let asked = post(to, &target, &message);
    let answers = async {
        let (mut stream, _) = program.accept().await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"}") {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
        }
        process.signal(Signal::TERM);
        process.line("stopping; requests under way").await;
        let body = "yes";
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    };
    let ((status, said), ()) = tokio::join!(asked, answers);
    assert_eq!(status, 200, "{said}");
    assert!(said.contains("yes"), "{said}");
    let mut process = process;
    assert_eq!(process.ended().await.code(), Some(0), "{}", process.stderr());
}

#[tokio::test]
async fn program_that_is_told_delays_no_answer_and_is_waited_for_at_the_end() {
    // The program takes the message and is silent; the user has the rule's answer meanwhile. Then
    // a reload makes new rules, and a stop comes: the telling goes on until the program is done.
    let program = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut site = site();
    site.file("hmac", "a secret that is long enough for anybody");
    site.file("rules.toml", &format!("[[rule]]\nforward = \"log\"\ncontinue = true\n{RULES}"));
    site.raw(&format!(
        "[[messages.account]]\nappid = \"wx1\"\npath = \"shop\"\nmode = \"plain\"\ntoken_file = \"token\"\n\
         [[messages.forward]]\nname = \"log\"\nurl = \"http://{}/\"\nsecret_file = \"hmac\"\n",
        program.local_addr().unwrap()
    ));
    let mut process = start(&site).await;
    let target = format!("/wechat/shop?{}", query(0));
    let to = http(&process).await;
    let (status, said) = post(to, &target, &text("hello", 1)).await;
    assert!(status == 200 && said.contains("hello yourself"), "{said}");
    let (mut stream, _) = program.accept().await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"}") {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    }
    process.signal(Signal::HUP);
    process.line("configuration taken over").await;
    process.signal(Signal::TERM);
    process.line("stopping; requests under way").await;
    // Nothing else keeps it once it takes no more messages.
    while TcpStream::connect(to).await.is_ok() {}
    stream.write_all(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    process.line("rule 1 (line 1) may not have told its program of a message").await;
    assert_eq!(process.ended().await.code(), Some(0), "{}", process.stderr());
}

#[tokio::test]
async fn check_lists_what_would_be_served_and_warns_of_what_is_not_meant() {
    let site = site();
    let said = ran(command(&site, &["serve", "messages", "--check"])).await;
    let rules = site.path("rules.toml").display().to_string();
    assert_eq!(
        said.stdout,
        format!(
            "ok: 2 accounts, 1 rule, 0 programs\naccount /wechat/shop (wx1, plain mode): answered by the rules\n\
             account /wechat/wx2 (wx2, safe mode): answered by the rules\nrule 1 ({rules}:1)\n"
        ),
        "{}",
        said.stderr
    );
    assert_eq!(said.code, Some(0));
    assert!(
        said.stderr.contains("messages.account[0].mode: in plain mode nothing proves"),
        "{}",
        said.stderr
    );

    // Nobody answers one of them, and messages cross the network in clear.
    let mut site = site;
    site.file("hmac", "0123456789abcdef0123456789abcdef");
    site.section("messages", "daemon = \"unix:/nonexistent/grpc.sock\"\n");
    site.raw(
        "[[messages.account]]\nappid = \"wx1\"\ntoken_file = \"token\"\naes_key_file = \"key\"\nforward = \"crm\"\n\
         [[messages.account]]\nappid = \"wx2\"\ntoken_file = \"token\"\naes_key_file = \"key\"\n\
         [[messages.forward]]\nname = \"crm\"\nurl = \"http://192.0.2.7/x?key=s3cret\"\nsecret_file = \"hmac\"\n",
    );
    let said = ran(command(&site, &["serve", "messages", "--check", "--json"])).await;
    let document = said.document();
    assert_eq!(document["summary"], "2 accounts, 0 rules, 1 program");
    assert_eq!(document["accounts"][0]["forward"], "crm");
    assert_eq!(document["programs"][0]["url"], "http://192.0.2.7/x", "without what may be a key");
    let warnings = document["warnings"].to_string();
    assert!(warnings.contains("messages.account[1]: nobody answers its messages"), "{warnings}");
    assert!(warnings.contains("http:// to another machine shows every message"), "{warnings}");
    assert!(!warnings.contains("messages.account[0]"), "{warnings}");
}

#[tokio::test]
async fn wrong_configuration_is_exit_code_two_with_a_sentence() {
    let mut bad = site();
    bad.section("serve", "listen = \"0.0.0.0:7790\"\n");
    let said = fails(&bad).await;
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("0.0.0.0:7790 is not on loopback"), "{}", said.stderr);
    let rules = site();
    rules.file("rules.toml", "[[rule]]\nwehn = 1\n");
    let said = fails(&rules).await;
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("rules.toml"), "{}", said.stderr);
    let said = ran(command(&site(), &["serve", "menus"])).await;
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(
        said.stderr.contains("there is no such service; there is: messages, oauth, jssdk, business"),
        "{}",
        said.stderr
    );

    let said = ran(command(&rules, &["serve", "messages", "--check"])).await;
    assert_eq!(said.code, Some(2), "{}", said.stdout);
    // Logs that could not be written are found by the check, which leaves nothing behind.
    for (section, key) in [("serve.log", "serve.log.file"), ("messages.log", "the message log")] {
        let mut unwritable = site();
        unwritable.section(section, "file = \"/nonexistent/zk.log\"\n");
        for args in [&["serve", "messages", "--check"][..], &["serve", "messages"]] {
            let said = ran(command(&unwritable, args)).await;
            assert_eq!(said.code, Some(1), "{args:?}: {}", said.stderr);
            assert!(
                said.stderr.contains(key) && said.stderr.contains("make its directory"),
                "{}",
                said.stderr
            );
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut writable = site();
    writable.section("messages.log", &format!("file = \"{}/m.log\"\n", dir.path().display()));
    let said = ran(command(&writable, &["serve", "messages", "--check"])).await;
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    // A taken address is no fault of the file.
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut busy = site();
    let listen = format!("listen = \"{}\"\nadmin = \"127.0.0.1:0\"\n", taken.local_addr().unwrap());
    busy.section("serve", &listen);
    let said = fails(&busy).await;
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("change [serve] listen"), "{}", said.stderr);
}
