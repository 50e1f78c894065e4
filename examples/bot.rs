//! A bot in Rust: the message service with handlers of your own (docs/messages.md).
//!
//!   ZHONGKONG_CALLBACK_TOKEN=secret12345 cargo run --example bot
//!   zhongkong messages send http://127.0.0.1:7790/wechat/shop text Content=hello --token secret12345

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use zhongkong::client::{Client, Credentials};
use zhongkong::clock::Clock;
use zhongkong::http::{self, Limits};
use zhongkong::secret::Secret;
use zhongkong::services::messages::account::Account;
use zhongkong::services::messages::desk::{self, Desk};
use zhongkong::services::messages::dispatch::{Dispatcher, Mode, Named};
use zhongkong::services::messages::door::{Callback, Door, Table};
use zhongkong::services::messages::envelope;
use zhongkong::services::messages::handler::{Handled, HandlerError, Incoming, MessageHandler};
use zhongkong::services::messages::late::Late;
use zhongkong::services::messages::log::{MessageLog, OpenIdPolicy};
use zhongkong::services::messages::message::Content;
use zhongkong::services::messages::reply::{Answer, Reply};
use zhongkong::services::wechat_api::{self, WechatApi};

/// Answers texts with themselves.
struct Echo;

#[async_trait]
impl MessageHandler for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn matches(&self, incoming: &Incoming) -> bool {
        matches!(incoming.message.content(), Content::Text { .. })
    }

    async fn handle(&self, incoming: &Incoming) -> Result<Handled, HandlerError> {
        match incoming.message.content() {
            Content::Text { content, .. } => Ok(say(format!("You wrote: {content}"))),
            _ => Ok(Handled::Pass),
        }
    }
}

/// Greets who comes by a QR code. A function will do where a name says what it is for.
async fn welcome(incoming: &Incoming) -> Result<Handled, HandlerError> {
    Ok(say(format!("Welcome by {}!", incoming.message.scene().unwrap_or("yourself"))))
}

fn say(content: String) -> Handled {
    Handled::Answer(Answer::Reply(Reply::Text { content }))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let named = Named::builder().on("event.subscribe", welcome).on("event.SCAN", welcome).build()?;
    let dispatcher = Dispatcher::new(Mode::FirstAnswers, vec![Arc::new(Echo)]).then(named);

    // Answers that are not ready after 4.5 s are sent with a token of the daemon.
    let daemon = "http://127.0.0.1:7780";
    let settings = wechat_api::Settings {
        api_base: "https://api.weixin.qq.com".parse()?,
        connect_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        proxy: None,
        daemon: daemon.to_owned(),
    };
    let client = Client::lazy(daemon, Credentials::default())?;
    let late = Arc::new(Late::new(WechatApi::new(client, settings)?));
    let desk = Arc::new(Desk::new(desk::Settings::default(), dispatcher, late));

    let shop = Callback {
        account: Account { appid: "wx0123456789abcdef".parse()?, path: "shop".to_owned() },
        envelope: envelope::Settings {
            token: Secret::from(std::env::var("ZHONGKONG_CALLBACK_TOKEN")?),
            aes_key: None,
            previous_aes_key: None,
            receive_id: "wx0123456789abcdef".to_owned(),
            mode: envelope::Mode::Plain,
            window: Duration::from_mins(10),
        },
    };
    let clock = Clock::system();
    let log = MessageLog::without_file(OpenIdPolicy::Hash, clock.clone());
    let door = Arc::new(Door::new(Table::new(vec![shop])?, desk.clone(), log, clock));

    let limits = Limits {
        listener: "bot",
        connections: 1_024,
        head: Duration::from_secs(75),
        body: Duration::from_secs(4),
        buffer: 16 * 1024,
        taking: Duration::from_secs(10),
        drain: Duration::from_secs(5),
    };
    let stop = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:7790").await?;
    let interrupted = async {
        let _ = tokio::signal::ctrl_c().await;
        stop.cancel();
    };
    // What is under way is still answered; then late answers are sent.
    tokio::join!(http::serve(listener, door.router(), limits, stop.clone()), interrupted);
    desk.close(Duration::from_secs(15)).await;
    Ok(())
}
