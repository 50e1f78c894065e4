//! What the login's callback adds to WeChat's own answers.
//!
//! WeChat answers at once here, so what is left is ours. The same code exchange and profile are asked
//! of the same daemon and the same WeChat once directly and once through the callback, in turns; the
//! store is a SQLite file.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zhongkong::access::{Action, Client as Caller, Grants, Identity, Scope as Granted};
use zhongkong::client::{Client, Credentials, Exchanged, Flow as CodeFlow};
use zhongkong::clock::Clock;
use zhongkong::grpc::settings::{Listen, Settings as Grpc};
use zhongkong::grpc::{Listener, Readiness, Server};
use zhongkong::http::{self, Limits};
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::model::TokenMode;
use zhongkong::seal::Keys;
use zhongkong::secret::Secret;
use zhongkong::services::database::{Database, Place};
use zhongkong::services::oauth::SCHEMA;
use zhongkong::services::oauth::account::{Account, Scope};
use zhongkong::services::oauth::assertion::Assertions;
use zhongkong::services::oauth::flow::{self, Flow, Live};
use zhongkong::services::oauth::records::sql::SqlRecords;
use zhongkong::services::oauth::sessions::{SessionSettings, Sessions, Transport};
use zhongkong::services::oauth::site::Site;
use zhongkong::services::oauth::users::Users;
use zhongkong::services::wechat_api::{self, UserApi};
use zhongkong::simulator::NewCode;

use crate::report::{Bound, Findings, Measurement, Unit, effort};
use crate::support::{Engine, Upstream, accounts, appid};
use crate::table::quantile;

const TOKEN: &str = "a-bearer-token-of-forty-three-characters-00";
const SEAL: &str = "k:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const ROUNDS: usize = 5;
const LOGINS: usize = 300;
const WARM_UP: usize = 50;
const BASE: &str = "http://127.0.0.1:7790";

pub(crate) async fn run() -> anyhow::Result<Findings> {
    let upstream = Upstream::start().await?;
    let clock = Clock::system();
    let ledger = Arc::new(MemoryLedger::new(clock.clone()));
    let engine = Engine::start(&upstream.base, &clock, ledger, accounts(1, TokenMode::Stable, &[])).await?;
    engine.warm().await?;
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    let daemon = daemon(&engine, &stop, &mut running).await?;
    let credentials = Credentials { token: Some(TOKEN.into()), ..Credentials::default() };
    let client = Client::connect(&daemon, credentials).await?;
    let api = UserApi::new(&wechat_api::Settings {
        api_base: upstream.base.parse()?,
        connect_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        proxy: None,
        daemon: daemon.clone(),
    })?;
    let dir = tempfile::tempdir()?;
    let service = service(&dir, &clock, client.clone(), api.clone(), &stop, &mut running).await?;
    let both = Both { upstream: &upstream, client: &client, api: &api, service: &service };

    let mut found = Findings::new("The callback of a login, WeChat answering at once");
    for scope in [Scope::Base, Scope::UserInfo] {
        both.round(scope, WARM_UP).await?;
        let (mut whole, mut direct, mut added) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..effort::rounds(ROUNDS) {
            let (one, other) = both.round(scope, effort::count(LOGINS)).await?;
            whole.push(other);
            direct.push(one);
            added.push(other - one);
        }
        let scope = scope.as_str();
        found.add(
            Measurement::new(&format!("a login, {scope}, p50"), Unit::Seconds)
                .ours(whole)
                .beside("daemon and WeChat alone", direct),
        );
        found.add(
            Measurement::new(&format!("what the callback adds, {scope}, p50"), Unit::Seconds)
                .ours(added)
                .goal(Bound::Below(0.001)),
        );
    }
    stop.cancel();
    Ok(found)
}

/// The same exchange without a login and with one.
struct Both<'a> {
    upstream: &'a Upstream,
    client: &'a Client,
    api: &'a UserApi,
    service: &'a str,
}

impl Both<'_> {
    /// The median of the direct ones and of the logins, in seconds, in turn.
    async fn round(&self, scope: Scope, logins: usize) -> anyhow::Result<(f64, f64)> {
        let (mut direct, mut whole) = (Vec::new(), Vec::new());
        let browser = Browser::new(self.service)?;
        for nth in 0..logins {
            let code = || {
                let scope = match scope {
                    Scope::Base => zhongkong::simulator::Scope::Base,
                    Scope::UserInfo => zhongkong::simulator::Scope::UserInfo,
                };
                let new = NewCode::web(appid(0).as_str(), format!("o{nth}")).scope(scope);
                self.upstream.control.mint_code(new)
            };
            let (one, other) = (code(), code());
            let begun = Instant::now();
            asked_directly(self.client, self.api, &one, scope).await?;
            direct.push(begun.elapsed());
            let address = browser.begins(scope).await?;
            let begun = Instant::now();
            browser.comes_back(&address, &other).await?;
            whole.push(begun.elapsed());
        }
        Ok((quantile(&mut direct, 0.5).as_secs_f64(), quantile(&mut whole, 0.5).as_secs_f64()))
    }
}

