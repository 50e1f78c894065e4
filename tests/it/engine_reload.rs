//! Reloads: accounts come, change and go while attempts are under way.

use std::sync::Arc;
use std::time::Duration;

use zhongkong::hub::{AccountSettings, Change};
use zhongkong::model::{CallMode, Cause, ErrCode, Kind, TokenMode};
use zhongkong::refresh::handle::{Force, NoValue, Outcome};
use zhongkong::refresh::view::{Next, ProblemClass};
use zhongkong::secret::Secret;
use zhongkong::simulator::{self, Account, Accounts, Endpoint, Fault, Script};

use crate::support::ailing::{AilingLedger, Ailment};
use crate::support::engine::{Engine, Setup, TICK, account, manual_clock, text};
use crate::support::frozen::Frozen;

const SECOND: Duration = Duration::from_secs(1);

fn classic(appid: &str) -> AccountSettings {
    account(appid, TokenMode::Classic)
}

fn with_secret(settings: AccountSettings, secret: &str) -> AccountSettings {
    AccountSettings { secret: Secret::from(secret), ..settings }
}

fn with_tickets(settings: AccountSettings, tickets: &[Kind]) -> AccountSettings {
    AccountSettings { tickets: tickets.to_vec(), ..settings }
}

/// A WeChat that knows wx1 and its secret "s", and nobody else.
async fn strict() -> Engine {
    let accounts = Accounts::Listed(vec![Account::new("wx1", "s")]);
    let simulator = simulator::Settings { accounts, ..simulator::Settings::default() };
    let engine = Engine::start(Setup { simulator, ..Setup::new(vec![classic("wx1")]) }).await;
    engine.ready().await;
    engine
}

/// Removes wx1; its task has ended when this returns.
async fn remove(engine: &Engine) {
    let gone = engine.token();
    engine.hub.reload(Vec::new()).await.unwrap();
    engine.wait("wx1 is removed", |_| gone.view().next == Next::Removed).await;
}

#[tokio::test]
async fn account_added_by_a_reload_is_served_and_the_others_are_left_alone() {
    let engine = Engine::classic().await;
    let value = engine.value();
    let mut feed = engine.hub.subscribe();
    let done = engine.hub.reload(vec![classic("wx1"), classic("wx2")]).await.unwrap();
    assert_eq!((done.added, done.changed, done.removed), (1, 0, 0));
    let Change::Key(key) = feed.next().await else { panic!("nothing was told") };
    assert_eq!(key.appid.as_str(), "wx2");
    engine.ready().await;
    assert_eq!(engine.value(), value);
    assert_eq!((engine.tally().classic, engine.tally().probes), (2, 0));
}

#[tokio::test]
async fn removed_account_is_withdrawn_and_not_called_for_any_more() {
    // Readers who hold its handle are told, watchers too, and WeChat hears nothing more.
    let engine = Engine::classic().await;
    let handle = engine.token();
    let mut feed = engine.hub.subscribe();
    let done = engine.hub.reload(Vec::new()).await.unwrap();
    assert_eq!(done.removed, 1);
    assert_eq!(feed.next().await, Change::Key(handle.key().clone()));
    assert!(engine.hub.handle("wx1", Kind::AccessToken).is_none());
    assert_eq!(handle.read().unwrap_err(), NoValue::Removed);
    assert_eq!(handle.complain(None, ErrCode(40001)).await.unwrap_err(), NoValue::Removed);
    assert_eq!(handle.force(Force::Once).await.unwrap_err(), NoValue::Removed);
    let calls = engine.tally();
    engine.walk(Duration::from_secs(86_400), Duration::from_secs(600), |_| {}).await;
    assert_eq!(engine.tally(), calls);
}

#[tokio::test]
async fn attempt_of_a_removed_account_is_finished_and_committed() {
    // The answer is on its way when the account goes. WeChat has replaced the token already, so
    // the new one must not be lost: the account may come back.
    let engine = Engine::classic().await;
    let (handle, old) = (engine.token(), engine.value());
    engine.wechat.control.script(Script::once(Endpoint::Token, Fault::HoldAnswer));
    let forced = tokio::join!(handle.force(Force::Once), async {
        engine.wechat.control.wait_held(1).await;
        engine.hub.reload(Vec::new()).await.unwrap();
        engine.wechat.control.release();
    })
    .0;
    assert_eq!(forced.unwrap().outcome, Outcome::Refreshed);
    engine.wait("its task ends", |_| handle.view().next == Next::Removed).await;
    let record = engine.ledger.load_key(handle.key()).await.unwrap();
    let stored = record.value.unwrap().value;
    assert_ne!(stored.expose(), old);
    assert!(engine.alive(stored.expose()));
}

