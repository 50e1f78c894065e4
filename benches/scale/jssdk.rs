//! Configurations over HTTP, beside a bare axum handler of the same answer without the work: no
//! account, no limit, no judgement, no signature.
//!
//! Servers are processes of their own on the first core, the load is on the second, and the two
//! are measured alternately.

use std::time::Duration;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use zhongkong::http::{self, Limits};

use crate::pinned::{self, Pinned, say};
use crate::posts::load;
use crate::report::{Bound, Findings, Measurement, OURS, Plot, Unit, effort};
use crate::support::jssdk::{PAGE, Service};
use crate::table::at_share;

const ROUNDS: usize = 7;
const REQUESTS: usize = 60_000;
const BARE: &str = "axum with a fixed answer";

pub(crate) fn run() -> anyhow::Result<Findings> {
    let servers = [Pinned::server("jssdk-server", &["ours"])?, Pinned::server("jssdk-server", &["bare"])?];
    let runtime = pinned::load()?;
    let encoded: String = url::form_urlencoded::byte_serialize(PAGE.as_bytes()).collect();
    let request = format!(
        "GET /jssdk/shop/config?url={encoded} HTTP/1.1\r\nHost: wx.example.com\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\
         Origin: https://h5.example.com\r\n\r\n"
    );
    let [mut rates, mut p99s, mut costs]: [[Vec<f64>; 2]; 3] = Default::default();
    for round in 0..effort::rounds(ROUNDS) {
        // Each goes first in every other round.
        for index in [round % 2, (round + 1) % 2] {
            let (server, addr) = &servers[index];
            let requests = vec![request.clone().into_bytes(); effort::count(REQUESTS)];
            let before = server.cpu()?;
            let (took, mut each) = runtime.block_on(load(addr, requests))?;
            #[expect(clippy::cast_precision_loss, reason = "some ten thousand")]
            let calls = each.len() as f64;
            costs[index].push((server.cpu()?.saturating_sub(before)).as_secs_f64() / calls);
            rates[index].push(calls / took.as_secs_f64());
            each.sort_unstable();
            p99s[index].push(at_share(&each, 0.99).as_secs_f64());
        }
    }
    let both = |what: &str, unit, [ours, bare]: [Vec<f64>; 2]| {
        Measurement::new(what, unit).beside(OURS, ours).beside(BARE, bare)
    };
    let mut found = Findings::new("Configurations of pages over HTTP, 64 connections, a core each");
    let rate = both("configurations", Unit::PerSecond, rates).ratio(BARE, Bound::AtLeast(0.6));
    found.plot(Plot::bars("jssdk", "Configurations of pages a second", [rate.what.as_str()]));
    found.add(rate);
    found.add(both("p99 of a configuration", Unit::Seconds, p99s));
    found.add(both("CPU of the server a configuration", Unit::Seconds, costs));
    Ok(found)
}

/// A server as a process of its own; prints its address and serves until it is killed.
pub(crate) fn serve(which: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        if which == "bare" {
            let answer = format!(
                "{{\"appId\":\"wx0000000000000000\",\"timestamp\":1740787200,\"nonceStr\":\"{}\",\"signature\":\"{}\",\
                 \"jsApiList\":[\"updateAppMessageShareData\",\"updateTimelineShareData\"],\"openTagList\":[],\"url\":\"{PAGE}\"}}",
                "0".repeat(32),
                "0".repeat(40)
            );
            let handler = move || {
                let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
                std::future::ready((headers, answer.clone()))
            };
            let router = Router::new().route("/jssdk/{account}/config", get(handler));
            say(&addr.to_string());
            axum::serve(listener, router).await?;
            return Ok(());
        }
        let service = Service::start().await?;
        let limits = Limits {
            listener: "bench",
            connections: 1_024,
            head: Duration::from_secs(60),
            body: Duration::from_secs(5),
            buffer: 64 * 1_024,
            taking: Duration::from_secs(30),
            drain: Duration::from_secs(1),
        };
        say(&addr.to_string());
        http::serve(listener, service.door()?.router(), limits, CancellationToken::new()).await;
        Ok(())
    })
}
