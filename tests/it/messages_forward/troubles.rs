//! Every way in which a program can fail, and the sentence that its author reads.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use zhongkong::services::messages::forward::{Forwarder, Settings};

use super::super::support::frozen::Guard;
use super::super::support::ports::Kept;
use super::program::{Program, Script, says};
use super::{ask, clock, forwarder, replied, sentence, settings};

/// A head of an answer whose body does not come whole.
const PROMISE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn answer_that_cannot_be_used_is_told_in_a_sentence() {
    let _guard = Guard::start();
    let torn = "broke its answer off, or answered with something that is not HTTP";
    let unread = "answered in a way that is not understood:";
    let json = |body| Script::Says(says("200 OK", "application/json", body));
    let cases = [
        (Script::Closes(Vec::new()), torn.to_owned()),
        (Script::Closes(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), torn.to_owned()),
        (Script::Closes(PROMISE.into()), torn.to_owned()),
        (Script::Closes([PROMISE.as_bytes(), b"half"].concat()), torn.to_owned()),
        (Script::Closes([CHUNKED.as_bytes(), b"zz\r\n"].concat()), torn.to_owned()),
        (Script::Floods(CHUNKED), "answered with more than 64 KiB".to_owned()),
        (
            Script::Says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n".to_vec()),
            "answered with the redirect 302, which is not followed; put the final address into its url".to_owned(),
        ),
        (
            Script::Says(says("403 Forbidden", "text/plain", "no")),
            "answered with HTTP status 403; does it have the same secret, and is its clock right?".to_owned(),
        ),
        (
            Script::Says(says("404 Not Found", "text/html", "<h1>no</h1>")),
            "answered with HTTP status 404; does its url lead to what takes POSTs?".to_owned(),
        ),
        (Script::Says(says("500 Oops", "text/plain", "private")), "answered with HTTP status 500".to_owned()),
        (
            Script::Says(says("502 Bad Gateway", "text/html", "nginx")),
            "answered with HTTP status 502; a proxy in front of it cannot reach it".to_owned(),
        ),
        (
            json(r#"{"reply":{"txt":"private"}}"#),
            format!(
                "{unread} reply has the unknown key \"txt\"; it may have text, image, voice, video, music, news, transfer"
            ),
        ),
        (json(r#"{"reply":{"text":1}}"#), format!("{unread} reply.text must be a text, and is a number")),
        (json("<html>"), format!("{unread} it is no JSON (expected value at line 1 column 1)")),
        (
            Script::Says(says("200 OK", "text/html", "<p>private</p>")),
            format!("{unread} its Content-Type is \"text/html\"; send application/json or text/plain"),
        ),
        (
            Script::Says(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b"
                    .to_vec(),
            ),
            format!("{unread} it is compressed, which nobody asked for"),
        ),
    ];
    for (script, end) in cases {
        let program = Program::start(script).await;
        let forwarder = forwarder(&program.url());
        assert_eq!(sentence(&forwarder).await, format!("the program \"crm\" {end}"));
        // Not repeated, whatever it was.
        assert_eq!(program.requests().len(), 1, "{end}");
    }
}

#[tokio::test]
async fn answer_of_64_kib_is_still_read() {
    let _guard = Guard::start();
    let body = "x".repeat(64 * 1024);
    let program = Program::start(Script::Says(says("200 OK", "text/plain", &body))).await;
    assert_eq!(ask(&forwarder(&program.url())).await.unwrap(), replied(&body));
    program.set(Script::Says(says("200 OK", "text/plain", &format!("{body}x"))));
    let sentence = sentence(&forwarder(&program.url())).await;
    assert_eq!(sentence, "the program \"crm\" answered with more than 64 KiB");
}

#[tokio::test]
async fn program_that_cannot_be_reached_is_told_by_what_fails() {
    let _guard = Guard::start();
    let nobody = Kept::new();
    let gone = nobody.addr();
    // One waits for the end of a head that no TLS has, the other speaks first, and not TLS.
    let mute = Program::start(super::program::json("{}")).await;
    let silent = mute.url().replace("http:", "https:");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = format!("https://{}/", listener.local_addr().unwrap());
    let mut speaks = JoinSet::new();
    speaks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        // Until the peer has read it and goes.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let cases = [
        (format!("http://{gone}/"), "cannot be reached: nobody listens at the address of its url"),
        ("http://crm.invalid/".to_owned(), "cannot be reached: the host of its url is not known to DNS"),
        (plain, "cannot be reached by https: its certificate is not trusted, or it does not speak TLS"),
        (silent, "took no connection within 3s"),
    ];
    for (url, end) in cases {
        assert_eq!(sentence(&forwarder(&url)).await, format!("the program \"crm\" {end}"), "{url}");
    }
}

#[tokio::test]
async fn program_with_a_certificate_of_its_own_is_not_trusted() {
    // A real TLS server whose certificate nobody signed.
    let _guard = Guard::start();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.map(drop).unwrap_err()
    };
    let forwarder = forwarder(&url);
    let (told, _) = tokio::join!(sentence(&forwarder), serve);
    let end = "cannot be reached by https: its certificate is not trusted, or it does not speak TLS";
    assert_eq!(told, format!("the program \"crm\" {end}"));
}

#[tokio::test]
async fn program_that_takes_too_long_is_cut_off_wherever_it_is() {
    // It says nothing; it begins and drips; the limit is of the whole, in real time.
    let _guard = Guard::start();
    let silent = Program::start(Script::Stalls(Vec::new())).await;
    let impatient =
        |url: &str, timeout| Forwarder::new(Settings { timeout, ..settings(url) }, clock()).unwrap();
    let told = sentence(&impatient(&silent.url(), Duration::from_millis(50))).await;
    assert_eq!(told, "the program \"crm\" did not begin to answer within 50ms");
    let begun = Program::start(Script::Stalls([PROMISE.as_bytes(), b"half"].concat())).await;
    let told = sentence(&impatient(&begun.url(), Duration::from_secs(3))).await;
    assert_eq!(told, "the program \"crm\" did not end its answer within 3s");
}
