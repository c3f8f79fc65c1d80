//! Of a secret that came from SSM, over TCP and TLS, in whatever form and whatever happened on the way.

use std::path::Path;

use tokio_rustls::rustls::version;

use crate::authority::Authority;
use crate::listener::{Fault, Ssm};
use crate::needles::needles;
use crate::{found, secret};

/// What leads the child to this SSM, and to nothing else of AWS.
fn variables(ssm: &Ssm, authority: &Path) -> Vec<(&'static str, String)> {
    [
        ("AWS_ENDPOINT_URL_SSM", ssm.url()),
        ("AWS_REGION", "eu-west-1".into()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".into()),
        ("AWS_SECRET_ACCESS_KEY", "key".into()),
        ("SSL_CERT_FILE", authority.display().to_string()),
    ]
    .to_vec()
}

/// SS10: of a secret that SSM sent nothing is left either: not in what the answer was read into, nor in what TLS decrypted it in.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_secret_from_ssm_is_left_once_its_ring_is_dropped() {
    let authority = Authority::new();
    let (tls13, tls12) = (Some(&version::TLS13), Some(&version::TLS12));
    let cut = [Fault::Cuts(355), Fault::None];
    for (of, version, parameters, faults) in [
        ("one parameter over TCP", None, "/bare", &[][..]),
        ("lines in chunks over TCP", None, "/lines", &[Fault::Chunks(50)]),
        ("an answer of many reads over TCP", None, "/long", &[]),
        ("an answer that was cut before, over TCP", None, "/lines", &cut),
        ("one parameter over TLS 1.3", tls13, "/bare", &[]),
        ("two parameters over TLS 1.3", tls13, "/other,/lines", &[]),
        ("lines in chunks over TLS 1.3", tls13, "/lines", &[Fault::Chunks(50)]),
        ("an answer of many records over TLS 1.3", tls13, "/long", &[]),
        ("an answer that was cut before, over TLS 1.3", tls13, "/lines", &cut),
        ("lines over TLS 1.2", tls12, "/lines", &[]),
        ("an answer of many records over TLS 1.2", tls12, "/long", &[]),
    ] {
        let ssm = match version {
            None => Ssm::start().await,
            Some(version) => Ssm::start_tls(authority.server(version)).await,
        };
        let (bytes, text) = secret();
        let line = format!("v1 2020-01-01T00:00:00Z {text}");
        ssm.put("/bare", &text).put("/other", &secret().1).put("/lines", &format!("# newest first\n{line}\n"));
        ssm.put("/long", &format!("{line}\n# {}\n", "long".repeat(20_000)));
        ssm.faults(faults.iter().cloned());
        let (needles, variables) = (needles(&bytes, &text), variables(&ssm, &authority.file("ca.pem")));
        let found = tokio::task::spawn_blocking(move || found(parameters, "", &needles, &variables)).await.unwrap();
        assert_eq!(ssm.count(), faults.len().max(1), "{of}");
        found.assert_wiped(of);
    }
}
