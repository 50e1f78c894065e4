//! One message on one core, from its bytes to its answer's bytes; the bare crypto beside it.
//!
//! Every message is another one, so that none is taken for a repetition; making it is not timed.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{BatchSize, Criterion};
use tokio::runtime::Runtime;
use zhongkong::clock::Clock;
use zhongkong::services::messages::envelope::Query;
use zhongkong::services::messages::fields::Fields;
use zhongkong::services::messages::message::Message;

use callback::{Bare, Service};

#[path = "support/callback.rs"]
mod callback;

fn messages(criterion: &mut Criterion) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let _inside = runtime.enter();
    let clock = Clock::system();
    let (bare, service) = (Bare::new()?, Service::new(&clock)?);
    let numbers = AtomicU64::new(0);
    let push = || bare.push(numbers.fetch_add(1, Ordering::Relaxed), clock.wall().seconds());

    // What is measured is what is meant.
    let answer = service.answer(&push())?;
    anyhow::ensure!(answer.contains("<MsgSignature>"), "{answer}");
    let first = push();
    anyhow::ensure!(bare.answer(&first.query, &first.body).is_some(), "the bare crypto refuses its own push");

    criterion.bench_function("a message, all of it", |bench| {
        bench.iter_batched_ref(push, |push| service.answer(black_box(push)), BatchSize::SmallInput);
    });
    criterion.bench_function("bare crypto", |bench| {
        bench.iter_batched_ref(push, |push| bare.answer(&push.query, &push.body), BatchSize::SmallInput);
    });
    criterion.bench_function("  open", |bench| {
        bench.iter_batched_ref(
            push,
            |push| {
                let query = Query::parse(&push.query);
                service.envelope.open(&query, &push.body, clock.wall()).map(|opened| opened.plain)
            },
            BatchSize::SmallInput,
        );
    });
    let opened = service.envelope.open(&Query::parse(&first.query), &first.body, clock.wall())?;
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
