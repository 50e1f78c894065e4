//! The unary rpcs end to end: what is asked, what is answered, what each failure says.

use std::time::Duration;

use sha1::{Digest, Sha1};
use zhongkong::access::Action;
use zhongkong::client::{Code, Error, Flow, Force, Refusal, Target};
use zhongkong::clock::WallTime;
use zhongkong::model::{AppId, ErrCode, Fingerprint, Kind};
use zhongkong::pb::{self, token_control_client::TokenControlClient};
use zhongkong::simulator::{self, Endpoint, Fault, IpList, NewCode, Script};

use crate::grpc_support::{ALL, World, access, client, key, settings};

const NOW: Duration = Duration::ZERO;

fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> Refusal {
    match answer.unwrap_err() {
        Error::Refused(refusal) => *refusal,
        other => panic!("{other}"),
    }
}

async fn world() -> World {
    World::start(vec![client("all", &ALL), client("complainer", &[Action::Complain])]).await
}

#[tokio::test]
async fn token_is_wechats_with_its_life_and_its_fingerprint() {
    // A fresh value of a stable account: two hours, of which a minute may be cached.
    let world = world().await;
    let token = world.client("all").get(&access("wx1"), NOW).await.unwrap();
    let value = token.value.unwrap();
    assert_eq!(Some(value.expose()), world.sim.control.current("wx1", simulator::Kind::Stable).as_deref());
    assert_eq!(token.fingerprint, Fingerprint::of(&value));
    assert_eq!(token.remaining, Duration::from_hours(2));
    assert_eq!(token.cache_for, Duration::from_mins(1));
    assert_eq!(token.expires_at, WallTime(1_700_000_000_000 + 7_200_000));
    assert_eq!(token.state, pb::TokenState::Fresh);
}

#[tokio::test]
async fn cache_for_is_never_longer_than_the_value_lives() {
    // WeChat goes down, and the value has 20 s left.
    let world = world().await;
    world.sim.control.set_mode(simulator::ServerMode::Refuses).await;
    world.frozen.advance_secs(7_200 - 20).await;
    let token = world.client("all").get(&access("wx1"), NOW).await.unwrap();
    assert_eq!((token.remaining, token.cache_for), (Duration::from_secs(20), Duration::from_secs(20)));
}

#[tokio::test]
async fn kind_is_read_raw_and_unspecified_is_the_access_token_in_get_token_only() {
    // The bare stub, because the client library cannot send these numbers.
    let world = world().await;
    let mut stub = TokenControlClient::with_interceptor(world.channel(), |mut request: tonic::Request<()>| {
        request.metadata_mut().insert("authorization", "Bearer all".parse().unwrap());
        Ok(request)
    });
    let get = |kind| pb::GetTokenRequest { appid: "wx1".into(), kind, max_wait: None };
    let token = stub.get_token(get(0)).await.unwrap().into_inner().token.unwrap();
    assert_eq!(token.kind(), pb::Kind::AccessToken);
    let unknown: Error = stub.get_token(get(77)).await.unwrap_err().into();
    let complain = |kind| pb::ForceRefreshRequest { appid: "wx1".into(), kind, ..Default::default() };
    let unset: Error = stub.force_refresh(complain(0)).await.unwrap_err().into();
    let watch = pb::WatchTokensRequest {
        keys: vec![pb::Key { appid: "wx1".into(), kind: 77 }],
        ..Default::default()
    };
    let watched: Error = stub.watch_tokens(watch).await.unwrap_err().into();
    for (error, field) in [(unknown, "kind"), (unset, "kind"), (watched, "keys[0].kind")] {
        let Error::Refused(refusal) = error else { panic!() };
        assert_eq!(refusal.code, Code::InvalidArgument);
        assert_eq!(refusal.fields[0].0, field, "{refusal}");
    }
}

#[tokio::test]
async fn appid_that_is_none_is_refused_by_its_field() {
    let world = world().await;
    let mut stub = TokenControlClient::with_interceptor(world.channel(), |mut request: tonic::Request<()>| {
        request.metadata_mut().insert("authorization", "Bearer all".parse().unwrap());
        Ok(request)
    });
    for appid in ["", "wx 1", "wx1\n", &"x".repeat(129)] {
        let asked = pb::GetTokenRequest { appid: appid.into(), ..Default::default() };
        let Error::Refused(refusal) = stub.get_token(asked).await.unwrap_err().into() else { panic!() };
        assert_eq!(
            (refusal.code, refusal.fields[0].0.as_str()),
            (Code::InvalidArgument, "appid"),
            "{appid:?}"
        );
    }
}

