//! `zhongkong messages send`, the real binary, against callbacks that are right or wrong in one way.

use axum::http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use zhongkong::simulator::callback::SCREEN;

use super::callback_support::{AES_KEY, APPID, Callback, Seen, TOKEN, reply, right, sealed, sealed_for};
use super::support::frozen::Guard;
use super::support::ports::Kept;
use super::support::process::{Ran, Site};

/// What a wrong callback answers.
type Wrong = fn(&Seen) -> (StatusCode, String);

/// A site that holds the callback's secrets in files.
fn site() -> Site {
    let site = Site::new("http://127.0.0.1:9");
    site.file("token", &format!("{TOKEN}\n"));
    site.file("key", AES_KEY);
    site
}

/// `messages send` with the account of the files.
async fn send(site: &Site, callback: &Callback, args: &[&str]) -> Ran {
    let mut all = vec!["messages", "send", &callback.url];
    all.extend(args);
    all.extend(["--token-file", "token", "--aes-key-file", "key", "--appid", APPID]);
    let ran = site.run(&all).await;
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!said.contains(TOKEN) && !said.contains(AES_KEY), "a secret was shown: {said}");
    ran
}

async fn says(site: &Site, callback: &Callback, args: &[&str], code: i32, words: &[&str]) {
    let ran = send(site, callback, args).await;
    assert_eq!(ran.code, Some(code), "{args:?}: {ran:?}");
    for words in words {
        assert!(ran.stdout.contains(words), "{args:?}: nothing says {words:?}: {}", ran.stdout);
    }
}

#[tokio::test]
async fn answer_of_a_right_callback_is_shown_decoded_in_every_mode_and_format() {
    let _guard = Guard::start();
    let (site, callback) = (site(), Callback::echoing("收到 😀").await);
    for mode in ["plain", "compatible", "safe"] {
        for format in ["xml", "json"] {
            let args = ["event.SCAN", "EventKey=42", "--mode", mode, "--format", format];
            says(&site, &callback, &args, 0, &["HTTP 200", "the user sees: \"收到 😀\""]).await;
            let seen = callback.seen().pop().unwrap();
            assert!(seen.signed(), "{mode} {format}: {seen:?}");
            assert_eq!(seen.field("EventKey").as_deref(), Some("42"), "{mode} {format}");
            assert_eq!(seen.of("encrypt_type") == "aes", mode != "plain");
        }
    }
    // Documents for programs.
    let ran = send(&site, &callback, &["text", "Content=a=b", "--from", "o7", "--json"]).await;
    let document = ran.document();
    assert_eq!(document["shown"]["fields"]["Content"], "收到 😀");
    assert_eq!(document["attempts"][0]["status"], 200);
    let seen = callback.seen().pop().unwrap();
    assert_eq!(seen.field("Content").as_deref(), Some("a=b"));
    assert_eq!((seen.of("openid"), seen.field("FromUserName").as_deref()), ("o7", Some("o7")));
}

#[tokio::test]
async fn request_is_shown_on_demand() {
    let _guard = Guard::start();
    let (site, callback) = (site(), Callback::echoing("hi").await);
    let words = ["message:", "<Content><![CDATA[shown]]>", "POST http://", "msg_signature=", "<Encrypt>"];
    says(&site, &callback, &["text", "Content=shown", "-v"], 0, &words).await;
}

