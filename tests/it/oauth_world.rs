//! What the tests of the login flow stand on: the flow on a real socket, over a real store, with the
//! simulator as WeChat and a real daemon between them; and browsers that keep cookies.
//!
//! The clock is frozen. Addresses are those of an https site, so that cookies have the prefixes and
//! marks that they have in earnest; the socket itself speaks http, as behind a proxy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_LANGUAGE, CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;
use zhongkong::access::Action;
use zhongkong::client::Client;
use zhongkong::http::{self, Limits};
use zhongkong::model::AppId;
use zhongkong::seal::Keys;
use zhongkong::services::oauth::account::{Account, App, AssertionMode, Scope};
use zhongkong::services::oauth::assertion::Assertions;
use zhongkong::services::oauth::flow::{self, Flow, Live};
use zhongkong::services::oauth::records::Records;
use zhongkong::services::oauth::sessions::{Login, SessionSettings, Sessions, Transport};
use zhongkong::services::oauth::site::Site;
use zhongkong::services::oauth::users::{OpenId, User};
use zhongkong::services::wechat_api::{self, UserApi};
use zhongkong::simulator::{Endpoint, Fault, NewCode, Script};

use super::grpc_support::{World, client};
use super::oauth_support::{IDLE, KEYS, LIFE, Stores};
use super::support::simulated::client_builder;

/// Where browsers think that they are.
pub(crate) const BASE: &str = "https://wx.example";
/// Where WeChat's page is thought to be.
pub(crate) const WECHAT: &str = "https://open.weixin.qq.com";
/// The session's cookie.
pub(crate) const SESSION: &str = "__Host-zk_session";
/// The binding's.
pub(crate) const BINDING: &str = "__Host-zk_login";

/// Everything around the flow.
pub(crate) struct Around {
    pub(crate) world: World,
    pub(crate) stores: Stores,
}

/// One instance of the service.
pub(crate) struct Instance {
    pub(crate) flow: Arc<Flow>,
    pub(crate) addr: SocketAddr,
    stop: CancellationToken,
    _served: JoinSet<()>,
}

/// A browser: its cookies.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
    client: reqwest::Client,
    addr: SocketAddr,
    language: &'static str,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// As configured, unless a test says otherwise.
pub(crate) fn site() -> Site {
    site_at(BASE)
}

pub(crate) fn site_at(base: &str) -> Site {
    let account = |appid: &str, path: &str| Account { appid: appid.parse().unwrap(), path: path.into() };
    let app = |name: &str, origin: &str, scope| App {
        name: name.into(),
        accounts: None,
        origins: vec![origin.parse().unwrap()],
        scope,
        assertion: AssertionMode::None,
    };
    let cross =
        App { assertion: AssertionMode::Fragment, ..app("cross", "https://cross.example", Scope::Base) };
    let apps = vec![
        cross,
        app("h5", "https://h5.example", Scope::UserInfo),
        app("quiet", "https://quiet.example", Scope::Base),
    ];
    Site::new(base.parse().unwrap(), vec![account("wx1", "shop"), account("wx2", "club")], apps)
}

impl Around {
    pub(crate) async fn start() -> Self {
        let world =
            World::start(vec![client("web", &[Action::Exchange]), client("weak", &[Action::Read])]).await;
        Self { world, stores: Stores::sqlite().await }
    }

    /// An instance as it usually is.
    pub(crate) async fn instance(&self) -> Instance {
        self.instance_with(flow::Settings::default(), self.world.client("web"), BASE).await
    }

    pub(crate) async fn instance_with(
        &self,
        settings: flow::Settings,
        client: Client,
        base: &str,
    ) -> Instance {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = Live { site: site_at(base), authorize_at: WECHAT.parse().unwrap() };
        self.serve(listener, settings, client, live)
    }