/// What WeChat is asked in a login, without a login.
async fn asked_directly(client: &Client, api: &UserApi, code: &str, scope: Scope) -> anyhow::Result<()> {
    let answer = client.exchange_code(&appid(0), &Secret::from(code), CodeFlow::Web).await?;
    let Exchanged::Web(user) = answer else { anyhow::bail!("another login") };
    if scope == Scope::UserInfo {
        let query = [("openid", user.openid.as_str()), ("lang", "zh_CN")];
        api.get("/sns/userinfo", &query, &Secret::from(user.access_token)).await?;
    }
    Ok(())
}

async fn daemon(
    engine: &Engine,
    stop: &CancellationToken,
    running: &mut JoinSet<()>,
) -> anyhow::Result<String> {
    let caller = Caller {
        name: "login".into(),
        identities: vec![Identity::TokenSha256(Sha256::digest(TOKEN).into())],
        grants: Grants { accounts: Granted::All, kinds: Granted::All, actions: [Action::Exchange].into() },
        not_after: None,
    };
    let settings = Grpc { listen: Vec::new(), tls: None, clients: vec![caller] };
    let (ready, readiness) = watch::channel(Readiness::Ready);
    let server = Server::new(&settings, engine.hub.clone(), readiness)?;
    let listener = Listener::bind(&Listen::Tcp("127.0.0.1:0".parse()?)).await?;
    let addr = listener.tcp_addr().context("it listens on TCP")?;
    let stopped = stop.clone();
    running.spawn(async move {
        let _ready = ready;
        let _ = server.run(vec![listener], stopped).await;
    });
    Ok(format!("http://{addr}"))
}

async fn service(
    dir: &tempfile::TempDir,
    clock: &Clock,
    client: Client,
    api: UserApi,
    stop: &CancellationToken,
    running: &mut JoinSet<()>,
) -> anyhow::Result<String> {
    let database = Database::new(&Place::Sqlite(dir.path().join("oauth.db")), &SCHEMA)?;
    database.prepare().await?;
    let keys = Keys::parse(SEAL)?;
    let records = Arc::new(SqlRecords::new(database.clone(), keys.clone(), clock.clone()));
    let users = Users::new(database.clone(), keys.clone());
    let life = Duration::from_hours(24);
    let lives = SessionSettings { idle: life, life, transport: Transport::Http };
    let base: zhongkong::services::oauth::account::Origin = BASE.parse()?;
    let account = Account { appid: appid(0), path: "shop".into() };
    let parts = flow::Parts {
        sessions: Sessions::new(records.clone(), users.clone(), lives, clock.clone()),
        records,
        users,
        assertions: Assertions::new(database, keys, base.clone(), Duration::from_secs(60), clock.clone()),
        client,
        api,
        clock: clock.clone(),
    };
    let site = Site::new(base, vec![account], Vec::new());
    let live = Live { site, authorize_at: "https://open.weixin.qq.com".parse()? };
    let flow = Flow::new(flow::Settings::default(), live, parts);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let limits = Limits {
        listener: "http",
        connections: 64,
        head: Duration::from_secs(60),
        body: Duration::from_secs(5),
        buffer: 16 * 1_024,
        taking: Duration::from_secs(10),
        drain: Duration::from_secs(1),
    };
    let (router, stopped) = (flow.router(), stop.clone());
    running.spawn(async move {
        // Its arrivals live as long as it is served.
        let _flow = flow;
        http::serve(listener, router, limits, stopped).await;
    });
    Ok(format!("http://{addr}"))
}

/// A new one for each login would come as a stranger; this one keeps the binding only.
struct Browser {
    client: reqwest::Client,
    service: String,
}

impl Browser {
    fn new(service: &str) -> anyhow::Result<Self> {
        let client =
            reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { client, service: service.to_owned() })
    }

    /// The callback's address without a code, and the cookie.
    async fn begins(&self, scope: Scope) -> anyhow::Result<(String, String)> {
        let link = format!("{}/oauth/shop/login?return_to=/x&scope={}", self.service, scope.as_str());
        let answer = self.client.get(link).send().await?;
        let header = |name: &str| {
            let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned).with_context(|| format!("no {name}"))
        };
        let (location, cookie) = (header("location")?, header("set-cookie")?);
        let state = location.split_once("&state=").and_then(|(_, rest)| rest.split('#').next());
        let state = state.context("no state")?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok((format!("{}/oauth/shop/callback?state={state}", self.service), cookie))
    }

    async fn comes_back(&self, (address, cookie): &(String, String), code: &str) -> anyhow::Result<()> {
        let answer =
            self.client.get(format!("{address}&code={code}")).header("cookie", cookie).send().await?;
        anyhow::ensure!(answer.status() == 303, "not logged in: {}", answer.text().await?);
        Ok(())
    }
}
