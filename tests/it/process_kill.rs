//! kill -9 of the real process at every step of an attempt, over the real file and sockets (S8).
//!
//! The fail-points are armed through the environment of the one start that shall die. What the
//! next start serves is asked over gRPC and judged by the simulated WeChat.

use std::time::Duration;

use zhongkong::client::{Client, Event, Force, Token};
use zhongkong::model::{ErrCode, Generation};
use zhongkong::pb;
use zhongkong::simulator::{self, Account, Accounts, Endpoint, Fault, Script};

use crate::support::frozen::Guard;
use crate::support::process::{Process, SECRET, Site, key};
use crate::support::simulated::Simulated;

/// The variable that arms the fail-points.
const ARMED: &str = "ZHONGKONG_FAILPOINTS";

/// Where the process dies, and what that leaves of a call that kills the older token.
struct Step {
    name: &'static str,
    /// Whether WeChat has issued a token by then.
    issued: u64,
    /// What the ledger has.
    left: Left,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Nothing of the attempt: it has not begun.
    Nothing,
    /// The open intent.
    Intent,
    /// The new value.
    Value,
}

const STEPS: [Step; 7] = [
    Step { name: "attempt.gated", issued: 0, left: Left::Nothing },
    Step { name: "ledger.begin", issued: 0, left: Left::Nothing },
    Step { name: "attempt.intent_stored", issued: 0, left: Left::Intent },
    Step { name: "attempt.answered", issued: 1, left: Left::Intent },
    Step { name: "ledger.commit", issued: 1, left: Left::Intent },
    Step { name: "attempt.committed", issued: 1, left: Left::Value },
    Step { name: "attempt.published", issued: 1, left: Left::Value },
];

/// A WeChat that knows "wx1", and a site with that account.
async fn site(mode: &str) -> (Simulated, Site) {
    let accounts = Accounts::Listed(vec![Account::new("wx1", SECRET)]);
    let wechat = Simulated::start(simulator::Settings { accounts, ..simulator::Settings::default() }).await;
    let mut site = Site::new(&wechat.base);
    site.account("wx1", &format!("token_mode = \"{mode}\""));
    (wechat, site)
}

impl Step {
    /// A start that dies at this step.
    async fn start(&self, site: &mut Site) -> Process {
        site.env(ARMED, &format!("{}=kill", self.name));
        let process = site.start().await;
        site.without_env(ARMED);
        process
    }
}

/// The process has died of the fail-point, not of anything else.
async fn died(mut process: Process, step: &Step) {
    use std::os::unix::process::ExitStatusExt as _;
    let status = process.ended().await;
    assert_eq!(status.signal(), Some(9), "{}: {}", step.name, process.stderr());
}

async fn token(client: &Client) -> Token {
    client.get(&key("wx1"), Duration::from_secs(20)).await.unwrap()
}

fn shown(token: &Token) -> &str {
    token.value.as_ref().unwrap().expose()
}

/// Waits until a value of a later attempt is served.
async fn newer_than(client: &Client, generation: Generation) -> Token {
    let mut watch = client.watch(&[key("wx1")], &[]).await.unwrap();
    loop {
        match watch.next().await.unwrap().expect("the daemon runs") {
            Event::Token(token) if token.generation > generation => return token,
            _ => {}
        }
    }
}