#[tokio::test]
async fn account_that_comes_back_is_asked_about_before_it_is_served() {
    // Nobody watched over the value: WeChat is asked, and nothing is handed out before the
    // answer. Alive, it is kept without an issuing call.
    let engine = Engine::classic().await;
    let old = engine.value();
    remove(&engine).await;
    engine.wechat.control.script(Script::once(Endpoint::ApiDomainIp, Fault::HoldAnswer));
    engine.hub.reload(vec![classic("wx1")]).await.unwrap();
    engine.wechat.control.wait_held(1).await;
    assert!(engine.token().read().is_err(), "served unproven");
    engine.wechat.control.release();
    engine.ready().await;
    assert_eq!(engine.value(), old);
    assert_eq!((engine.tally().classic, engine.tally().probes), (1, 1));
}

#[tokio::test]
async fn account_that_comes_back_with_a_dead_value_gets_a_new_one() {
    let engine = Engine::classic().await;
    let old = engine.value();
    remove(&engine).await;
    engine.wechat.control.kill("wx1", simulator::Kind::Classic);
    engine.hub.reload(vec![classic("wx1")]).await.unwrap();
    engine.ready().await;
    assert_ne!(engine.value(), old);
    assert!(engine.alive(&engine.value()));
    assert_eq!((engine.tally().classic, engine.tally().probes), (2, 1));
}

#[tokio::test]
async fn account_that_comes_back_is_not_fetched_while_nobody_answers_the_probe() {
    // No verdict is no reason to kill a value that may be good; with the first answer it is served.
    let engine = Engine::classic().await;
    let old = engine.value();
    remove(&engine).await;
    engine.wechat.control.script(Script::forever(Endpoint::ApiDomainIp, Fault::TornConnection));
    engine.hub.reload(vec![classic("wx1")]).await.unwrap();
    engine.walk(60 * SECOND, SECOND, |engine| assert!(engine.token().read().is_err())).await;
    assert_eq!(engine.tally().classic, 1);
    engine.wechat.control.clear_faults();
    engine.walk(61 * SECOND, SECOND, |_| {}).await;
    assert_eq!(engine.value(), old);
    assert_eq!(engine.tally().classic, 1);
}

#[tokio::test]
async fn account_back_before_its_old_attempt_ended_waits_for_that_end() {
    // S1: two tasks of one key would be two writers. The reload that brings the account back
    // waits until the old task has committed, and the new one knows what it brought.
    let engine = Engine::classic().await;
    let (handle, old) = (engine.token(), engine.value());
    engine.wechat.control.script(Script::once(Endpoint::Token, Fault::HoldAnswer));
    let release = async {
        engine.wechat.control.wait_held(1).await;
        engine.hub.reload(Vec::new()).await.unwrap();
        let mut back = std::pin::pin!(engine.hub.reload(vec![classic("wx1")]));
        for _ in 0..50 {
            assert!(futures_util::poll!(back.as_mut()).is_pending(), "two tasks of one key");
            tokio::task::yield_now().await;
        }
        engine.wechat.control.release();
        back.await.unwrap();
    };
    let (forced, ()) = tokio::join!(handle.force(Force::Once), release);
    let brought = forced.unwrap().good.value.secret.expose().to_owned();
    engine.ready().await;
    assert_ne!(brought, old);
    assert_eq!(engine.value(), brought);
    assert_eq!((engine.tally().classic, engine.tally().probes), (2, 1));
}

#[tokio::test]
async fn attempt_under_way_finishes_under_its_own_secret_and_counts() {
    // The secret is changed while a call with the old one is held. It issued, so it commits.
    let engine = strict().await;
    let (handle, old) = (engine.token(), engine.value());
    engine.wechat.control.script(Script::once(Endpoint::Token, Fault::HoldAnswer));
    let change = async {
        engine.wechat.control.wait_held(1).await;
        engine.wechat.control.set_secret("wx1", "new");
        engine.hub.reload(vec![with_secret(classic("wx1"), "new")]).await.unwrap();
        engine.wechat.control.release();
    };
    let (forced, ()) = tokio::join!(handle.force(Force::Once), change);
    let brought = forced.unwrap().good.value.secret.expose().to_owned();
    engine.settle().await;
    assert_ne!(brought, old);
    assert_eq!(engine.value(), brought, "{}", engine.report());
    assert!(engine.alive(&brought));
    // The new secret's own question: is the value alive? It is.
    assert_eq!(engine.tally().probes, 1);
    assert_eq!(engine.tally().classic, 2);
    // And the next renewal uses the new one.
    engine.step_to_next().await;
    assert_eq!(engine.view().failures, 0, "{}", engine.report());
}

