//! The Runtime API that a function gets from `serve`: for the function alone, and as on AWS.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::serving::{Heard, Serving};

/// Every browser on this machine can reach the port: a page must neither get a visitor's event nor answer it.
#[test]
fn no_web_page_takes_an_event_or_answers_one() {
    let serving = Serving::python(&["--environments", "1"]);
    let address = serving.get("/environment").json()["AWS_LAMBDA_RUNTIME_API"].as_str().unwrap().to_owned();
    let port = address.split(':').nth(1).unwrap();
    let status = |line: &str, headers: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        let request = format!("{line} HTTP/1.1\r\n{headers}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        Heard::read(&mut stream).status
    };
    let pages = [
        "X-No: host".to_owned(),
        "Host: evil.example".to_owned(),
        format!("Host: evil.example:{port}"),
        format!("Host: localhost:{port}"),
        format!("Host: {address}\r\nOrigin: http://{address}"),
        format!("Host: {address}\r\nOrigin: null"),
        format!("Host: {address}\r\nSec-Fetch-Site: cross-site"),
    ];
    for line in [
        "GET /2018-06-01/runtime/invocation/next",
        "POST /2018-06-01/runtime/invocation/an-id/response",
        "POST /2018-06-01/runtime/init/error",
        "POST /2020-01-01/extension/register",
    ] {
        for page in &pages {
            assert_eq!(status(line, page), 403, "{line}, {page}");
        }
    }
    assert_eq!(status("GET /2018-06-01/else", &format!("Host: {address}")), 404, "a program that was told is heard");
    assert_eq!(serving.get("/count").text(), "1");
    let log = serving.wait_for("REPORT");
    assert_eq!(log.matches("Init Duration").count(), 1, "the function was not disturbed: {log}");
}

#[test]
fn the_function_is_told_of_the_trace_that_its_event_names() {
    for front in ["http-api", "rest", "alb", "alb-multi", "function-url"] {
        let serving = Serving::python(&["--as", front]);
        let named = "Root=1-5e1b4151-5ac6c58dc39b2a4f7f7f8c2e";
        for line in [None, Some(format!("X-Amzn-Trace-Id: {named}"))] {
            let heard = serving.ask("GET /event", line.as_deref().as_slice(), "").json();
            let event = &heard["event"];
            let headers = [&event["headers"], &event["multiValueHeaders"]].into_iter().filter_map(Value::as_object);
            let (_, root) = headers.flatten().find(|(name, _)| name.eq_ignore_ascii_case("x-amzn-trace-id")).unwrap();
            let root = root.as_str().or(root[0].as_str()).unwrap();
            assert!(line.is_none() || root == named, "{front}: {root}");
            let told = heard["headers"]["lambda-runtime-trace-id"].as_str().unwrap();
            assert!(told.starts_with(&format!("{root};Parent=")), "{front}: {told}, {root}");
        }
    }
}

/// AWS streams from function URLs and REST APIs; everywhere else prelude, zeros and body are no JSON.
#[test]
fn an_answer_in_pieces_arrives_where_aws_takes_one() {
    let rows = [
        ("function-url", 200, "the function URL's invoke mode must be RESPONSE_STREAM"),
        ("rest", 200, "the method's response transfer mode must be STREAM"),
        ("http-api", 500, "cause: HTTP API 2.0 takes no answer in pieces"),
        ("alb", 502, "cause: ALB takes no answer in pieces"),
        ("alb-multi", 502, "cause: ALB with multi-value headers takes no answer in pieces"),
    ];
    for (front, status, word) in rows {
        let serving = Serving::python(&["--as", front]);
        let heard = serving.get("/stream");
        let cookies: &[&str] = if status == 200 { &["n=1; Path=/"] } else { &[] };
        assert_eq!((heard.status, &*heard.values("set-cookie")), (status, cookies), "{front}");
        assert!(status != 200 || heard.text() == "in pieces", "{front}: {heard:?}");
        serving.wait_for(word);
    }
}

#[test]
fn a_rest_api_refuses_an_answer_with_a_key_that_it_does_not_know() {
    let serving = Serving::python(&["--as", "rest"]);
    assert_eq!(serving.get("/described").told(), (502, r#"{"message": "Internal server error"}"#));
    serving.wait_for("cause: a REST API refuses an answer with `statusDescription`");
    let serving = Serving::python(&["--as", "http-api"]);
    assert_eq!(serving.get("/described").json(), json!("hi"));
}
