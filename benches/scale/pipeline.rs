//! One message on one core, from its bytes to its answer's bytes; and one signature of a page. Each
//! beside the bare cryptography that nobody can do without, in turn in each round.
//!
//! Every message is another one, so that none is taken for a repetition; making it is not timed.

use std::hint::black_box;
use std::time::Duration;

use sha1::{Digest as _, Sha1};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use zhongkong::clock::Clock;
use zhongkong::services::jssdk::site::judge;

use crate::report::{Bound, Findings, Measurement, Plot, Unit, effort};
use crate::support::callback::{Bare, Push, Service};
use crate::support::jssdk::{PAGE, Service as Signing};

const ROUNDS: usize = 7;
const MESSAGES: usize = 50_000;
const SIGNATURES: usize = 100_000;
const BARE: &str = "bare crypto";

pub(crate) fn messages() -> anyhow::Result<Findings> {
    let runtime = Runtime::new()?;
    let _inside = runtime.enter();
    let clock = Clock::system();
    let (bare, service) = (Bare::new()?, Service::new(&clock)?);
    let (mut ours, mut beside, mut number) = (Vec::new(), Vec::new(), 0);
    for round in 0..effort::rounds(ROUNDS) {
        let count = effort::count(MESSAGES);
        let mut pushes = || -> Vec<Push> {
            let now = clock.wall().seconds();
            let pushes = (number..).take(count).map(|number| bare.push(number, now)).collect();
            number += count as u64;
            pushes
        };
        // Each goes first in every other round.
        for turn in [round % 2, (round + 1) % 2] {
            if turn == 0 {
                ours.push(each(&pushes(), |push| {
                    service.answer(black_box(push)).is_ok_and(|answer| answer.contains("<MsgSignature>"))
                })?);
            } else {
                beside
                    .push(each(&pushes(), |push| bare.answer(black_box(&push.query), &push.body).is_some())?);
            }
        }
    }
    let what = "a message in safe mode, from its body to its answer's";
    let mut found = Findings::new("The pure pipeline, one core");
    found.add(Measurement::new(what, Unit::Seconds).ours(ours).beside(BARE, beside).goal(Bound::Below(8e-6)));
    found.plot(Plot::bars("pipeline", "A message without HTTP", [what]));
    Ok(found)
}

pub(crate) fn signatures() -> anyhow::Result<Findings> {
    let runtime = Runtime::new()?;
    let service = runtime.block_on(Signing::start())?;
    let _inside = runtime.enter();
    let (hosts, appid) = (&service.account.hosts, &service.account.appid);
    let (mut ours, mut beside) = (Vec::new(), Vec::new());
    for round in 0..effort::rounds(ROUNDS) {
        let pages = vec![PAGE; effort::count(SIGNATURES)];
        for turn in [round % 2, (round + 1) % 2] {
            if turn == 0 {
                let signed = |page: &&str| {
                    let page = judge(hosts, black_box(page)).ok();
                    let signed =
                        page.and_then(|page| service.signer.page_by_copy(appid, page).ok().flatten());
                    signed.is_some_and(|signed| signed.signature.len() == 40)
                };
                ours.push(1.0 / each(&pages, signed)?);
            } else {
                beside.push(1.0 / each(&pages, |page| bare(black_box(page)).len() == 40)?);
            }
        }
    }
    let mut found = Findings::new("Signatures of pages from the local copy, one core");
    found.add(
        Measurement::new("a page judged and signed", Unit::PerSecond)
            .ours(ours)
            .beside("format, SHA-1 and hex alone", beside),
    );
    Ok(found)
}

fn bare(page: &str) -> String {
    let text = format!(
        "jsapi_ticket=sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg\
         &noncestr=0123456789abcdef0123456789abcdef&timestamp=1414587457&url={page}"
    );
    hex::encode(Sha1::digest(text))
}

/// How long one takes of these, when all of them are good.
fn each<T>(all: &[T], good: impl Fn(&T) -> bool) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let count = all.iter().filter(|one| good(one)).count();
    let took: Duration = begun.elapsed();
    anyhow::ensure!(count == all.len(), "{} of {} were not answered", all.len() - count, all.len());
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    Ok(took.as_secs_f64() / all.len() as f64)
}
