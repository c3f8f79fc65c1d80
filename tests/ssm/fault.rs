//! SSM's faults, one at a time: which end a start, which may pass, and what is said of them.

use std::time::{Duration, Instant};

use lambda_session::ErrorKind;
use lambda_session::secrets::{Keys, Secrets};

use crate::listener::{Fault, Ssm};
use crate::support::*;

const PERMISSION: &str =
    "User: arn:aws:sts::123456789012:assumed-role/shop/f is not authorized to perform: ssm:GetParameter";

/// F11, SS3, SS5: what stays ends the start within a second, after one call, with one line that names the parameter and the
/// way out, and never the value.
#[tokio::test]
async fn what_stays_ends_the_start_at_once() {
    let ssm = Ssm::start().await;
    let hunter = "hunter2hunter2";
    ssm.put("/good", &text(1))
        .put_as("String", "/plain", &text(1))
        .put_as("StringList", "/list", &text(1))
        .put("/weak", hunter)
        .put("/lines", &format!("v1 2020-01-02T00:00:00Z {}\nv1 2020-01-01T00:00:00Z {hunter}\n", text(1)))
        .put("/empty", "# nothing yet");
    let refuses = Fault::Refuses;
    let read = "cannot read the secrets from the SSM parameter /good: ";
    let credentials = "; give the function valid AWS credentials";
    let both = "cannot read the secrets from the SSM parameters /good, /gone: ";
    for (parameters, fault, expected) in [
        (
            "/good",
            refuses(400, "AccessDeniedException", PERMISSION),
            format!(
                "{read}SSM answers AccessDeniedException; allow the function's role ssm:GetParameter on it and kms:Decrypt on \
                 its key: {PERMISSION}"
            ),
        ),
        (
            "/good,/gone",
            refuses(400, "AccessDeniedException", "no"),
            format!(
                "{both}SSM answers AccessDeniedException; allow the function's role ssm:GetParameters on it and kms:Decrypt on \
                 its key: no"
            ),
        ),
        (
            "/gone",
            Fault::None,
            "cannot read the secrets from the SSM parameter /gone: SSM answers ParameterNotFound; correct the name, or make \
             it with `lambda-session keys init`"
                .into(),
        ),
        (
            "/good,/gone",
            Fault::None,
            format!("{both}SSM has no parameter /gone; correct the name, or make it with `lambda-session keys init`"),
        ),
        (
            "/good",
            refuses(400, "ParameterVersionNotFound", ""),
            format!("{read}SSM answers ParameterVersionNotFound; correct the version or the label behind the colon"),
        ),
        (
            "/good",
            refuses(400, "InvalidKeyId", "key is\r\ndisabled\u{202e}"),
            format!(
                "{read}SSM answers InvalidKeyId; enable the KMS key that encrypts it, or put it anew under another: key is  \
                 disabled "
            ),
        ),
        (
            "/good",
            refuses(400, "ExpiredTokenException", "expired"),
            format!("{read}SSM answers ExpiredTokenException{credentials}: expired"),
        ),
        (
            "/good",
            refuses(403, "UnrecognizedClientException", "unknown"),
            format!("{read}SSM answers UnrecognizedClientException{credentials}: unknown"),
        ),
        (
            "/good",
            refuses(400, "InvalidSignatureException", "does not match"),
            format!("{read}SSM answers InvalidSignatureException{credentials}: does not match"),
        ),
        ("/good", refuses(400, "SomethingNewException", "new"), format!("{read}SSM answers SomethingNewException: new")),
        (
            "/plain",
            Fault::None,
            "the SSM parameter /plain is a String, which SSM keeps unencrypted: put it anew as a SecureString, with fresh \
             secrets"
                .into(),
        ),
        (
            "/list",
            Fault::None,
            "the SSM parameter /list is a StringList, which SSM keeps unencrypted: put it anew as a SecureString, with fresh \
             secrets"
                .into(),
        ),
        (
            "/weak",
            Fault::None,
            "the SSM parameter /weak holds no ring: line 1: the secret is too short: 43 characters of base64url or 64 hex \
             digits are the least"
                .into(),
        ),
        (
            "/good,/lines",
            Fault::None,
            "the SSM parameter /lines holds no ring: line 2: the secret is too short: 43 characters of base64url or 64 hex \
             digits are the least"
                .into(),
        ),
        ("/empty", Fault::None, "the SSM parameter /empty holds no ring: a keyring needs at least one secret".into()),
    ] {
        ssm.faults([fault.clone()]);
        let (before, start) = (ssm.count(), Instant::now());
        let error = Keys::refreshed(secrets(&ssm, parameters)).await.unwrap_err();
        assert_eq!(format!("{error:?}").trim_end_matches(": "), expected.trim_end_matches(": "), "{fault:?}");
        assert_eq!(error.kind(), ErrorKind::Config, "{fault:?}");
        assert_eq!(ssm.count(), before + 1, "{fault:?}");
        assert!(start.elapsed() < Duration::from_secs(1), "{fault:?}: {:?}", start.elapsed());
    }
}

