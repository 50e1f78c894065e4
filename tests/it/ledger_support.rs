//! Rows, clocks and files for the tests of the ledger.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::Connection as _;
use zhongkong::clock::{BootTime, Clock, Stamp, WallTime};
use zhongkong::ledger::sqlite::{Opened, Settings, SqliteLedger};
use zhongkong::ledger::{Call, Event, Ledger, StoredValue, seal};
use zhongkong::model::{CallMode, Cause, Fingerprint, Generation, Key, Kind};
use zhongkong::secret::Secret;

/// 2023-11-14T22:13:20Z.
pub(crate) const WALL: WallTime = WallTime(1_700_000_000_000);
pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// A clock that runs with the real one from [`WALL`]; `suspend` lets hours pass.
pub(crate) fn clock() -> Clock {
    clock_of_boot("boot-a")
}

pub(crate) fn clock_of_boot(id: &str) -> Clock {
    Clock::manual(WALL, BootTime(500_000_000), id)
}

pub(crate) fn key(appid: &str) -> Key {
    Key::new(appid.parse().unwrap(), Kind::AccessToken)
}

/// A classic call, the kind that can kill a value.
pub(crate) fn call(key: &Key, attempt: u64, clock: &Clock) -> Call {
    Call {
        key: key.clone(),
        attempt: Generation(attempt),
        mode: CallMode::Classic,
        cause: Cause::Deadline,
        sent: clock.stamp(),
    }
}

/// The value that this call brings.
pub(crate) fn value(text: &str, call: &Call) -> StoredValue {
    let value = Secret::from(text);
    StoredValue {
        fingerprint: Fingerprint::of(&value),
        value,
        generation: call.attempt,
        mode: call.mode,
        issued: call.sent.clone(),
        confirmed: call.sent.clone(),
        life: Duration::from_hours(2),
        verify_at: None,
        age_known: false,
        dead: false,
    }
}

pub(crate) fn event(at: WallTime, key: Option<&Key>, detail: &str) -> Event {
    Event { at, key: key.cloned(), what: "tested".to_owned(), detail: detail.to_owned() }
}

/// A stamp that went through a row: nothing is lost.
pub(crate) fn later(stamp: &Stamp, span: Duration) -> Stamp {
    let ms = i64::try_from(span.as_millis()).unwrap();
    Stamp { wall: WallTime(stamp.wall.0 + ms), boot: stamp.boot + span, boot_id: stamp.boot_id.clone() }
}

/// A state directory of its own.
pub(crate) struct StateDir(tempfile::TempDir);

impl StateDir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.path().join("ledger.db")
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings { path: self.db(), seal: seal::Keys::none(), max_bytes: None }
    }

    pub(crate) async fn open(&self, clock: &Clock) -> Opened {
        SqliteLedger::open(self.settings(), clock.clone()).await.unwrap()
    }

    /// What a machine that dies now leaves: the files as they are, while the ledger is open.
    pub(crate) fn after_a_crash(&self) -> Self {
        let copy = Self::new();
        for name in ["ledger.db", "ledger.db-wal"] {
            std::fs::copy(self.path().join(name), copy.path().join(name)).unwrap();
        }
        copy
    }

    /// How many rows the table has, while the ledger is open or not.
    pub(crate) async fn rows(&self, table: &'static str) -> i64 {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.db()).read_only(true);
        let mut conn = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(count).fetch_one(&mut conn).await.unwrap()
    }

    /// Every byte of every file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path());
        files.flat_map(|file| std::fs::read(file).unwrap()).collect()
    }

    /// The names that begin like this, sorted.
    pub(crate) fn names(&self, prefix: &str) -> Vec<String> {
        let names = std::fs::read_dir(self.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort();
        names
    }
}

/// Whether the text stands somewhere in the bytes.
pub(crate) fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Stores a value under this number, with its intent.
pub(crate) async fn store(ledger: &dyn Ledger, key: &Key, attempt: u64, text: &str, clock: &Clock) {
    let call = call(key, attempt, clock);
    ledger.begin(&call).await.unwrap();
    ledger.commit(&call, &value(text, &call)).await.unwrap();
}