    /// An instance that listens here and is for this site.
    pub(crate) fn serve(
        &self,
        listener: TcpListener,
        settings: flow::Settings,
        client: Client,
        live: Live,
    ) -> Instance {
        let api = UserApi::new(&wechat_api::Settings {
            api_base: self.world.sim.base.parse().unwrap(),
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            proxy: None,
            daemon: String::new(),
        });
        let records: Arc<dyn Records> = Arc::new(self.stores.records.clone());
        let (users, clock) = (self.stores.users.clone(), self.stores.clock.clone());
        let transport = if live.site.base().is_https() { Transport::Https } else { Transport::Http };
        let sessions = SessionSettings { idle: IDLE, life: LIFE, transport };
        let keys = Keys::parse(KEYS).unwrap();
        let (database, issuer) = (self.stores.database.clone(), live.site.base().clone());
        let parts = flow::Parts {
            assertions: Assertions::new(database, keys, issuer, Duration::from_secs(60), clock.clone()),
            sessions: Sessions::new(records.clone(), users.clone(), sessions, clock.clone()),
            records,
            users,
            client,
            api: api.unwrap(),
            clock,
        };
        let flow = Arc::new(Flow::new(settings, live, parts));
        let addr = listener.local_addr().unwrap();
        let long = Duration::from_secs(3_600);
        let limits = Limits {
            listener: "test",
            connections: 1_024,
            head: long,
            body: long,
            buffer: 16 * 1_024,
            taking: long,
            drain: long,
        };
        let stop = CancellationToken::new();
        let mut served = JoinSet::new();
        let router = flow.router().fallback(http::no_such_path);
        served.spawn(http::serve(listener, router, limits, stop.clone()));
        Instance { flow, addr, stop, _served: served }
    }

    /// The code that WeChat gives this person for the login that this address begins.
    pub(crate) fn consents(&self, authorize: &str, openid: &str) -> String {
        let asked = params(authorize);
        let scope = match asked["scope"].as_str() {
            "snsapi_userinfo" => zhongkong::simulator::Scope::UserInfo,
            _ => zhongkong::simulator::Scope::Base,
        };
        self.mint(NewCode::web(&asked["appid"], openid).scope(scope))
    }

    pub(crate) fn mint(&self, code: NewCode) -> String {
        self.world.sim.control.mint_code(code)
    }

    /// How many codes of `wx1` were brought to WeChat.
    pub(crate) fn exchanges(&self) -> u64 {
        self.world.sim.control.count(Endpoint::OauthToken, "wx1")
    }

    /// The next exchange goes wrong in this way.
    pub(crate) fn once(&self, fault: Fault) {
        self.world.sim.control.script(Script::once(Endpoint::OauthToken, fault));
    }

    /// Every exchange does.
    pub(crate) fn always(&self, fault: Fault) {
        self.world.sim.control.script(Script::forever(Endpoint::OauthToken, fault));
    }

    pub(crate) async fn user(&self, openid: &str) -> Option<User> {
        let appid: AppId = "wx1".parse().unwrap();
        let openid: OpenId = openid.parse().unwrap();
        self.stores.users.find(&appid, &openid).await.unwrap()
    }

    /// The logins of the session in this cookie.
    pub(crate) async fn logins(&self, browser: &Browser, cookie: &str) -> Vec<Login> {
        let Some(id) = browser.cookies.get(cookie) else { return Vec::new() };
        let headers = HeaderMap::from_iter([(COOKIE, format!("{SESSION}={id}").parse().unwrap())]);
        let session = self.stores.sessions.session_in(&headers);
        self.stores.sessions.logins(&session).await.unwrap()
    }

    /// Who is logged in with this session at `wx1`.
    pub(crate) async fn who(&self, browser: &Browser) -> Option<String> {
        let logins = self.logins(browser, SESSION).await;
        let login = logins.into_iter().find(|login| login.appid.as_str() == "wx1")?;
        Some(login.openid.to_string())
    }

    /// Waits until so many calls are held by the simulator.
    pub(crate) async fn held(&self, count: usize) {
        while self.world.sim.control.held() < count {
            tokio::task::yield_now().await;
        }
    }
}

