//! Each memcached server: a round trip of a key of our own, and what the server says of itself.
//!
//! Speaks the meta commands that the mirror writes with, so a server that is too old for the
//! mirror fails here too. The key has a prefix of its own, a random name and a life of seconds:
//! nothing of the mirror is touched. Its words are shown only where they are numbers.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::mirror::{Layout, Settings};

use super::finding::{Finding, Group};

/// Limit for all of one server, however long it is configured to be waited for.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest line that is read.
const LINE: usize = 4_096;
/// Most lines of one `stats`.
const LINES: usize = 500;

/// Why a server is no use.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("it cannot be reached ({})", .0.kind())]
    Unreachable(io::Error),
    #[error("the connection broke ({})", .0.kind())]
    Broken(io::Error),
    #[error("it did not answer within {} s", .0.as_secs_f32())]
    Slow(Duration),
    #[error("it does not speak the meta commands, or wants a login")]
    NotUnderstood,
    #[error("it did not give back what was stored")]
    NotKept,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Facts {
    version: String,
    evictions: u64,
    /// Bytes that it may store.
    limit: u64,
    /// Where it listens; empty or `NULL`: everywhere.
    inter: Option<String>,
    login: bool,
    trip: Duration,
}

/// Asks all servers at once; the order is that of the configuration.
pub(super) async fn findings(settings: &Settings, clock: &Clock) -> Vec<Finding> {
    let servers = settings.servers.iter();
    let found = join_all(servers.map(|server| async move {
        let asked = match timeout(LIMIT, ask(server, clock)).await {
            Ok(asked) => asked,
            Err(_) => Err(Trouble::Slow(LIMIT)),
        };
        judge(server, asked, settings.timeout)
    }));
    let mut found: Vec<_> = found.await.into_iter().flatten().collect();
    if !settings.servers.is_empty() {
        let layouts = settings.layouts.iter().map(layout).collect::<Vec<_>>().join(", ");
        found.push(Finding::ok(Group::Memcached, "layouts", layouts).advice(
            "give programs that read memcached through an SDK a wrong AppSecret: else one that misses a key fetches a \
             token of its own",
        ));
    }
    found
}

/// What a business service has memcached for.
#[derive(Clone, Copy)]
pub(super) struct Purpose {
    pub(super) group: Group,
    /// What comes of a key that is thrown out.
    pub(super) evicted: &'static str,
    /// What comes of a server that is down.
    pub(super) down: &'static str,
    /// What names the servers: `[messages] memcached`.
    pub(super) key: &'static str,
}

/// Asks the servers that a business service has.
pub(super) async fn shared(servers: &[String], purpose: &Purpose, clock: &Clock) -> Vec<Finding> {
    let found = join_all(servers.iter().map(async |server| {
        let asked = match timeout(LIMIT, ask(server, clock)).await {
            Ok(asked) => asked,
            Err(_) => Err(Trouble::Slow(LIMIT)),
        };
        judge_shared(asked, purpose).about(server)
    }));
    found.await
}

fn judge_shared(asked: Result<Facts, Trouble>, purpose: &Purpose) -> Finding {
    const NAME: &str = "memcached";
    let Purpose { group, evicted, down, key } = *purpose;
    match asked {
        Ok(Facts { evictions: 0, version, trip, .. }) => {
            let detail =
                format!("set, read and deleted a key ({} ms each); memcached {version}", trip.as_millis());
            Finding::ok(group, NAME, detail)
        }
        Ok(Facts { evictions, .. }) => Finding::warn(
            group,
            NAME,
            format!("{evictions} keys were thrown out for want of memory: {evicted}"),
            "give it more memory (-m)",
        ),
        Err(trouble) => Finding::fail(
            group,
            NAME,
            format!("{trouble}: {down}"),
            format!("start it (systemctl start memcached), or correct {key}; 1.6 or later, without a login"),
        ),
    }
}

async fn ask(server: &str, clock: &Clock) -> Result<Facts, Trouble> {
    let stream = TcpStream::connect(server).await.map_err(Trouble::Unreachable)?;
    let mut talk = BufReader::new(stream);
    let (name, value) = (rand::random::<u64>(), rand::random::<u64>());
    let (key, value) = (format!("zhongkong-doctor:{name:016x}"), format!("{value:016x}"));
    let start = clock.boot();
    let stored = say(&mut talk, &format!("ms {key} {} T30\r\n{value}\r\n", value.len())).await?;
    if !stored.starts_with("HD") {
        return Err(Trouble::NotUnderstood);
    }
    let head = say(&mut talk, &format!("mg {key} v\r\n")).await?;
    if !head.starts_with("VA ") || line(&mut talk).await? != value {
        return Err(Trouble::NotKept);
    }
    if !say(&mut talk, &format!("md {key}\r\n")).await?.starts_with("HD") {
        return Err(Trouble::NotKept);
    }
    let trip = clock.boot().since(start) / 3;
    let version = say(&mut talk, "version\r\n").await?;
    let version = version.strip_prefix("VERSION ").unwrap_or("?").to_owned();
    let mut stats = stats(&mut talk, "stats\r\n").await?;
    stats.extend(self::stats(&mut talk, "stats settings\r\n").await?);
    let number = |name: &str| stats.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
    let on = |name: &str| stats.get(name).is_some_and(|text| text == "yes");
    Ok(Facts {
        version,
        evictions: number("evictions"),
        limit: number("limit_maxbytes"),
        inter: stats.get("inter").cloned(),
        login: on("auth_enabled_sasl") || stats.get("auth_enabled_ascii").is_some_and(|text| text != "no"),
        trip,
    })
}

