//! A state directory as a running system leaves it: values of all ages, a day of calls, and the
//! configuration of their accounts.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use tokio::time::Instant;
use zhongkong::clock::Clock;
use zhongkong::ledger::{Ledger as _, seal, sqlite};
use zhongkong::model::{CallMode, Key, Kind};
use zhongkong::refresh::gate::IN_FLIGHT;

use crate::daemon::{Configured, cpu_of};
use crate::support::{LIFE, appid, fraction, issued};

/// Bytes of each value.
pub(crate) const VALUE: usize = 136;
/// Calls of the last day: a token is renewed every 6,600 s at the latest; a ticket that WeChat
/// repeats to its end is asked for about seven times in each of its lives.
const CALLS: [(&str, u32); 2] = [("access_token", 14), ("jsapi_ticket", 84)];

/// How filling went.
pub(crate) struct Filled {
    /// The commits of all values.
    pub(crate) took: Duration,
    /// CPU time of them, of the whole process.
    pub(crate) cpu: Duration,
    pub(crate) bytes: f64,
}

/// A ledger as a running system's: nothing due soon, and a day of calls. The values come through
/// the ledger itself, as many at once as the gate lets in: a renewal of all of them.
pub(crate) async fn fill(path: &Path, accounts: usize) -> anyhow::Result<Filled> {
    if let Some(state_dir) = path.parent() {
        std::fs::create_dir(state_dir)?;
    }
    let clock = Clock::system();
    let settings = sqlite::Settings { path: path.to_owned(), seal: seal::Keys::none(), max_bytes: None };
    let ledger = sqlite::SqliteLedger::open(settings, clock.clone()).await?.ledger;
    let keys = (0..accounts).flat_map(|number| {
        [(number, Kind::AccessToken, CallMode::Classic), (number, Kind::JsapiTicket, CallMode::Ticket)]
    });
    let commits = keys.map(|(number, kind, mode)| {
        // The first renewals are due at two thirds of a life.
        let age = LIFE.mul_f64(fraction(number) * 0.55);
        let (call, value) = issued(&clock, &Key::new(appid(number), kind), mode, age);
        let ledger = &ledger;
        async move { ledger.commit(&call, &value).await }
    });
    let (begun, before) = (Instant::now(), cpu_of(std::process::id())?);
    let mut commits = stream::iter(commits).buffer_unordered(IN_FLIGHT);
    while let Some(done) = commits.next().await {
        done?;
    }
    let (took, cpu) = (begun.elapsed(), cpu_of(std::process::id())?.saturating_sub(before));
    drop(commits);
    ledger.close().await?;
    add_calls(path).await?;
    #[expect(clippy::cast_precision_loss, reason = "some gigabytes")]
    let bytes = std::fs::metadata(path)?.len() as f64;
    Ok(Filled { took, cpu, bytes })
}

/// The calls before those of the commits, at equal distances through the day.
async fn add_calls(path: &Path) -> anyhow::Result<()> {
    // Without a journal: a torn file is thrown away, and a million rows need no second copy.
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off);
    let mut conn = SqliteConnection::connect_with(&options).await?;
    for (kind, calls) in CALLS {
        // In the order of the table, so that each page is written once.
        sqlx::query(
            "WITH RECURSIVE earlier(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM earlier WHERE n + 1 < ?2)
             INSERT INTO calls SELECT appid, kind, attempt - n * ?3, mode, cause, sent_wall - n * ?3 * 1000,
                 sent_boot - n * ?3 * 1000, sent_boot_id, ended, errcode
                 FROM calls CROSS JOIN earlier WHERE kind = ?1",
        )
        .bind(kind)
        .bind(calls)
        .bind(82_000 / calls)
        .execute(&mut conn)
        .await?;
    }
    conn.close().await?;
    Ok(())
}

/// Writes the configuration of these accounts, but for what each start chooses.
pub(crate) fn configure(dir: &Path, accounts: usize) -> anyhow::Result<Configured> {
    use std::os::unix::fs::PermissionsExt as _;
    let secret = dir.join("secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef")?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
    let mut text = String::new();
    for number in 0..accounts {
        writeln!(
            text,
            "[[account]]\nappid = \"{}\"\nname = \"shop {number}\"\nsecret_file = \"{}\"\n\
             token_mode = \"classic\"\ntickets = [\"jsapi_ticket\"]",
            appid(number),
            secret.display()
        )?;
    }
    Ok(Configured::new(dir, text))
}
