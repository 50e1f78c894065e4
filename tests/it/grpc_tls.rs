//! TLS and mutual TLS of the gRPC face, with certificates made on the spot.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use zhongkong::access::{Action, Client as Caller, Identity};
use zhongkong::client::{Client, Code, Credentials, Error};
use zhongkong::grpc::settings::Tls;

use crate::grpc_support::{World, access, client, with_tls};

const NOW: Duration = Duration::ZERO;

/// An authority and what it signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate with its key.
    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> (Vec<u8>, String) {
        let mut params = CertificateParams::new(vec![]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem().into_bytes(), key.serialize_pem())
    }

    fn server(&self, client_ca: Option<&Self>) -> Tls {
        let host = SanType::DnsName("localhost".try_into().unwrap());
        let (cert, key) = self.sign(|params| params.subject_alt_names = vec![host]);
        Tls { cert, key: key.into(), client_ca: client_ca.map(|ca| ca.pem.clone().into_bytes()) }
    }
}

fn named(name: &str) -> Caller {
    let mut client = client(name, &[Action::Read]);
    client.identities = vec![Identity::Certificate(name.into())];
    client
}

fn connect(world: &World, server_ca: &Authority, identity: Option<(Vec<u8>, String)>) -> Client {
    let credentials = Credentials {
        token: None,
        ca: Some(server_ca.pem.clone().into_bytes()),
        identity: identity.map(|(cert, key)| (cert, key.into())),
        server_name: Some("localhost".into()),
    };
    Client::lazy(&format!("https://{}", world.addr), credentials).unwrap()
}

#[tokio::test]
async fn client_is_known_by_any_name_in_its_certificate() {
    // Three certificates: a common name, a DNS name, a URI. A fourth has an unknown name.
    let ca = Authority::new();
    let clients = vec![named("by-cn"), named("by.dns"), named("spiffe://corp/by-uri")];
    let world = World::with(with_tls(ca.server(Some(&ca)), clients), &[]).await;
    world.warm().await;
    let common = ca.sign(|params| params.distinguished_name.push(DnType::CommonName, "by-cn"));
    let dns = ca.sign(|params| {
        params.subject_alt_names = vec![SanType::DnsName("by.dns".try_into().unwrap())];
    });
    let uri = ca.sign(|params| {
        params.subject_alt_names = vec![SanType::URI("spiffe://corp/by-uri".try_into().unwrap())];
    });
    for certificate in [common, dns, uri] {
        connect(&world, &ca, Some(certificate)).get(&access("wx1"), NOW).await.unwrap();
    }
    let other = ca.sign(|params| params.distinguished_name.push(DnType::CommonName, "other"));
    for identity in [Some(other), None] {
        let refused = connect(&world, &ca, identity).get(&access("wx1"), NOW).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::Unauthenticated));
    }
}

#[tokio::test]
async fn certificate_of_a_foreign_authority_does_not_get_through_the_handshake() {
    // The foreign authority signed the very name that is configured.
    let (ca, foreign) = (Authority::new(), Authority::new());
    let world = World::with(with_tls(ca.server(Some(&ca)), vec![named("web")]), &[]).await;
    world.warm().await;
    let forged = foreign.sign(|params| params.distinguished_name.push(DnType::CommonName, "web"));
    let refused = connect(&world, &ca, Some(forged)).get(&access("wx1"), NOW).await.unwrap_err();
    let Error::Refused(refusal) = refused else { panic!("{refused}") };
    // The connection never stood: no answer of the daemon, so no details.
    assert_ne!(refusal.code, Code::Unauthenticated);
    assert_eq!(refusal.reason, None);
}

#[tokio::test]
async fn reload_serves_the_new_certificate_and_a_bad_one_changes_nothing() {
    // The server's certificate moves to another authority while the daemon runs.
    let (old, new) = (Authority::new(), Authority::new());
    let clients = || vec![client("web", &[Action::Read])];
    let world = World::with(with_tls(old.server(None), clients()), &[]).await;
    world.warm().await;
    let open = async |ca: &Authority| {
        let credentials = Credentials {
            token: Some("web".into()),
            ca: Some(ca.pem.clone().into_bytes()),
            identity: None,
            server_name: Some("localhost".into()),
        };
        Client::connect(&format!("https://{}", world.addr), credentials).await
    };
    let before = open(&old).await.unwrap();
    before.get(&access("wx1"), NOW).await.unwrap();

    let mut bad = new.server(None);
    bad.key = old.server(None).key;
    world.control.reload(&with_tls(bad, clients())).unwrap_err();
    open(&old).await.unwrap();

    world.control.reload(&with_tls(new.server(None), clients())).unwrap();
    open(&old).await.unwrap_err();
    open(&new).await.unwrap().get(&access("wx1"), NOW).await.unwrap();
    // The open connection keeps the session that it has.
    before.get(&access("wx1"), NOW).await.unwrap();
}
