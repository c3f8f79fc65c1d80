//! SSM over TLS: spoken with only under a certificate that somebody trusted vouches for, and that bears its name.

use std::process::{Command, Output};

use tokio_rustls::rustls::version;

use crate::authority::Authority;
use crate::listener::Ssm;
use crate::support::*;

/// Runs `lambda-session keys list` against this endpoint, trusting these authorities.
async fn list(endpoint: &str, authorities: &std::path::Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lambda-session"));
    command
        .args(["keys", "list", "--parameter", "/a"])
        .env_clear()
        .env("AWS_ENDPOINT_URL_SSM", endpoint)
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "key")
        .env("SSL_CERT_FILE", authorities);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Nothing is asked, so no credentials and no secret are sent either, where the certificate is a stranger's or for another name.
#[tokio::test(flavor = "multi_thread")]
async fn an_ssm_that_nobody_vouches_for_is_asked_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (ours, theirs, nobody) = (authority.file("ca.pem"), stranger.file("ca.pem"), authority.file("nobody.pem"));
    std::fs::write(&nobody, "").unwrap();
    for version in [&version::TLS13, &version::TLS12] {
        let ssm = Ssm::start_tls(authority.server(version)).await;
        ssm.put("/a", &format!("v1 2020-01-01T00:00:00Z {}", text(1)));
        let another_name = ssm.url().replace("localhost", "127.0.0.1");
        for (endpoint, authorities, expected) in [
            (&ssm.url(), &theirs, Err("TLS with localhost failed: invalid peer certificate")),
            (
                &another_name,
                &ours,
                Err("TLS with 127.0.0.1 failed: invalid peer certificate: certificate not valid for name"),
            ),
            (&ssm.url(), &nobody, Err("there is no certificate of an authority to trust")),
            (&ssm.url(), &ours, Ok(1)),
        ] {
            let output = list(endpoint, authorities).await;
            let log = String::from_utf8_lossy(&output.stderr);
            match expected {
                Ok(calls) => assert_eq!((ssm.count(), output.status.code()), (calls, Some(0)), "{log}"),
                Err(why) => {
                    assert!(log.contains(why), "{endpoint}: {log}");
                    assert_eq!((ssm.count(), output.status.success()), (0, false), "{endpoint}");
                }
            }
        }
    }
}
