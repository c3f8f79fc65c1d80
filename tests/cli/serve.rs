//! `lambda-session serve`: what a browser gets, and what its developer is told.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::failures::{all_gone, processes};
use crate::serving::{Heard, Serving};
use crate::support::{Place, SECRET, python};

const FRONTS: [&str; 5] = ["http-api", "rest", "alb", "alb-multi", "function-url"];

#[test]
fn every_front_door_hands_the_request_on_in_its_own_shape() {
    for front in FRONTS {
        let serving = Serving::python(&["--as", front]);
        let heard = serving.ask("GET /a%20b/event?x=1&x=2", &["Cookie: a=1; b=2", "X-Two: 1", "X-Two: 2"], "");
        let event = heard.json()["event"].clone();
        let (path, cookie, two) = match front {
            "http-api" => ("/a b/event", &event["cookies"], json!("1,2")),
            "function-url" => ("/a%20b/event", &event["cookies"], json!("1,2")),
            "alb" => ("/a%20b/event", &event["headers"]["cookie"], json!("2")),
            _ => ("/a%20b/event", &event["multiValueHeaders"]["cookie"], json!(["1", "2"])),
        };
        let cookies = match front {
            "http-api" | "function-url" => json!(["a=1", "b=2"]),
            "alb" => json!("a=1; b=2"),
            _ => json!(["a=1; b=2"]),
        };
        let seen_path = event["rawPath"].as_str().or(event["path"].as_str());
        assert_eq!((seen_path, cookie), (Some(path), &cookies), "{front}: {event}");
        let map = if two.is_array() { "multiValueHeaders" } else { "headers" };
        assert_eq!(event[map]["x-two"], two, "{front}");
    }
}

