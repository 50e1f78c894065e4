//! Who is let in by the gRPC face, and what each may do.

use std::time::Duration;

use zhongkong::access::{Action, Identity, Scope};
use zhongkong::client::{self, Code, Credentials, Error, Flow, Force, Target};
use zhongkong::clock::WallTime;
use zhongkong::model::{AppId, ErrCode, Kind};
use zhongkong::pb;
use zhongkong::simulator::NewCode;

use crate::grpc_support::{ALL, World, access, client, client_of_wx1, key, settings};

const NOW: Duration = Duration::ZERO;

fn code<T: std::fmt::Debug>(answer: Result<T, Error>) -> Code {
    answer.unwrap_err().code().unwrap()
}

#[tokio::test]
async fn only_a_known_bearer_token_is_let_in() {
    // Five callers knock: one known, one unknown, three with something that is no token.
    let world = World::start(vec![client("web", &[Action::Read])]).await;
    let token = world.client("web").get(&access("wx1"), NOW).await.unwrap();
    assert!(token.value.is_some());
    assert_eq!(code(world.client("other").get(&access("wx1"), NOW).await), Code::Unauthenticated);
    let nobody = client::Client::lazy(&world.addr.to_string(), Credentials::default()).unwrap();
    assert_eq!(code(nobody.get(&access("wx1"), NOW).await), Code::Unauthenticated);
    for header in ["Basic d2Vi", "web", "Bearer "] {
        let mut stub = pb::token_control_client::TokenControlClient::new(world.channel());
        let mut request =
            tonic::Request::new(pb::GetTokenRequest { appid: "wx1".into(), ..Default::default() });
        request.metadata_mut().insert("authorization", header.parse().unwrap());
        assert_eq!(stub.get_token(request).await.unwrap_err().code(), Code::Unauthenticated, "{header:?}");
    }
}

#[tokio::test]
async fn every_rpc_refuses_a_stranger() {
    // The gate stands before the service, so no rpc can have forgotten it.
    let world = World::start(vec![]).await;
    let stranger = world.client("stranger");
    let wx1 = "wx1".parse().unwrap();
    let refused = [
        code(stranger.get(&access("wx1"), NOW).await),
        code(stranger.complain(&access("wx1"), None, ErrCode(0)).await),
        code(stranger.force(&access("wx1"), Force::Once).await),
        code(stranger.watch(&[], &[]).await),
        code(stranger.status(pb::ListStatusRequest::default()).await),
        code(stranger.sign_jsapi(&wx1, "https://a.example").await),
        code(stranger.exchange_code(&wx1, &"code".into(), Flow::Web).await),
        code(stranger.pause(Target::Account(wx1.clone()), None).await),
        code(stranger.resume(Target::Account(wx1)).await),
        code(stranger.audit_page(pb::ListAuditRequest::default()).await),
    ];
    assert_eq!(refused, [Code::Unauthenticated; 10]);
}

#[tokio::test]
async fn client_is_refused_from_its_not_after_on() {
    // The client's access ends in an hour of wall time.
    let mut web = client("web", &[Action::Read]);
    web.not_after = Some(WallTime(1_700_000_000_000 + 3_600_000));
    let world = World::start(vec![web]).await;
    world.client("web").get(&access("wx1"), NOW).await.unwrap();
    world.clock.step_wall(3_600_000 - 1);
    world.client("web").get(&access("wx1"), NOW).await.unwrap();
    world.clock.step_wall(1);
    let Err(Error::Refused(refusal)) = world.client("web").get(&access("wx1"), NOW).await else { panic!() };
    assert_eq!(refusal.code, Code::Unauthenticated);
    assert!(refusal.message.contains("ended at 2023-11-14T23:13:20"), "{refusal}");
}

#[tokio::test]
async fn removed_client_is_refused_after_the_reload() {
    // One connection, before and after: connections are not what is known, callers are.
    let world = World::start(vec![client("web", &[Action::Read])]).await;
    let web = world.client("web");
    web.get(&access("wx1"), NOW).await.unwrap();
    world.reload(vec![client("shop", &[Action::Read])]);
    assert_eq!(code(web.get(&access("wx1"), NOW).await), Code::Unauthenticated);
    world.client("shop").get(&access("wx1"), NOW).await.unwrap();
}

#[tokio::test]
async fn reload_that_gives_two_clients_one_identity_changes_nothing() {
    // A bad file must leave the old clients in force.
    let world = World::start(vec![client("web", &[Action::Read])]).await;
    let mut twin = client("twin", &[Action::Read]);
    twin.identities = client("shop", &[]).identities;
    let refused = world.control.reload(&settings(vec![client("shop", &[Action::Read]), twin])).unwrap_err();
    assert!(refused.to_string().contains("\"shop\" and \"twin\""), "{refused}");
    world.client("web").get(&access("wx1"), NOW).await.unwrap();
}

