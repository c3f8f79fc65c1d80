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

#[cfg(feature = "ssm")]
#[path = "../support/authority.rs"]
mod authority;
mod child;
#[cfg(feature = "ssm")]
#[path = "../support/ssm.rs"]
mod listener;
mod needles;
mod scan;
#[cfg(feature = "ssm")]
mod ssm;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::child::ROLE;
use crate::needles::{Needle, masked, needles};

/// `keep.c` for the child, compiled.
static KEEP: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (library, made) = (directory.join("keep.so"), directory.join(format!("keep-{}.so", std::process::id())));
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-fno-builtin", "-O1", "-o"]).arg(&made);
    compiler.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wiped/keep.c"));
    assert!(compiler.status().expect("the C compiler that Rust links with").success());
    std::fs::rename(made, &library).unwrap();
    library
});

/// What the child found: names of needles, while the ring was there and after.
#[derive(Debug)]
struct Found {
    before: Vec<String>,
    after: Vec<String>,
}

impl Found {
    fn assert_wiped(&self, of: &str) {
        // The scan finds what is there: the keys that the ring works with.
        for key in ["round-key", "hmac-inner", "hmac-outer"] {
            assert!(self.before.iter().any(|name| name.starts_with(key)), "{of}: {key}: {self:?}");
        }
        assert!(self.after.is_empty(), "{of}: {self:?}");
    }
}

/// Runs the child in this role, with these variables, and reads what it found.
fn found(role: &str, secret: &str, needles: &[Needle], variables: &[(&str, String)]) -> Found {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::the_child", "--nocapture", "--test-threads=1"])
        .env_clear()
        .env("LD_PRELOAD", &*KEEP)
        .env(ROLE, role)
        .envs(variables.iter().map(|(name, value)| (name, value)))
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
    let found = found("variable", &text, &needles(&bytes, &text), &[]);
    found.assert_wiped("a variable");
}
