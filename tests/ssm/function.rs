//! The example function as a process of its own, with its secrets in the listener's SSM.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::listener::{Fault, Ssm};
use crate::support::*;

const ACCESS_KEY: &str = "xyzzy-the-secret-access-key";
const SESSION_TOKEN: &str = "plover-the-session-token";

/// A working directory with events in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn event(&self, method: &str, path: &str) -> PathBuf {
        let host = "abc.execute-api.eu-west-1.amazonaws.com";
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
            "headers": {"host": host, "content-type": "application/json"},
            "requestContext": {"http": {"method": method, "path": path}, "stage": "$default", "domainName": host},
            "body": "", "isBase64Encoded": false
        });
        let file = self.0.path().join(format!("{method}{}.json", path.replace('/', "-")));
        fs::write(&file, event.to_string()).unwrap();
        file
    }

    /// Plays events through the function; its answers, and what it and the command said.
    async fn invoke(&self, ssm: &Ssm, events: Vec<PathBuf>, variables: &[(&str, &str)]) -> (Vec<Value>, Output) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lambda-session"));
        command
            .args(["invoke", "--json", "--bootstrap"])
            .arg(Path::new(env!("CARGO_BIN_EXE_bootstrap")))
            .args(events)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("AWS_ENDPOINT_URL_SSM", ssm.url())
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", ACCESS_KEY)
            .env("AWS_SESSION_TOKEN", SESSION_TOKEN)
            .envs(variables.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let answers =
            String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (answers, output)
    }
}

fn statuses(answers: &[Value]) -> Vec<u64> {
    answers.iter().map(|answer| answer["status"].as_u64().unwrap_or(0)).collect()
}

/// SS1: wherever the setting stands and whatever it names, a cold start is one call and requests are none.
#[tokio::test(flavor = "multi_thread")]
async fn a_cold_start_is_one_call_and_a_request_none() {
    let ssm = Ssm::start().await;
    ssm.put("/a", &format!("v1 2020-01-01T00:00:00Z {}", text(1))).put("/b", &text(2));
    let third = text(3);
    for (variables, file) in [
        (vec![("SESSION_KEYS_PARAMETER", "/a")], ""),
        (vec![("SESSION_KEYS_PARAMETER", "/b,/a")], ""),
        (vec![("SECRET_KEY_BASE", "ssm:/a")], ""),
        (vec![("SECRET_KEY_BASE", "ssm:/a"), ("SECRET_KEY_BASE_OLD", "ssm:/b")], ""),
        (vec![("SECRET_KEY_BASE", "ssm:/a"), ("SECRET_KEY_BASE_OLD", &third)], ""),
        (vec![], "SECRET_KEY_BASE=ssm:/a\nSECRET_KEY_BASE_OLD=ssm:/b\n"),
    ] {
        let place = Place::new();
        fs::write(place.0.path().join(".env"), file).unwrap();
        let (set, show) = (place.event("POST", "/posts"), place.event("GET", "/posts"));
        let before = ssm.count();
        let events = vec![set, show.clone(), show.clone(), show];
        let (answers, output) = place.invoke(&ssm, events, &variables).await;
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(statuses(&answers), [200, 200, 200, 200], "{variables:?} {file}: {log}");
        assert!(answers[3]["body"].to_string().contains("current_time"), "the session comes back: {}", answers[3]);
        assert_eq!(ssm.count(), before + 1, "{variables:?} {file}");
    }
}

/// SS8: the second call comes on a connection of its own: what was kept may be dead after a freeze, and a session of a new key
/// would be lost for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_outlives_a_connection_that_died_in_a_freeze() {
    let ssm = Ssm::start().await;
    let (old, new) = (format!("v1 2020-01-01T00:00:00Z {}", text(1)), format!("v1 2026-01-01T00:00:00Z {}", text(2)));
    let variables = [("SESSION_KEYS_PARAMETER", "/a")];
    let place = Place::new();
    let jar = PathBuf::from("--jar=jar");
    ssm.put("/a", &new);
    place.invoke(&ssm, vec![jar.clone(), place.event("POST", "/posts")], &variables).await;

    ssm.put("/a", &old).puts_next("/a", &format!("{new}\n{old}")).faults([Fault::FallsSilent]);
    let before = ssm.count();
    let (answers, output) = place.invoke(&ssm, vec![jar, place.event("GET", "/posts")], &variables).await;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(answers[0]["body"].to_string().contains("current_time"), "the session is found: {}: {log}", answers[0]);
    assert_eq!(ssm.count(), before + 2);
}