async fn say(talk: &mut BufReader<TcpStream>, command: &str) -> Result<String, Trouble> {
    talk.get_mut().write_all(command.as_bytes()).await?;
    line(talk).await
}

async fn line(talk: &mut BufReader<TcpStream>) -> Result<String, Trouble> {
    let mut bytes = Vec::new();
    loop {
        let read = talk.fill_buf().await?;
        if read.is_empty() {
            return Err(Trouble::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let end = read.iter().position(|byte| *byte == b'\n');
        let part = end.map_or(read.len(), |end| end + 1);
        bytes.extend_from_slice(read.get(..part).unwrap_or_default());
        talk.consume(part);
        if bytes.len() > LINE {
            return Err(Trouble::NotUnderstood);
        }
        if end.is_some() {
            return Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned());
        }
    }
}

async fn stats(talk: &mut BufReader<TcpStream>, command: &str) -> Result<HashMap<String, String>, Trouble> {
    let mut row = say(talk, command).await?;
    let mut stats = HashMap::new();
    for _ in 0..LINES {
        let mut words = row.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("STAT"), Some(name), text) => stats.insert(name.to_owned(), text.unwrap_or("").to_owned()),
            // END, or a server that keeps its statistics to itself.
            _ => return Ok(stats),
        };
        row = line(talk).await?;
    }
    Err(Trouble::NotUnderstood)
}

fn judge(server: &str, asked: Result<Facts, Trouble>, configured: Duration) -> Vec<Finding> {
    let Facts { version, evictions, limit, inter, login, trip } = match asked {
        Ok(facts) => facts,
        Err(trouble) => {
            let fix = match &trouble {
                Trouble::Unreachable(_) => {
                    "start it (systemctl start memcached), or correct memcached.servers"
                }
                Trouble::Broken(_) | Trouble::Slow(_) => {
                    "look at that machine: is memcached busy, is the network?"
                }
                Trouble::NotUnderstood => "memcached 1.6 or later is needed there, without a login",
                Trouble::NotKept => "look at its memory (-m) and at what else stands between",
            };
            return vec![Finding::fail(Group::Memcached, "server", trouble.to_string(), fix).about(server)];
        }
    };
    let (ms, mib) = (trip.as_millis(), limit >> 20);
    let about = format!("set, read and deleted a key ({ms} ms each); memcached {version}, {mib} MiB");
    let mut found = vec![if trip > configured / 2 {
        let fix = "look at that machine and the network, or raise memcached.timeout";
        Finding::warn(Group::Memcached, "server", format!("slow: {about}"), fix)
    } else {
        Finding::ok(Group::Memcached, "server", about)
    }];
    if evictions > 0 {
        found.push(Finding::warn(
            Group::Memcached,
            "evictions",
            format!("{evictions} keys were thrown out for want of memory: readers may miss a token"),
            "give it more memory (-m), or the tokens a server of their own",
        ));
    }
    if !login && inter.as_deref().is_some_and(everywhere) {
        found.push(Finding::warn(
            Group::Memcached,
            "exposure",
            "it listens on every address and asks nobody who they are: whoever reaches it reads every token",
            "start it with -l and one address, or close the port to all but the readers",
        ));
    }
    found.into_iter().map(|finding| finding.about(server)).collect()
}

fn layout(layout: &Layout) -> &str {
    match layout {
        Layout::Zhongkong => "zhongkong",
        Layout::Raw => "raw",
        Layout::Wechatpy => "wechatpy",
        Layout::Silenceper => "silenceper",
        Layout::Seed { key } => key,
    }
}

fn everywhere(inter: &str) -> bool {
    inter.split(',').any(|one| matches!(one.trim(), "" | "NULL" | "0.0.0.0" | "::" | "*" | "[::]"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn server_is_judged_by_its_answer_its_losses_and_its_openness() {
        let well = Facts {
            version: "1.6.18".to_owned(),
            evictions: 0,
            limit: 64 << 20,
            inter: Some("127.0.0.1".to_owned()),
            login: false,
            trip: Duration::from_millis(1),
        };
        let open = Facts { inter: Some("NULL".to_owned()), ..well.clone() };
        let cases = [
            (well.clone(), vec![("server", Level::Ok)]),
            (Facts { trip: Duration::from_millis(600), ..well.clone() }, vec![("server", Level::Warn)]),
            (Facts { evictions: 3, ..well.clone() }, vec![("server", Level::Ok), ("evictions", Level::Warn)]),
            (open.clone(), vec![("server", Level::Ok), ("exposure", Level::Warn)]),
            (
                Facts { inter: Some("10.0.0.1,0.0.0.0".to_owned()), ..open.clone() },
                vec![("server", Level::Ok), ("exposure", Level::Warn)],
            ),
            (Facts { login: true, ..open }, vec![("server", Level::Ok)]),
            // A server that keeps its settings to itself is not accused.
            (Facts { inter: None, ..well }, vec![("server", Level::Ok)]),
        ];
        for (facts, expected) in cases {
            let found = judge("m:1", Ok(facts), Duration::from_secs(1));
            assert_eq!(found.iter().map(|it| (it.name, it.level)).collect::<Vec<_>>(), expected);
        }
        let away = judge("m:1", Err(Trouble::Slow(LIMIT)), Duration::from_secs(1));
        assert_eq!((away.len(), away[0].level), (1, Level::Fail));
    }
}
