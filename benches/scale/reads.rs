//! GetToken beside a bare tonic service of the same message, and beside `get` of the same bytes from
//! memcached and Redis.
//!
//! Servers are on the first core, the load is on the second. All are measured in turn in each round,
//! each round beginning with another, because what a machine can do changes from minute to minute.

use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::caller::{Round, calls};
use crate::grpc::{self, AUTHENTICATED, BARE, EVERYTHING, UNAUDITED};
use crate::peers::{Store, memcached, redis};
use crate::pinned::{self, Pinned};
use crate::report::{Bound, Findings, Measurement, OURS, Plot, Unit, effort};
use crate::table::at_share;

const ROUNDS: usize = 5;
/// More, because a difference of a percent is looked for.
const AUDIT_ROUNDS: usize = 9;
const TONIC: &str = "bare tonic";
const ALONE: &str = "authentication alone";
/// How many of the sides, which come first, answer GetToken.
const GRPC: usize = 3;
const TCP: usize = 0;
const UNIX: usize = 1;

/// Where to: over what, connections, calls in flight on each.
#[derive(Clone, Copy)]
struct Load(usize, usize, usize);

const LOADS: [Load; 7] = [
    Load(TCP, 1, 1),
    Load(TCP, 8, 1),
    Load(TCP, 64, 1),
    Load(TCP, 8, 16),
    Load(UNIX, 1, 1),
    Load(UNIX, 8, 1),
    Load(UNIX, 64, 1),
];

impl Load {
    fn name(self) -> String {
        let Self(over, connections, in_flight) = self;
        let over = if over == TCP { "TCP" } else { "a Unix socket" };
        let plural = if connections == 1 { "" } else { "s" };
        let streams = if in_flight == 1 { String::new() } else { format!(" of {in_flight} calls each") };
        format!("{over}, {connections} connection{plural}{streams}")
    }
}

/// One of those that are compared, with its rounds under the load of the moment.
struct Side {
    name: &'static str,
    server: Server,
    rates: Vec<f64>,
    p99s: Vec<f64>,
    costs: Vec<f64>,
}

enum Server {
    Grpc(Pinned, [String; 2]),
    Store(Store),
    Missing(String),
}

impl Side {
    fn new(name: &'static str, server: Server) -> Self {
        Self { name, server, rates: Vec::new(), p99s: Vec::new(), costs: Vec::new() }
    }

    fn grpc(name: &'static str, which: &str, dir: &TempDir) -> anyhow::Result<Self> {
        let (server, addrs) = grpc::start(which, dir.path())?;
        Ok(Self::new(name, Server::Grpc(server, addrs)))
    }

    fn store(name: &'static str, store: anyhow::Result<Store>) -> Self {
        let server = store.map_or_else(|error| Server::Missing(format!("{error:#}")), Server::Store);
        Self::new(name, server)
    }

    /// A round. What a store of others does wrong is told in its place, and stops nobody.
    fn measure(&mut self, runtime: &Runtime, load: Load) -> anyhow::Result<()> {
        match self.round(runtime, load) {
            Err(error) if matches!(self.server, Server::Store(_)) => {
                self.server = Server::Missing(format!("it was measured and failed: {error:#}"));
                Ok(())
            }
            done => done,
        }
    }

    fn round(&mut self, runtime: &Runtime, Load(over, connections, in_flight): Load) -> anyhow::Result<()> {
        let each = (connections, in_flight);
        let round = effort::seconds(1.0);
        let cpu = |server: &Server| match server {
            Server::Grpc(server, _) => server.cpu(),
            Server::Store(store) => store.servers[over].cpu(),
            Server::Missing(_) => Ok(Duration::ZERO),
        };
        let before = cpu(&self.server)?;
        let done: Round = match &self.server {
            Server::Grpc(_, addrs) => runtime.block_on(calls(&addrs[over], grpc::calls, each, round))?,
            Server::Store(store) => {
                runtime.block_on(calls(&store.addrs[over], || store.calls(), each, round))?
            }
            Server::Missing(_) => return Ok(()),
        };
        anyhow::ensure!(!done.took.is_empty(), "{}: no call was answered in a round", self.name);
        #[expect(clippy::cast_precision_loss, reason = "some hundred thousand calls")]
        let calls = done.calls as f64;
        self.costs.push(cpu(&self.server)?.saturating_sub(before).as_secs_f64() / calls);
        self.rates.push(done.rate);
        self.p99s.push(at_share(&done.took, 0.99).as_secs_f64());
        Ok(())
    }