/// F11, SS5: a start that cannot succeed ends at once, with one line that says what to do, and one call.
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_start_ends_with_one_line() {
    let ssm = Ssm::start().await;
    ssm.faults([Fault::Refuses(400, "AccessDeniedException", "no")]);
    let place = Place::new();
    let start = Instant::now();
    let events = vec![place.event("GET", "/health")];
    let (_, output) = place.invoke(&ssm, events, &[("SESSION_KEYS_PARAMETER", "/a")]).await;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = "Error: cannot read the secrets from the SSM parameter /a: SSM answers AccessDeniedException; allow the \
                function's role ssm:GetParameter on it and kms:Decrypt on its key: no";
    assert_eq!(log.matches(line).count(), 1, "{log}");
    assert_ne!(output.status.code(), Some(0));
    assert_eq!(ssm.count(), 1);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

/// F12, SS5: an SSM that hangs does not end the start: routes that never ask are served, those that ask get 503 with
/// Retry-After, from 8.5 s on, by a process that lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_ssm_does_not_end_the_function() {
    let ssm = Ssm::start().await;
    ssm.faults([Fault::Hangs]);
    let place = Place::new();
    let (health, set) = (place.event("GET", "/health"), place.event("POST", "/posts"));
    let start = Instant::now();
    let events = vec![health.clone(), set.clone(), set, health];
    let (answers, output) = place.invoke(&ssm, events, &[("SESSION_KEYS_PARAMETER", "/a")]).await;
    let took = start.elapsed();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(statuses(&answers), [200, 503, 503, 200], "{log}");
    assert_eq!(answers[1]["headers"]["retry-after"], json!(["1"]), "{}", answers[1]);
    assert!(took >= Duration::from_secs(7) && took < Duration::from_secs(10), "{took:?}");
    assert!((4..=15).contains(&ssm.count()), "{} calls", ssm.count());
    let line = "there are no secrets, requests that ask for a session are answered 503 until there are: cannot read the secrets \
                from the SSM parameter /a: no answer in ";
    let way_out = " ms; in a VPC, SSM needs an interface endpoint or a NAT gateway";
    assert!(log.contains(way_out), "{log}");
    assert_eq!(log.matches(line).count(), 1, "{log}");
}

/// SS12: with everything at TRACE, and the SDK told to log what it should not, nothing of the secrets or the credentials is
/// written, in no spelling; neither when an answer is broken or a ring is refused.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_secrets_is_logged_at_trace() {
    let ssm = Ssm::start().await;
    ssm.put("/a", &format!("v1 2020-01-01T00:00:00Z {}", text(1))).put("/b", &text(2));
    ssm.put("/weak", &format!("v1 2020-01-01T00:00:00Z {}\nv1 2020-01-01T00:00:00Z {}", text(1), &text(2)[..30]));
    let place = Place::new();
    let events = vec![place.event("POST", "/posts"), place.event("GET", "/posts")];
    let cut = Fault::Says(200, format!("{{\"Parameter\": {{\"Value\": \"{}", text(1)));
    let throttled = Fault::Refuses(400, "ThrottlingException", "");
    for (parameters, fault, expected) in [
        ("/a", Fault::None, vec![200, 200]),
        ("/a,/b", throttled, vec![200, 200]),
        ("/a", cut, vec![200, 200]),
        ("/weak", Fault::None, vec![]),
    ] {
        ssm.faults([fault, Fault::None]);
        let variables = [
            ("RUST_LOG", "trace"),
            ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
            ("LOG_SENSITIVE_BODIES", "true"),
            ("SESSION_KEYS_PARAMETER", parameters),
        ];
        let (answers, output) = place.invoke(&ssm, events.clone(), &variables).await;
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        if !expected.is_empty() {
            assert_eq!(statuses(&answers), expected, "{log}");
            assert!(log.contains("TRACE"), "the log is on: {log}");
        }
        let mut forbidden = vec![ACCESS_KEY.to_owned(), SESSION_TOKEN.to_owned()];
        for seed in [1, 2] {
            let bytes = URL_SAFE_NO_PAD.decode(text(seed)).unwrap();
            forbidden.push(text(seed)[..24].to_owned());
            forbidden.push(STANDARD.encode(&bytes)[..24].to_owned());
            forbidden.push(STANDARD.encode(text(seed))[..24].to_owned());
            forbidden.push(bytes[..16].iter().map(|byte| format!("{byte:02x}")).collect());
            forbidden.push(format!("{:?}", &bytes[..16]).trim_matches(['[', ']']).to_owned());
            forbidden.push(format!("{:?}", &text(seed).as_bytes()[..16]).trim_matches(['[', ']']).to_owned());
            forbidden.extend(["enc", "mac", "ref"].map(|label| {
                let key = derived(&bytes, label);
                key[..16].iter().map(|byte| format!("{byte:02x}")).collect()
            }));
        }
        for text in forbidden {
            let line = log.lines().find(|line| line.to_lowercase().contains(&text.to_lowercase()));
            assert!(line.is_none(), "{parameters}: {text} is in {line:?}");
        }
    }
}

/// A key as `keyring` derives it, by another implementation.
fn derived(secret: &[u8], label: &str) -> Vec<u8> {
    use aws_lc_rs::hkdf;

    struct Length;
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            32
        }
    }
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"lambda-session/v1").extract(secret);
    let mut key = vec![0; 32];
    prk.expand(&[label.as_bytes()], Length).unwrap().fill(&mut key).unwrap();
    key
}
