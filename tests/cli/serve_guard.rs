//! `lambda-session serve`: who is let in, what is said of those who are not, and what holds nothing up.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::failures::{all_gone, processes, signal};
use crate::serving::{Heard, Serving};
use crate::support::{Place, python};

/// A site whose name has been made to lead here (DNS rebinding) still sends its own.
#[test]
fn only_the_names_of_this_machine_and_those_that_are_given_lead_to_the_function() {
    let serving = Serving::python(&["--host", "Shop.Test", "--host", "b.test"]);
    let status = |host: &str| {
        serving.raw(format!("GET /count HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).told() == (200, "1")
    };
    for host in ["localhost", "LOCALHOST:3000", "a.localhost", "127.0.0.1", "[::1]:3000", "shop.test:3000", "B.test"] {
        assert!(status(host), "{host}");
    }
    for front in ["http-api", "alb"] {
        let serving = Serving::python(&["--as", front]);
        for host in ["evil.example", "shop.test", "localhost.evil.example", "0.0.0.0:3000"] {
            // Before the body, which never comes.
            let text = format!("POST /count HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\n");
            let heard = serving.raw(text);
            assert_eq!(heard.status, 403, "{host}: {heard:?}");
            assert!(front == "alb" || heard.text() == r#"{"message":"Forbidden"}"#, "{heard:?}");
        }
        let log = serving.wait_for("refused POST /count with 403: its Host is not this machine; serve --host NAME");
        assert!(!log.contains("START RequestId"), "{log}");
    }
}

#[test]
fn what_a_front_door_refuses_is_told_in_a_line() {
    let long = format!("X-Long: {}", "x".repeat(16_384));
    let large = "x".repeat(1_048_577);
    let head = "request line and headers of ";
    type Row<'a> = (&'a str, &'a str, &'a [&'a str], &'a str, u16, &'a str);
    let rows: [Row<'_>; 6] = [
        ("http-api", "TRACE /a", &[], "", 405, "refused TRACE /a with 405: no front door takes this method"),
        ("rest", "GET /a", &[&long], "", 431, &format!("refused GET /a with 431: {head}")),
        (
            "alb",
            "GET /a",
            &[&long],
            "",
            400,
            "refused GET /a with 400: a header of 16394 bytes, over the limit of 16384 bytes",
        ),
        (
            "alb",
            "GET /a",
            &["Connection: Upgrade", "Upgrade: websocket"],
            "",
            400,
            "refused GET /a with 400: a load balancer upgrades",
        ),
        (
            "alb-multi",
            "POST /a",
            &[],
            &large,
            413,
            "refused POST /a with 413: a body of 1048577 bytes, over the limit of 1048576 bytes",
        ),
        ("http-api", "GET /%25%7a", &[], "", 400, "refused GET /%25%7a with 400: its path cannot be decoded"),
    ];
    for (front, line, headers, body, status, told) in rows {
        let serving = Serving::python(&["--as", front]);
        let heard = serving.ask(line, headers, body);
        assert_eq!(heard.status, status, "{front} {line}: {heard:?}");
        assert_eq!(heard.values("apigw-requestid").len(), usize::from(front == "http-api"), "{front} {line}");
        serving.wait_for(told);
    }
}

#[test]
fn a_request_that_the_front_door_gives_up_on_leaves_its_trace() {
    let serving = Serving::python(&["--gateway-timeout", "300ms", "--environments", "1"]);
    let file = serving.place.path("now");
    let mut first = serving.connect();
    let (text, length) = (file.to_str().unwrap(), file.to_str().unwrap().len());
    write!(
        first,
        "POST /late HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{text}"
    )
    .unwrap();
    serving.wait_for("START RequestId");
    let second = serving.get("/count");
    assert_eq!((Heard::read(&mut first).status, second.status), (503, 503));
    let log = serving.wait_for("no answer to GET /count\n");
    let waited = "cause: the front door waited no longer than 300 ms";
    for part in [
        format!("no answer to POST /late\n    {waited}; the function is still at it\n    the browser got: 503\n"),
        format!("no answer to GET /count\n    {waited}; all instances were at work\n    the browser got: 503\n"),
    ] {
        assert!(log.contains(&part), "{part} is not in {log}");
    }
    fs::write(&file, "").unwrap();
    let log = serving.wait_for("note: the function's 200 came too late");
    assert!(log.contains("| POST /late -> 503\n"), "{log}");
    assert_eq!(log.matches("START RequestId").count(), 1, "what nobody waits for is not begun: {log}");
    let page = serving.get("/_session");
    assert!(page.text().contains("POST /late: 503 in ") && page.text().contains("GET /count: 503 in "), "{page:?}");
}

/// Nobody reads standard error: a terminal that is stopped (Ctrl-S), a pager.
#[test]
fn standard_error_that_nobody_reads_holds_up_nothing() {
    let place = Place::new();
    let python = python();
    let mut command = place.command(&["serve", "--port", "0", "--bootstrap", python.to_str().unwrap()]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stderr(writer);
    let mut serving = Serving::with_errors_set(place, command);
    // More than a pipe holds, and than is kept for who reads later.
    assert_eq!(serving.post("/flood", "100000").text(), "written");
    for _ in 0..3 {
        assert_eq!(serving.get("/count").text(), "1");
    }
    let begin = Instant::now();
    assert_eq!(serving.stop("TERM"), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(5));
    drop(reader);
}

#[test]
#[cfg(target_os = "linux")]
fn standard_output_that_is_closed_is_no_end() {
    let place = Place::new();
    let python = python();
    let mut command = place.command(&["serve", "--port", "0", "--bootstrap", python.to_str().unwrap()]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let log = place.path("log");
    let mut child = command.stdout(writer).stderr(Stdio::from(fs::File::create(&log).unwrap())).spawn().unwrap();
    let begin = Instant::now();
    let port = loop {
        if let Some(port) = listening_port(child.id()) {
            break port;
        }
        let log = fs::read_to_string(&log).unwrap();
        assert!(child.try_wait().unwrap().is_none() && begin.elapsed() < Duration::from_secs(10), "{log}");
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    // Whoever is answered comes after the greeting.
    stream.write_all(b"GET /count HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(Heard::read(&mut stream).told(), (200, "1"));
    signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_function_that_is_started_again_between_two_events_is_told_and_its_lines_belong_to_the_second() {
    let serving = Serving::python(&["--environments", "1"]);
    let process = serving.get("/process").text().parse().unwrap();
    serving.wait_for("REPORT");
    signal(process, "KILL");
    // Its poll for an event is gone with it.
    assert!(all_gone(&[process]));
    assert_eq!(serving.post("/log", "").status, 200);
    let log = serving.wait_for("the function had ended after the event before (signal: 9 (SIGKILL)); started again");
    let id = log.rsplit_once("START RequestId: ").unwrap().1.get(..8).unwrap();
    assert!(log.contains(&format!("{id} | words on standard error\n")), "{log}");
}

/// The 100 ms in which its last call may still come are ours.
#[test]
fn the_duration_of_a_crash_is_the_functions_own() {
    let serving = Serving::python(&[]);
    serving.get("/count");
    serving.post("/crash", "");
    let log = serving.wait_for("no answer to POST /crash");
    let after = log.split(" after ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(after.parse::<f64>().unwrap() < 95.0, "{log}");
}

#[test]
#[cfg(target_os = "linux")]
fn invoke_leaves_nothing_behind_when_its_terminal_goes() {
    let place = Place::new();
    let (event, file) = (place.path("event.json"), place.path("processes"));
    let text = json!({
        "version": "2.0", "rawPath": "/hang", "rawQueryString": "", "headers": {"host": "localhost"},
        "requestContext": {"http": {"method": "POST", "path": "/hang", "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1", "userAgent": ""}},
        "body": file.to_str().unwrap(), "isBase64Encoded": false,
    });
    fs::write(&event, text.to_string()).unwrap();
    let python = python();
    let mut command = place.command(&["invoke", "--bootstrap", python.to_str().unwrap(), event.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let has_begun = |file: &Path| fs::read_to_string(file).is_ok_and(|text| text.contains(' '));
    while !has_begun(&file) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let all = processes(&file);
    signal(child.id(), "HUP");
    assert_eq!(child.wait().unwrap().code(), Some(129));
    assert!(all_gone(&all));
}

/// The port of 127.0.0.1 at which `process` listens.
#[cfg(target_os = "linux")]
fn listening_port(process: u32) -> Option<u16> {
    let files =
        fs::read_dir(format!("/proc/{process}/fd")).ok()?.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let sockets: Vec<_> = files
        .filter_map(|file| Some(file.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
        .collect();
    fs::read_to_string("/proc/net/tcp").unwrap().lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_ours =
            fields.get(3) == Some(&"0A") && sockets.iter().any(|socket| fields.get(9) == Some(&socket.as_str()));
        let port = fields.get(1)?.strip_prefix("0100007F:")?;
        is_ours.then(|| u16::from_str_radix(port, 16).ok())?
    })
}
