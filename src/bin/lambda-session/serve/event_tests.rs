//! One request, and the event that each front door makes of it: by AWS's pages on Lambda integrations of HTTP APIs, REST APIs, function
//! URLs and load balancers, and by live events that others published (hotsock/voker on GitHub, `vokerhttp/testdata`, 10 July 2026).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use http::request::Parts;
use serde_json::{Value, json};

use super::*;
use crate::serve::event::http_api::{NO_PATH, decoded_path};
use crate::serve::request::{NO_TARGET, UPGRADE};

/// `line` is method and target; `headers` a line each.
fn request(front: Front, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Request, Refusal> {
    let (method, target) = line.split_once(' ').unwrap();
    let mut builder = http::Request::builder().method(method).uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let (parts, ()): (Parts, ()) = builder.body(()).unwrap().into_parts();
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_370_400_902);
    let mut request = Request::read(parts, front, IpAddr::V4(Ipv4Addr::LOCALHOST), 3000, at)?;
    request.body = Bytes::copy_from_slice(body);
    Ok(request)
}

fn ids() -> Ids {
    Ids { invocation: "6b032da0-0a1b-4c3d-8e5f-60718293a4b5".into(), gateway: "ATfbVgLhDoEEPqA=".into() }
}

fn event_of(front: Front, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let request = request(front, line, headers, body).unwrap();
    serde_json::from_slice(&event(front, &request, &ids()).unwrap()).unwrap()
}

type Lines<'a> = &'a [(&'a str, &'a str)];

const LINE: &str = "POST /a%20b?r=1&r=2&u=https%3A%2F%2Fx&p=a+b&q=a%2Bb&e=";
const HEADERS: [(&str, &str); 9] = [
    ("host", "localhost:3000"),
    ("user-agent", "curl/8.5.0"),
    ("content-type", "application/json"),
    ("content-length", "7"),
    ("cookie", "a=1; b=2"),
    ("cookie", "c=3"),
    ("x-two", "first"),
    ("x-two", "second"),
    ("connection", "keep-alive"),
];
const TRACE: &str = "Root=1-6b032da0-0a1b4c3d8e5f60718293a4b5";

#[test]
fn an_http_api_has_cookies_apart_and_the_path_decoded() {
    let expected = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/a b",
        "rawQueryString": "r=1&r=2&u=https%3A%2F%2Fx&p=a+b&q=a%2Bb&e=",
        "cookies": ["a=1", "b=2", "c=3"],
        "headers": {
            "host": "localhost:3000", "user-agent": "curl/8.5.0", "content-type": "application/json", "content-length": "7",
            "x-two": "first,second", "x-amzn-trace-id": TRACE,
            "x-forwarded-for": "127.0.0.1", "x-forwarded-port": "443", "x-forwarded-proto": "https",
        },
        "queryStringParameters": {"r": "1,2", "u": "https://x", "p": "a b", "q": "a+b", "e": ""},
        "requestContext": {
            "accountId": "123456789012", "apiId": "local00000", "domainName": "localhost", "domainPrefix": "localhost",
            "http": {"method": "POST", "path": "/a b", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "curl/8.5.0"},
            "requestId": "ATfbVgLhDoEEPqA=", "routeKey": "$default", "stage": "$default",
            "time": "22/Nov/2026:18:00:00 +0000", "timeEpoch": 1_795_370_400_902_u64,
        },
        "body": "{\"a\":1}", "isBase64Encoded": false,
    });
    assert_eq!(event_of(Front::HttpApi, LINE, &HEADERS, b"{\"a\":1}"), expected);
}

#[test]
fn a_function_url_has_cookies_twice_and_the_path_as_it_was_sent() {
    let seen = event_of(Front::FunctionUrl, LINE, &HEADERS, b"{\"a\":1}");
    let rows = [
        ("/rawPath", json!("/a%20b")),
        ("/requestContext/http/path", json!("/a b")),
        ("/cookies", json!(["a=1", "b=2", "c=3"])),
        ("/headers/cookie", json!("a=1; b=2; c=3")),
        ("/headers/x-two", json!("first,second")),
        ("/headers/host", json!("localhost:3000")),
        ("/headers/x-amzn-tls-version", json!("TLSv1.3")),
        ("/requestContext/accountId", json!("anonymous")),
        ("/requestContext/domainName", json!("local000000000000000000000000000.lambda-url.us-east-1.on.aws")),
        ("/requestContext/requestId", json!("6b032da0-0a1b-4c3d-8e5f-60718293a4b5")),
    ];
    for (pointer, expected) in rows {
        assert_eq!(seen.pointer(pointer), Some(&expected), "{pointer}");
    }
}

