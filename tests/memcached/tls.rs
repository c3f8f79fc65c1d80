//! TLS, against memcached's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use lambda_session::memcached::{Added, Client, Discovery, FailureKind, NodeId, Settings};

use crate::support::{Counts, Harm, Leads, Memcached, Proxy, client, key, minute, patient, run, settings, soon};

/// Certificates made once for all tests.
static FILES: LazyLock<Files> = LazyLock::new(Files::make);

struct Files(PathBuf);

impl Files {
    fn make() -> Self {
        let directory = std::env::temp_dir().join(format!("mc-tls-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        for name in ["ca", "stranger"] {
            let subject = format!("/CN={name}");
            let (key, cert) = (format!("{name}.key"), format!("{name}.pem"));
            let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
            let rest = ["-days", "30", "-subj", &subject, "-keyout", &key, "-out", &cert];
            openssl(&directory, &[&request[..], &rest].concat());
        }
        for (name, names, days) in [
            ("good", "DNS:localhost,IP:127.0.0.1,DNS:*.serverless.euw1.cache.amazonaws.com", "30"),
            ("other", "DNS:other.example", "30"),
            ("expired", "DNS:localhost,IP:127.0.0.1", "-1"),
        ] {
            let (key, cert, csr, ext) =
                (format!("{name}.key"), format!("{name}.pem"), format!("{name}.csr"), format!("{name}.ext"));
            let request = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
            openssl(&directory, &[&request[..], &["-subj", "/CN=cache", "-keyout", &key, "-out", &csr]].concat());
            fs::write(directory.join(&ext), format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n")).unwrap();
            let sign = ["x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
            let rest = ["-in", &csr, "-days", days, "-extfile", &ext, "-out", &cert];
            openssl(&directory, &[&sign[..], &rest].concat());
        }
        // memcached reads them as nobody.
        let all = Command::new("chmod").args(["-R", "a+rX"]).arg(&directory).status().unwrap();
        assert!(all.success());
        Self(directory)
    }

    fn pem(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(format!("{name}.pem"))).unwrap()
    }

    fn server(&self, name: &str) -> Memcached {
        let path = |end: &str| self.0.join(format!("{name}.{end}")).display().to_string();
        Memcached::start(&["-Z", "-o", &format!("ssl_chain_cert={},ssl_key={}", path("pem"), path("key"))])
    }
}

fn openssl(directory: &Path, arguments: &[&str]) {
    let done = Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("openssl is installed");
    assert!(done.success(), "openssl {arguments:?}");
}

fn trusting(server: &str, ca: &str) -> Settings {
    patient(server).tls(true).tls_ca(FILES.pem(ca))
}

/// The error of the first operation, with its causes.
async fn refusal(client: &Client, node: NodeId) -> String {
    let failure = client.get_and_touch(node, &key("k"), minute(), soon()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Unavailable);
    format!("{failure:?}")
}

#[test]
fn values_go_through_tls_and_handshakes_resume() {
    run(async {
        let server = FILES.server("good");
        let proxy = Proxy::start(server.port, |_| Harm::None);
        let counts = Arc::new(Counts::default());
        let name = format!("localhost:{}", proxy.port);
        let client = client(trusting(&name, "ca").observer(counts.clone()));
        let node = NodeId::of(&name);
        let value = vec![b'x'; 200_000];
        assert_eq!(client.add(node, &key("k"), &value, minute(), soon()).await.unwrap(), Added::Stored);
        for _ in 0..20 {
            assert!(client.get_and_touch(node, &key("k"), minute(), soon()).await.unwrap().unwrap().bytes == value);
        }
        assert_eq!((counts.of("Dialled"), counts.of("Resumed"), proxy.accepted()), (1, 0, 1), "an open one is reused");
        for round in 1..=5 {
            proxy.close_connections();
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(client.get_and_touch(node, &key("k"), minute(), soon()).await.unwrap().is_some());
            assert_eq!((counts.of("Dialled"), counts.of("Resumed")), (1, round));
        }
        assert!(client.probe(node, soon()).await.unwrap().tls);
    });
}

/// Scenario 29: a server that started anew knows no ticket of before: the handshake is a whole one, and the next ones resume.
#[test]
fn a_ticket_that_is_refused_costs_a_whole_handshake_and_no_error() {
    run(async {
        let mut server = FILES.server("good");
        let counts = Arc::new(Counts::default());
        let client = client(trusting(&server.name(), "ca").observer(counts.clone()));
        for round in 0..3 {
            assert_eq!(client.get_and_touch(server.id(), &key("k"), minute(), soon()).await.unwrap(), None);
            assert_eq!((counts.of("Dialled"), counts.of("Resumed")), (1 + round, 0));
            server.restart();
        }
    });
}

/// Scenario 29, MC12: refused with host and reason.
#[test]
fn a_certificate_that_is_not_the_nodes_is_refused_with_host_and_reason() {
    run(async {
        for (name, server, ca, reason) in [
            ("wrong name", "other", "ca", "certificate not valid for name \"localhost\""),
            ("unknown authority", "good", "stranger", "UnknownIssuer"),
            ("expired", "expired", "ca", "Expired"),
        ] {
            let server = FILES.server(server);
            let host = format!("localhost:{}", server.port);
            let text = refusal(&client(trusting(&host, ca)), NodeId::of(&host)).await;
            assert!(text.starts_with(&format!("cannot connect to cache node {host}: TLS failed: ")), "{name}: {text}");
            assert!(text.contains(reason), "{name}: {text}");
        }
    });
}

#[test]
fn the_public_authorities_do_not_vouch_for_a_private_one() {
    run(async {
        let server = FILES.server("good");
        let client = client(patient(&server.name()).tls(true));
        let text = refusal(&client, server.id()).await;
        assert!(text.contains("UnknownIssuer"), "{text}");
    });
}

#[test]
fn a_certificate_may_bear_another_name_if_that_is_set() {
    run(async {
        let server = FILES.server("other");
        let client = client(trusting(&server.name(), "ca").tls_name("other.example"));
        assert_eq!(client.get_and_touch(server.id(), &key("k"), minute(), soon()).await.unwrap(), None);
    });
}

/// Scenario 29: TLS to a plain server, and plain to a TLS server.
#[test]
fn mixing_tls_and_plain_is_an_error_within_the_deadline() {
    run(async {
        let (plain, tls) = (Memcached::start(&[]), FILES.server("good"));
        for (name, node, settings) in [
            ("TLS to plain", plain.id(), settings(&plain.name()).tls(true).tls_ca(FILES.pem("ca"))),
            ("plain to TLS", tls.id(), settings(&tls.name())),
        ] {
            let began = Instant::now();
            let text = refusal(&client(settings), node).await;
            assert!(text.starts_with("cannot connect to cache node 127.0.0.1:"), "{name}: {text}");
            assert!(began.elapsed() < Duration::from_millis(1100), "{name}: {:?}", began.elapsed());
        }
    });
}

/// Scenario 29: cut anywhere in handshake, greeting or reply, close_notify missing: the next connection answers, or it
/// is an error; never a miss.
#[test]
fn a_tls_connection_cut_anywhere_is_never_a_miss() {
    run(async {
        let server = FILES.server("good");
        let plain = client(trusting(&server.name(), "ca"));
        plain.add(server.id(), &key("k"), b"hello", minute(), soon()).await.unwrap();
        for offset in (0..2400).step_by(7) {
            let proxy =
                Proxy::start(server.port, move |number| if number == 0 { Harm::CutAnswer(offset) } else { Harm::None });
            let client = client(trusting(&proxy.name(), "ca"));
            let mut read = client.get_and_touch(proxy.id(), &key("k"), minute(), soon()).await;
            if read.is_err() {
                read = client.get_and_touch(proxy.id(), &key("k"), minute(), soon()).await;
            }
            assert_eq!(read.unwrap().expect("a miss").bytes, b"hello", "cut at {offset}");
        }
    });
}

/// Scenario 33: ElastiCache Serverless: TLS by its name, one endpoint that lists no nodes, and a connection that is moved
/// from one proxy to another between two requests.
#[test]
fn a_serverless_endpoint_is_one_node_and_may_move_its_connections() {
    run(async {
        const HOST: &str = "shop-x1y2z3.serverless.euw1.cache.amazonaws.com";
        let server = FILES.server("good");
        for discovery in [Discovery::ByName, Discovery::On] {
            let (one, other) = (Proxy::start(server.port, |_| Harm::None), Proxy::start(server.port, |_| Harm::None));
            let place = Leads::to(one.port);
            let counts = Arc::new(Counts::default());
            let settings = patient(HOST).tls_ca(FILES.pem("ca")).discovery(discovery);
            let client = client(settings.resolver(Arc::new(place.clone())).observer(counts.clone()));
            let node = client.choose_node(b"any", &[], soon()).await.unwrap();
            assert_eq!(node, NodeId::of(&format!("{HOST}:11211")), "it is the only node");
            let key = key(&format!("{discovery:?}"));
            assert_eq!(client.add(node, &key, b"v", minute(), soon()).await.unwrap(), Added::Stored);
            place.lead(other.port);
            one.close_connections();
            for _ in 0..20 {
                assert_eq!(client.get_and_touch(node, &key, minute(), soon()).await.unwrap().unwrap().bytes, b"v");
            }
            assert_eq!((one.accepted(), other.accepted(), counts.of("Resumed")), (1, 1, 1), "{discovery:?}");
            assert!(client.probe(node, soon()).await.unwrap().tls, "without a setting, by the name");
        }
    });
}

#[test]
fn an_authority_that_cannot_be_read_is_refused_at_start() {
    for (name, pem, message) in [
        ("empty", &b""[..], "the cache's CA file holds no certificate"),
        ("no PEM", b"hello", "the cache's CA file holds no certificate"),
        ("broken", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "cannot read the cache's CA file"),
    ] {
        let failure = Client::new(settings("localhost").tls(true).tls_ca(pem)).unwrap_err();
        assert_eq!((failure.kind(), failure.to_string().as_str()), (FailureKind::Settings, message), "{name}");
    }
}
