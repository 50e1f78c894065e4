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

use crate::callback::load;
use crate::support::jssdk::{PAGE, Service};
use crate::table::{row, spread, title};
use crate::watchers::{pin, say, spawn_on_first_core};

const ROUNDS: usize = 7;
const REQUESTS: usize = 100_000;

pub(crate) fn run() -> anyhow::Result<()> {
    title("Configurations of pages over HTTP, server and load on a core each");
    let (mut bare, bare_addr) = spawn_on_first_core("jssdk-server", "bare")?;
    let (mut ours, our_addr) = spawn_on_first_core("jssdk-server", "ours")?;
    pin("1")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let encoded: String = url::form_urlencoded::byte_serialize(PAGE.as_bytes()).collect();
    let request = format!(
        "GET /jssdk/shop/config?url={encoded} HTTP/1.1\r\nHost: wx.example.com\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\
         Origin: https://h5.example.com\r\n\r\n"
    );
    let mut ratios = Vec::new();
    let mut rates: [Vec<f64>; 2] = Default::default();
    let mut spans: [Vec<Duration>; 2] = Default::default();
    for round in 0..ROUNDS {
        let mut both = [0.0; 2];
        // Each goes first in every other round.
        for index in [round % 2, (round + 1) % 2] {
            let requests = vec![request.clone().into_bytes(); REQUESTS];
            let (took, mut each) = runtime.block_on(load([&bare_addr, &our_addr][index], requests))?;
            #[expect(clippy::cast_precision_loss, reason = "a hundred thousand")]
            let rate = each.len() as f64 / took.as_secs_f64();
            both[index] = rate;
            rates[index].push(rate);
            spans[index].append(&mut each);
        }
        ratios.push(both[1] / both[0]);
    }
    for (index, name) in ["axum with a fixed answer", "zhongkong"].into_iter().enumerate() {
        rates[index].sort_unstable_by(f64::total_cmp);
        let rate = rates[index][ROUNDS / 2];
        row(name, format!("{rate:.0} /s  {}", spread(&mut spans[index])), "");
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let [low, middle, high] = [0, ROUNDS / 2, ROUNDS - 1].map(|place| ratios[place]);
    row("  zhongkong / bare", format!("{middle:.2} ({low:.2} to {high:.2})"), "0.60");
    for child in [&mut bare, &mut ours] {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
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