#[test]
fn a_rest_api_has_both_maps_and_the_last_value_in_the_plain_one() {
    let seen = event_of(Front::Rest, LINE, &HEADERS, b"{\"a\":1}");
    let multi = json!({
        "Host": ["localhost:3000"], "User-Agent": ["curl/8.5.0"], "content-type": ["application/json"],
        "cookie": ["a=1; b=2; c=3"], "x-two": ["first", "second"], "X-Amzn-Trace-Id": [TRACE],
        "X-Forwarded-For": ["127.0.0.1"], "X-Forwarded-Port": ["443"], "X-Forwarded-Proto": ["https"],
    });
    let rows = [
        ("/resource", json!("/{proxy+}")),
        ("/path", json!("/a%20b")),
        ("/pathParameters", json!({"proxy": "a%20b"})),
        ("/multiValueHeaders", multi),
        ("/headers/x-two", json!("second")),
        ("/queryStringParameters", json!({"r": "2", "u": "https://x", "p": "a b", "q": "a+b", "e": ""})),
        (
            "/multiValueQueryStringParameters",
            json!({"r": ["1", "2"], "u": ["https://x"], "p": ["a b"], "q": ["a+b"], "e": [""]}),
        ),
        ("/stageVariables", Value::Null),
        ("/requestContext/stage", json!("prod")),
        ("/requestContext/path", json!("/a%20b")),
        ("/body", json!("eyJhIjoxfQ==")),
        ("/isBase64Encoded", json!(true)),
    ];
    for (pointer, expected) in rows {
        assert_eq!(seen.pointer(pointer), Some(&expected), "{pointer}");
    }
}

#[test]
fn a_load_balancer_sends_one_form_of_each_map_and_decodes_nothing() {
    let single = json!({
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/function/0000000000000000"}},
        "httpMethod": "POST", "path": "/a%20b",
        "queryStringParameters": {"r": "2", "u": "https%3A%2F%2Fx", "p": "a+b", "q": "a%2Bb", "e": ""},
        "headers": {
            "host": "localhost:3000", "user-agent": "curl/8.5.0", "content-type": "application/json", "content-length": "7",
            "cookie": "a=1; b=2; c=3", "x-two": "second", "x-amzn-trace-id": TRACE,
            "x-forwarded-for": "127.0.0.1", "x-forwarded-port": "3000", "x-forwarded-proto": "http",
        },
        "body": "{\"a\":1}", "isBase64Encoded": false,
    });
    assert_eq!(event_of(Front::Alb, LINE, &HEADERS, b"{\"a\":1}"), single);

    let seen = event_of(Front::AlbMulti, LINE, &HEADERS, b"{\"a\":1}");
    assert_eq!((seen.get("headers"), seen.get("queryStringParameters")), (None, None));
    assert_eq!(seen.pointer("/multiValueHeaders/x-two"), Some(&json!(["first", "second"])));
    assert_eq!(seen.pointer("/multiValueHeaders/cookie"), Some(&json!(["a=1; b=2; c=3"])));
    assert_eq!(seen.pointer("/multiValueQueryStringParameters/r"), Some(&json!(["1", "2"])));
}

#[test]
fn the_samples_of_this_repository_have_the_same_fields() {
    let plain = [("host", "localhost"), ("user-agent", "curl/8.5.0"), ("accept", "*/*"), ("cookie", "theme=dark")];
    let rows = [
        (Front::HttpApi, include_str!("../../../../events/http-api-returning.json"), &["pathParameters"] as &[_]),
        (Front::FunctionUrl, include_str!("../../../../events/function-url-returning.json"), &[]),
        (Front::Rest, include_str!("../../../../events/rest-returning.json"), &[]),
        (Front::Alb, include_str!("../../../../events/alb-returning.json"), &[]),
        (Front::AlbMulti, include_str!("../../../../events/alb-multi-returning.json"), &[]),
    ];
    for (front, sample, but_for) in rows {
        let sample: Value = serde_json::from_str(sample).unwrap();
        let seen = event_of(front, "GET /posts", &plain, b"");
        for pointer in
            ["", "/requestContext", "/requestContext/http", "/requestContext/identity", "/requestContext/elb"]
        {
            let names = |event: &Value| -> Option<Vec<String>> {
                let names = event.pointer(pointer)?.as_object()?.keys();
                Some(names.filter(|name| !but_for.contains(&name.as_str())).cloned().collect())
            };
            assert_eq!(names(&seen), names(&sample), "{front:?} {pointer}");
        }
        for pointer in ["/body", "/isBase64Encoded", "/cookies", "/headers/content-length", "/queryStringParameters"] {
            assert_eq!(seen.pointer(pointer), sample.pointer(pointer), "{front:?} {pointer}");
        }
    }
}