#[tokio::test]
async fn complaint_about_a_dead_value_brings_a_new_one_and_an_old_fingerprint_brings_that() {
    // WeChat's side kills the token; a caller says so; another one, later, says the same.
    let world = world().await;
    let all = world.client("all");
    let old = all.get(&access("wx1"), NOW).await.unwrap();
    let alive = all.complain(&access("wx1"), Some(old.fingerprint), ErrCode(40_001)).await.unwrap();
    assert_eq!(alive.outcome, pb::Outcome::StillValid);
    world.sim.control.kill("wx1", simulator::Kind::Stable);
    let fresh = all.complain(&access("wx1"), Some(old.fingerprint), ErrCode(40_001)).await.unwrap();
    assert_eq!(fresh.outcome, pb::Outcome::Refreshed);
    assert!(fresh.token.generation > old.generation);
    assert_ne!(fresh.token.fingerprint, old.fingerprint);
    let late = all.complain(&access("wx1"), Some(old.fingerprint), ErrCode(0)).await.unwrap();
    assert_eq!(late.outcome, pb::Outcome::AlreadyReplaced);
    assert_eq!(late.token.fingerprint, fresh.token.fingerprint);
    assert!(late.token.value.is_some());
}

#[tokio::test]
async fn complainer_without_read_gets_the_outcome_and_no_value() {
    let world = world().await;
    let token = world.client("all").get(&access("wx1"), NOW).await.unwrap();
    let complainer = world.client("complainer");
    let answer = complainer.complain(&access("wx1"), Some(token.fingerprint), ErrCode(42_001)).await.unwrap();
    assert_eq!(answer.outcome, pb::Outcome::StillValid);
    assert_eq!(answer.token.fingerprint, token.fingerprint);
    assert_eq!(answer.token.value, None);
}

#[tokio::test]
async fn complaint_that_is_none_is_refused_with_its_meaning_and_no_call() {
    // 45009 is a quota, not a dead token; and a complaint must say about what.
    let world = world().await;
    let all = world.client("all");
    let token = all.get(&access("wx1"), NOW).await.unwrap();
    let calls = world.sim.control.calls().len();
    let quota = refusal(all.complain(&access("wx1"), Some(token.fingerprint), ErrCode(45_009)).await);
    assert_eq!(quota.code, Code::InvalidArgument);
    assert_eq!(quota.errcode, Some(ErrCode(45_009)));
    assert!(quota.action.is_some());
    assert_eq!(quota.fields[0].0, "errcode");
    let blind = refusal(all.complain(&access("wx1"), None, ErrCode(40_001)).await);
    assert_eq!((blind.code, blind.fields[0].0.as_str()), (Code::InvalidArgument, "seen_fingerprint"));
    assert_eq!(world.sim.control.calls().len(), calls);
}

#[tokio::test]
async fn leaked_without_force_is_refused() {
    let world = world().await;
    let mut stub = TokenControlClient::with_interceptor(world.channel(), |mut request: tonic::Request<()>| {
        request.metadata_mut().insert("authorization", "Bearer all".parse().unwrap());
        Ok(request)
    });
    let asked = pb::ForceRefreshRequest { appid: "wx1".into(), kind: 1, leaked: true, ..Default::default() };
    let Error::Refused(refusal) = stub.force_refresh(asked).await.unwrap_err().into() else { panic!() };
    assert_eq!((refusal.code, refusal.fields[0].0.as_str()), (Code::InvalidArgument, "leaked"));
}

#[tokio::test]
async fn forced_refresh_replaces_a_working_value() {
    // WeChat forces at most once in 30 s, so the clock passes that first.
    let world = world().await;
    let all = world.client("all");
    let old = all.get(&access("wx1"), NOW).await.unwrap();
    world.frozen.advance_secs(60).await;
    let forced = all.force(&access("wx1"), Force::Once).await.unwrap();
    assert_eq!(forced.outcome, pb::Outcome::Refreshed);
    assert_ne!(forced.token.fingerprint, old.fingerprint);
}

