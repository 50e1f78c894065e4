//! The server around the service: health, reflection, limits, Unix sockets, stop.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::time::Duration;

use tokio::net::UnixListener;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ListServiceResponse, ServerReflectionRequest};
use zhongkong::access::Action;
use zhongkong::client::{Code, Error};
use zhongkong::grpc::settings::Listen;
use zhongkong::grpc::{BindError, Listener, Readiness};

use crate::grpc_support::{World, access, client, settings};

const SERVICE: &str = "zhongkong.v1.TokenControl";

#[tokio::test]
async fn health_says_not_serving_until_ready_and_needs_no_credentials() {
    // A load balancer watches from the start on, without any token.
    let world = World::with(settings(vec![]), &[]).await;
    let mut health = HealthClient::new(world.channel());
    for service in ["", SERVICE] {
        let asked = HealthCheckRequest { service: service.into() };
        let answer = health.check(asked).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::NotServing, "{service:?}");
    }
    let asked = HealthCheckRequest { service: SERVICE.into() };
    let mut watch = health.watch(asked).await.unwrap().into_inner();
    let mut seen = async || -> HealthCheckResponse { watch.message().await.unwrap().unwrap() };
    assert_eq!(seen().await.status(), ServingStatus::NotServing);
    world.ready.send_replace(Readiness::Ready);
    assert_eq!(seen().await.status(), ServingStatus::Serving);
    world.stop.cancel();
    assert_eq!(seen().await.status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn reflection_lists_the_service_and_needs_no_credentials() {
    let world = World::with(settings(vec![]), &[]).await;
    let mut reflection = ServerReflectionClient::new(world.channel());
    let asked = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = tokio_stream::once(asked);
    let mut answers = reflection.server_reflection_info(asked).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(ListServiceResponse { service })) = answer else {
        panic!()
    };
    let names: Vec<_> = service.iter().map(|service| service.name.as_str()).collect();
    for name in [SERVICE, "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[tokio::test]
async fn request_of_more_than_64_kib_is_refused_and_the_connection_lives_on() {
    let world = World::start(vec![client("web", &[Action::Read])]).await;
    let web = world.client("web");
    let many: Vec<_> = (0..2_000).map(|i| access(&format!("wx{i:040}"))).collect();
    let Err(Error::Refused(refusal)) = web.watch(&many, &[]).await else { panic!() };
    assert_eq!(refusal.code, Code::OutOfRange);
    web.get(&access("wx1"), Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn watch_of_too_many_keys_is_refused_by_its_field() {
    let world = World::start(vec![client("web", &[Action::Read])]).await;
    let many: Vec<_> = (0..2_001).map(|i| access(&format!("wx{i}"))).collect();
    let Err(Error::Refused(refusal)) = world.client("web").watch(&many, &[]).await else { panic!() };
    assert_eq!((refusal.code, refusal.fields[0].0.as_str()), (Code::InvalidArgument, "keys"));
}

#[tokio::test]
async fn connection_that_says_nothing_is_closed() {
    // A port scanner connects and stays silent; it must not hold a place for ever.
    use tokio::io::AsyncReadExt;
    let world = World::with(settings(vec![]), &[]).await;
    let mut silent = tokio::net::TcpStream::connect(world.addr).await.unwrap();
    // A served call on a later connection proves that the silent one was accepted.
    let mut health = HealthClient::new(world.channel());
    health.check(HealthCheckRequest::default()).await.unwrap();
    world.frozen.advance_secs(11).await;
    let mut buffer = Vec::new();
    // Ends by a close or a reset; hanging would be the failure.
    let _ = silent.read_to_end(&mut buffer).await;
}

#[tokio::test]
async fn socket_file_is_for_owner_and_group_and_goes_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("grpc.sock");
    let mut world = World::with(settings(vec![]), &[&path]).await;
    let found = std::fs::metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o660);
    world.ended().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn stale_socket_file_is_replaced_and_a_live_one_is_not() {
    // One daemon was killed and left its file; another one is alive.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("grpc.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let first = Listener::bind(&Listen::Unix(path.clone())).await.unwrap();
    let second = Listener::bind(&Listen::Unix(path.clone())).await.unwrap_err();
    assert!(matches!(second, BindError::Taken { .. }), "{second}");
    assert!(path.exists());
    drop(first);
    assert!(!path.exists());
}

#[tokio::test]
async fn file_that_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    std::fs::write(&path, "mine").unwrap();
    let refused = Listener::bind(&Listen::Unix(path.clone())).await.unwrap_err();
    assert!(matches!(refused, BindError::NotASocket { .. }), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test]
async fn taken_port_is_named() {
    let first = Listener::bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap())).await.unwrap();
    let addr = first.tcp_addr().unwrap();
    let refused = Listener::bind(&Listen::Tcp(addr)).await.unwrap_err();
    assert!(refused.to_string().contains(&addr.to_string()), "{refused}");
}
