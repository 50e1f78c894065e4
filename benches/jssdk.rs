//! One signature of a page from the local copy, and what it is made of.

use std::hint::black_box;

use criterion::Criterion;
use tokio::runtime::Runtime;
use zhongkong::jsapi;
use zhongkong::secret::Secret;
use zhongkong::services::jssdk::site::judge;

use support::jssdk::{PAGE, Service};

mod support;

fn signatures(criterion: &mut Criterion) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let _inside = runtime.enter();
    let service = runtime.block_on(Service::start())?;
    let (hosts, appid) = (&service.account.hosts, &service.account.appid);
    let page = judge(hosts, PAGE)?;
    // What is measured is what is meant.
    let signature = service.signer.page_by_copy(appid, page)?;
    anyhow::ensure!(signature.is_some_and(|signed| signed.signature.len() == 40), "the copy has no ticket");

    criterion.bench_function("a page judged and signed by the copy", |bench| {
        bench.iter(|| {
            let page = judge(hosts, black_box(PAGE)).expect("its host is listed");
            service.signer.page_by_copy(appid, page)
        });
    });
    criterion.bench_function("  judged", |bench| bench.iter(|| judge(hosts, black_box(PAGE)).is_ok()));
    criterion.bench_function("  signed", |bench| {
        bench.iter(|| service.signer.page_by_copy(appid, black_box(page)));
    });
    let ticket = Secret::from(
        "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg",
    );
    criterion.bench_function("    hashed", |bench| {
        bench.iter(|| {
            jsapi::sign(&ticket, "0123456789abcdef0123456789abcdef", 1_414_587_457, black_box(PAGE))
        });
    });
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    signatures(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
