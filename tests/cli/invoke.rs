//! `lambda-session invoke`: what a function gets, and what is told of its answer.

use serde_json::{Value, json};

use crate::support::{Place, Ran, alb, alb_multi, function_url, get, http_api, python, rest};

/// One event of each kind for `path`.
fn kinds(path: &str, body: &str) -> [Value; 5] {
    [http_api(path, body), function_url(path, body), rest(path, body), alb(path, body), alb_multi(path, body)]
}

/// The body of the first answer, as JSON.
fn body(ran: &Ran) -> Value {
    ran.json()[0]["body"].clone()
}

#[test]
fn every_kind_of_event_gets_its_answer() {
    let ran = Place::new().invoke(&["--json"], &kinds("/status", "418"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let told: Vec<_> = ran.json().iter().map(|line| (line["kind"].clone(), line["status"].clone())).collect();
    let names = ["HTTP API 2.0", "function URL", "REST 1.0", "ALB", "ALB with multi-value headers"];
    assert_eq!(told, names.map(|name| (json!(name), json!(418))));
}

#[test]
fn the_report_is_for_people() {
    let ran = Place::new().invoke(&[], &[http_api("/status", "404"), http_api("/log", "")]);
    let text = ran.out.lines().map(|line| if line.contains(" in ") { "   (time)" } else { line });
    let expected = [
        "1. POST /status  HTTP API 2.0, 0.json",
        "   cookies sent: none",
        "   (time)",
        "   x-one: 1",
        "   no",
        "",
        "2. POST /log  HTTP API 2.0, 1.json",
        "   cookies sent: none",
        "   (time)",
        "   no body",
    ];
    assert_eq!(text.collect::<Vec<_>>(), expected);
    assert_eq!(ran.code, 0);
}

#[test]
fn an_answer_is_told_whole_as_json() {
    let ran = Place::new().invoke(&["--json"], &[http_api("/status", "404")]);
    let mut line = ran.json().remove(0);
    assert!(line["milliseconds"].take().is_f64() && line["started_milliseconds"].take().is_f64());
    let expected = json!({
        "number": 1, "event": "0.json", "kind": "HTTP API 2.0", "request": "POST /status", "cookies_sent": [],
        "started_milliseconds": null, "milliseconds": null, "notes": [],
        "status": 404, "headers": {"x-one": ["1"]}, "set_cookies": [], "body": "no",
    });
    assert_eq!(line, expected);
}

#[test]
fn bytes_are_counted_and_not_shown() {
    let place = Place::new();
    assert!(place.invoke(&[], &[get("/bytes")]).out.ends_with("\n   body: 256 bytes, sent as base64\n"));
    assert!(place.invoke(&["--json"], &[get("/bytes")]).json()[0]["body_base64"].as_str().unwrap().starts_with("AAEC"));
}

/// CL3: nothing that a function answers moves the cursor or turns the reading direction.
#[test]
fn an_answer_cannot_play_with_the_terminal() {
    for options in [&[] as &[&str], &["--json"]] {
        let ran = Place::new().invoke(options, &[get("/hostile")]);
        let is_harmless = |c: char| !(c.is_control() && c != '\n') && c != '\u{202e}';
        assert!(ran.out.chars().all(is_harmless), "{ran:?}");
        assert!(ran.out.contains(r"\u202ee") && ran.out.contains(r"\u001b]0;d\u0007"), "{ran:?}");
    }
}

#[test]
fn the_event_and_its_lambda_headers_arrive() {
    let ran = Place::new().invoke(&["--json", "--timeout", "1m"], &[http_api("/event", "grüße")]);
    let seen = body(&ran);
    assert_eq!(seen["event"], http_api("/event", "grüße"));
    let header = |name: &str| seen["headers"][name].as_str().unwrap_or_default().to_owned();
    let id = header("lambda-runtime-aws-request-id");
    assert_eq!((id.len(), id.split('-').count()), (36, 5), "{id}");
    let deadline: u128 = header("lambda-runtime-deadline-ms").parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    assert!((now + 30_000..=now + 60_000).contains(&deadline), "{deadline} {now}");
    assert!(header("lambda-runtime-trace-id").starts_with("Root=1-"));
    assert!(header("lambda-runtime-invoked-function-arn").starts_with("arn:aws:lambda:"));
}

#[test]
fn an_event_is_read_from_standard_input() {
    let place = Place::new();
    place.event("after.json", &get("/count"));
    let python = python();
    let arguments = ["invoke", "--json", "--bootstrap", python.to_str().unwrap(), "-", "after.json"];
    let ran = place.run_with(&get("/count").to_string(), &[], &arguments);
    let told: Vec<_> = ran.json().iter().map(|line| (line["event"].clone(), line["body"].clone())).collect();
    assert_eq!(told, [(json!("standard input"), json!(1)), (json!("after.json"), json!(2))]);
}

#[test]
fn a_streamed_answer_is_put_together() {
    let ran = Place::new().invoke(&["--json"], &[function_url("/stream", "")]);
    let line = &ran.json()[0];
    assert_eq!((&line["body"], &line["set_cookies"][0]["name"]), (&json!("in pieces"), &json!("n")));
}

#[test]
fn the_function_finds_what_lambda_gives_it() {
    let place = Place::new();
    place.event("0.json", &get("/environment"));
    let python = python();
    let arguments = ["invoke", "--json", "--bootstrap", python.to_str().unwrap(), "0.json"];
    let variables = [
        ("AWS_REGION", "eu-west-1"),
        ("MINE", "1"),
        ("_HANDLER", "other"),
        ("TZ", "Europe/Vienna"),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "4"),
    ];
    let ran = place.run_with("", &variables, &arguments);
    let seen = body(&ran);
    let rows = [
        ("AWS_LAMBDA_FUNCTION_NAME", "function"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/function"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "local"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("LAMBDA_TASK_ROOT", python.parent().unwrap().to_str().unwrap()),
        ("_HANDLER", "other"),
        ("TZ", ":UTC"),
        ("MINE", "1"),
    ];
    for (name, expected) in rows {
        assert_eq!(seen[name], json!(expected), "{name}");
    }
    assert_eq!(seen["AWS_LAMBDA_MAX_CONCURRENCY"], Value::Null, "events come one at a time");
    assert!(seen["AWS_LAMBDA_RUNTIME_API"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn files_hand_over_what_the_environment_does_not_set() {
    let place = Place::new();
    place.event("0.json", &get("/environment"));
    place.write(".env", "A=file\nB=file\nC=file\nAWS_LAMBDA_FUNCTION_NAME=shop\nAWS_LAMBDA_RUNTIME_API=127.0.0.1:1\n");
    place.write(".env.local", "B=local\nC=local\n");
    let python = python();
    let arguments = ["invoke", "--json", "--bootstrap", python.to_str().unwrap(), "0.json"];
    let ran = place.run_with("", &[("C", "process"), ("D", "process")], &arguments);
    let seen = body(&ran);
    let names = ["A", "B", "C", "D", "AWS_LAMBDA_FUNCTION_NAME"];
    assert_eq!(names.map(|name| &seen[name]), ["file", "local", "process", "process", "shop"]);
    place.write(".env", "no assignment\n");
    let ran = place.run(&arguments);
    assert_eq!((ran.code, ran.err.as_str()), (3, "lambda-session: .env, line 1, is no assignment: write NAME=value\n"));
}

#[test]
fn what_the_function_writes_goes_to_standard_error() {
    let ran = Place::new().invoke(&["--json"], &[get("/log")]);
    let mut lines: Vec<_> = ran.err.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["function | words on standard error", "function | words on standard output"]);
    assert_eq!(ran.json().len(), 1);
}

/// AR3, CL5: an answer is held against the limits of Lambda and of a load balancer.
#[test]
fn answers_are_held_against_the_limits() {
    let mebibyte = 1024 * 1024;
    let rows = [
        ("small", http_api("/size", "10"), None, 0),
        ("large", http_api("/size", &(5 * mebibyte).to_string()), None, 1),
        ("too large", http_api("/size", &(6 * mebibyte + 200).to_string()), Some("6291556"), 0),
        ("a load balancer's", alb("/size", &(mebibyte - 100).to_string()), None, 0),
        ("too large for it", alb("/size", &mebibyte.to_string()), Some("1048576"), 0),
        ("too large for it, several values", alb_multi("/size", &mebibyte.to_string()), Some("1048576"), 0),
    ];
    for (name, event, limit, notes) in rows {
        // The next event shows that the function lives on.
        let ran = Place::new().invoke(&["--json"], &[event, get("/count")]);
        let lines = ran.json();
        assert_eq!(ran.code, i32::from(limit.is_some()), "{name}: {}", ran.err);
        assert_eq!(lines[0]["notes"].as_array().unwrap().len(), notes, "{name}");
        match limit {
            Some(limit) => {
                assert_eq!(lines[0]["error"]["kind"], "too large", "{name}");
                let message = lines[0]["error"]["message"].as_str().unwrap();
                assert!(message.ends_with(&format!("is over the limit of {limit} bytes")), "{name}: {message}");
            }
            None => assert_eq!(lines[0]["status"], 200, "{name}"),
        }
        assert_eq!((&lines[1]["status"], &lines[1]["started_milliseconds"]), (&json!(200), &Value::Null), "{name}");
    }
}

/// AR3, CL5: what Lambda would refuse does not reach the function.
#[test]
fn events_are_held_against_the_limits() {
    let mebibyte = 1024 * 1024;
    let body = |bytes: usize| "x".repeat(bytes);
    let rows = [
        ("large", http_api("/event/", &body(5 * mebibyte)), None),
        ("too large", http_api("/event/", &body(6 * mebibyte)), Some(" is over the limit of 6291456 bytes")),
        ("a load balancer's", alb("/event/", &body(mebibyte)), None),
        (
            "too large for it",
            alb("/event/", &body(mebibyte + 1)),
            Some("a request body of 1048577 bytes is over the limit of 1048576 bytes"),
        ),
    ];
    for (name, event, expected) in rows {
        let ran = Place::new().invoke(&["--json"], &[event]);
        let line = &ran.json()[0];
        match expected {
            Some(end) => assert!(line["error"]["message"].as_str().unwrap().ends_with(end), "{name}: {line}"),
            None => assert_eq!(line["status"], 404, "{name}"),
        }
    }
}

/// CL5: nothing but loopback is needed: it runs where there is no network at all.
#[test]
#[cfg(target_os = "linux")]
fn no_network_is_needed() {
    let place = Place::new();
    place.event("e.json", &get("/count"));
    // A fresh network namespace has one interface, loopback, and it is down: 0x8914 is SIOCSIFFLAGS, 1 is IFF_UP.
    let script = "import fcntl, os, socket, struct, sys\n\
                  fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 1))\n\
                  assert open('/proc/net/route').read().count('\\n') == 1, 'there is a route'\n\
                  os.execv(sys.argv[1], sys.argv[1:])";
    let python = python();
    let mut command = place.program("unshare");
    command.args(["-r", "-n", "python3", "-c", script, env!("CARGO_BIN_EXE_lambda-session")]);
    command.args(["invoke", "--json", "--bootstrap", python.to_str().unwrap(), "e.json", "e.json"]);
    if !place.program("unshare").args(["-r", "-n", "true"]).status().is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "nothing is skipped where CI is set");
        eprintln!("skipped: this machine lets nobody make a network namespace");
        return;
    }
    let ran = Ran::of(command.output().unwrap());
    assert_eq!((ran.code, ran.json().len()), (0, 2), "{ran:?}");
}

/// The main job: a session goes out in a cookie and comes back, through the real example application.
#[cfg(feature = "axum")]
mod example {
    use super::*;

    fn events() -> (Value, Value) {
        let mut read = get("/posts");
        read["requestContext"]["http"]["method"] = json!("GET");
        (http_api("/posts", r#"{"color":"blue"}"#), read)
    }

    #[test]
    fn a_session_comes_back() {
        let place = Place::new();
        place.write(".env", place.run(&["secret", "--env"]).out);
        let (write, read) = events();
        let (write, read) = (place.event("write.json", &write), place.event("read.json", &read));
        let ran = place.run(&["invoke", "--json", &write, &read]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let lines = ran.json();
        assert_eq!(lines[0]["body"], json!({"message": "set some data in the session"}));
        assert_eq!(lines[0]["session"]["what"], "new");
        assert_eq!(lines[0]["session"]["added"]["color"], "blue");
        assert_eq!(lines[1]["cookies_sent"], json!(["__Host-session"]));
        assert_eq!(lines[1]["body"]["color"], "blue");
        assert_eq!(lines[1]["session"]["what"], "unchanged");
        assert_eq!(lines[1]["session"]["after"], lines[1]["body"]);
    }

    #[test]
    fn the_report_shows_what_changed_but_not_the_token() {
        let place = Place::new();
        place.write(".env", place.run(&["secret", "--env"]).out);
        let (write, read) = events();
        let (write, read) = (place.event("write.json", &write), place.event("read.json", &read));
        let ran = place.run(&["invoke", "--jar", "jar.json", &write, &read, &write]);
        for line in [
            "   session: new",
            "     + color: \"blue\"",
            "   session: unchanged",
            "       color: \"blue\"",
            "   session: changed",
        ] {
            assert!(ran.out.lines().any(|found| found == line), "{line}: {}", ran.out);
        }
        let jar: Value = serde_json::from_slice(&std::fs::read(place.path("jar.json")).unwrap()).unwrap();
        let token = jar["cookies"][0]["value"].as_str().unwrap();
        assert!(token.len() > 80 && !ran.out.contains(token) && !ran.out.contains(&token[..20]));
    }

    #[test]
    fn without_a_secret_the_function_says_what_to_do() {
        let place = Place::new();
        let (write, _) = events();
        let write = place.event("write.json", &write);
        let ran = place.run(&["invoke", &write]);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""));
        assert!(ran.err.contains("lambda-session secret --env"), "{}", ran.err);
        assert!(
            ran.err.ends_with("lambda-session: the function ended before it asked for an event (exit status: 1)\n"),
            "{}",
            ran.err
        );
    }
}