#[tokio::test]
async fn refusal_by_wechat_names_errcode_rid_and_what_to_do() {
    // From the start on WeChat refuses the daemon's address for wx1.
    let list = IpList::Only(vec!["203.0.113.7".parse().unwrap()]);
    let refuse = |wechat: &simulator::Control| wechat.set_ip_allowed("wx1", list);
    let world = World::after(refuse, settings(vec![client("all", &ALL)]), &[]).await;
    let all = world.client("all");
    let refused = loop {
        let refused = refusal(all.get(&access("wx1"), NOW).await);
        if refused.code == Code::FailedPrecondition {
            break refused;
        }
        // The first attempt is still on its way.
        assert_eq!(refused.code, Code::Unavailable);
    };
    assert_eq!(refused.reason.as_deref(), Some("WECHAT_40164"));
    assert_eq!(refused.errcode, Some(ErrCode(40_164)));
    assert!(
        refused.rid.is_some() && refused.action.is_some() && refused.retry_after.is_some(),
        "{refused:?}"
    );
}

#[tokio::test]
async fn key_without_a_value_is_unavailable_and_says_when_to_ask_again() {
    // WeChat answers with 500 for ever; the same call that waits gets the value when it mends.
    let fail = |wechat: &simulator::Control| {
        wechat.script(Script::forever(Endpoint::StableToken, Fault::HttpStatus(500)));
    };
    let world = World::after(fail, settings(vec![client("all", &ALL)]), &[]).await;
    let ticket = key("wx1", Kind::WxCardTicket);
    let missing = refusal(world.client("all").get(&ticket, NOW).await);
    assert_eq!(missing.code, Code::NotFound);
    let all = world.client("all");
    let absent = refusal(all.get(&access("wx1"), NOW).await);
    assert_eq!(absent.code, Code::Unavailable);
    assert!(absent.retry_after.is_some() && absent.reason.is_some(), "{absent:?}");
    world.sim.control.clear_faults();
    let wx1 = access("wx1");
    let (token, ()) = tokio::join!(all.get(&wx1, Duration::from_secs(30)), async {
        // The retry is due within its back-off.
        while world.hub.handle("wx1", Kind::AccessToken).unwrap().read().is_err() {
            world.frozen.advance_secs(1).await;
            tokio::task::yield_now().await;
        }
    });
    assert!(token.unwrap().value.is_some());
}

#[tokio::test]
async fn page_is_signed_with_the_ticket_that_stays_inside() {
    // The signature is checked against WeChat's own formula with the simulator's ticket.
    let world = world().await;
    let wx1: AppId = "wx1".parse().unwrap();
    let signed = world.client("all").sign_jsapi(&wx1, "https://a.example/p?x=1#top").await.unwrap();
    let ticket = world.sim.control.current("wx1", simulator::Kind::JsapiTicket).unwrap();
    let text = format!(
        "jsapi_ticket={ticket}&noncestr={}&timestamp={}&url=https://a.example/p?x=1",
        signed.nonce_str, signed.timestamp
    );
    let expected = hex::encode(Sha1::digest(text));
    assert_eq!(signed.signature, expected);
    assert_eq!((signed.appid.as_str(), signed.timestamp), ("wx1", 1_700_000_000));
    let again = world.client("all").sign_jsapi(&wx1, "https://a.example/p?x=1").await.unwrap();
    assert_ne!(again.nonce_str, signed.nonce_str);
    let bad = refusal(world.client("all").sign_jsapi(&wx1, "javascript:alert(1)").await);
    assert_eq!((bad.code, bad.fields[0].0.as_str()), (Code::InvalidArgument, "url"));
}

#[tokio::test]
async fn code_is_exchanged_once_by_its_flow() {
    let world = world().await;
    let wx1: AppId = "wx1".parse().unwrap();
    let all = world.client("all");
    let code = world.sim.control.mint_code(NewCode::web("wx1", "openid-1"));
    let login = all.exchange_code(&wx1, &code.as_str().into(), Flow::Web).await.unwrap();
    let pb::exchange_code_response::Result::Web(web) = login else { panic!() };
    assert_eq!(web.openid, "openid-1");
    assert!(!web.access_token.is_empty() && web.expires_in.is_some());
    let used = refusal(all.exchange_code(&wx1, &code.as_str().into(), Flow::Web).await);
    assert_eq!((used.code, used.fields[0].0.as_str()), (Code::InvalidArgument, "code"));
    assert!(used.reason.unwrap().starts_with("WECHAT_4"));

    let code = world.sim.control.mint_code(NewCode::mini_program("wx1", "openid-2"));
    let login = all.exchange_code(&wx1, &code.as_str().into(), Flow::MiniProgram).await.unwrap();
    let pb::exchange_code_response::Result::MiniProgram(mini) = login else { panic!() };
    assert_eq!(mini.openid, "openid-2");
    assert!(!mini.session_key.is_empty());
}