/// SS5: what may pass is unavailable, not wrong: a start tries again, a refresh keeps the ring. One fetch is one call all the same.
#[tokio::test]
async fn what_may_pass_is_unavailable() {
    let ssm = Ssm::start().await;
    ssm.put("/a", &text(1));
    let secret = text(1);
    let read = "cannot read the secrets from the SSM parameter /a: ";
    let refuses = Fault::Refuses;
    let skewed = "Signature not yet current: 20261122T180000Z is still later than 20261122T170000Z";
    for (fault, expected) in [
        (refuses(400, "ThrottlingException", "Rate exceeded"), "SSM answers 400 ThrottlingException: Rate exceeded"),
        (refuses(400, "KMSThrottledException", ""), "SSM answers 400 KMSThrottledException"),
        (refuses(400, "RequestExpired", ""), "SSM answers 400 RequestExpired"),
        (refuses(429, "TooManyRequestsException", "slow"), "SSM answers 429 TooManyRequestsException: slow"),
        (refuses(500, "InternalServerError", "oops"), "SSM answers 500 InternalServerError: oops"),
        (refuses(503, "ServiceUnavailable", "later"), "SSM answers 503 ServiceUnavailable: later"),
        (
            refuses(403, "InvalidSignatureException", skewed),
            &format!("SSM answers 403 InvalidSignatureException: {skewed}"),
        ),
        (Fault::Says(500, "<html>".into()), "SSM's answer of status 500 is not understood"),
        (Fault::Says(403, "a proxy's page".into()), "SSM's answer of status 403 is not understood"),
        (
            Fault::Says(200, format!("{{\"Parameter\": {{\"Value\": \"{secret}")),
            "SSM's answer of status 200 is not understood",
        ),
        (Fault::Says(200, "{}".into()), "SSM's answer is not understood: it has no parameter"),
        (
            Fault::Says(200, "{\"Parameter\": {\"Type\": \"SecureString\"}}".into()),
            "SSM's answer is not understood: it has no value",
        ),
        (
            Fault::Says(200, format!("{{\"Parameter\": {{\"Value\": \"{secret}\"}}}}")),
            "SSM's answer is not understood: it has no type",
        ),
        // Above 1 MiB nothing more of it is read.
        (Fault::Says(200, "x".repeat(2 << 20)), "SSM's answer is not understood or not whole"),
        (Fault::Cuts(0), "SSM cannot be reached: "),
        (Fault::Cuts(120), "SSM's answer is not understood or not whole"),
        (Fault::Cuts(250), "SSM's answer is not understood or not whole"),
    ] {
        ssm.faults([fault.clone()]);
        let before = ssm.count();
        let error = secrets(&ssm, "/a").fetch().await.unwrap_err();
        let line = format!("{error:?}");
        assert!(line.starts_with(&format!("{read}{expected}")), "{fault:?}: {line}");
        assert!(!line.contains(&secret) && !line.contains(&secret[..20]) && !line.contains('\n'), "{line}");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{fault:?}");
        assert_eq!(ssm.count(), before + 1, "{fault:?}");
    }
}

/// SS4: a start that is throttled, misunderstood and cut off has its ring when SSM speaks again.
#[tokio::test]
async fn a_start_outlives_what_passes() {
    let ssm = Ssm::start().await;
    ssm.put("/a", &text(1)).faults([
        Fault::Refuses(400, "ThrottlingException", "Rate exceeded"),
        Fault::Refuses(500, "InternalServerError", ""),
        Fault::Says(200, "{".into()),
        Fault::Cuts(100),
        Fault::Trickles,
    ]);
    let start = Instant::now();
    Keys::refreshed(secrets(&ssm, "/a")).await.unwrap();
    assert_eq!(ssm.count(), 5);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// SS4: nobody listens: unavailable, and no panic.
#[tokio::test]
async fn an_ssm_that_is_not_there_is_unavailable() {
    let ssm = Ssm::start().await;
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let config = client(&ssm).config().to_builder().endpoint_url(format!("http://{gone}")).build();
    let secrets = lambda_session::secrets::ssm::SsmSecrets::new(&aws_sdk_ssm::Client::from_conf(config), "/a").unwrap();
    let error = secrets.fetch().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(format!("{error:?}").contains("SSM cannot be reached: "), "{error:?}");
}

/// Without region or credentials nothing can ever be signed: that stays, and no call is made.
#[tokio::test]
async fn without_region_or_credentials_the_start_ends() {
    let ssm = Ssm::start().await;
    for region in [None, Some(aws_sdk_ssm::config::Region::new(""))] {
        let config = client(&ssm).config().to_builder().region(region).build();
        let secrets =
            lambda_session::secrets::ssm::SsmSecrets::new(&aws_sdk_ssm::Client::from_conf(config), "/a").unwrap();
        let error = secrets.fetch().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(
            error.to_string(),
            "cannot read the secrets from the SSM parameter /a: there is no AWS region; set AWS_REGION"
        );
        assert_eq!(ssm.count(), 0);
    }
}
