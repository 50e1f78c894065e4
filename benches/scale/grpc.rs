//! GetToken over loopback beside a bare tonic service of the same message, in one run.
//!
//! The bare one has no authentication, no grants, no hub: one answer in an ArcSwap. Servers
//! are processes of their own on the first core, the load is on the second. The two are
//! measured alternately, because what a machine can do changes from minute to minute.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use zhongkong::access::{Action, Client, Grants, Identity, Scope};
use zhongkong::audit;
use zhongkong::clock::Clock;
use zhongkong::grpc::settings::{Listen, Settings};
use zhongkong::grpc::{Listener, Readiness, Server};
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::model::TokenMode;
use zhongkong::pb;
use zhongkong::pb::token_control_client::TokenControlClient;
use zhongkong::pb::token_control_server::{TokenControl, TokenControlServer};

use crate::support::{Engine, Upstream, accounts, appid};
use crate::table::{quantile, row, spread, title};
use crate::watchers::{pin, say, spawn_on_first_core};

const TOKEN: &str = "a-bearer-token-of-forty-three-characters-00";
const ROUNDS: usize = 5;
/// More, because a difference of a percent is looked for.
const AUDIT_ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_millis(500);

pub(crate) fn run() -> anyhow::Result<()> {
    title("GetToken over loopback, server and load on a core each");
    let (mut bare, bare_addr) = spawn_on_first_core("grpc-server", "bare")?;
    let (mut ours, our_addr) = spawn_on_first_core("grpc-server", "ours")?;
    pin("1")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (connections, calls) in [(1, 1), (8, 128)] {
        let mut rates: [Vec<f64>; 2] = Default::default();
        let mut spans: [Vec<Duration>; 2] = Default::default();
        for _ in 0..ROUNDS {
            for (index, addr) in [&bare_addr, &our_addr].into_iter().enumerate() {
                let mut took = runtime.block_on(load(addr, connections, calls))?;
                #[expect(clippy::cast_precision_loss, reason = "some hundred thousand calls")]
                rates[index].push(took.len() as f64 / ROUND.as_secs_f64());
                spans[index].append(&mut took);
            }
        }
        let [mut bare, mut ours] = rates.map(|mut rates| {
            rates.sort_unstable_by(f64::total_cmp);
            rates
        });
        let (bare, ours) = (bare.swap_remove(ROUNDS / 2), ours.swap_remove(ROUNDS / 2));
        let load = format!("{connections} connections, {calls} calls in flight");
        row(&format!("bare tonic, {load}"), format!("{bare:.0} /s  {}", spread(&mut spans[0])), "");
        row(&format!("zhongkong, {load}"), format!("{ours:.0} /s  {}", spread(&mut spans[1])), "");
        let p50 = |spans: &mut [Duration]| quantile(spans, 0.5).as_secs_f64();
        row(
            "  zhongkong / bare tonic",
            format!("rate {:.2}, p50 {:.2}", ours / bare, p50(&mut spans[1]) / p50(&mut spans[0])),
            "",
        );
    }
    for child in [&mut bare, &mut ours] {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

/// What the audit costs a GetToken: the same server with it and without, alternately.
pub(crate) fn audit() -> anyhow::Result<()> {
    title("GetToken over loopback with the audit and without, server and load on a core each");
    let (mut without, without_addr) = spawn_on_first_core("grpc-server", "unaudited")?;
    let (mut with, with_addr) = spawn_on_first_core("grpc-server", "ours")?;
    pin("1")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (connections, calls) in [(1, 1), (8, 128)] {
        let mut ratios = Vec::new();
        let mut spans: [Vec<Duration>; 2] = Default::default();
        for round in 0..AUDIT_ROUNDS {
            let mut rates = [0.0; 2];
            // Each goes first in every other round.
            for index in [round % 2, (round + 1) % 2] {
                let addr = [&without_addr, &with_addr][index];
                let mut took = runtime.block_on(load(addr, connections, calls))?;
                #[expect(clippy::cast_precision_loss, reason = "some hundred thousand calls")]
                let rate = took.len() as f64 / ROUND.as_secs_f64();
                rates[index] = rate;
                spans[index].append(&mut took);
            }
            ratios.push(rates[1] / rates[0]);
        }
        ratios.sort_unstable_by(f64::total_cmp);
        let load = format!("{connections} connections, {calls} calls in flight");
        row(&format!("without, {load}"), spread(&mut spans[0]), "");
        row(&format!("with, {load}"), spread(&mut spans[1]), "");
        let [low, middle, high] = [0, AUDIT_ROUNDS / 2, AUDIT_ROUNDS - 1].map(|place| ratios[place]);
        row("  rate with / without", format!("{middle:.3} ({low:.3} to {high:.3})"), "0.95");
    }
    for child in [&mut without, &mut with] {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

/// Calls for [`ROUND`]; how long each took.
async fn load(addr: &str, connections: usize, calls: usize) -> anyhow::Result<Vec<Duration>> {
    let mut channels = Vec::new();
    for _ in 0..connections {
        channels.push(Endpoint::from_shared(addr.to_owned())?.connect().await?);
    }
    let begun = Instant::now() + WARM_UP;
    let mut callers = JoinSet::new();
    for number in 0..calls {
        callers.spawn(caller(channels[number % connections].clone(), begun));
    }
    let mut all = Vec::new();
    while let Some(took) = callers.join_next().await {
        all.append(&mut took??);
    }
    Ok(all)
}

async fn caller(channel: Channel, begun: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut client = TokenControlClient::new(channel);
    let mut took = Vec::with_capacity(1 << 16);
    let end = begun + ROUND;
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Ok(took);
        }
        let asked = pb::GetTokenRequest { appid: appid(0).to_string(), ..pb::GetTokenRequest::default() };
        let answer = client.get_token(request(asked)).await?.into_inner();
        anyhow::ensure!(answer.token.is_some_and(|token| !token.value.is_empty()), "an empty answer");
        if sent >= begun {
            took.push(sent.elapsed());
        }
    }
}

/// A request with the bearer token.
pub(crate) fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let header =
        tonic::metadata::MetadataValue::from_static("Bearer a-bearer-token-of-forty-three-characters-00");
    request.metadata_mut().insert("authorization", header);
    request
}

/// One client that may read and complain.
pub(crate) fn grpc_settings() -> Settings {
    let client = Client {
        name: "bench".to_owned(),
        identities: vec![Identity::TokenSha256(Sha256::digest(TOKEN.as_bytes()).into())],
        grants: Grants {
            accounts: Scope::All,
            kinds: Scope::All,
            actions: [Action::Read, Action::Complain].into(),
        },
        not_after: None,
    };
    Settings { listen: Vec::new(), tls: None, clients: vec![client] }
}

/// A server as a process of its own; prints its address and serves until it is killed.
pub(crate) fn serve(which: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let upstream = Upstream::start().await?;
        let clock = Clock::system();
        let ledger = Arc::new(MemoryLedger::new(clock.clone()));
        let engine =
            Engine::start(&upstream.base, &clock, ledger.clone(), accounts(1, TokenMode::Classic, &[]))
                .await?;
        engine.warm().await?;
        let (_ready, readiness) = watch::channel(Readiness::Ready);
        let server = Server::new(&grpc_settings(), engine.hub.clone(), readiness)?;
        let mut parts = JoinSet::new();
        let server = if which == "ours" {
            let (recorder, writer) = audit::new(&audit::Settings::default(), ledger, clock);
            parts.spawn(writer.run(CancellationToken::new()));
            server.with_audit(recorder)
        } else {
            server
        };
        let listener = Listener::bind(&Listen::Tcp(([127, 0, 0, 1], 0).into())).await?;
        let addr = listener.tcp_addr().context("a TCP listener")?;
        if which != "bare" {
            say(&format!("http://{addr}"));
            server.run(vec![listener], CancellationToken::new()).await?;
            return Ok(());
        }
        // The bare service repeats what the real one answered once.
        let mut serving = JoinSet::new();
        serving.spawn(server.run(vec![listener], CancellationToken::new()));
        let asked = pb::GetTokenRequest { appid: appid(0).to_string(), ..pb::GetTokenRequest::default() };
        let mut client = TokenControlClient::connect(format!("http://{addr}")).await?;
        let answer = client.get_token(request(asked)).await?.into_inner();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        say(&format!("http://{}", listener.local_addr()?));
        let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        let bare = TokenControlServer::new(Bare(ArcSwap::from_pointee(answer)));
        tonic::transport::Server::builder().add_service(bare).serve_with_incoming(incoming).await?;
        Ok(())
    })
}