/// By captures of live events of an HTTP API.
#[test]
fn an_http_api_decodes_a_path_twice_and_cuts_it_at_a_question_mark() {
    let rows = [
        ("/plain", Some("/plain")),
        ("/space%20value", Some("/space value")),
        ("/question%3Fvalue", Some("/question")),
        ("/percent%25done", None),
        ("/hash%23value", Some("/hash#value")),
        ("/slash%2Fvalue", Some("/slash/value")),
        ("/%CE%BB-%E4%B8%96", Some("/λ-世")),
        ("/literal%252Fvalue", Some("/literal/value")),
        ("/literal%253Fvalue", Some("/literal?value")),
        ("/literal%2525value", Some("/literal%value")),
        ("/end%", None),
    ];
    for (path, expected) in rows {
        assert_eq!(decoded_path(path).as_deref(), expected, "{path}");
    }
}

#[test]
fn a_body_is_text_where_its_type_says_so() {
    type Row = (Front, Option<&'static str>, &'static [u8], &'static str, bool);
    let rows: [Row; 11] = [
        (Front::HttpApi, Some("application/json; charset=utf-8"), b"{}", "{}", false),
        (Front::HttpApi, Some("application/x-www-form-urlencoded"), b"a=1", "YT0x", true),
        (Front::HttpApi, None, b"a", "YQ==", true),
        (Front::FunctionUrl, Some("text/plain"), "ü".as_bytes(), "ü", false),
        (Front::FunctionUrl, Some("text/plain"), b"\xff", "/w==", true),
        (Front::HttpApi, Some("application/problem+json"), b"{}", "e30=", true),
        (Front::Alb, Some("image/svg+xml"), b"{}", "e30=", true),
        (Front::Rest, Some("text/plain"), b"a", "YQ==", true),
        (Front::Alb, Some("application/xml"), b"<a/>", "<a/>", false),
        (Front::Alb, Some("image/png"), b"a", "YQ==", true),
        (Front::AlbMulti, None, b"", "", false),
    ];
    for (front, kind, body, text, is_base64) in rows {
        let mut headers = vec![("host", "localhost")];
        headers.extend(kind.map(|kind| ("content-type", kind)));
        let seen = event_of(front, "POST /", &headers, body);
        assert_eq!((&seen["body"], &seen["isBase64Encoded"]), (&json!(text), &json!(is_base64)), "{front:?} {kind:?}");
    }
}

#[test]
fn what_came_through_a_proxy_keeps_its_chain() {
    let headers = [("host", "localhost"), ("x-forwarded-for", "203.0.113.7"), ("x-amzn-trace-id", "Root=1-a-b")];
    let seen = event_of(Front::HttpApi, "GET /", &headers, b"");
    assert_eq!(seen.pointer("/headers/x-forwarded-for"), Some(&json!("203.0.113.7, 127.0.0.1")));
    assert_eq!(seen.pointer("/headers/x-amzn-trace-id"), Some(&json!("Root=1-a-b")));
}

#[test]
fn a_request_that_no_front_door_takes_is_refused() {
    let long = "x".repeat(10_240);
    let large = "x".repeat(65_536);
    let host = ("host", "localhost");
    let large_head = |what, bytes, limit| Refusal::LargeHead(Excess { what, bytes, limit });
    let all = "request line and headers";
    let target = "/".repeat(16_384);
    let line = format!("GET {target}");
    let rows: [(Front, &str, Lines<'_>, Refusal); 12] = [
        (Front::HttpApi, "GET /", &[], Refusal::BadRequest(NO_TARGET)),
        (Front::HttpApi, "GET /", &[host, ("host", "other")], Refusal::BadRequest(NO_TARGET)),
        (Front::HttpApi, "OPTIONS *", &[host], Refusal::BadRequest(NO_TARGET)),
        (Front::HttpApi, "CONNECT localhost:3000", &[host], Refusal::BadRequest(NO_TARGET)),
        (Front::Alb, "TRACE /", &[host], Refusal::Method),
        (Front::HttpApi, "GET /", &[host, ("cookie", &long)], large_head(all, 10_284, 10_240)),
        (Front::Rest, "GET /", &[host, ("cookie", &long)], large_head(all, 10_284, 10_240)),
        (Front::AlbMulti, "GET /", &[host, ("cookie", &large)], large_head(all, 65_580, 65_536)),
        (Front::Alb, "GET /", &[host, ("cookie", &large[..16_384])], large_head("a header", 16_394, 16_384)),
        (Front::Alb, &line, &[host], large_head("a request line", 16_400, 16_384)),
        (Front::AlbMulti, "GET /", &[host, ("upgrade", "websocket")], Refusal::BadRequest(UPGRADE)),
        (Front::HttpApi, "GET /%zz%ff", &[host], Refusal::BadRequest(NO_PATH)),
    ];
    for (front, line, headers, expected) in rows {
        let refused = request(front, line, headers, b"").and_then(|request| event(front, &request, &ids()).map(drop));
        assert_eq!(refused, Err(expected), "{front:?} {line}");
    }
    assert!(request(Front::FunctionUrl, "GET /", &[host, ("cookie", &large)], b"").is_ok());
}
