//! The message service and a daemon that knows its callers by their certificates.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use zhongkong::model::Kind;

use crate::messages_serve_support::{KEY, RULES, TOKEN, start};
use crate::support::frozen::Guard;
use crate::support::ports::Kept;
use crate::support::process::{SECRET, Site, ran};
use crate::support::scrape::Scrape;
use crate::support::simulated::{Simulated, listed_with};

/// An authority's files in a site: `ca.pem`, the daemon's and the service's pair.
fn certificates(site: &Site) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    site.file("ca.pem", &params.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(params, key);
    for name in ["daemon", "service"] {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        site.file(&format!("{name}.pem"), &params.signed_by(&key, &issuer).unwrap().pem());
        site.file(&format!("{name}.key"), &key.serialize_pem());
    }
}

#[tokio::test]
async fn service_is_known_by_its_certificate_and_needs_no_token() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let (mut site, grpc) = (Site::classic(&wechat.base), Kept::new());
    certificates(&site);
    site.file("token", TOKEN);
    site.file("aes.key", KEY);
    site.file("rules.toml", RULES);
    site.section(
        "grpc",
        &format!(
            "listen = [\"unix:{}\", \"{}\"]\n[grpc.tls]\ncert = \"daemon.pem\"\nkey = \"daemon.key\"\nclient_ca = \"ca.pem\"",
            site.socket().display(),
            grpc.addr()
        ),
    );
    site.section("serve", "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n");
    let with = |cert: &str| {
        format!(
            "daemon = \"https://{}\"\nca = \"ca.pem\"\nrules = \"rules.toml\"\n{cert}\n[[messages.account]]\nappid = \
             \"wx1\"\ntoken_file = \"token\"\naes_key_file = \"aes.key\"\n[[client]]\nname = \"messages\"\ncertificate = \
             \"service\"\naccounts = [\"*\"]\nkinds = [\"{}\"]\nactions = [\"read\", \"complain\"]\n",
            grpc.addr(),
            Kind::AccessToken.as_str(),
        )
    };
    site.section("messages", &with("cert = \"service.pem\"\nkey = \"service.key\""));
    let daemon = site.start_ready().await;
    let service = start(&site).await;
    let reachable = r#"zhongkong_daemon_reachable{service="messages"}"#;
    let seen = Scrape::until(&service, |seen| seen.find(reachable).is_some()).await;
    assert_eq!(seen.count(reachable), 1, "{}", service.stderr());
    service.stop().await;

    // A certificate that the daemon's authority signed for somebody else is nobody's.
    site.section("messages", &with("cert = \"daemon.pem\"\nkey = \"daemon.key\""));
    let stranger = start(&site).await;
    let said = stranger.line("the daemon gives no token").await;
    assert!(said.contains("[[client]]"), "{said}");
    stranger.stop().await;
    daemon.stop().await;
}

#[tokio::test]
async fn certificate_that_cannot_be_shown_is_refused_with_what_to_do() {
    let _guard = Guard::start();
    let mut site = Site::new("http://127.0.0.1:9");
    certificates(&site);
    site.file("token", TOKEN);
    site.file("aes.key", KEY);
    site.file("none.pem", "no PEM");
    for (lines, words) in [
        (
            "daemon = \"https://d:7780\"\ncert = \"service.pem\"",
            "messages.cert: it is nothing without key: name both",
        ),
        (
            "daemon = \"https://d:7780\"\nkey = \"service.key\"",
            "messages.key: it is nothing without cert: name both",
        ),
        (
            "daemon = \"http://127.0.0.1:7780\"\ncert = \"service.pem\"\nkey = \"service.key\"",
            "messages.cert: a certificate is shown over https:// only",
        ),
        (
            "daemon = \"https://d:7780\"\ncert = \"service.pem\"\nkey = \"daemon.key\"",
            "messages.key: this is not the key of the certificate in cert",
        ),
        ("daemon = \"https://d:7780\"\ncert = \"none.pem\"\nkey = \"service.key\"", "messages.cert: "),
        ("daemon = \"https://d:7780\"", "over TCP the daemon knows its callers by a token"),
    ] {
        site.section(
            "messages",
            &format!(
                "{lines}\nca = \"ca.pem\"\n[[messages.account]]\nappid = \"wx1\"\ntoken_file = \
             \"token\"\naes_key_file = \"aes.key\""
            ),
        );
        let config = site.write();
        let mut command = site.command();
        command.arg("--config").arg(config).args(["serve", "messages", "--check"]);
        let said = ran(command).await;
        said.expect(2, &[words]);
        assert!(!said.stderr.contains("PRIVATE KEY") && !said.stderr.contains(KEY), "{said:?}");
    }
}