#[tokio::test]
async fn paused_key_is_served_and_its_complaints_are_refused_until_the_resume() {
    // The default pause is an hour; the state shows it; a complaint says PAUSED.
    let world = world().await;
    let all = world.client("all");
    let paused = all.pause(Target::Key(access("wx1")), None).await.unwrap();
    let hold = paused[0].hold.unwrap();
    assert_eq!(hold.reason(), pb::HoldReason::Paused);
    assert_eq!(hold.until.unwrap().seconds, 1_700_000_000 + 3_600);
    let token = all.get(&access("wx1"), NOW).await.unwrap();
    let refused = refusal(all.complain(&access("wx1"), Some(token.fingerprint), ErrCode(40_001)).await);
    assert_eq!((refused.code, refused.reason.as_deref()), (Code::FailedPrecondition, Some("PAUSED")));
    assert_eq!(refused.retry_after, Some(Duration::from_hours(1)));
    let resumed = all.resume(Target::Account("wx1".parse().unwrap())).await.unwrap();
    assert_eq!(resumed.len(), 2);
    assert!(resumed.iter().all(|key| key.hold.is_none()));
    let answer = all.complain(&access("wx1"), Some(token.fingerprint), ErrCode(40_001)).await.unwrap();
    assert_eq!(answer.outcome, pb::Outcome::StillValid);
}

#[tokio::test]
async fn pause_must_end_in_the_future_and_within_thirty_days() {
    let world = world().await;
    let all = world.client("all");
    let day = 86_400_000;
    for bad in [-1, 0, 30 * day + 1] {
        let until = WallTime(1_700_000_000_000 + bad);
        let refused = refusal(all.pause(Target::Key(access("wx1")), Some(until)).await);
        assert_eq!((refused.code, refused.fields[0].0.as_str()), (Code::InvalidArgument, "until"), "{bad}");
    }
    all.pause(Target::Key(access("wx1")), Some(WallTime(1_700_000_000_000 + 30 * day))).await.unwrap();
}

#[tokio::test]
async fn status_is_paged_and_filtered_and_never_holds_a_value() {
    // Two accounts with two keys each; one key is paused.
    let world = world().await;
    let all = world.client("all");
    let every = all.status(pb::ListStatusRequest { page_size: 3, ..Default::default() }).await.unwrap();
    let names: Vec<_> = every.iter().map(|key| (key.appid.as_str(), key.kind())).collect();
    let (token, ticket) = (pb::Kind::AccessToken, pb::Kind::JsapiTicket);
    assert_eq!(names, [("wx1", token), ("wx1", ticket), ("wx2", token), ("wx2", ticket)]);
    assert_eq!(every[0].account_name, "name of wx1");
    assert_eq!(every[0].state(), pb::TokenState::Fresh);
    let budget = every[0].budget.unwrap();
    assert_eq!(budget.used + budget.left, 2_000);
    assert_eq!(every[0].last_attempt.unwrap().result(), pb::AttemptResult::Issued);
    let first = all.status_page(pb::ListStatusRequest { page_size: 2, ..Default::default() }).await.unwrap();
    assert_eq!(first.keys.len(), 2);
    let value = world.sim.control.current("wx1", simulator::Kind::Stable).unwrap();
    assert!(!format!("{every:?} {first:?}").contains(&value));

    all.pause(Target::Key(access("wx2")), None).await.unwrap();
    let troubled = pb::ListStatusRequest { only_problems: true, ..Default::default() };
    let troubled = all.status(troubled).await.unwrap();
    assert_eq!(troubled.len(), 1);
    assert_eq!(troubled[0].appid, "wx2");
    let narrow = pb::ListStatusRequest {
        appids: vec!["wx2".into()],
        kinds: vec![ticket.into()],
        states: vec![pb::TokenState::Fresh.into()],
        ..Default::default()
    };
    assert_eq!(all.status(narrow).await.unwrap().len(), 1);
    let bad = pb::ListStatusRequest { page_token: "nonsense".into(), ..Default::default() };
    assert_eq!(refusal(all.status(bad).await).fields[0].0, "page_token");
}