#[tokio::test]
async fn callback_that_is_wrong_in_one_way_is_told_which_and_what_to_do() {
    let _guard = Guard::start();
    let site = site();
    let cases: [(Wrong, &[&str]); 8] = [
        (|_| (StatusCode::FORBIDDEN, String::new()), &["HTTP 403", SCREEN, "do Token, mode and appid"]),
        (|_| (StatusCode::NOT_FOUND, "no".to_owned()), &["HTTP 404", "path"]),
        (
            |seen| {
                let text = format!("<?xml version=\"1.0\"?>{}", reply(seen, "a"));
                (StatusCode::OK, sealed(seen, &text))
            },
            &["XML declaration", "without the line <?xml"],
        ),
        (
            |seen| {
                let reply = reply(seen, "a").replace("gh_0123456789ab", "gh_other");
                (StatusCode::OK, sealed(seen, &reply))
            },
            &["the user sees: nothing at all", "not swapped"],
        ),
        (|seen| (StatusCode::OK, reply(seen, "a")), &["not encrypted", "compatible or plain mode"]),
        (
            |seen| (StatusCode::OK, sealed_for(seen, &reply(seen, "a"), "wx2")),
            &["receive id \"wx2\"", "end the encrypted text with the appid"],
        ),
        (
            |seen| {
                let other =
                    Seen { query: [("encrypt_type".to_owned(), "aes".to_owned())].into(), ..seen.clone() };
                (StatusCode::OK, sealed(&other, "success").replace("<TimeStamp>7", "<TimeStamp>8"))
            },
            &["MsgSignature is wrong", "space"],
        ),
        (|_| (StatusCode::OK, "{\"ok\":true}".to_owned()), &["it is JSON", SCREEN]),
    ];
    for (wrong, words) in cases {
        let callback = Callback::start(move |seen| Some(wrong(seen))).await;
        says(&site, &callback, &["text", "--retries", "0"], 1, words).await;
    }
    let nobody = Kept::new();
    let url = format!("http://{}/wechat/shop", nobody.addr());
    let ran = site.run(&["messages", "send", &url, "text", "--token", "t"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stdout.contains("cannot be reached") && ran.stdout.contains("does the callback run"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn slow_callback_is_asked_again_with_the_same_message_and_told_to_be_quick() {
    let _guard = Guard::start();
    let (site, callback) = (site(), Callback::start(|_| None).await);
    let args = ["text", "--retries", "1", "--wait", "1s"];
    says(&site, &callback, &args, 1, &["attempt 2: no answer", SCREEN, "customer-service message"]).await;
    let seen = callback.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].field("MsgId"), seen[1].field("MsgId"));
    assert_ne!(seen[0].of("nonce"), seen[1].of("nonce"));
}

#[tokio::test]
async fn verification_is_taken_only_when_the_echo_comes_back_to_the_byte() {
    let _guard = Guard::start();
    let (site, callback) = (site(), Callback::echoing("").await);
    says(&site, &callback, &["verify"], 0, &["the console would take this URL"]).await;
    assert!(callback.seen()[0].signed());
    let quoting = Callback::start(|seen| Some((StatusCode::OK, format!("\"{}\"", seen.of("echostr"))))).await;
    says(&site, &quoting, &["verify"], 1, &["would refuse this URL", "to the byte", "without quotes"]).await;
    // Who echoes everything can be made to say anything.
    says(&site, &callback, &["verify", "--fault", "bad_signature"], 1, &["it owes a 4xx"]).await;
    let careful = Callback::start(|seen| {
        Some(if seen.signed() {
            (StatusCode::OK, right(seen, ""))
        } else {
            (StatusCode::FORBIDDEN, String::new())
        })
    })
    .await;
    says(&site, &careful, &["verify", "--fault", "bad_signature"], 0, &["withstood", "HTTP 403"]).await;
}

#[tokio::test]
async fn message_from_a_file_is_sent_to_the_byte() {
    let _guard = Guard::start();
    let (site, callback) = (site(), Callback::echoing("ok").await);
    let message = "<xml>\n <ToUserName>gh_9</ToUserName> <FromUserName>o9</FromUserName>\n<CreateTime>1</CreateTime>\
                   <MsgType>brandnew</MsgType></xml>";
    site.file("message.xml", message);
    says(&site, &callback, &["message.xml"], 0, &["the user sees: \"ok\""]).await;
    assert_eq!(callback.seen()[0].message().unwrap(), message);
    says(&site, &callback, &["message.xml", "MsgType=text", "--format", "json"], 0, &[]).await;
    assert_eq!(callback.seen()[1].field("MsgType").as_deref(), Some("text"));
    site.file("broken.xml", "<xml><a>");
    let ran = send(&site, &callback, &["broken.xml"]).await;
    ran.expect(2, &["broken.xml", "is not closed"]);
}

#[tokio::test]
async fn what_was_typed_wrong_is_said_and_nothing_is_sent() {
    let _guard = Guard::start();
    let (site, callback) = (site(), Callback::echoing("ok").await);
    send(&site, &callback, &["event.SCAM"]).await.expect(2, &["is event.SCAN meant?", "--list"]);
    send(&site, &callback, &["text", "Content"]).await.expect(2, &["NAME=VALUE"]);
    send(&site, &callback, &["text", "Content.x=1"]).await.expect(2, &["Content.x"]);
    send(&site, &callback, &["text", "--fault", "none"]).await.expect(2, &["none", "replay"]);
    send(&site, &callback, &["verify", "a=b"]).await.expect(2, &["no message"]);
    let bare = ["messages", "send", callback.url.as_str(), "text"];
    site.run(&bare).await.expect(2, &["--token-file", "ZHONGKONG_CALLBACK_TOKEN"]);
    let keyless = [&bare[..], &["--token-file", "token", "--mode", "safe"]].concat();
    site.run(&keyless).await.expect(2, &["EncodingAESKey", "--aes-key-file"]);
    let ftp = ["messages", "send", "ftp://x", "text", "--token", "t"];
    site.run(&ftp).await.expect(2, &["http://HOST/PATH"]);
    assert!(callback.seen().is_empty());

    let listed = site.run(&["messages", "send", "--list"]).await;
    for words in ["event.SCAN", "event.subscribe_msg_popup_event", "verify", "doctype_bomb"] {
        assert!(listed.stdout.contains(words), "{words}: {listed:?}");
    }
    assert!(site.run(&["messages", "send", "--list", "--json"]).await.document()["types"].is_array());
}

#[tokio::test]
async fn account_of_the_configuration_is_used_by_its_path_or_appid() {
    let _guard = Guard::start();
    let (site, callback) = (site(), Callback::echoing("configured").await);
    let config = format!(
        "[messages]\n[[messages.account]]\nappid = \"{APPID}\"\npath = \"shop\"\ntoken_file = \
         \"token\"\naes_key_file = \"key\"\n"
    );
    site.file("config.toml", &config);
    for name in ["shop", APPID] {
        let ran = site.run(&["messages", "send", &callback.url, "text", "--account", name]).await;
        ran.expect(0, &[]);
        assert!(ran.stdout.contains("the user sees: \"configured\""), "{ran:?}");
        assert!(callback.seen().pop().unwrap().signed());
    }
    let ran = site.run(&["messages", "send", &callback.url, "text", "--account", "other"]).await;
    ran.expect(2, &["\"other\"", "their paths are: shop"]);
    assert_eq!(callback.seen().len(), 2);
}

#[tokio::test]
async fn account_of_the_configuration_brings_its_address_with_it() {
    // The message service of the configuration, on this machine: what else could be meant?
    let _guard = Guard::start();
    let (site, kept) = (site(), Kept::new());
    let config = |listen: &str| {
        format!(
            "[serve]\nlisten = \"{listen}\"\ninsecure = true\n[messages]\n[[messages.account]]\nappid = \"{APPID}\"\n\
             path = \"shop\"\ntoken_file = \"token\"\naes_key_file = \"key\"\n"
        )
    };
    let port = kept.port();
    for listen in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}"), format!("[::]:{port}")] {
        site.file("config.toml", &config(&listen));
        let ran = site.run(&["messages", "send", "text", "Content=hi", "--account", "shop", "-v"]).await;
        assert_eq!(ran.code, Some(1), "nobody listens there: {ran:?}");
        let host = if listen.starts_with('[') { "[::1]" } else { "127.0.0.1" };
        assert!(ran.stdout.contains(&format!("http://{host}:{port}/wechat/shop?")), "{listen}: {ran:?}");
        assert!(ran.stdout.contains("<Content><![CDATA[hi]]>"), "the first word is a type: {ran:?}");
    }
    // With an address the account is somewhere else, and an address is no type.
    let elsewhere = Callback::echoing("elsewhere").await;
    let ran = site.run(&["messages", "send", &elsewhere.url, "text", "--account", "shop"]).await;
    assert!(ran.code == Some(0) && ran.stdout.contains("elsewhere"), "{ran:?}");
    for (args, words) in [
        (&["text", "text"][..], "\"text\": a field is written NAME=VALUE; an address begins with http://"),
        (&["http://127.0.0.1/wechat/shop"][..], "what is to be sent? a TYPE"),
        (&["127.0.0.1/wechat/shop"][..], "`zhongkong messages send --list` lists the types"),
    ] {
        let args = [&["messages", "send"][..], args, &["--account", "shop"]].concat();
        site.run(&args).await.expect(2, &[words]);
    }
}

#[tokio::test]
async fn callback_over_tls_is_trusted_when_the_system_trusts_its_authority() {
    // WeChat refuses certificates of nobody known; so does the sender.
    let _guard = Guard::start();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            // The head and the small body come in one write.
            let read = stream.read(&mut [0; 8192]).await.unwrap();
            assert!(read > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess").await.unwrap();
            // The other side may be gone already.
            let _ = stream.shutdown().await;
        }
    });
    let mut site = site();
    let args = ["messages", "send", &url, "text", "--token-file", "token", "--retries", "0"];
    let ran = site.run(&args).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("no TLS"), "{ran:?}");
    site.file("authority.pem", &made.cert.pem());
    let authority = site.path("authority.pem").display().to_string();
    site.env("SSL_CERT_FILE", &authority);
    let ran = site.run(&args).await;
    ran.expect(0, &[]);
    assert!(ran.stdout.contains("the user sees: nothing (the callback acknowledged"), "{ran:?}");
}
