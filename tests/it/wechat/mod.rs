//! The client of WeChat's endpoints against raw TCP servers that misbehave byte by byte.

mod secrets;
mod server;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use zhongkong::model::{AppId, CallMode, Kind};
use zhongkong::wechat::{
    End, ExchangeFailure, Exchanged, Flow, Probe, Settings, SetupError, Trouble, TroubleKind, WeChat,
};

use server::{Script, Server, read_request};

use super::support::frozen::Frozen;
use super::support::ports::Kept;

const APPID: &str = "wx0123456789abcdef";
const SECRET: &str = "5ecre7/5ecre7+5ecre7";
const TOKEN: &str = "70ken-70ken_70ken";
const CODE: &str = "c0de c0de&c0de";

/// Long enough for a loaded machine; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn settings(base: &str) -> Settings {
    Settings { api_base: base.parse().unwrap(), connect_timeout: PATIENCE, timeout: PATIENCE, proxy: None }
}

fn client(base: &str) -> WeChat {
    WeChat::new(&settings(base)).unwrap()
}

fn appid() -> AppId {
    APPID.parse().unwrap()
}

async fn token(client: &WeChat, mode: CallMode) -> End {
    client.fetch_token(mode, &appid(), &SECRET.into()).await
}

async fn exchange(client: &WeChat, flow: Flow) -> Result<Exchanged, ExchangeFailure> {
    client.exchange_code(flow, &appid(), &SECRET.into(), &CODE.into()).await
}

fn never_sent(end: &End) -> Option<TroubleKind> {
    match end {
        End::NeverSent(Trouble { what }) => Some(*what),
        End::Issued(_) | End::Refused(_) | End::Unknown(_) => None,
    }
}

const ISSUED: &str =
    r#"{"access_token":"70ken","ticket":"71cket","expires_in":7200,"ip_list":["203.0.113.1"]}"#;

#[tokio::test]
async fn each_call_is_written_as_tencent_documents_it() {
    // One server sees every call; the requests are compared with the documentation's.
    let server = Server::start(Script::Json(ISSUED)).await;
    let client = client(&server.base());
    for mode in [CallMode::Classic, CallMode::Stable, CallMode::StableForced] {
        let end = token(&client, mode).await;
        assert!(matches!(&end, End::Issued(issued) if issued.value == "70ken".into()), "{end:?}");
    }
    for kind in [Kind::JsapiTicket, Kind::WxCardTicket] {
        let end = client.fetch_ticket(kind, &TOKEN.into()).await;
        assert!(matches!(&end, End::Issued(issued) if issued.value == "71cket".into()), "{end:?}");
    }
    assert_eq!(client.probe(&TOKEN.into()).await, Probe::Alive);
    for flow in [Flow::Web, Flow::MiniProgram] {
        exchange(&client, flow).await.unwrap_err();
    }

    let secret = "5ecre7%2F5ecre7%2B5ecre7";
    let code = "c0de+c0de%26c0de";
    let stable = |force: bool| {
        serde_json::json!({
            "grant_type": "client_credential", "appid": APPID, "secret": SECRET, "force_refresh": force,
        })
    };
    let expected = [
        (format!("GET /cgi-bin/token?grant_type=client_credential&appid={APPID}&secret={secret}"), None),
        ("POST /cgi-bin/stable_token".to_owned(), Some(stable(false))),
        ("POST /cgi-bin/stable_token".to_owned(), Some(stable(true))),
        (format!("GET /cgi-bin/ticket/getticket?access_token={TOKEN}&type=jsapi"), None),
        (format!("GET /cgi-bin/ticket/getticket?access_token={TOKEN}&type=wx_card"), None),
        (format!("GET /cgi-bin/get_api_domain_ip?access_token={TOKEN}"), None),
        (
            format!(
                "GET /sns/oauth2/access_token?appid={APPID}&secret={secret}&code={code}&grant_type=authorization_code"
            ),
            None,
        ),
        (
            format!(
                "GET /sns/jscode2session?appid={APPID}&secret={secret}&js_code={code}&grant_type=authorization_code"
            ),
            None,
        ),
    ];
    let requests = server.requests();
    assert_eq!(requests.len(), expected.len());
    for (request, (line, body)) in requests.iter().zip(expected) {
        let (head, sent) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.lines().next().unwrap(), format!("{line} HTTP/1.1"));
        let head = head.to_ascii_lowercase();
        assert!(head.contains(concat!("user-agent: zhongkong/", env!("CARGO_PKG_VERSION"))), "{head}");
        assert!(!head.contains("referer") && !head.contains("cookie"), "{head}");
        assert_eq!(body.is_some(), head.contains("content-type: application/json"), "{head}");
        assert_eq!(body, (!sent.is_empty()).then(|| serde_json::from_str(sent).unwrap()));
    }
}