#[tokio::test]
async fn kill_at_any_step_of_a_classic_refresh_loses_at_most_one_answer() {
    // An operator's refresh, because the value is good and nothing else is due: what happens
    // after the restart is the start's own doing.
    let _guard = Guard::start();
    for step in STEPS {
        let name = step.name;
        let (wechat, mut site) = site("classic").await;
        let first = site.start_ready().await;
        let old = token(&site.connect().await).await;
        first.stop().await;
        let doomed = step.start(&mut site).await;
        assert_eq!(wechat.control.count_all(Endpoint::Token), 1, "a start with a good value calls nobody");
        site.connect().await.force(&key("wx1"), Force::Once).await.unwrap_err();
        died(doomed, &step).await;
        assert_eq!(wechat.control.count_all(Endpoint::Token), 1 + step.issued, "{name}");
        // The start's own question is held, so that the state before its answer is seen.
        wechat.control.script(Script::once(Endpoint::ApiDomainIp, Fault::HoldAnswer));
        let process = site.start().await;
        let client = site.connect().await;
        let served = token(&client).await;
        assert!(wechat.control.alive(shown(&served)), "{name}: a dead value is served");
        match step.left {
            Left::Nothing => {
                assert_eq!(served.generation, old.generation, "{name}");
                assert!(served.remaining > Duration::from_secs(3_600), "{name}");
            }
            Left::Intent => {
                wechat.control.wait_held(1).await;
                assert_eq!(served.generation, old.generation, "{name}");
                assert!(served.remaining <= Duration::from_secs(300), "{name}: {:?}", served.remaining);
                assert_eq!(served.degraded_reason, pb::DegradedReason::UnknownOutcome, "{name}");
                wechat.control.release();
                let new = newer_than(&client, old.generation).await;
                assert!(wechat.control.alive(shown(&new)), "{name}");
            }
            Left::Value => {
                assert!(served.generation > old.generation, "{name}");
                assert!(served.remaining > Duration::from_secs(3_600), "{name}");
            }
        }
        let said = process.stop().await;
        for secret in wechat.control.issued_values() {
            assert!(!said.contains(&secret), "{name}: a secret is in the log");
        }
        let (fetches, questions) = match step.left {
            Left::Nothing | Left::Value => (1 + step.issued, 0),
            Left::Intent => (2 + step.issued, 1),
        };
        assert_eq!(wechat.control.count_all(Endpoint::Token), fetches, "{name}");
        assert_eq!(wechat.control.count_all(Endpoint::ApiDomainIp), questions, "{name}");
    }
}

#[tokio::test]
async fn kill_at_any_step_of_the_very_first_fetch_is_recovered_from() {
    // An empty ledger, and death in the first attempt: the next start fetches, and knows the
    // number of the lost one.
    let _guard = Guard::start();
    for step in STEPS {
        let name = step.name;
        let (wechat, mut site) = site("classic").await;
        site.env(ARMED, &format!("{name}=kill"));
        let doomed = site.spawn();
        site.without_env(ARMED);
        died(doomed, &step).await;
        assert_eq!(wechat.control.count_all(Endpoint::Token), step.issued, "{name}");
        let process = site.start_ready().await;
        let served = token(&site.connect().await).await;
        assert!(wechat.control.alive(shown(&served)), "{name}");
        let needed = if step.left == Left::Value { step.issued } else { step.issued + 1 };
        assert_eq!(wechat.control.count_all(Endpoint::Token), needed, "{name}");
        process.stop().await;
    }
}

#[tokio::test]
async fn kill_at_any_step_of_a_stable_repair_never_raises_the_dead_value() {
    // WeChat said that the value is dead, and the daemon dies in its repair. The next start
    // must not serve it, wherever the repair was.
    let _guard = Guard::start();
    for step in STEPS.iter().filter(|step| step.name != "ledger.begin") {
        let name = step.name;
        let (wechat, mut site) = site("stable").await;
        let first = site.start_ready().await;
        let dead = token(&site.connect().await).await;
        first.stop().await;
        let doomed = step.start(&mut site).await;
        wechat.control.kill("wx1", simulator::Kind::Stable);
        let complaint = site.connect().await;
        complaint.complain(&key("wx1"), Some(dead.fingerprint), ErrCode(40_001)).await.unwrap_err();
        died(doomed, step).await;
        let process = site.start_ready().await;
        let served = token(&site.connect().await).await;
        assert_ne!(served.fingerprint, dead.fingerprint, "{name}");
        assert!(wechat.control.alive(shown(&served)), "{name}");
        assert!(wechat.control.count_all(Endpoint::StableToken) <= 3, "{name}");
        process.stop().await;
    }
}

#[tokio::test]
async fn daemon_that_is_killed_again_and_again_does_not_spend_the_day() {
    // A crash loop: killed in the middle of the first fetch at every start. The budget is
    // durable, so each start knows the calls of those before it: half of the day's ten may be
    // made at once, and from then on they are paced over the day.
    let _guard = Guard::start();
    let (wechat, mut site) = site("classic").await;
    site.account("wx1", "token_mode = \"classic\"\ndaily_calls = 10");
    site.env(ARMED, "attempt.answered=kill");
    for _ in 0..6 {
        let mut doomed = site.spawn();
        doomed.ended().await;
    }
    assert_eq!(wechat.control.count_all(Endpoint::Token), 6);
    site.without_env(ARMED);
    for _ in 0..2 {
        let paced = site.start().await;
        let refused = site.connect().await.get(&key("wx1"), Duration::from_secs(1)).await.unwrap_err();
        assert!(refused.retry_after().is_some(), "{refused:?}");
        paced.kill().await;
    }
    assert_eq!(wechat.control.count_all(Endpoint::Token), 6);
}
