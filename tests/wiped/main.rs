//! What is left of the secrets in a process's memory once its ring is dropped (security.md, SS10): a child scans its own.
//!
//! The child is told what to look for behind a mask, and looks at memory through it, so that what it looks for is not there
//! by that alone.
#![cfg(target_os = "linux")]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

mod child;
#[cfg(feature = "ssm")]
#[path = "../support/ssm.rs"]
mod listener;
mod needles;
mod scan;

use std::{
    io::Write,
    process::{Command, Stdio},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::child::{ROLE, SSM_URL};
use crate::needles::{Needle, masked, needles};

/// What the child found: names of needles, while the ring was there and after.
#[derive(Debug)]
struct Found {
    before: Vec<String>,
    after: Vec<String>,
}

/// Runs the child in this role and reads what it found.
fn found(role: &str, secret: &str, needles: &[Needle], ssm: &str) -> Found {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::the_child", "--nocapture", "--test-threads=1"])
        .env_clear()
        .env(ROLE, role)
        .env(SSM_URL, ssm)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = format!("{}\n", masked(secret.as_bytes()));
    for needle in needles {
        told.push_str(&format!("{} {}\n", needle.name, masked(&needle.bytes)));
    }
    child.stdin.take().unwrap().write_all(told.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let names = |start: &str| {
        let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("{text}"));
        rest.lines().next().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    Found { before: names("before:"), after: names("after:") }
}

fn secret() -> (Vec<u8>, String) {
    let mut bytes = vec![0; 32];
    getrandom(&mut bytes);
    let text = URL_SAFE_NO_PAD.encode(&bytes);
    (bytes, text)
}

fn getrandom(bytes: &mut [u8]) {
    lambda_session::random::system(bytes).unwrap();
}

/// SS10: of a secret that a variable held nothing is left: not its bytes, not its text, no key derived from it.
#[test]
fn nothing_of_a_secret_is_left_once_its_ring_is_dropped() {
    let (bytes, text) = secret();
    let found = found("variable", &text, &needles(&bytes, &text), "");
    // The scan finds what is there: the keys that the ring works with.
    for key in ["round-key", "hmac-inner", "hmac-outer"] {
        assert!(found.before.iter().any(|name| name.starts_with(key)), "{key}: {found:?}");
    }
    assert!(found.after.is_empty(), "{found:?}");
}

/// SS10, best effort: of a secret that SSM sent no bytes and no key are left. Its text is, once, in the buffer that the SDK's
/// HTTP client read the answer into, which nobody wipes: DESIGN.md says so.
#[cfg(feature = "ssm")]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_sdk_s_copies_is_left_of_a_secret_from_ssm() {
    let (bytes, text) = secret();
    let ssm = listener::Ssm::start().await;
    ssm.put("/a", &text);
    let needles = needles(&bytes, &text);
    let url = ssm.url();
    let found = tokio::task::spawn_blocking(move || found("ssm", "", &needles, &url)).await.unwrap();
    println!("left of a secret from SSM: {:?}", found.after);
    assert!(found.before.iter().any(|name| name.starts_with("round-key")), "{found:?}");
    let ours: Vec<_> = found.after.iter().filter(|name| !name.starts_with("text")).collect();
    assert!(ours.is_empty(), "{found:?}");
}
