//! Functions that do not answer.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Place, get, http_api, python, rest};

/// Sends a signal as a shell does.
pub(crate) fn signal(process: u32, name: &str) {
    assert!(Command::new("/bin/sh").args(["-c", &format!("kill -s {name} {process}")]).status().unwrap().success());
}

#[test]
fn an_event_without_an_answer_is_told_with_its_reason_and_the_next_is_served() {
    let too_long = "no answer within 2 s; stopped";
    let rows = [
        ("crash", get("/crash"), "crash", "the function ended without an answer (exit status: 7)", "a last word\n"),
        ("hang", get("/hang"), "timeout", too_long, "a word before the silence\n"),
        ("error", get("/error"), "function error", "function error: Oops: it broke", "a word of warning\n"),
        ("nonsense", get("/nonsense"), "nonsense", "the answer is not JSON: expected ident at line 1 column 2", ""),
        ("no status", json!([1]), "nonsense", "the answer is JSON, but not an object with a statusCode", ""),
        (
            "a wrong status",
            rest("/status", "99"),
            "nonsense",
            "statusCode in the answer is not a number from 100 to 599",
            "",
        ),
    ];
    for (name, event, kind, message, output) in rows {
        let ran = Place::new().invoke(&["--json", "--timeout", "2s"], &[get("/count"), event, get("/count")]);
        assert_eq!(ran.code, 1, "{name}: {ran:?}");
        let lines = ran.json();
        assert_eq!(lines[1]["error"], json!({"kind": kind, "message": message, "output": output}), "{name}");
        assert_eq!(lines[1]["status"], Value::Null, "{name}");
        assert_eq!((&lines[0]["body"], &lines[2]["body"]), (&json!(1), &json!(2)), "{name}: the cookie stays");
        let restarted = ["crash", "timeout"].contains(&kind);
        assert_eq!(!lines[2]["started_milliseconds"].is_null(), restarted, "{name}: started again only if it died");
        assert!(ran.err.contains(output.trim_end()), "{name}: {}", ran.err);
    }
}

#[test]
fn a_failure_is_told_to_people() {
    let ran = Place::new().invoke(&[], &[get("/crash")]);
    let start = "1. POST /crash  HTTP API 2.0, 0.json\n   cookies sent: none\n   no answer: the function ended without an answer (exit status: 7) after ";
    assert!(ran.out.starts_with(start), "{}", ran.out);
    assert_eq!(ran.err, "function | a last word\n");
}

