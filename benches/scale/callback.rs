//! Pushes in safe mode over HTTP, beside a bare axum handler that does only the crypto, and beside
//! the services of others on the same bodies.
//!
//! Servers are processes of their own on the first core, the load is on the second; all are measured
//! in turn. Every push is another message; they are made before a round, so that making them costs
//! no round anything. The others run two workers on both cores, as they are deployed, and so does the
//! load; ours does the same in that comparison.
//!
//! What a push costs a server's process in CPU time is told, too: on a machine that does other
//! things as well, a rate is what those leave.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use zhongkong::clock::Clock;
use zhongkong::http::{self, Limits};

use crate::peers::{self, Peer};
use crate::pinned::{self, Cores, Pinned, say};
use crate::posts::load;
use crate::report::{Bound, Findings, Measurement, OURS, Plot, Unit, effort};
use crate::support::callback::{Bare, Push, Service};
use crate::table::at_share;

const ROUNDS: usize = 7;
/// Some seconds of ours in a round, and about as long of a peer that is ten times slower.
const PUSHES: usize = 60_000;
const PEER_PUSHES: usize = 6_000;
const BARE: &str = "axum with bare crypto";
const FLASK: &str = "wechatpy, Flask, gunicorn";
const FASTAPI: &str = "wechatpy, FastAPI, uvicorn";
const EXPRESS: &str = "npm wechat, express";
const KOA: &str = "npm co-wechat, koa";

/// One of those that are compared.
struct Side {
    name: &'static str,
    /// Or why it is missing.
    server: Result<Peer, String>,
    whose: Whose,
    rates: Vec<f64>,
    p99s: Vec<f64>,
    costs: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Whose {
    /// Of this bench: there is nothing to tell without it.
    Ours,
    /// Of others, who may be missing or fail.
    Others,
}

impl Side {
    fn new(name: &'static str, server: anyhow::Result<Peer>, whose: Whose) -> Self {
        let server = server.map_err(|error| format!("{error:#}"));
        Self { name, server, whose, rates: Vec::new(), p99s: Vec::new(), costs: Vec::new() }
    }

    fn ours(name: &'static str, which: &str, cores: Cores) -> anyhow::Result<Self> {
        let (process, addr) = Pinned::server_on(cores, "callback-server", &[which])?;
        Ok(Self::new(name, Ok(Peer { process, addr }), Whose::Ours))
    }

    fn measure(&mut self, runtime: &Runtime, crypto: &Bare, number: &mut u64) -> anyhow::Result<()> {
        match self.round(runtime, crypto, number) {
            Err(error) if self.whose == Whose::Others => {
                self.server = Err(format!("it was measured and failed: {error:#}"));
                Ok(())
            }
            done => done,
        }
    }

    fn round(&mut self, runtime: &Runtime, crypto: &Bare, number: &mut u64) -> anyhow::Result<()> {
        let Ok(server) = &self.server else { return Ok(()) };
        let pushes = match self.whose {
            Whose::Ours => PUSHES,
            Whose::Others => PEER_PUSHES,
        };
        let (now, count) = (Clock::system().wall().seconds(), effort::count(pushes));
        let requests: Vec<Vec<u8>> =
            (*number..).take(count).map(|number| request(&crypto.push(number, now))).collect();
        *number += count as u64;
        let before = server.process.cpu()?;
        let (took, mut each) = runtime.block_on(load(&server.addr, requests))?;
        #[expect(clippy::cast_precision_loss, reason = "some ten thousand")]
        let pushes = each.len() as f64;
        self.costs.push(server.process.cpu()?.saturating_sub(before).as_secs_f64() / pushes);
        self.rates.push(pushes / took.as_secs_f64());
        each.sort_unstable();
        self.p99s.push(at_share(&each, 0.99).as_secs_f64());
        Ok(())
    }