/// The whole way, with the real function: in, counted, logged in, out, through every front door.
#[test]
#[cfg(feature = "axum")]
fn a_session_lives_through_every_front_door() {
    let bootstrap = Path::new(env!("CARGO_BIN_EXE_bootstrap"));
    for front in FRONTS {
        let serving = Serving::before(bootstrap, &["--as", front], &[("SECRET_KEY_BASE", SECRET)]);
        let cookie = |heard: &Heard| {
            let lines = heard.values("set-cookie");
            assert_eq!(lines.len(), 1, "{front}: {heard:?}");
            format!("Cookie: {}", lines[0].split(';').next().unwrap())
        };
        let first = serving.ask("POST /posts", &["Content-Type: application/json"], r#"{"color":"blue"}"#);
        assert_eq!(first.told(), (200, r#"{"message":"set some data in the session"}"#), "{front}");
        let read = serving.ask("GET /posts", &[&cookie(&first)], "");
        assert_eq!((read.json()["color"].clone(), read.values("set-cookie")), (json!("blue"), vec![]), "{front}");
        let form = ["Content-Type: application/x-www-form-urlencoded", &cookie(&first)];
        let login = serving.ask("POST /login", &form, "user=alice");
        assert_eq!((login.status, login.values("location")), (303, vec!["./"]), "{front}");
        let page = serving.ask("GET /", &[&cookie(&login)], "");
        assert!(page.text().contains("<b id=user>alice</b>"), "{front}: {page:?}");
        let out = serving.ask("POST /logout", &[&cookie(&page)], "");
        assert!(out.values("set-cookie")[0].contains("Max-Age=0"), "{front}: {out:?}");

        let told = serving.get("/_session");
        let words: Vec<_> =
            told.text().lines().skip(1).map(|line| line.split([',', '(']).nth(1).unwrap().trim()).collect();
        // The newest first; a login is the same session under another id.
        let expected = ["session ended", "session changed", "session changed", "session unchanged", "session new"];
        assert_eq!(words, expected, "{front}: {told:?}");
        assert!(!told.text().contains("alice") && !told.text().contains("blue"), "{told:?}");
    }
}

#[test]
fn a_failing_function_is_a_generic_answer_and_a_clear_word_and_the_next_request_works() {
    let rows = [
        ("crash", "the function ended without an answer (exit status: 7)", "a last word"),
        ("hang", "no answer within 1 s; stopped", "a word before the silence"),
        ("error", "function error: Oops: it broke", "a word of warning"),
        ("nonsense", "the answer is not JSON: expected ident at line 1 column 2", ""),
    ];
    let serving = Serving::python(&["--timeout", "1s", "--environments", "1"]);
    for (deed, cause, word) in rows {
        let heard = serving.post(&format!("/{deed}"), "");
        assert_eq!(heard.told(), (500, r#"{"message":"Internal Server Error"}"#), "{deed}");
        let log = serving.wait_for(&format!("cause: {cause}"));
        let block = log.rsplit_once("no answer to ").unwrap().1;
        assert!(block.starts_with(&format!("POST /{deed}\n")), "{deed}: {log}");
        assert!(block.contains("the browser got: 500") && block.contains(word), "{deed}: {log}");
        assert_eq!(serving.get("/count").text(), "1", "{deed}");
    }
}

#[test]
fn a_function_that_cannot_start_is_told_with_its_reason_and_its_event_is_recorded() {
    let ended = "the function ended before it asked for an event (exit status: 1)";
    for (mode, cause, recorded) in [
        ("exit", ended, json!({"errorType": "Runtime.InitError", "errorMessage": ended})),
        (
            "init-error",
            "the function says it cannot start: Init: no table",
            json!({"errorType": "Init", "errorMessage": "no table"}),
        ),
    ] {
        let place = Place::new();
        let directory = place.path("visits");
        let options = ["--as", "rest", "--record", directory.to_str().unwrap()];
        let serving = Serving::before(&python(), &options, &[("MODE", mode)]);
        for _ in 0..2 {
            assert_eq!(serving.get("/count").told(), (502, r#"{"message": "Internal server error"}"#), "{mode}");
        }
        let log = serving.wait_for_times(2, "REPORT");
        let of = |part: &str| log.matches(part).count();
        assert_eq!([of(cause), of("START "), of("GET /count -> 502"), of("END ")], [2; 4], "{mode}: {log}");
        let files = ["0001-GET-count", "0002-GET-count"].map(|name| {
            let read = |what: &str| fs::read(directory.join(format!("{name}.{what}.json"))).unwrap();
            let event: Value = serde_json::from_slice(&read("event")).unwrap();
            assert_eq!(event["path"], "/count", "{mode}");
            serde_json::from_slice::<Value>(&read("answer")).unwrap()
        });
        assert_eq!(files, [recorded.clone(), recorded], "{mode}");
    }
}

#[test]
fn the_log_is_lambdas_with_the_request_id_before_each_line() {
    let serving = Serving::python(&[]);
    let heard = serving.get("/event");
    let id = heard.json()["headers"]["lambda-runtime-aws-request-id"].as_str().unwrap().to_owned();
    assert_eq!(heard.values("apigw-requestid").len(), 1);
    serving.wait_for("REPORT");
    serving.get("/log");
    let log = serving.wait_for("Max Memory Used: ");
    let (start, told) =
        (format!("START RequestId: {id} Version: $LATEST"), format!("{} | GET /event -> 200", &id[..8]));
    let end = format!("END RequestId: {id}\nREPORT RequestId: {id}\tDuration: ");
    assert!(log.starts_with(&format!("{start}\n{told}\n{end}")), "{log}");
    let log = serving.wait_for("words on standard error");
    let second = log.match_indices("START RequestId: ").nth(1).unwrap().0;
    let second = log.get(second + 17..second + 25).unwrap();
    assert!(log.contains(&format!("{second} | words on standard output\n")), "{log}");
    assert!(log.contains(&format!("{second} | words on standard error\n")), "{log}");
    assert_eq!(log.matches("Init Duration").count(), 1, "{log}");
}

#[test]
fn instances_are_started_as_load_asks_and_no_more() {
    let serving = Serving::python(&["--environments", "2", "--timeout", "2s"]);
    serving.get("/count");
    serving.get("/count");
    assert_eq!(serving.wait_for("Max Memory").matches("Init Duration").count(), 1, "one after the other needs one");
    let hanging: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = serving.connect();
            stream.write_all(b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let begin = std::time::Instant::now();
    assert_eq!(serving.get("/count").text(), "1", "it waits for its turn");
    assert!(begin.elapsed() >= std::time::Duration::from_secs(1), "both instances were at work");
    for mut stream in hanging {
        assert_eq!(Heard::read(&mut stream).status, 500);
    }
}

#[test]
fn a_front_door_waits_no_longer_than_it_would_on_aws() {
    for (front, told) in [
        ("http-api", (503, r#"{"message":"Service Unavailable"}"#)),
        ("rest", (504, r#"{"message": "Endpoint request timed out"}"#)),
    ] {
        let serving = Serving::python(&["--as", front, "--gateway-timeout", "300ms", "--timeout", "1s"]);
        assert_eq!(serving.get("/hang").told(), told);
        serving.wait_for("no answer within 1 s; stopped");
    }
}

#[test]
fn a_client_that_is_slow_or_gone_holds_no_instance() {
    let serving = Serving::python(&["--environments", "1"]);
    let mut slow = serving.connect();
    slow.write_all(b"POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
    let mut gone = serving.connect();
    gone.write_all(b"GET /count HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    drop(gone);
    assert_eq!(serving.get("/count").text(), "1");
    slow.write_all(b" there").unwrap();
    assert_eq!(Heard::read(&mut slow).text(), "1");
    assert_eq!(serving.wait_for("Max Memory").matches("Init Duration").count(), 1);
}

#[test]
fn the_limits_are_those_of_aws() {
    let header = format!("X-Large: {}", "x".repeat(10_240));
    let rows = [("http-api", 431, 413), ("rest", 431, 413), ("alb", 200, 413), ("function-url", 200, 413)];
    for (front, head, body) in rows {
        let serving = Serving::python(&["--as", front]);
        assert_eq!(serving.ask("GET /count", &[&header], "").status, head, "{front}");
        let large = "x".repeat(if front == "alb" { 1_048_577 } else { 6_291_457 });
        assert_eq!(serving.post("/count", &large).status, body, "{front}");
        let answer = serving.post("/size", if front == "alb" { "1048577" } else { "6291557" });
        let expected = if front == "http-api" { 500 } else { 502 };
        assert_eq!(answer.status, expected, "{front}");
        let limit = if front == "alb" { 1_048_576 } else { 6_291_556 };
        serving.wait_for(&format!("is over the limit of {limit} bytes"));
    }
}

#[test]
fn each_front_door_passes_on_the_cookies_that_aws_does() {
    let two = r#"["a=1; Expires=Thu, 01 Jan 2037 00:00:00 GMT","b=2"]"#;
    for front in FRONTS {
        let serving = Serving::python(&["--as", front]);
        let heard = serving.post("/set", two);
        let lines = heard.values("set-cookie");
        let both = vec!["a=1; Expires=Thu, 01 Jan 2037 00:00:00 GMT", "b=2"];
        // The function itself knows that only one would survive.
        assert_eq!(lines, if front == "alb" { both[..1].to_vec() } else { both }, "{front}");
    }
}

#[test]
fn bodies_and_statuses_go_back_as_http_wants_them() {
    let serving = Serving::python(&[]);
    assert_eq!(serving.get("/bytes").body, (0..=255).collect::<Vec<u8>>());
    let none = serving.post("/status", "204");
    assert_eq!((none.status, none.values("content-length"), none.body.len()), (204, vec![], 0));
    assert_eq!(serving.post("/status", "418").told(), (418, "no"));
    assert_eq!(serving.post("/status", "101").status, 500, "no answer may switch protocols");
    let head = serving.ask("HEAD /count", &[], "");
    assert_eq!((head.status, head.values("set-cookie"), head.body.len()), (200, vec!["n=1; Path=/"], 0));
    assert_eq!(serving.get("/hostile").values("x").len(), 0, "an escape sequence is no header");
    serving.wait_for("the header `x` is no header that HTTP can carry: dropped");
}

#[test]
fn what_is_recorded_is_played_again() {
    let place = Place::new();
    let directory = place.path("visits");
    let serving = Serving::python(&["--record", directory.to_str().unwrap()]);
    serving.get("/a/count?x=1");
    serving.wait_for("REPORT");
    serving.post("/../error", "");
    serving.wait_for("no answer to");
    let mut files: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let names: Vec<_> = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    let expected = [
        "0001-GET-a-count.answer.json",
        "0001-GET-a-count.event.json",
        "0002-POST-error.answer.json",
        "0002-POST-error.event.json",
    ];
    assert_eq!(names, expected);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&files[0]), mode(&files[1])), (0o700, 0o600, 0o600));
    let answer: Value = serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap();
    assert_eq!(answer, json!({"statusCode": 200, "body": "1", "cookies": ["n=1; Path=/"]}));
    let error: Value = serde_json::from_slice(&fs::read(&files[2]).unwrap()).unwrap();
    assert_eq!(error, json!({"errorType": "Oops", "errorMessage": "it broke"}));
    let python = python();
    let ran = place.run(&["invoke", "--json", "--bootstrap", python.to_str().unwrap(), files[1].to_str().unwrap()]);
    assert_eq!(
        (ran.json()[0]["status"].clone(), ran.json()[0]["request"].clone()),
        (json!(200), json!("GET /a/count"))
    );
}

#[test]
fn it_listens_on_this_machine_alone() {
    let serving = Serving::python(&[]);
    assert!(serving.greeting.starts_with("http://localhost:"), "{}", serving.greeting);
    let port = serving.port;
    let addresses =
        std::process::Command::new("/bin/sh").args(["-c", "cat /proc/net/tcp /proc/net/tcp6"]).output().unwrap();
    let table = String::from_utf8(addresses.stdout).unwrap();
    let suffix = format!(":{port:04X}");
    let listening: Vec<_> = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1).filter(|_| line.contains(" 0A ")))
        .filter(|local| local.ends_with(&suffix))
        .collect();
    let loopback = [format!("0100007F{suffix}"), format!("00000000000000000000000001000000{suffix}")];
    assert!(
        !listening.is_empty() && listening.iter().all(|local| loopback.contains(&(*local).to_owned())),
        "{listening:?}"
    );

    let page =
        |host: &str| serving.raw(format!("GET /_session HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).status;
    let rows = [
        ("localhost", 200),
        ("localhost:3000", 200),
        ("127.0.0.1", 200),
        ("[::1]:3000", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
    ];
    for (host, status) in rows {
        assert_eq!(page(host), status, "{host}");
    }
}

#[test]
fn a_port_that_is_taken_and_a_function_that_is_not_there_are_ends_with_3() {
    let serving = Serving::python(&[]);
    let place = Place::new();
    let python = python();
    let port = serving.port.to_string();
    let ran = place.run(&["serve", "--port", &port, "--bootstrap", python.to_str().unwrap()]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert!(
        ran.err.contains(&format!("cannot listen at port {port} of localhost")) && ran.err.contains("--port"),
        "{ran:?}"
    );
    let ran = place.run(&["serve", "--port", "0", "--bootstrap", "missing"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert!(ran.err.ends_with("/missing: build it, or name another with --bootstrap\n"), "{ran:?}");
    for arguments in
        [&["serve", "--as", "lattice"] as &[&str], &["serve", "--environments", "0"], &["serve", "--timeout", "soon"]]
    {
        assert_eq!(place.run(arguments).code, 2, "{arguments:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_interrupt_ends_every_instance_at_once() {
    for name in ["INT", "TERM", "HUP"] {
        let mut serving = Serving::python(&[]);
        let files = ["one", "two"].map(|file| serving.place.path(file));
        let _streams = files.each_ref().map(|file| {
            let mut stream = serving.connect();
            let body = file.to_str().unwrap();
            let length = body.len();
            write!(stream, "POST /hang HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
            stream
        });
        let idle: Value = serving.get("/environment").json();
        assert!(idle["AWS_LAMBDA_RUNTIME_API"].is_string());
        for file in &files {
            while !fs::read_to_string(file).is_ok_and(|text| text.contains(' ')) {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        let all: Vec<u32> = files.iter().flat_map(|file| processes(file)).collect();
        let begin = std::time::Instant::now();
        assert_eq!(serving.stop(name), Some(0), "{name}");
        assert!(begin.elapsed() < std::time::Duration::from_secs(2), "{name}");
        assert!(all_gone(&all), "{name}");
    }
}

/// What a stranger sends is never a panic, and the next request works.
#[test]
fn nonsense_is_refused_and_nothing_breaks() {
    let serving = Serving::python(&[]);
    let rows: [&[u8]; 8] = [
        b"\r\n\r\n\r\n",
        b"\xff\xfe\xfd\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\nConnection: close\r\n\r\n",
        b"POST /count HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
    ];
    for text in rows {
        let mut stream = serving.connect();
        stream.write_all(text).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{text:?}: {answer}");
    }
    assert_eq!(serving.get("/count").text(), "1");
    assert!(!serving.log().contains("panicked"), "{}", serving.log());
}