    /// The rounds of one kind, out of it and into a measurement.
    fn tell(&mut self, into: Measurement, which: impl Fn(&mut Self) -> &mut Vec<f64>) -> Measurement {
        match &self.server {
            Server::Missing(why) => into.missing(self.name, why.clone()),
            _ => into.beside(self.name, std::mem::take(which(self))),
        }
    }
}

pub(crate) fn run() -> anyhow::Result<Findings> {
    let dir = tempfile::tempdir()?;
    let mut sides = [
        Side::grpc(OURS, EVERYTHING, &dir)?,
        Side::grpc(ALONE, AUTHENTICATED, &dir)?,
        Side::grpc(TONIC, BARE, &dir)?,
        Side::store("memcached", memcached(dir.path())),
        Side::store("Redis", redis(dir.path())),
    ];
    let runtime = pinned::load()?;
    let mut found = Findings::new("GetToken of a value of 512 bytes");
    let (mut rates, mut p99s, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    for load in LOADS {
        // What a store does with requests in a row is nothing that a program asks of it.
        let compared = if load.2 == 1 { sides.len() } else { GRPC };
        let sides = &mut sides[..compared];
        for round in 0..effort::rounds(ROUNDS) {
            for turn in 0..sides.len() {
                let index = (round + turn) % sides.len();
                sides[index].measure(&runtime, load)?;
            }
        }
        let name = load.name();
        let mut rate = Measurement::new(&format!("rate over {name}"), Unit::PerSecond);
        let mut p99 = Measurement::new(&format!("p99 over {name}"), Unit::Seconds);
        let mut cost = Measurement::new(&format!("CPU of the server a call, {name}"), Unit::Seconds);
        for side in sides {
            rate = side.tell(rate, |side| &mut side.rates);
            p99 = side.tell(p99, |side| &mut side.p99s);
            cost = side.tell(cost, |side| &mut side.costs);
        }
        rates.push(rate.ratio(TONIC, Bound::AtLeast(0.92)).ratio_of(ALONE, TONIC, Bound::AtLeast(0.95)));
        let is_goal = matches!(load, Load(_, 8, 1));
        p99s.push(if is_goal { p99.ratio(TONIC, Bound::AtMost(1.2)) } else { p99 });
        costs.push(cost);
    }
    let what = |all: &[Measurement]| -> Vec<String> { all.iter().map(|one| one.what.clone()).collect() };
    found.plot(Plot::bars("reads", "GetToken, calls a second", what(&rates).iter().map(String::as_str)));
    found.plot(Plot::bars("reads-p99", "GetToken, p99", what(&p99s).iter().map(String::as_str)));
    for one in rates.into_iter().chain(p99s).chain(costs) {
        found.add(one);
    }
    Ok(found)
}

/// What the audit costs a GetToken: the same server with it and without, in turn.
pub(crate) fn audit() -> anyhow::Result<Findings> {
    const WITHOUT: &str = "without the audit";
    let dir = tempfile::tempdir()?;
    let mut sides = [Side::grpc(OURS, EVERYTHING, &dir)?, Side::grpc(WITHOUT, UNAUDITED, &dir)?];
    let runtime = pinned::load()?;
    let mut found = Findings::new("GetToken with the audit and without");
    for load in [Load(TCP, 1, 1), Load(TCP, 8, 16)] {
        for round in 0..effort::rounds(AUDIT_ROUNDS) {
            for turn in 0..sides.len() {
                let index = (round + turn) % sides.len();
                sides[index].measure(&runtime, load)?;
            }
        }
        let mut rate = Measurement::new(&format!("rate over {}", load.name()), Unit::PerSecond);
        for side in &mut sides {
            rate = side.tell(rate, |side| &mut side.rates);
        }
        found.add(rate.ratio(WITHOUT, Bound::AtLeast(0.95)));
    }
    Ok(found)
}
