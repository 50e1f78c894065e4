//! The demo's business services: the real ones, in one process as with `zhongkong serve`, with their
//! files in a temporary directory, so that a visitor can look at the configuration, change rules and
//! page while they run, send messages with nothing but the name of an account, and log in at the
//! simulated WeChat. Tokens and keys are random; the directory goes with the demo.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::clock::Clock;
use crate::config::{Environment, ServeConfig, Service, ServiceSet};
use crate::launch::services::{Addresses, Services};
use crate::process::service_sockets::{ServiceSocketError, ServiceSockets};
use crate::process::sockets::Inherited;
use crate::secret::Secret;

use super::{ACCOUNTS, DemoError, Ports, loopback};

/// What is answered to what.
const RULES: &str = include_str!("rules.toml");
/// A menu to push, and codes to make.
const MENU: &str = include_str!("menu.toml");
const TABLES: &str = include_str!("tables.csv");
/// The one page, in which [`SIMULATOR`] stands for the simulated WeChat's address.
const PAGE: &str = include_str!("demo.html");
const SIMULATOR: &str = "SIMULATOR";

/// What the services have around them.
pub(super) struct Around<'a> {
    /// The simulated WeChat.
    pub(super) upstream: SocketAddr,
    /// The daemon.
    pub(super) daemon: SocketAddr,
    /// What the daemon is shown.
    pub(super) token: &'a Secret,
}

/// The services, built.
pub(super) struct Business {
    pub(super) services: Services,
    pub(super) addresses: Addresses,
    pub(super) home: Home,
}

/// The directory of their files; removed with this value.
pub(super) struct Home(PathBuf);

/// What the process runs: all there are.
pub(super) fn served() -> ServiceSet {
    ServiceSet::from(Service::ALL)
}

impl Business {
    /// Writes the files, binds, and builds.
    pub(super) async fn build(
        around: &Around<'_>,
        ports: Ports,
        counters: PrometheusHandle,
    ) -> Result<Self, DemoError> {
        let home = Home::new().map_err(DemoError::Files)?;
        home.fill(around).map_err(DemoError::Files)?;
        let sockets = match home.bind(around, ports) {
            Err(DemoError::Sockets(ServiceSocketError::Bind { .. })) => home.bind(around, Ports::Free),
            bound => bound,
        }?;
        // With the ports that it has, so that reading it again changes nothing.
        let own = |socket: &TcpListener| socket.local_addr().map_err(DemoError::Listen);
        home.configure(around, own(&sockets.http)?, own(&sockets.admin)?).map_err(DemoError::Files)?;
        let config = ServeConfig::load(&home.config(), &Environment::default(), &served())?.config;
        let services = Services::build(config, sockets, Clock::system(), counters).await?;
        Ok(Self { addresses: services.addresses(), services, home })
    }
}

impl Home {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("zhongkong-demo-{:08x}", rand::random::<u32>()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// For `--config`.
    pub(super) fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    pub(super) fn rules(&self) -> PathBuf {
        self.0.join("rules.toml")
    }

    pub(super) fn menu(&self) -> PathBuf {
        self.0.join("menu.toml")
    }

    pub(super) fn tables(&self) -> PathBuf {
        self.0.join("tables.csv")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("messages.log")
    }

    /// All but the configuration.
    fn fill(&self, around: &Around<'_>) -> io::Result<()> {
        let Around { upstream, daemon: _, token } = around;
        write(&self.rules(), RULES)?;
        write(&self.menu(), MENU)?;
        write(&self.tables(), TABLES)?;
        let pages = self.0.join("pages");
        DirBuilder::new().mode(0o700).create(&pages)?;
        write(&pages.join("demo.html"), &PAGE.replace(SIMULATOR, &upstream.to_string()))?;
        write(&self.0.join("daemon.token"), token.expose())?;
        let key = hex::encode(rand::random::<[u8; 32]>());
        write(&self.0.join("oauth.keys"), &format!("demo:{key}\n"))?;
        for (_, name, _) in ACCOUNTS {
            write(&self.0.join(format!("{name}.token")), &hex::encode(rand::random::<[u8; 16]>()))?;
            let key = STANDARD_NO_PAD.encode(rand::random::<[u8; 32]>());
            write(&self.0.join(format!("{name}.key")), &key)?;
        }
        Ok(())
    }

    fn bind(&self, around: &Around<'_>, ports: Ports) -> Result<ServiceSockets, DemoError> {
        let (http, admin) = (loopback(ports, 7790), loopback(ports, 7791));
        self.configure(around, http, admin).map_err(DemoError::Files)?;
        let config = ServeConfig::load(&self.config(), &Environment::default(), &served())?.config;
        Ok(ServiceSockets::collect(&config.serve, Inherited::default())?)
    }

    fn configure(&self, around: &Around<'_>, http: SocketAddr, admin: SocketAddr) -> io::Result<()> {
        let Around { upstream, daemon, token: _ } = around;
        let accounts = ACCOUNTS.map(|(appid, name, _)| {
            format!(
                "
[[messages.account]]
appid = \"{appid}\"
path = \"{name}\"
token_file = \"{name}.token\"
aes_key_file = \"{name}.key\"

[[oauth.account]]
appid = \"{appid}\"
path = \"{name}\"

[[jssdk.account]]
appid = \"{appid}\"
path = \"{name}\"
hosts = \"{http}\"
"
            )
        });
        let text = format!(
            "[wechat]
api_base = \"http://{upstream}\"

[business]
database = \"business.db\"
daemon = \"http://{daemon}\"

[serve]
listen = \"{http}\"
admin = \"{admin}\"

[messages]
daemon = \"http://{daemon}\"
token_file = \"daemon.token\"
rules = \"rules.toml\"

[messages.log]
file = \"messages.log\"
content = \"full\"

[oauth]
daemon = \"http://{daemon}\"
token_file = \"daemon.token\"
base_url = \"http://{http}\"
authorize_base = \"http://{upstream}\"
database = \"oauth.db\"
seal_keys_file = \"oauth.keys\"

[jssdk]
daemon = \"http://{daemon}\"
token_file = \"daemon.token\"
pages = \"pages\"
"
        );
        write(&self.config(), &(text + &accounts.concat()))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Whoever cannot remove it now can do no more about it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// For its owner alone: most of them are secrets.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
