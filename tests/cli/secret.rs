//! `lambda-session secret`.

use std::collections::HashSet;
use std::fs::File;
use std::process::Stdio;

use crate::support::{Place, Ran};

fn is_secret(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// CL1: 32 bytes from the operating system as base64url, with a line end, on standard output only.
#[test]
fn a_secret_is_one_line_of_43_characters() {
    let ran = Place::new().run(&["secret"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.strip_suffix('\n').is_some_and(is_secret));
}

/// CL1: `--env` prints the line of a `.env` file, which the other commands then read.
#[test]
fn a_secret_is_printed_as_a_line_for_a_file() {
    let place = Place::new();
    let ran = place.run(&["secret", "--env"]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.strip_prefix("SECRET_KEY_BASE=").and_then(|rest| rest.strip_suffix('\n')).is_some_and(is_secret));
    place.write(".env", &ran.out);
    assert_eq!(place.run_with("AaJ3", &[], &["inspect"]).code, 1, "it found the secret, and refused the cookie");
}

/// CL1: as many secrets as runs: 1,000 here, 10,000 of what they call in the library's own tests.
#[test]
fn no_secret_comes_twice() {
    let place = Place::new();
    let loops = "i=0; while [ $i -lt 500 ]; do \"$0\" secret; i=$((i+1)); done";
    let runs: Vec<_> = (0..2)
        .map(|_| {
            let mut shell = place.program("/bin/sh");
            shell.args(["-c", loops, env!("CARGO_BIN_EXE_lambda-session")]).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let outputs: Vec<_> = runs.into_iter().map(|run| Ran::of(run.wait_with_output().unwrap()).out).collect();
    let secrets: HashSet<&str> = outputs.iter().flat_map(|output| output.lines()).collect();
    assert_eq!(secrets.len(), 1_000);
    assert!(secrets.iter().all(|secret| is_secret(secret)));
}

/// CL1: nothing is written to any file: with a limit of no bytes for files, a pipe is all that is left.
#[test]
fn a_secret_goes_to_standard_output_only() {
    let place = Place::new();
    let mut shell = place.program("/bin/sh");
    shell.args(["-c", "ulimit -f 0; exec \"$0\" secret", env!("CARGO_BIN_EXE_lambda-session")]);
    let ran = Ran::of(shell.output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(is_secret(ran.out.trim_end()));
    assert_eq!(place.names(), Vec::<String>::new());
}

/// CL4: a secret that went nowhere is no success.
#[test]
#[cfg(target_os = "linux")]
fn a_secret_that_cannot_be_written_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ran = Ran::of(Place::new().command(&["secret"]).stdout(full).output().unwrap());
    assert_eq!(ran.code, 3);
    assert_eq!(ran.err, "lambda-session: cannot write to standard output: No space left on device (os error 28)\n");
}