/// The service of the contract that knows one answer.
struct Bare(ArcSwap<pb::GetTokenResponse>);

type Stream<T> = Pin<Box<dyn futures_util::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl TokenControl for Bare {
    type WatchTokensStream = Stream<pb::WatchTokensResponse>;

    async fn get_token(
        &self,
        _: Request<pb::GetTokenRequest>,
    ) -> Result<Response<pb::GetTokenResponse>, Status> {
        Ok(Response::new(pb::GetTokenResponse::clone(&self.0.load())))
    }

    async fn force_refresh(
        &self,
        _: Request<pb::ForceRefreshRequest>,
    ) -> Result<Response<pb::ForceRefreshResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn watch_tokens(
        &self,
        _: Request<pb::WatchTokensRequest>,
    ) -> Result<Response<Self::WatchTokensStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_status(
        &self,
        _: Request<pb::ListStatusRequest>,
    ) -> Result<Response<pb::ListStatusResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn sign_jsapi(
        &self,
        _: Request<pb::SignJsapiRequest>,
    ) -> Result<Response<pb::SignJsapiResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn exchange_code(
        &self,
        _: Request<pb::ExchangeCodeRequest>,
    ) -> Result<Response<pb::ExchangeCodeResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_audit(
        &self,
        _: Request<pb::ListAuditRequest>,
    ) -> Result<Response<pb::ListAuditResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn pause(&self, _: Request<pb::PauseRequest>) -> Result<Response<pb::PauseResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn resume(&self, _: Request<pb::ResumeRequest>) -> Result<Response<pb::ResumeResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}