#[tokio::test]
async fn failure_under_older_settings_sets_no_state_and_wakes_the_key() {
    // The old secret is refused after the reload brought the new one: that is no news.
    let engine = strict().await;
    let handle = engine.token();
    engine.wechat.control.script(Script::once(Endpoint::Token, Fault::HoldRequest));
    let change = async {
        engine.wechat.control.wait_held(1).await;
        engine.wechat.control.set_secret("wx1", "new");
        engine.hub.reload(vec![with_secret(classic("wx1"), "new")]).await.unwrap();
        engine.wechat.control.release();
    };
    let (forced, ()) = tokio::join!(handle.force(Force::Once), change);
    let failed = forced.unwrap_err();
    assert!(
        matches!(failed, NoValue::Unavailable { problem: None, .. }),
        "blames the new secret: {failed:?}"
    );
    engine.settle().await;
    let view = engine.view();
    assert_eq!((view.failures, view.problem.clone()), (0, None), "{}", engine.report());
    assert_eq!(engine.tally().probes, 1, "the key woke and asked about its value");
    engine.readers_are_well();
}

#[tokio::test]
async fn new_secret_with_a_dead_value_fetches_it_anew() {
    // Resetting the AppSecret in the console may kill the token.
    let engine = strict().await;
    let old = engine.value();
    engine.wechat.control.set_secret("wx1", "new");
    engine.wechat.control.kill("wx1", simulator::Kind::Classic);
    engine.hub.reload(vec![with_secret(classic("wx1"), "new")]).await.unwrap();
    engine.settle().await;
    assert_ne!(engine.value(), old);
    engine.readers_are_well();
    assert_eq!((engine.tally().classic, engine.tally().probes), (2, 1));
}

#[tokio::test]
async fn new_secret_and_an_unanswered_probe_make_no_issuing_call() {
    // The value is served on and asked about again; only a verdict may lead to a fetch.
    let engine = strict().await;
    let old = engine.value();
    engine.wechat.control.set_secret("wx1", "new");
    engine.wechat.control.script(Script::forever(Endpoint::ApiDomainIp, Fault::errcode(-1)));
    engine.hub.reload(vec![with_secret(classic("wx1"), "new")]).await.unwrap();
    engine.walk(300 * SECOND, 5 * SECOND, |engine| assert_eq!(engine.value(), old)).await;
    assert_eq!(engine.tally().classic, 1);
    assert!((5..40).contains(&engine.tally().probes), "{:?}", engine.tally());
    engine.wechat.control.clear_faults();
    engine.walk(60 * SECOND, 5 * SECOND, |_| {}).await;
    let probes = engine.tally().probes;
    engine.walk(300 * SECOND, 5 * SECOND, |_| {}).await;
    assert_eq!((engine.tally().probes, engine.tally().classic), (probes, 1));
}

#[tokio::test]
async fn old_modes_value_is_served_until_the_new_modes_first_one() {
    // Classic to stable and back. The endpoints are isolated, so nothing dies of the change.
    let engine = Engine::classic().await;
    let old = engine.value();
    engine.wechat.control.script(Script::forever(Endpoint::StableToken, Fault::errcode(-1)));
    engine.hub.reload(vec![account("wx1", TokenMode::Stable)]).await.unwrap();
    engine.settle().await;
    assert_eq!(engine.view().last.clone().unwrap().cause, Cause::Command);
    engine.walk(30 * SECOND, SECOND, |engine| assert_eq!(engine.value(), old)).await;
    engine.wechat.control.clear_faults();
    engine.walk(61 * SECOND, SECOND, |_| {}).await;
    let stable = engine.token().read().unwrap().value;
    assert_eq!(stable.mode, CallMode::Stable, "{}", engine.report());
    assert!(engine.alive(stable.secret.expose()) && engine.alive(&old));
    assert_eq!(engine.tally().classic, 1);
    engine.hub.reload(vec![classic("wx1")]).await.unwrap();
    engine.settle().await;
    let classic = engine.token().read().unwrap().value;
    assert_eq!(classic.mode, CallMode::Classic);
    assert!(classic.generation > stable.generation);
}