/// Makes the call that needs this action, and gives back its code.
async fn call(world: &World, caller: &str, action: Action, appid: &str) -> Code {
    let caller = world.client(caller);
    let appid: AppId = appid.parse().unwrap();
    let token = access(appid.as_str());
    let done = match action {
        Action::Read => caller.get(&token, NOW).await.map(drop),
        Action::Complain => {
            // About a value that is not the current one, so that nothing is refreshed.
            caller.complain(&token, Some("0000000000000000".parse().unwrap()), ErrCode(0)).await.map(drop)
        }
        Action::Force => caller.force(&token, Force::Once).await.map(drop),
        Action::Sign => caller.sign_jsapi(&appid, "https://a.example").await.map(drop),
        Action::Exchange => {
            let code = world.sim.control.mint_code(NewCode::web(appid.as_str(), "openid"));
            caller.exchange_code(&appid, &code.as_str().into(), Flow::Web).await.map(drop)
        }
        Action::Status => {
            let appids = vec![appid.to_string()];
            caller.status(pb::ListStatusRequest { appids, ..Default::default() }).await.map(drop)
        }
        Action::Admin => caller.resume(Target::Account(appid)).await.map(drop),
    };
    done.map_or_else(|error| error.code().unwrap(), |()| Code::Ok)
}

#[tokio::test]
async fn each_action_is_allowed_with_its_grant_and_denied_without_it() {
    // Per action two clients: one that has only it, one that has all but it.
    let mut clients = Vec::new();
    for action in ALL {
        let others: Vec<_> = ALL.into_iter().filter(|other| *other != action).collect();
        clients.push(client(&format!("only {}", action.as_str()).replace(' ', "-"), &[action]));
        clients.push(client(&format!("not {}", action.as_str()).replace(' ', "-"), &others));
    }
    let world = World::start(clients).await;
    for action in ALL {
        let name = action.as_str();
        assert_eq!(call(&world, &format!("only-{name}"), action, "wx1").await, Code::Ok, "{name}");
        assert_eq!(
            call(&world, &format!("not-{name}"), action, "wx1").await,
            Code::PermissionDenied,
            "{name}"
        );
    }
}

#[tokio::test]
async fn account_outside_the_grants_is_denied_whether_or_not_it_exists() {
    // wx2 exists, wx9 does not; who may only wx1 must not be able to tell.
    let world = World::start(vec![client_of_wx1("web", &ALL), client("all", &ALL)]).await;
    for action in ALL {
        for appid in ["wx2", "wx9"] {
            assert_eq!(
                call(&world, "web", action, appid).await,
                Code::PermissionDenied,
                "{action:?} {appid}"
            );
        }
        assert_eq!(call(&world, "all", action, "wx9").await, Code::NotFound, "{action:?}");
    }
    let say = async |appid| {
        let Err(Error::Refused(refusal)) = world.client("web").get(&access(appid), NOW).await else {
            panic!()
        };
        refusal.message.replace(appid, "X")
    };
    assert_eq!(say("wx2").await, say("wx9").await);
}

#[tokio::test]
async fn kind_outside_the_grants_is_denied_even_where_the_account_keeps_none() {
    // No account keeps card tickets, and this client may have access tokens only.
    let mut web = client("web", &[Action::Read]);
    web.grants.kinds = Scope::Only([Kind::AccessToken].into());
    let world = World::start(vec![web, client("all", &ALL)]).await;
    for kind in [Kind::JsapiTicket, Kind::WxCardTicket] {
        assert_eq!(code(world.client("web").get(&key("wx1", kind), NOW).await), Code::PermissionDenied);
    }
    assert_eq!(code(world.client("all").get(&key("wx1", Kind::WxCardTicket), NOW).await), Code::NotFound);
}

#[tokio::test]
async fn uid_counts_on_a_unix_socket_unless_a_token_is_sent() {
    // The test's own uid is a client; a wrong token beside it must not fall back to it.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("grpc.sock");
    let mut local = client("local", &[Action::Read]);
    local.identities = vec![Identity::Uid(rustix::process::getuid().as_raw())];
    let all = settings(vec![local, client("denied", &[])]);
    let world = World::with(all, &[&path]).await;
    world.warm().await;
    let addr = format!("unix:{}", path.display());
    let with = |token: Option<&str>| {
        let credentials = Credentials { token: token.map(Into::into), ..Credentials::default() };
        client::Client::lazy(&addr, credentials).unwrap()
    };
    with(None).get(&access("wx1"), NOW).await.unwrap();
    assert_eq!(code(with(Some("wrong")).get(&access("wx1"), NOW).await), Code::Unauthenticated);
    assert_eq!(code(with(Some("denied")).get(&access("wx1"), NOW).await), Code::PermissionDenied);
    // The uid is nothing on TCP.
    let tcp = client::Client::lazy(&world.addr.to_string(), Credentials::default()).unwrap();
    assert_eq!(code(tcp.get(&access("wx1"), NOW).await), Code::Unauthenticated);
}
