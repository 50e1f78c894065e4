//! Servers of GetToken as processes of their own: ours, and a bare tonic service of the same message.
//!
//! The bare one has no authentication, no grants, no hub: one answer in an ArcSwap. Ours answers from
//! a hub of one key, whose value has 512 bytes; `everything` has authentication, metrics and the
//! audit, as the daemon has, `unaudited` leaves the audit out, and `authenticated` the metrics too.
//! Each listens on TCP and on a Unix socket.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use zhongkong::access::{Action, Client, Grants, Identity, Scope};
use zhongkong::audit;
use zhongkong::clock::Clock;
use zhongkong::grpc::settings::{Listen, Settings};
use zhongkong::grpc::{Listener, Readiness, Server};
use zhongkong::ledger::sqlite::{self, SqliteLedger};
use zhongkong::ledger::{Ledger as _, seal};
use zhongkong::model::{CallMode, Fingerprint, Key, Kind, TokenMode};
use zhongkong::pb;
use zhongkong::pb::token_control_client::TokenControlClient;
use zhongkong::pb::token_control_server::{TokenControl, TokenControlServer};
use zhongkong::secret::Secret;
use zhongkong::telemetry::metrics;

use crate::h2::Grpc;
use crate::pinned::{Pinned, say};
use crate::support::{Engine, accounts, appid, issued};

pub(crate) const TOKEN: &str = "a-bearer-token-of-forty-three-characters-00";
/// Of the value that is read, in bytes.
pub(crate) const VALUE: usize = 512;
/// Nobody listens there, and nobody asks: the value is new.
const NOWHERE: &str = "http://127.0.0.1:9";
pub(crate) const EVERYTHING: &str = "everything";
pub(crate) const UNAUDITED: &str = "unaudited";
pub(crate) const AUTHENTICATED: &str = "authenticated";
pub(crate) const BARE: &str = "bare";

/// A server of one of these kinds on the first core, and its addresses on TCP and on a Unix socket.
pub(crate) fn start(which: &str, dir: &Path) -> anyhow::Result<(Pinned, [String; 2])> {
    let socket = dir.join(which);
    let socket = socket.to_str().context("a path of text")?;
    let (server, addr) = Pinned::server("grpc-server", &[which, socket])?;
    Ok((server, [addr, format!("unix:{socket}")]))
}

/// The calls of a connection to any of them.
pub(crate) fn calls() -> Grpc {
    let asked = pb::GetTokenRequest { appid: appid(0).to_string(), ..pb::GetTokenRequest::default() };
    Grpc::new("/zhongkong.v1.TokenControl/GetToken", TOKEN, asked.encode_to_vec(), VALUE)
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

/// The process of a server: prints its address on TCP and serves until it is killed.
pub(crate) fn serve(which: &str, socket: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if [EVERYTHING, UNAUDITED].contains(&which) {
            metrics::install()?;
        }
        let clock = Clock::system();
        // As the daemon has it: the audit's rows end in this file.
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("ledger.db");
        let file = sqlite::Settings { path, seal: seal::Keys::none(), max_bytes: None };
        let ledger = Arc::new(SqliteLedger::open(file, clock.clone()).await?.ledger);
        let key = Key::new(appid(0), Kind::AccessToken);
        let (call, mut stored) = issued(&clock, &key, CallMode::Classic, std::time::Duration::ZERO);
        stored.value = Secret::from("T".repeat(VALUE));
        stored.fingerprint = Fingerprint::of(&stored.value);
        ledger.commit(&call, &stored).await?;
        let engine =
            Engine::start(NOWHERE, &clock, ledger.clone(), accounts(1, TokenMode::Classic, &[])).await?;
        engine.warm().await?;
        let (_ready, readiness) = watch::channel(Readiness::Ready);
        let server = Server::new(&grpc_settings(), engine.hub.clone(), readiness)?;
        let mut parts = JoinSet::new();
        let server = if which == EVERYTHING {
            let (recorder, writer) = audit::new(&audit::Settings::default(), ledger, clock);
            parts.spawn(writer.run(CancellationToken::new()));
            server.with_audit(recorder)
        } else {
            server
        };
        let tcp = Listener::bind(&Listen::Tcp(([127, 0, 0, 1], 0).into())).await?;
        let addr = tcp.tcp_addr().context("a TCP listener")?;
        if which == BARE {
            return bare(server, tcp, Path::new(socket)).await;
        }
        let unix = Listener::bind(&Listen::Unix(socket.into())).await?;
        say(&addr.to_string());
        server.run(vec![tcp, unix], CancellationToken::new()).await?;
        Ok(())
    })
}

/// Repeats what the real one answers once.
async fn bare(real: Server, listener: Listener, socket: &Path) -> anyhow::Result<()> {
    let addr = listener.tcp_addr().context("a TCP listener")?;
    let stop = CancellationToken::new();
    let mut asked = JoinSet::new();
    asked.spawn(real.run(vec![listener], stop.clone()));
    let question = pb::GetTokenRequest { appid: appid(0).to_string(), ..pb::GetTokenRequest::default() };
    let mut client = TokenControlClient::connect(format!("http://{addr}")).await?;
    let answer = client.get_token(request(question)).await?.into_inner();
    drop(client);
    stop.cancel();
    asked.join_all().await;

    let held = Arc::new(ArcSwap::from_pointee(answer));
    let service = || {
        let bare = TokenControlServer::new(Bare(held.clone()));
        tonic::transport::Server::builder().add_service(bare)
    };
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let addr = tcp.local_addr()?;
    let unix = UnixListenerStream::new(UnixListener::bind(socket)?);
    let mut serving = JoinSet::new();
    serving.spawn(service().serve_with_incoming(TcpIncoming::from(tcp).with_nodelay(Some(true))));
    serving.spawn(service().serve_with_incoming(unix));
    say(&addr.to_string());
    while let Some(ended) = serving.join_next().await {
        ended??;
    }
    Ok(())
}

/// The service of the contract that knows one answer.
struct Bare(Arc<ArcSwap<pb::GetTokenResponse>>);

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