#[test]
fn a_function_that_ends_between_two_events_is_started_again() {
    for (path, options, note) in [
        (
            "/once/count",
            &["--json"] as &[&str],
            "the function had ended after the event before (exit status: 5); started again",
        ),
        (
            "/mute/count",
            &["--json", "--timeout", "2"],
            "the function asked for no other event; stopped and started again",
        ),
    ] {
        let ran = Place::new().invoke(options, &[get(path), get("/count")]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let lines = ran.json();
        assert_eq!((&lines[0]["notes"], &lines[1]["notes"]), (&json!([]), &json!([note])));
        assert_eq!((&lines[0]["body"], &lines[1]["body"]), (&json!(1), &json!(2)));
    }
}

#[test]
fn a_function_that_cannot_start_is_an_end_with_3() {
    let place = Place::new();
    place.event("e.json", &get("/count"));
    let executable = |name: &str, text: &str, mode: u32| {
        let path = place.write(name, text);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    executable("plain", "echo", 0o755);
    executable("locked", "#!/bin/sh\n", 0o644);
    executable("orphan", "#!/no/such/interpreter\n", 0o755);
    let python = python();
    let python = python.to_str().unwrap();
    let rows: [(&str, &str, &str); 7] = [
        ("missing", "", "No such file or directory (os error 2)\n"),
        ("plain", "", "Exec format error (os error 8); a script begins with a line like #!/usr/bin/env python3\n"),
        ("locked", "", "Permission denied (os error 13); is it executable (chmod +x)?\n"),
        ("orphan", "", "; the file is there, so what its first line names, or its loader, is not\n"),
        (
            python,
            "exit",
            "function | cannot find my settings\nlambda-session: the function ended before it asked for an event (exit status: 1)\n",
        ),
        (python, "init-error", "lambda-session: the function says it cannot start: Init: no table\n"),
        (python, "silent", "function | thinking\nlambda-session: the function did not ask for an event within 10 s\n"),
    ];
    for (bootstrap, mode, end) in rows {
        let arguments = ["invoke", "--timeout", "2s", "--bootstrap", bootstrap, "e.json"];
        let ran = place.run_with("", &[("MODE", mode)], &arguments);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{bootstrap} {mode}: {ran:?}");
        assert!(ran.err.ends_with(end), "{bootstrap} {mode}: {}", ran.err);
    }
}

#[test]
fn a_bootstrap_may_be_named_by_its_directory() {
    let place = Place::new();
    place.event("e.json", &get("/count"));
    fs::create_dir(place.path("built")).unwrap();
    std::os::unix::fs::symlink(python(), place.path("built/bootstrap")).unwrap();
    assert_eq!(place.run(&["invoke", "--bootstrap", "built", "e.json"]).code, 0);
    assert_eq!(place.run(&["invoke", "--bootstrap", "built/bootstrap", "e.json"]).code, 0);
}

#[test]
fn a_bootstrap_is_never_looked_up_in_the_path() {
    let place = Place::new();
    place.event("e.json", &get("/count"));
    let ran = place.run(&["invoke", "--bootstrap", "true", "e.json"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("/true: No such file or directory"), "{}", ran.err);
}

/// A wrong event is found before anything runs.
#[test]
fn a_wrong_event_starts_nothing() {
    let place = Place::new();
    place.event("good.json", &get("/log"));
    let python = python();
    let rows: [(&str, &[u8], &str); 3] = [
        ("not JSON", b"{", "lambda-session: bad.json is not JSON: EOF while parsing an object at line 1 column 1\n"),
        ("empty", b"", "lambda-session: bad.json is not JSON: EOF while parsing a value at line 1 column 0\n"),
        ("not text", b"\xff", "lambda-session: bad.json is not UTF-8 text, so not JSON\n"),
    ];
    for (name, text, error) in rows {
        place.write("bad.json", text);
        let ran = place.run(&["invoke", "--bootstrap", python.to_str().unwrap(), "good.json", "bad.json"]);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (2, "", error), "{name}");
    }
}

/// The processes of a function that hangs: itself, and one that it started.
pub(crate) fn processes(file: &Path) -> Vec<u32> {
    let text = fs::read_to_string(file).unwrap();
    text.split(' ').map(|number| number.parse().unwrap()).collect()
}

pub(crate) fn all_gone(processes: &[u32]) -> bool {
    let is_running = |process: &u32| {
        let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // A zombie, Z, only waits for whoever collects the dead here.
        state.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
    };
    let begin = Instant::now();
    while processes.iter().any(is_running) {
        if begin.elapsed() > Duration::from_secs(5) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// As on Lambda: a runtime with an extension gets a signal and half a second, any other is stopped at once.
#[test]
fn a_function_that_asked_is_told_of_its_end() {
    let place = Place::new();
    place.event("e.json", &get("/count"));
    let python = python();
    let arguments = ["invoke", "--bootstrap", python.to_str().unwrap(), "e.json"];
    let ran = place.run_with("", &[("MODE", "extension")], &arguments);
    assert_eq!((ran.code, ran.err.as_str()), (0, "function | registered\nfunction | goodbye\n"));
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_of_a_stopped_function_stays() {
    let place = Place::new();
    let file = place.path("processes");
    let ran = place.invoke(&["--timeout", "2"], &[http_api("/hang", file.to_str().unwrap())]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(all_gone(&processes(&file)));
}

#[test]
#[cfg(target_os = "linux")]
fn an_interrupted_command_stops_its_function() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let place = Place::new();
        let file = place.path("processes");
        place.event("e.json", &http_api("/hang", file.to_str().unwrap()));
        let python = python();
        let mut command = place.command(&["invoke", "--bootstrap", python.to_str().unwrap(), "e.json"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "function | a word before the silence");
        while !fs::read_to_string(&file).is_ok_and(|text| text.contains(' ')) {
            std::thread::sleep(Duration::from_millis(10));
        }
        signal(child.id(), name);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{name}");
        assert!(all_gone(&processes(&file)), "{name}");
    }
}
