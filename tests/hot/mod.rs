//! The paths that are walked most, each as one call that waits for nobody: what the guards of
//! instructions and of allocations count.
//!
//! A simulated WeChat, a daemon, a client's copy and two services stand behind them; none of them
//! has a turn while a path is walked. Not inlined, so that callgrind sees each by its name.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::Context as _;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request};
use futures_util::FutureExt as _;
use prost::Message as _;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::Service as _;
use zhongkong::audit::{self, Recorder, Writer};
use zhongkong::client::cache::{Held, Reader};
use zhongkong::grpc::{Readiness, Server};
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::model::{Key, Kind};
use zhongkong::pb;
use zhongkong::refresh::handle::Handle;
use zhongkong::refresh::view::Good;
use zhongkong::services::jssdk::site::judge;

use support::callback::{Bare, Push, Service as Messages};
use support::jssdk::{PAGE, Service as Pages, TOKEN, one_reader};

#[path = "../../benches/support/mod.rs"]
mod support;

/// Enough for a word of the daemon's to reach the copy, over both ends of a connection.
const TURNS: usize = 100;

/// What the paths lead through, with metrics and audit on.
pub(crate) struct Hot {
    pages: Pages,
    messages: Messages,
    bare: Bare,
    pushed: u64,
    rpcs: Routes,
    asked: Bytes,
    key: Key,
    reader: Reader,
    _audit: Writer,
}

impl Hot {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        zhongkong::telemetry::metrics::install()?;
        let pages = Pages::start().await?;
        let (hub, clock) = (pages.engine.hub.clone(), pages.clock.clone());
        let ledger = Arc::new(MemoryLedger::new(clock.clone()));
        let (recorder, audit): (Recorder, Writer) =
            audit::new(&audit::Settings::default(), ledger, clock.clone());
        let (_ready, readiness) = watch::channel(Readiness::Ready);
        let server = Server::new(&one_reader(), hub, readiness)?.with_audit(recorder);
        let key = Key::new(pages.account.appid.clone(), Kind::JsapiTicket);
        let asked = pb::GetTokenRequest {
            appid: key.appid.to_string(),
            kind: pb::Kind::JsapiTicket.into(),
            ..pb::GetTokenRequest::default()
        };
        Ok(Self {
            messages: Messages::new(&clock)?,
            bare: Bare::new()?,
            pushed: 0,
            rpcs: server.rpcs(CancellationToken::new()).prepare(),
            asked: frame(&asked)?,
            reader: pages.copy.reader(key.clone()),
            key,
            pages,
            _audit: audit,
        })
    }

    /// A read in the daemon, as its faces do it.
    #[inline(never)]
    pub(crate) fn hub_read(&self) -> Option<Good> {
        let hub = &self.pages.engine.hub;
        hub.with_handle(black_box(self.key.appid.as_str()), self.key.kind, Handle::read)?.ok()
    }

    /// A read from the client library's copy.
    #[inline(never)]
    pub(crate) fn cached_read(&self) -> Option<Arc<Held>> {
        self.pages.copy.get(black_box(&self.key))
    }

    /// The same through a key that was resolved once.
    #[inline(never)]
    pub(crate) fn resolved_read(&mut self) -> Option<&Arc<Held>> {
        black_box(&mut self.reader).read()
    }

    /// Gives what stands behind the paths its turn: on a busy machine the daemon's last word could
    /// become too old for its copy meanwhile.
    pub(crate) fn turn(runtime: &Runtime) {
        runtime.block_on(async {
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
        });
    }

    /// What arrives with a `GetToken`, when HTTP/2 has been read.
    pub(crate) fn call(&self) -> anyhow::Result<Request<Body>> {
        let call = Request::post("/zhongkong.v1.TokenControl/GetToken")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Body::from(self.asked.clone()))?;
        Ok(call)
    }

    /// Such a call: found out who calls, what they may, read, counted, noted, and written for HTTP/2.
    #[inline(never)]
    pub(crate) fn grpc_read(&mut self, call: Request<Body>) -> Option<Answered> {
        let answer = self.rpcs.call(call).now_or_never()?.ok()?;
        let mut body = Body::new(answer.into_body());
        let mut answered = Answered::default();
        while let Some(frame) =
            futures_util::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx))
                .now_or_never()?
        {
            match frame.ok()?.into_data() {
                Ok(data) => answered.message = data,
                Err(frame) => answered.trailers = frame.into_trailers().ok()?,
            }
        }
        Some(answered)
    }

    /// A user's message, unlike all before.
    pub(crate) fn push(&mut self) -> Push {
        self.pushed += 1;
        self.bare.push(self.pushed, self.pages.clock.wall().seconds())
    }

    /// Such a message, from the body of its push to that of its answer.
    #[inline(never)]
    pub(crate) fn message(&self, push: &Push) -> anyhow::Result<String> {
        self.messages.answer(black_box(push))
    }

    /// A page signed for the JS-SDK: judged, and hashed with the ticket of the copy.
    #[inline(never)]
    pub(crate) fn signature(&self) -> anyhow::Result<String> {
        let account = &self.pages.account;
        let page = judge(&account.hosts, black_box(PAGE))?;
        let signed = self.pages.signer.page_by_copy(&account.appid, page)?;
        Ok(signed.context("the copy has no ticket")?.signature)
    }
}

/// What a call was answered with.
#[derive(Default)]
pub(crate) struct Answered {
    message: Bytes,
    trailers: HeaderMap,
}

impl Answered {
    /// The token, of a call that ended well.
    pub(crate) fn token(&self) -> anyhow::Result<pb::Token> {
        let status = self.trailers.get("grpc-status").context("no status came")?;
        anyhow::ensure!(status == "0", "the call ended with {status:?}");
        let message = self.message.get(FRAME..).context("less than a frame came")?;
        pb::GetTokenResponse::decode(message)?.token.context("no token came")
    }
}

/// One byte that says "not compressed", and four of the message's length.
const FRAME: usize = 5;

fn frame(message: &pb::GetTokenRequest) -> anyhow::Result<Bytes> {
    let mut bytes = vec![0; FRAME];
    message.encode(&mut bytes)?;
    let length = u32::try_from(bytes.len() - FRAME)?;
    bytes[1..FRAME].copy_from_slice(&length.to_be_bytes());
    Ok(bytes.into())
}