    fn tell(&mut self, into: Measurement, which: impl Fn(&mut Self) -> &mut Vec<f64>) -> Measurement {
        match &self.server {
            Err(why) => into.missing(self.name, why.clone()),
            Ok(_) => into.beside(self.name, std::mem::take(which(self))),
        }
    }
}

/// Beside the bare crypto, server and load on a core each.
pub(crate) fn run() -> anyhow::Result<Findings> {
    let cores = Cores::First;
    let mut sides = [Side::ours(OURS, "ours", cores)?, Side::ours(BARE, "bare", cores)?];
    let runtime = pinned::load()?;
    let mut found = Findings::new("Pushes in safe mode over HTTP, 64 connections, a core each");
    let [rate, p99, cost] = compare(&mut sides, &runtime, "", ROUNDS)?;
    let rate = rate.ratio(BARE, Bound::AtLeast(0.8));
    found.plot(Plot::bars("callback", "Pushes a second", [rate.what.as_str()]));
    for one in [rate, p99, cost] {
        found.add(one);
    }
    Ok(found)
}

/// Beside the services of others: all on both cores, and the load too.
pub(crate) fn beside_others() -> anyhow::Result<Findings> {
    let mut sides = [
        Side::ours(OURS, "ours", Cores::All)?,
        Side::new(FLASK, peers::flask(), Whose::Others),
        Side::new(FASTAPI, peers::fastapi(), Whose::Others),
        Side::new(EXPRESS, peers::node("express"), Whose::Others),
        Side::new(KOA, peers::node("koa"), Whose::Others),
    ];
    let runtime = Runtime::new()?;
    let mut found =
        Findings::new("Pushes in safe mode over HTTP, 64 connections, on all cores with the load");
    let [rate, p99, cost] = compare(&mut sides, &runtime, " on all cores", 5)?;
    let rate = [(FLASK, 12.0), (FASTAPI, 12.0), (EXPRESS, 7.0), (KOA, 7.0)]
        .into_iter()
        .fold(rate, |rate, (peer, times)| rate.ratio(peer, Bound::AtLeast(times)));
    found.plot(Plot::bars("callback-peers", "Pushes a second", [rate.what.as_str()]));
    for one in [rate, p99, cost] {
        found.add(one);
    }
    Ok(found)
}

/// Rate, p99 and CPU time of all of them.
fn compare(
    sides: &mut [Side],
    runtime: &Runtime,
    how: &str,
    rounds: usize,
) -> anyhow::Result<[Measurement; 3]> {
    let (crypto, mut number) = (Bare::new()?, 0);
    for round in 0..effort::rounds(rounds) {
        for turn in 0..sides.len() {
            let index = (round + turn) % sides.len();
            sides[index].measure(runtime, &crypto, &mut number)?;
        }
    }
    let mut rate = Measurement::new(&format!("rate{how}"), Unit::PerSecond);
    let mut p99 = Measurement::new(&format!("p99{how}"), Unit::Seconds);
    let mut cost = Measurement::new(&format!("CPU of the server a push{how}"), Unit::Seconds);
    for side in sides {
        rate = side.tell(rate, |side| &mut side.rates);
        p99 = side.tell(p99, |side| &mut side.p99s);
        cost = side.tell(cost, |side| &mut side.costs);
    }
    Ok([rate, p99, cost])
}

fn request(push: &Push) -> Vec<u8> {
    let head = format!(
        "POST /wechat/shop?{} HTTP/1.1\r\nHost: wx.example.com\r\nUser-Agent: Mozilla/4.0\r\nAccept: */*\r\n\
         Content-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
        push.query,
        push.body.len()
    );
    [head.as_bytes(), &push.body].concat()
}

/// A server as a process of its own; prints its address and serves until it is killed.
pub(crate) fn serve(which: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(&listener.local_addr()?.to_string());
        if which == "bare" {
            let crypto = Arc::new(Bare::new()?);
            let answer = move |RawQuery(query): RawQuery, body: Bytes| {
                let answer = crypto.answer(&query.unwrap_or_default(), &body);
                std::future::ready(match answer {
                    Some(answer) => {
                        ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], answer).into_response()
                    }
                    None => StatusCode::FORBIDDEN.into_response(),
                })
            };
            let router = Router::new().route("/wechat/shop", post(answer));
            axum::serve(listener, router).await?;
            return Ok(());
        }
        let clock = Clock::system();
        let service = Service::new(&clock)?;
        let limits = Limits {
            listener: "bench",
            connections: 1_024,
            head: Duration::from_secs(60),
            body: Duration::from_secs(5),
            buffer: 64 * 1_024,
            taking: Duration::from_secs(30),
            drain: Duration::from_secs(1),
        };
        http::serve(listener, service.door(&clock)?.router(), limits, CancellationToken::new()).await;
        Ok(())
    })
}
