//! The real thing: functions as processes of their own, driven through a Lambda runtime API by `lambda-session invoke`.
#![cfg(all(feature = "cli", feature = "axum"))]
#![allow(missing_docs)]

mod api;
mod concurrent;
mod streamed;
mod turns;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lambda_session::{Session, SessionLayer};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// Tells this test program that it is the function, not the test.
pub(crate) const ROLE: &str = "TEST_ROLE";

fn event(directory: &Path, name: &str, method: &str, path: &str, body: &str) -> PathBuf {
    let host = "abc.execute-api.eu-west-1.amazonaws.com";
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {"host": host, "content-type": "application/json"},
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default", "domainName": host},
        "body": body, "isBase64Encoded": false
    });
    let file = directory.join(name);
    fs::write(&file, event.to_string()).unwrap();
    file
}

fn invoke(
    directory: &Path,
    bootstrap: &Path,
    events: &[PathBuf],
    environment: &[(&str, &str)],
) -> (Vec<Value>, Output) {
    let output = Command::new(env!("CARGO_BIN_EXE_lambda-session"))
        .args(["invoke", "--json", "--bootstrap"])
        .arg(bootstrap)
        .args(events)
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("SECRET_KEY_BASE", SECRET)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let answers =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (answers, output)
}

/// A function that panics when it is asked to: what `a_panic_in_a_handler_is_contained` starts. As a test it does nothing.
#[test]
fn function_that_panics() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let app = axum::Router::new()
        .route(
            "/panic",
            axum::routing::post(|mut session: Session| async move {
                session.insert("lost", true).unwrap();
                if session.contains("lost") {
                    panic!("as asked");
                }
            }),
        )
        .route(
            "/pid",
            axum::routing::get(|session: Session| async move { format!("{} {}", std::process::id(), session.len()) }),
        );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sessions = <SessionLayer>::from_env().await.unwrap();
        lambda_session::run(app.layer(sessions)).await.unwrap();
    });
}

/// AR2: a panic is a function error, nothing is saved, and the same process serves the next event.
#[test]
fn a_panic_in_a_handler_is_contained() {
    let directory = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let bootstrap = directory.path().join("bootstrap");
    let script = format!("#!/bin/sh\nexec '{}' --exact function_that_panics --nocapture\n", program.display());
    fs::write(&bootstrap, script).unwrap();
    fs::set_permissions(&bootstrap, fs::Permissions::from_mode(0o755)).unwrap();
    let before = event(directory.path(), "before.json", "GET", "/pid", "");
    let panic = event(directory.path(), "panic.json", "POST", "/panic", "");

    let events = [before.clone(), panic, before];
    let (answers, output) = invoke(directory.path(), &bootstrap, &events, &[(ROLE, "function")]);

    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(answers.len(), 3);
    let body = |answer: &Value| answer["body"].as_str().map(str::to_owned);
    assert_eq!(body(&answers[0]), body(&answers[2]), "the same process, and an empty session");
    assert!(body(&answers[0]).unwrap().ends_with(" 0"));
    assert!(answers[1].to_string().contains("Lambda panicked: as asked"), "{}", answers[1]);
}

/// SL11, SS12: with the log at TRACE the real function writes no secret, no token and nothing of a session, in no spelling.
#[test]
fn the_function_logs_nothing_secret_at_trace() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let value = "xyzzy-plugh-7f3a";
    let events = [
        event(path, "set.json", "POST", "/posts", &json!({ "magic": value }).to_string()),
        event(path, "get.json", "GET", "/posts", ""),
        event(path, "login.json", "POST", "/login", r#"{"user":"plover-the-user"}"#),
        event(
            path,
            "large.json",
            "POST",
            "/posts",
            &json!({ "large": format!("{value}{}", "x".repeat(5_000)) }).to_string(),
        ),
        event(path, "logout.json", "POST", "/logout", ""),
    ];
    for (protection, format) in [("encrypted", "JSON"), ("signed", "Text")] {
        let bootstrap = Path::new(env!("CARGO_BIN_EXE_bootstrap"));
        let (answers, output) = invoke(
            path,
            bootstrap,
            &events,
            &[
                ("RUST_LOG", "trace"),
                ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
                ("AWS_LAMBDA_LOG_FORMAT", format),
                ("SESSION_PROTECTION", protection),
            ],
        );
        let statuses: Vec<_> = answers.iter().map(|answer| answer["status"].as_u64().unwrap_or(0)).collect();
        assert_eq!(statuses, [200, 200, 200, 500, 200], "{}", String::from_utf8_lossy(&output.stderr));
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log is on: {log}");
        assert!(log.contains("does not fit a cookie of 4096 bytes"), "the developer learns of it: {log}");
        let mut forbidden = vec![SECRET.to_owned(), "AaJ3".into(), "A6J3".into()];
        for text in [value, "plover-the-user"] {
            forbidden.push(text.into());
            forbidden.push(text.bytes().map(|byte| format!("{byte:02x}")).collect());
            forbidden.push(URL_SAFE_NO_PAD.encode(text));
            forbidden.push(text.replace('-', "%2D"));
        }
        let secret: Vec<u8> = (0..32).collect();
        forbidden.push(URL_SAFE_NO_PAD.encode(&secret));
        for text in forbidden {
            assert!(!log.to_lowercase().contains(&text.to_lowercase()), "{protection}: {text} is in the log");
        }
    }
}