#[tokio::test]
async fn a_call_that_is_not_the_methods_is_never_sent() {
    let server = Server::start(Script::Json(ISSUED)).await;
    let client = client(&server.base());
    let ends =
        [token(&client, CallMode::Ticket).await, client.fetch_ticket(Kind::AccessToken, &TOKEN.into()).await];
    for end in ends {
        assert_eq!(never_sent(&end), Some(TroubleKind::Unsendable));
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn without_a_connection_a_call_is_known_as_never_sent() {
    // Nobody listens; a name that cannot exist; a proxy that is not there.
    let nobody = Kept::new();
    let refused = format!("http://{}", nobody.addr());
    let end = token(&client(&refused), CallMode::Classic).await;
    assert_eq!(never_sent(&end), Some(TroubleKind::Connect));
    let failure = exchange(&client(&refused), Flow::Web).await;
    assert_eq!(failure, Err(ExchangeFailure::NeverSent(TroubleKind::Connect.into())));
    assert_eq!(client(&refused).probe(&TOKEN.into()).await, Probe::Silent(TroubleKind::Connect.into()));

    let end = token(&client("http://wechat.invalid"), CallMode::Classic).await;
    assert!(matches!(never_sent(&end), Some(TroubleKind::Dns | TroubleKind::ConnectTimedOut)), "{end:?}");

    let by_proxy = Settings { proxy: Some(refused.parse().unwrap()), ..settings("http://wechat.invalid") };
    let end = token(&WeChat::new(&by_proxy).unwrap(), CallMode::Classic).await;
    assert_eq!(never_sent(&end), Some(TroubleKind::Connect));
}

#[tokio::test]
async fn a_tls_handshake_that_fails_means_never_sent() {
    // Three servers: one closes at the hello, one answers it with plain HTTP, one never answers.
    for (answer, expected) in [("", TroubleKind::Tls), ("HTTP/1.1 400 Bad Request\r\n\r\n", TroubleKind::Tls)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(&format!("https://{}", listener.local_addr().unwrap()));
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The whole hello, else closing resets the connection instead of ending it.
            let mut header = [0; 5];
            stream.read_exact(&mut header).await.unwrap();
            let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
            stream.read_exact(&mut hello).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let (end, ()) = tokio::join!(token(&client, CallMode::Classic), server);
        assert_eq!(never_sent(&end), Some(expected), "{answer}");
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let hasty = Settings { connect_timeout: Duration::from_millis(200), ..settings(&base) };
    let end = token(&WeChat::new(&hasty).unwrap(), CallMode::Classic).await;
    assert_eq!(never_sent(&end), Some(TroubleKind::ConnectTimedOut));
}

#[tokio::test]
async fn a_certificate_of_nobody_known_means_never_sent() {
    // The server is whole but for its certificate, which it signed itself: it must see no request.
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client(&format!("https://{}", listener.local_addr().unwrap()));
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut received = Vec::new();
        // The reading ends with the client's alert or its going away; either is an error here.
        let mut tls = rustls::StreamOwned::new(session, stream);
        drop(std::io::Read::read_to_end(&mut tls, &mut received));
        received
    });
    let end = token(&client, CallMode::Classic).await;
    assert_eq!(never_sent(&end), Some(TroubleKind::Tls));
    assert_eq!(server.join().unwrap(), b"");
}

#[tokio::test]
async fn whatever_happens_after_the_request_was_sent_is_unknown() {
    // Every way to answer badly that a server, a proxy or a cut line has.
    use TroubleKind::{HttpStatus, NotJson, TooLarge, Torn};
    let whole = r#"{"access_token":"70ken","expires_in":7200}"#;
    let raw = |text: &str| Script::Raw(text.as_bytes().to_vec());
    let length = |body: &str, length: usize| {
        raw(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"))
    };
    let huge = format!("{{\"access_token\":\"70ken\",\"expires_in\":7200}}{}", " ".repeat(64 * 1024));
    let cases = [
        (raw(""), Torn),
        (raw("HTTP/1.1 20"), Torn),
        (raw("HTTP/1.1 200 OK\r\nContent-Le"), Torn),
        (raw("\0\0 not HTTP at all \r\n\r\n"), Torn),
        (length(whole, whole.len() + 1), Torn),
        (length("", 10), Torn),
        (raw(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2a\r\n{whole}\r\n")), Torn),
        (raw("HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"70k"), NotJson),
        (length("<html>captive portal</html>", 27), NotJson),
        (length("", 0), NotJson),
        (length(&huge, huge.len()), TooLarge),
        (Script::Flood("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), TooLarge),
        (raw(&format!("HTTP/1.1 500 Oops\r\nContent-Length: 42\r\n\r\n{whole}")), HttpStatus(500)),
        (raw(&format!("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 42\r\n\r\n{whole}")), HttpStatus(502)),
        (raw(&format!("HTTP/1.1 403 No\r\nContent-Length: 42\r\n\r\n{whole}")), HttpStatus(403)),
        (raw(&format!("HTTP/1.1 201 Made\r\nContent-Length: 42\r\n\r\n{whole}")), HttpStatus(201)),
        (raw("HTTP/1.1 204 None\r\n\r\n"), HttpStatus(204)),
        (raw("HTTP/1.1 304 Same\r\n\r\n"), HttpStatus(304)),
    ];
    assert_eq!(cases.len(), 18);
    for (index, (script, kind)) in cases.into_iter().enumerate() {
        let server = Server::start(script).await;
        let client = client(&server.base());
        let calls = [CallMode::Classic, CallMode::Stable, CallMode::StableForced];
        for mode in calls {
            assert_eq!(token(&client, mode).await, End::Unknown(kind.into()), "case {index}, {mode:?}");
        }
        // One request per call: nothing was tried again behind our back.
        assert_eq!(server.requests().len(), calls.len(), "case {index}");
        assert_eq!(client.fetch_ticket(Kind::JsapiTicket, &TOKEN.into()).await, End::Unknown(kind.into()));
        assert_eq!(client.probe(&TOKEN.into()).await, Probe::Silent(kind.into()), "case {index}");
        assert_eq!(exchange(&client, Flow::Web).await, Err(ExchangeFailure::Unknown(kind.into())));
    }
}

#[tokio::test]
async fn silence_after_the_request_is_unknown_and_bounded() {
    // One server never answers, one stops within the body. The limit passes when the request is there.
    let frozen = Frozen::start();
    let past_the_limit = PATIENCE + Duration::from_millis(1);
    let stops = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{";
    for head in ["", stops] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let client = client(&base);
        assert_eq!(client.call_timeout(), PATIENCE);
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            frozen.advance(past_the_limit).await;
            // Returns when the client has given up.
            assert_eq!(read_request(&mut stream).await, None);
        };
        let (end, ()) = tokio::join!(token(&client, CallMode::Classic), server);
        assert_eq!(end, End::Unknown(TroubleKind::TimedOut.into()));
    }
    let server = Server::start(Script::Hang).await;
    let client = client(&server.base());
    let passes = async {
        while server.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        frozen.advance(past_the_limit).await;
    };
    let asked = TOKEN.into();
    let (probe, ()) = tokio::join!(client.probe(&asked), passes);
    assert_eq!(probe, Probe::Silent(TroubleKind::TimedOut.into()));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    // The other place must not even see a connection: the URL carries the AppSecret.
    let elsewhere = Server::start(Script::Json(ISSUED)).await;
    for status in [301, 302, 303, 307, 308] {
        let answer = format!(
            "HTTP/1.1 {status} Moved\r\nLocation: {}/cgi-bin/token\r\nContent-Length: 0\r\n\r\n",
            elsewhere.base()
        );
        let server = Server::start(Script::Raw(answer.into_bytes())).await;
        for mode in [CallMode::Classic, CallMode::Stable] {
            let end = token(&client(&server.base()), mode).await;
            assert_eq!(end, End::Unknown(TroubleKind::HttpStatus(status).into()));
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn every_issuing_call_has_a_connection_of_its_own() {
    // The server would keep connections, and idle ones of harmless calls lie ready.
    let server = Server::start(Script::Json(ISSUED)).await;
    let client = client(&server.base());
    for calls in 1..=4 {
        token(&client, CallMode::Stable).await;
        let before = server.connections();
        token(&client, CallMode::Classic).await;
        token(&client, CallMode::StableForced).await;
        assert_eq!(server.connections(), before + 2, "round {calls}");
    }
}

#[tokio::test]
async fn a_request_lost_on_a_kept_connection_is_not_sent_again() {
    // The server answers once, then reads a request and closes: whether it acted is unknown.
    let server = Server::start(Script::JsonOnce(ISSUED)).await;
    let client = client(&server.base());
    assert_eq!(client.probe(&TOKEN.into()).await, Probe::Alive);
    // A kept connection is ready a little after its answer; until then a call opens another one.
    let mut calls = 1;
    loop {
        calls += 1;
        match client.probe(&TOKEN.into()).await {
            Probe::Alive => assert!(calls < 1_000, "no connection is ever used again"),
            probe => break assert_eq!(probe, Probe::Silent(TroubleKind::Torn.into())),
        }
    }
    assert_eq!(server.requests().len(), calls);
}

#[tokio::test]
async fn the_proxy_of_the_settings_is_used() {
    let proxy = Server::start(Script::Json(ISSUED)).await;
    let by_proxy =
        Settings { proxy: Some(proxy.base().parse().unwrap()), ..settings("http://wechat.invalid") };
    let end = token(&WeChat::new(&by_proxy).unwrap(), CallMode::Stable).await;
    assert!(matches!(end, End::Issued(_)), "{end:?}");
    assert!(proxy.requests()[0].starts_with("POST http://wechat.invalid/cgi-bin/stable_token HTTP/1.1\r\n"));
}

#[tokio::test]
async fn the_proxy_of_the_environment_is_never_used() {
    // An environment is a process's, so this test runs itself again with a proxy that is not there.
    const INNER: &str = "ZHONGKONG_TEST_PROXY_INNER";
    let server = Server::start(Script::Json(ISSUED)).await;
    if std::env::var_os(INNER).is_some() {
        let end = token(&client(&server.base()), CallMode::Classic).await;
        assert!(matches!(end, End::Issued(_)), "{end:?}");
        return;
    }
    let trap = Server::start(Script::Json(ISSUED)).await;
    let mut inner = tokio::process::Command::new(std::env::current_exe().unwrap());
    inner.args(["--exact", "wechat::the_proxy_of_the_environment_is_never_used"]).env(INNER, "1");
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        inner.env(name, trap.base());
    }
    for name in ["no_proxy", "NO_PROXY", "REQUEST_METHOD"] {
        inner.env_remove(name);
    }
    let output = inner.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(trap.connections(), 0);
}

#[test]
fn settings_that_cannot_work_are_refused_by_what_is_wrong() {
    for base in ["ftp://wechat", "unix:/run/x", "data:text/plain,x"] {
        assert!(matches!(WeChat::new(&settings(base)), Err(SetupError::ApiBase)), "{base}");
    }
    for proxy in ["socks5://localhost:1", "mailto:a@b"] {
        let settings = Settings { proxy: Some(proxy.parse().unwrap()), ..settings("http://localhost") };
        assert!(matches!(WeChat::new(&settings), Err(SetupError::Proxy)), "{proxy}");
    }
}
