//! An account's codes: a rig, its commands, and what a reader that is not ours sees.

use serde_json::Value;
use sqlx::Connection as _;
use zhongkong::simulator::{Endpoint, Fault, Script};

use crate::cli_support::{Done, Rig, private};
use crate::support::postgres::Postgres;

/// An account with a daemon, a WeChat, and a business database.
pub(crate) struct Codes {
    pub(crate) rig: Rig,
    pub(crate) config: String,
}

impl Codes {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With everything kept in this PostgreSQL.
    pub(crate) async fn in_postgres(server: &Postgres) -> Self {
        let codes = Self::start().await;
        private(&codes.rig.path("database-url"), &server.database("business"));
        let config = std::fs::read_to_string(&codes.config).unwrap();
        let config = config.replace("database = \"business.db\"", "database_url_file = \"database-url\"");
        std::fs::write(&codes.config, config).unwrap();
        codes
    }

    /// With further keys in `[business]`.
    pub(crate) async fn start_with(keys: &str) -> Self {
        let rig = Rig::start().await;
        rig.run(&["get", "wx1", "--wait", "30s"]).await.ok();
        let config = rig.config();
        let text = std::fs::read_to_string(&config).unwrap();
        let own = "database = \"business.db\"";
        std::fs::write(&config, text.replace(own, &format!("{own}\n{keys}"))).unwrap();
        Self { rig, config }
    }

    pub(crate) fn words<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        [&["qrcode"], words, &["--account", "shop", "--config", &self.config]].concat()
    }

    pub(crate) async fn run(&self, words: &[&str]) -> Done {
        self.rig.run(&self.words(words)).await
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.rig.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn asked(&self) -> u64 {
        self.rig.wechat.control.count(Endpoint::QrcodeCreate, "wx1")
    }

    pub(crate) fn made(&self) -> u64 {
        self.rig.wechat.control.issued(Endpoint::QrcodeCreate, "wx1")
    }

    pub(crate) fn script(&self, fault: Fault) {
        self.rig.wechat.control.script(Script::once(Endpoint::QrcodeCreate, fault));
    }

    /// Something done to the database behind the commands' back.
    pub(crate) async fn sql(&self, text: &str) {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite:{}", self.rig.path("business.db").display());
        let mut conn = sqlx::AnyConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(text.to_owned())).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
    }

    pub(crate) async fn list(&self) -> Value {
        self.run(&["list", "--json"]).await.ok().json()
    }
}

/// A table of so many permanent codes.
pub(crate) fn table(count: usize) -> String {
    (1..=count)
        .fold("scene,note\n".to_owned(), |text, nth| text + format!("{nth},\"table {nth}\"\n").as_str())
}

/// What another program reads in a PNG, and how wide it is.
pub(crate) fn read(bytes: &[u8]) -> (String, usize) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let width = usize::try_from(reader.next_frame(&mut pixels).unwrap().width).unwrap();
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(width, width, |x, y| pixels[(y * width + x) * 3]);
    (image.detect_grids()[0].decode().unwrap().1, width)
}
