//! One message on one core, from its bytes to its answer's bytes; the bare crypto beside it.
//!
//! Every message is another one, so that none is taken for a repetition; making it is not timed.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use criterion::{BatchSize, Criterion};
use futures_util::FutureExt as _;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use zhongkong::clock::Clock;
use zhongkong::services::messages::envelope::{Envelope, Query};
use zhongkong::services::messages::fields::Fields;
use zhongkong::services::messages::handler::{Incoming, Trace};
use zhongkong::services::messages::message::Message;
use zhongkong::services::messages::reply::{self, Answer};

use callback::{Bare, Push, Service};

#[path = "support/callback.rs"]
mod callback;

fn messages(criterion: &mut Criterion) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let _inside = runtime.enter();
    let clock = Clock::system();
    let (bare, service) = (Bare::new()?, Service::new(&clock)?);
    let envelope = Envelope::new(service.callback.envelope.clone())?;
    let numbers = AtomicU64::new(0);
    let push = || bare.push(numbers.fetch_add(1, Ordering::Relaxed), clock.wall().seconds());

    let whole = |push: &Push| -> anyhow::Result<String> {
        let opened = envelope.open(&Query::parse(&push.query), &push.body, clock.wall())?;
        let message = Message::read(Fields::parse(opened.format, &opened.plain)?)?;
        let trace = Trace("0123456789abcdef".into());
        let incoming = Arc::new(Incoming { account: service.account.clone(), message, trace });
        let answering = service.desk.answer(incoming.clone(), Instant::now());
        let answered = answering.now_or_never().context("rules answer at once")??;
        let Answer::Reply(reply) = &*answered.answer else { anyhow::bail!("no rule answered") };
        let text = reply::passive(&incoming.message, reply, clock.wall(), opened.format)?;
        Ok(opened.seal(&text, clock.wall()))
    };
    // What is measured is what is meant.
    let answer = whole(&push())?;
    anyhow::ensure!(answer.contains("<MsgSignature>"), "{answer}");
    let first = push();
    anyhow::ensure!(bare.answer(&first.query, &first.body).is_some(), "the bare crypto refuses its own push");

    criterion.bench_function("a message, all of it", |bench| {
        bench.iter_batched_ref(push, |push| whole(black_box(push)), BatchSize::SmallInput);
    });
    criterion.bench_function("bare crypto", |bench| {
        bench.iter_batched_ref(push, |push| bare.answer(&push.query, &push.body), BatchSize::SmallInput);
    });
    criterion.bench_function("  open", |bench| {
        bench.iter_batched_ref(
            push,
            |push| {
                envelope.open(&Query::parse(&push.query), &push.body, clock.wall()).map(|opened| opened.plain)
            },
            BatchSize::SmallInput,
        );
    });
    let opened = envelope.open(&Query::parse(&first.query), &first.body, clock.wall())?;
    criterion.bench_function("  parse and read", |bench| {
        bench.iter(|| Fields::parse(opened.format, black_box(&opened.plain)).map(Message::read));
    });
    criterion.bench_function("  seal", |bench| {
        bench.iter(|| opened.seal(black_box(&answer[..280.min(answer.len())]), clock.wall()));
    });
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    messages(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