#[tokio::test]
async fn tickets_come_and_go_with_a_reload() {
    let engine = Engine::classic().await;
    engine.hub.reload(vec![with_tickets(classic("wx1"), &[Kind::JsapiTicket])]).await.unwrap();
    engine.ready().await;
    let ticket = engine.handle("wx1", Kind::JsapiTicket);
    assert!(engine.alive(&text(&ticket)));
    let both = [Kind::JsapiTicket, Kind::WxCardTicket];
    engine.hub.reload(vec![with_tickets(classic("wx1"), &both)]).await.unwrap();
    engine.ready().await;
    assert_eq!(engine.tally().tickets, 2);
    engine.hub.reload(vec![classic("wx1")]).await.unwrap();
    engine.wait("the ticket is withdrawn", |_| ticket.view().next == Next::Removed).await;
    assert_eq!(engine.hub.keys().len(), 1);
    engine.readers_are_well();
    assert_eq!(engine.tally().classic, 1);
}

#[tokio::test]
async fn key_that_needs_an_operator_wakes_at_the_reload_that_mends_it() {
    // The secret was wrong for an hour: the slow lane is minutes wide. The reload that brings
    // the right one does not wait for it.
    let engine = strict().await;
    remove(&engine).await;
    engine.wechat.control.kill("wx1", simulator::Kind::Classic);
    engine.hub.reload(vec![with_secret(classic("wx1"), "wrong")]).await.unwrap();
    engine.walk(3_600 * SECOND, 60 * SECOND, |_| {}).await;
    let problem = engine.view().problem.clone().unwrap();
    assert_eq!(problem.class, ProblemClass::Operator);
    let refused = engine.tally().classic - 1;
    assert!((4..20).contains(&refused), "{refused} calls in an hour");
    engine.hub.reload(vec![classic("wx1")]).await.unwrap();
    engine.settle().await;
    engine.readers_are_well();
    assert_eq!(engine.view().problem, None);
}

#[tokio::test]
async fn reload_that_changes_nothing_makes_no_call_but_tries_again_what_failed() {
    // HUP after the IP list was mended: no setting changed, yet the operator says "now".
    let engine = Engine::classic().await;
    engine.hub.reload(vec![classic("wx1")]).await.unwrap();
    engine.settle().await;
    assert_eq!((engine.tally().classic, engine.tally().probes), (1, 0));
    engine.wechat.control.script(Script::forever(Endpoint::Token, Fault::errcode(40_164)));
    let Next::At(due) = engine.view().next else { panic!("nothing is planned") };
    engine.pass(due.since(engine.now()) + TICK).await;
    assert_eq!(engine.view().problem.clone().unwrap().class, ProblemClass::Operator);
    engine.wechat.control.clear_faults();
    engine.hub.reload(vec![classic("wx1")]).await.unwrap();
    engine.pass(SECOND + TICK).await;
    assert_eq!(engine.view().failures, 0, "{}", engine.report());
    assert_eq!(engine.tally().classic, 3);
}

#[tokio::test]
async fn reload_whose_new_account_cannot_be_read_from_the_ledger_changes_nothing() {
    // The ledger's file is damaged, or its disk has gone, while the operator replaces one account
    // by another. The error says why, and until it is mended everything goes on as before.
    let frozen = Frozen::start();
    let clock = manual_clock();
    let ledger = AilingLedger::new(clock.clone());
    let setup = Setup::new(vec![classic("wx1")]).ledger(Arc::new(ledger.clone()));
    let engine = Engine::start_with(frozen, clock, setup).await;
    engine.ready().await;
    let value = engine.value();
    for (ailment, reason) in [(Ailment::Corrupt, "corrupt"), (Ailment::Hangs, "slow")] {
        ledger.set(ailment);
        let reload = async { engine.hub.reload(vec![classic("wx2")]).await.unwrap_err() };
        let (error, ()) = tokio::join!(reload, engine.pass(6 * SECOND));
        assert_eq!(error.reason(), reason);
        assert_eq!(engine.value(), value, "{ailment:?}");
        assert!(engine.hub.handle("wx2", Kind::AccessToken).is_none(), "{ailment:?}");
    }
    ledger.set(Ailment::None);
    engine.hub.reload(vec![classic("wx2")]).await.unwrap();
    engine.ready().await;
    assert!(engine.hub.handle("wx1", Kind::AccessToken).is_none());
}
