//! What the client shows of itself and of its failures is searched for secrets.

use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::time::Duration;

use zhongkong::model::{CallMode, ErrCode, Kind};
use zhongkong::wechat::{End, Flow, Settings, WeChat};

use super::super::support::ports::Kept;
use super::server::{Script, Server, ok};
use super::{CODE, PATIENCE, SECRET, TOKEN, exchange, settings, token};

#[tokio::test]
async fn nothing_that_can_be_shown_holds_a_secret() {
    // Servers echo all they got, in every place; whatever comes out is searched for it.
    let head = format!("HTTP/1.1 500 {SECRET}\r\nLocation: http://127.0.0.1/?secret={SECRET}\r\n\r\n{TOKEN}");
    let scripts = [
        Script::Echo,
        Script::Raw(head.into_bytes()),
        Script::Raw(format!("{SECRET} {TOKEN} {CODE}\r\n\r\n").into_bytes()),
        Script::Raw(ok(&format!("{SECRET}{TOKEN}{CODE}"))),
        Script::Raw(ok(&format!(
            r#"{{"access_token":"{TOKEN}","ticket":"{TOKEN}","openid":"x","expires_in":"{SECRET}"}}"#
        ))),
        Script::Raw(ok(&format!(
            r#"{{"access_token":"{TOKEN}","ticket":"{TOKEN}","session_key":"{SECRET}","openid":"x","refresh_token":"{SECRET}","scope":"s","expires_in":7200}}"#
        ))),
        Script::Raw(Vec::new()),
        Script::Hang,
    ];
    let nobody = Kept::new();
    let mut bases = vec![format!("http://{}", nobody.addr()), "http://wechat.invalid".to_owned()];
    let mut servers = Vec::new();
    for script in scripts {
        let server = Server::start(script).await;
        bases.push(server.base());
        servers.push(server);
    }
    let silent = bases.last().unwrap().clone();
    let mut shown = String::new();
    for base in &bases {
        let settings = Settings {
            timeout: if base == &silent { Duration::from_millis(100) } else { PATIENCE },
            api_base: base.replace("http://", "http://user:5ecre7@").parse().unwrap(),
            ..settings(base)
        };
        let client = WeChat::new(&settings).unwrap();
        show(&mut shown, &(&settings, &client));
        for mode in CallMode::ALL {
            show_end(&mut shown, &token(&client, mode).await);
        }
        show_end(&mut shown, &client.fetch_ticket(Kind::JsapiTicket, &TOKEN.into()).await);
        let probe = client.probe(&TOKEN.into()).await;
        show(&mut shown, &probe);
        for flow in [Flow::Web, Flow::MiniProgram] {
            let exchanged = exchange(&client, flow).await;
            show(&mut shown, &exchanged);
            if let Err(failure) = exchanged {
                show_chain(&mut shown, &failure);
            }
        }
    }
    let proxied = Settings {
        proxy: Some("http://user:5ecre7@127.0.0.1:1".parse().unwrap()),
        ..settings("http://user:5ecre7@127.0.0.1")
    };
    show(&mut shown, &proxied);
    let bad = Settings { proxy: Some("socks5://user:5ecre7@h".parse().unwrap()), ..proxied };
    show_chain(&mut shown, &WeChat::new(&bad).unwrap_err());

    assert!(
        shown.contains("40125") && shown.contains("HttpStatus(500)") && shown.contains("Issued"),
        "{shown}"
    );
    for part in ["5ecre7", "70ken", "c0de"] {
        assert!(!shown.contains(part), "{part} in {shown}");
    }
}

fn show(shown: &mut String, thing: &impl Debug) {
    write!(shown, "{thing:?} {thing:#?} ").unwrap();
}

fn show_end(shown: &mut String, end: &End) {
    show(shown, end);
    match end {
        End::Issued(_) => {}
        End::Refused(refusal) => {
            assert_eq!(refusal.errcode, ErrCode(40125));
            write!(shown, "{refusal} ").unwrap();
        }
        End::NeverSent(trouble) | End::Unknown(trouble) => show_chain(shown, trouble),
    }
}

fn show_chain(shown: &mut String, error: &dyn Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        write!(shown, "{error} {error:?} ").unwrap();
        next = error.source();
    }
}
