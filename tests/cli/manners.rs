//! What all commands have in common: exit codes, pipes, colours, and no secrets where others can read them.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::support::{Place, Ran, SECRET, Sealed, Variables, get, http_api, python};

/// CL4: 0 done, 1 refused or failed, 2 usage, 3 environment or no secret.
#[test]
fn every_command_ends_with_its_code() {
    let place = Place::new();
    place.event("good.json", &http_api("/status", "500"));
    place.event("crash.json", &get("/crash"));
    place.write("broken.json", "{");
    let token = Sealed::default().encrypted();
    let python = python();
    let python = python.to_str().unwrap();
    let secret = [("SECRET_KEY_BASE", SECRET)];
    let rows: [(&str, Variables<'_>, &str, i32); 28] = [
        ("", &[], "secret", 0),
        ("", &[], "--help", 0),
        ("", &[], "--version", 0),
        ("", &[], "invoke --help", 0),
        ("", &[], "", 2),
        ("", &[], "bake", 2),
        ("", &[], "secret --ssm", 2),
        (&token, &secret, "inspect", 0),
        ("AaJ3", &secret, "inspect", 1),
        ("", &secret, "inspect", 2),
        ("\u{0}", &secret, "inspect --reveal=x", 2),
        (&token, &[], "inspect", 3),
        (&token, &[("SECRET_KEY_BASE", "hunter2")], "inspect", 3),
        (&token, &[("SECRET_KEY_BASE", SECRET), ("SESSION_IDLE", "soon")], "inspect", 3),
        ("", &secret, "doctor", 0),
        ("", &secret, "doctor --json", 0),
        ("", &[], "doctor", 1),
        ("", &secret, "doctor localhost", 2),
        ("", &[], "invoke", 2),
        ("", &[], "invoke missing.json", 2),
        ("", &[], "invoke broken.json", 2),
        ("", &[], "invoke --timeout soon good.json", 2),
        ("", &[], "invoke --timeout 0 good.json", 2),
        ("", &[], "invoke --jar jar.json --no-jar good.json", 2),
        ("", &[], "invoke --bootstrap PYTHON - -", 2),
        ("", &[], "invoke --bootstrap PYTHON good.json", 0),
        ("", &[], "invoke --bootstrap PYTHON good.json crash.json good.json", 1),
        ("", &[], "invoke --bootstrap missing good.json", 3),
    ];
    for (input, variables, arguments, code) in rows {
        let words = arguments.replace("PYTHON", python);
        let words: Vec<_> = words.split_whitespace().collect();
        let ran = place.run_with(input, variables, &words);
        assert_eq!(ran.code, code, "{arguments} {variables:?}: {ran:?}");
        assert!(!ran.err.contains("panicked"), "{arguments}: {ran:?}");
        assert!(code < 2 || !ran.err.is_empty(), "{arguments} says why: {ran:?}");
        assert!(code > 0 || ran.err.is_empty(), "{arguments} says nothing besides: {ran:?}");
    }
}

/// CL4: a reader who has seen enough is no reason to panic.
#[test]
fn a_closed_pipe_is_a_quiet_end() {
    let place = Place::new();
    place.event("e.json", &get("/count"));
    let token = Sealed::default().encrypted();
    let cookie = place.write("cookie.txt", token);
    let python = python();
    let rows: [&[&str]; 8] = [
        &["secret"],
        &["secret", "--env"],
        &["--help"],
        &["inspect", "--reveal"],
        &["doctor"],
        &["doctor", "--json"],
        &["invoke", "--bootstrap", python.to_str().unwrap(), "e.json", "e.json"],
        &["invoke", "--json", "--bootstrap", python.to_str().unwrap(), "e.json", "e.json"],
    ];
    for arguments in rows {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = place.command(arguments);
        command.env("SECRET_KEY_BASE", SECRET).stdin(fs::File::open(&cookie).unwrap()).stdout(writer);
        let ran = Ran::of(command.stderr(Stdio::piped()).output().unwrap());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}");
    }
}

/// CL4: the same with standard error closed as well, where a panic would show in the exit code only.
#[test]
fn closed_pipes_on_both_sides_are_a_quiet_end() {
    let place = Place::new();
    for (arguments, code) in [(&["secret"] as &[&str], 0), (&["invoke", "missing.json"], 2), (&["bake"], 2)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = place.command(arguments);
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        assert_eq!(command.status().unwrap().code(), Some(code), "{arguments:?}");
    }
}

/// CL2: no option takes a secret or a token, and one that is given all the same is not repeated.
#[test]
fn no_secret_goes_on_a_command_line() {
    let place = Place::new();
    for command in ["secret", "invoke", "inspect", "doctor"] {
        let help = place.run(&[command, "--help"]).out;
        let options: Vec<_> = help.lines().filter(|line| line.trim_start().starts_with("--")).collect();
        let takes_secret = |line: &&str| line.contains('<') && (line.contains("SECRET") || line.contains("TOKEN"));
        assert!(!options.iter().any(takes_secret), "{options:?}");
    }
    let token = Sealed::default().encrypted();
    for arguments in [["inspect", &token], ["secret", SECRET]] {
        let ran = place.run(&arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.err.contains("command line") && !ran.err.contains(arguments[1]), "{ran:?}");
    }
}

/// CL2: while a function runs with the secret, neither its command line nor ours holds it.
#[test]
#[cfg(target_os = "linux")]
fn no_command_line_on_this_machine_holds_the_secret() {
    let place = Place::new();
    place.event("e.json", &get("/hang"));
    let python = python();
    let mut command = place.command(&["invoke", "--timeout", "20s", "--bootstrap", python.to_str().unwrap(), "e.json"]);
    command.env("SECRET_KEY_BASE", SECRET).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "function | a word before the silence");
    let mut seen = 0;
    for entry in fs::read_dir("/proc").unwrap() {
        let Ok(line) = fs::read(entry.unwrap().path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line);
        seen += usize::from(line.contains("invoke") || line.contains("bootstrap.py"));
        assert!(!line.contains(SECRET), "{line}");
    }
    assert!(seen >= 2, "our own command line and the function's were read");
    crate::failures::signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
}

/// Colours only on a terminal, and not against `NO_COLOR`.
#[test]
fn colours_are_for_terminals() {
    let place = Place::new();
    place.event("e.json", &get("/count"));
    let python = python();
    let invoke = ["invoke", "--bootstrap", python.to_str().unwrap(), "e.json"];
    assert!(!place.run(&invoke).out.contains('\u{1b}'), "no terminal");
    let rows = [
        ("a terminal", None, true),
        ("a terminal, NO_COLOR", Some(("NO_COLOR", "1")), false),
        ("a terminal, empty NO_COLOR", Some(("NO_COLOR", "")), true),
        ("a dumb terminal", Some(("TERM", "dumb")), false),
    ];
    for (name, variable, expected) in rows {
        for arguments in [&invoke as &[&str], &["--help"], &["doctor"]] {
            // Python's pty is a terminal for whoever has none.
            let mut command = place.program("python3");
            command.args(["-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))"]);
            command.arg(env!("CARGO_BIN_EXE_lambda-session")).args(arguments).env("TERM", "xterm").envs(variable);
            command.env("SECRET_KEY_BASE", SECRET);
            let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut text = String::new();
            child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
            assert!(child.wait().unwrap().success(), "{name}");
            assert_eq!(text.contains('\u{1b}'), expected, "{name}: {text}");
        }
    }
}