impl Instance {
    pub(crate) fn browser(&self) -> Browser {
        Browser {
            cookies: BTreeMap::new(),
            client: client_builder().build().unwrap(),
            addr: self.addr,
            language: "en",
        }
    }

    /// Stops listening.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Browser {
    /// The same browser, whose next requests another instance answers.
    pub(crate) fn at(&self, instance: &Instance) -> Self {
        Self { addr: instance.addr, ..self.clone() }
    }

    pub(crate) fn speaking(self, language: &'static str) -> Self {
        Self { language, ..self }
    }

    /// A request of this path, with what it is sent besides.
    pub(crate) fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.dressed(self.client.get(format!("http://{}{path}", self.addr)))
    }

    /// A form that is sent there.
    pub(crate) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        let form = self.client.post(format!("http://{}{path}", self.addr));
        self.dressed(form).header(CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    fn dressed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(ACCEPT_LANGUAGE, self.language);
        if cookies.is_empty() { request } else { request.header(COOKIE, cookies.join("; ")) }
    }

    /// Goes there and keeps the cookies that come back; follows nothing.
    pub(crate) async fn go(&mut self, path: &str) -> Got {
        let got = Got::of(self.request(path).send().await.unwrap()).await;
        self.keep(&got);
        got
    }

    pub(crate) fn keep(&mut self, got: &Got) {
        for cookie in got.headers.get_all(SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Begins a login; where WeChat's page is.
    pub(crate) async fn begin(&mut self, link: &str) -> String {
        let got = self.go(link).await;
        assert_eq!(got.status, 302, "{}", got.body);
        let location = got.location().to_owned();
        assert!(location.starts_with(WECHAT), "{location}");
        location
    }

    /// The whole way: link, consent of this person, callback.
    pub(crate) async fn log_in(&mut self, around: &Around, link: &str, openid: &str) -> Got {
        let authorize = self.begin(link).await;
        let code = around.consents(&authorize, openid);
        self.go(&callback(&authorize, &code)).await
    }
}

impl Got {
    pub(crate) async fn of(answer: reqwest::Response) -> Self {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Self { status, headers, body: answer.text().await.unwrap() }
    }

    pub(crate) fn location(&self) -> &str {
        let location = self.headers.get(LOCATION).unwrap_or_else(|| panic!("it leads nowhere: {self:?}"));
        location.to_str().unwrap()
    }

    /// The value that a cookie is given, if it is.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.headers.get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
        let own = cookies.filter_map(|text| text.split(';').next()?.split_once('='));
        own.filter(|(own, _)| *own == name).map(|(_, value)| value.to_owned()).next()
    }

    /// A page with this status and this heading.
    pub(crate) fn is_page(&self, status: u16, title: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert!(self.body.contains(&format!("<h1>{title}</h1>")), "no {title:?}: {}", self.body);
        assert!(self.cookie(SESSION).is_none(), "nobody is logged in by a page");
    }

    /// Where the page's button leads.
    pub(crate) fn button(&self) -> String {
        let (_, rest) = self.body.split_once("class=\"button\" href=\"").expect("it has a button");
        let text = rest.split_once('"').unwrap().0;
        text.replace("&#x2f;", "/").replace("&amp;", "&")
    }
}

/// The parameters of an address.
pub(crate) fn params(address: &str) -> BTreeMap<String, String> {
    Url::parse(address).unwrap().query_pairs().into_owned().collect()
}

/// The state that an address of WeChat's page carries.
pub(crate) fn state(authorize: &str) -> String {
    params(authorize)["state"].clone()
}

/// Where WeChat sends the browser with this code, on our host.
pub(crate) fn callback(authorize: &str, code: &str) -> String {
    let params = params(authorize);
    let path = params["redirect_uri"].strip_prefix(BASE).expect("the callback is ours").to_owned();
    format!("{path}?code={code}&state={}", params["state"])
}
