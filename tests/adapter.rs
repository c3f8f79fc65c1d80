//! Lambda's events in, answers out: whole, whatever a stranger sends (security.md, AR1 to AR11, CA8).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

mod support;

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, Response, header};
use lambda_http::{Body, RequestExt, request::RequestContext};
use lambda_session::lambda::{Answer as EventAnswer, Event, Kind};
use lambda_session::store::{Call, CookieStore, Found, Loaded, MemoryStore, Retired, Store, Update, Version};
use lambda_session::{Error, ErrorKind, Record, Session, SessionLayer, Token, Values};
use serde_json::{Value, json};
use support::*;
use tower::{Layer, ServiceExt, service_fn};

/// The kinds of event, with the spelling that each gives a request's cookies and an answer's.
const KINDS: [&str; 5] = ["http-api", "function-url", "rest", "alb", "alb-multi"];

/// An event of this kind: `GET /posts`, with these `Cookie` lines and nothing more than the kind needs.
fn event(kind: &str, cookies: &[&str]) -> Value {
    let host = "shop.example.com";
    match kind {
        "http-api" | "function-url" => {
            let pieces: Vec<&str> = cookies.iter().flat_map(|line| line.split("; ")).collect();
            json!({
                "version": "2.0", "routeKey": "$default", "rawPath": "/posts", "rawQueryString": "",
                "headers": {"host": host}, "cookies": pieces, "isBase64Encoded": false,
                "requestContext": {
                    "accountId": "1", "apiId": "a", "domainName": host, "domainPrefix": "shop", "requestId": "r",
                    "routeKey": "$default", "stage": "$default", "time": "22/Nov/2026:18:00:00 +0000", "timeEpoch": 0,
                    "http": {
                        "method": "GET", "path": "/posts", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7",
                        "userAgent": "test"
                    },
                },
            })
        }
        "rest" => json!({
            "resource": "/{proxy+}", "path": "/posts", "httpMethod": "GET",
            "headers": {"Host": host, "Cookie": cookies.last()},
            "multiValueHeaders": {"Host": [host], "Cookie": cookies},
            "queryStringParameters": null, "multiValueQueryStringParameters": null, "pathParameters": {"proxy": "posts"},
            "stageVariables": null, "body": null, "isBase64Encoded": false,
            "requestContext": {
                "accountId": "1", "apiId": "a", "httpMethod": "GET", "path": "/prod/posts", "protocol": "HTTP/1.1",
                "requestId": "r", "requestTimeEpoch": 0, "resourceId": "x", "resourcePath": "/{proxy+}", "stage": "prod",
                "identity": {"sourceIp": "203.0.113.7"},
            },
        }),
        "alb" => json!({
            "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/a/b"}},
            "httpMethod": "GET", "path": "/posts", "queryStringParameters": {},
            "headers": {"host": host, "cookie": cookies.join("; ")}, "body": "", "isBase64Encoded": false,
        }),
        "alb-multi" => json!({
            "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/a/b"}},
            "httpMethod": "GET", "path": "/posts", "multiValueQueryStringParameters": {},
            "multiValueHeaders": {"host": [host], "cookie": cookies}, "body": "", "isBase64Encoded": false,
        }),
        other => panic!("{other}"),
    }
}

fn parse(event: &Value) -> Result<Event, Error> {
    Event::parse(event.to_string())
}

fn request_of(event: &Value) -> lambda_http::Request {
    parse(event).unwrap().into_request(lambda_http::Context::default()).unwrap()
}

/// The whole way of one event: into a request, through the layer and this handler, out as an answer.
async fn serve(layer: &SessionLayer<Values>, event: &Value) -> Value {
    let event = parse(event).unwrap();
    let kind = event.kind();
    let request = event.into_request(lambda_http::Context::default()).unwrap();
    let service = layer.layer(service_fn(|request: lambda_http::Request| async move {
        let mut session: Session = Session::of(&request).await?;
        let visits = session.get::<u64>("visits").unwrap_or(0) + 1;
        session.insert("visits", visits)?;
        let mut response = Response::new(Body::from(visits.to_string()));
        for line in ["theme=dark; Path=/", "lang=de"] {
            response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(line));
        }
        Ok::<_, Error>(response)
    }));
    EventAnswer::new(kind, service.oneshot(request).await.unwrap()).into()
}

fn memory_layer() -> SessionLayer<Values> {
    layer(MemoryStore::with_keyring(keyring(&[0])))
}

/// The `Set-Cookie` lines of an answer, in the place where its kind has them.
fn set_cookies(kind: &str, answer: &Value) -> Vec<String> {
    let list = match kind {
        "http-api" | "function-url" => &answer["cookies"],
        "rest" | "alb-multi" => &answer["multiValueHeaders"]["set-cookie"],
        _ => {
            let headers = answer["headers"].as_object().unwrap();
            let mut lines: Vec<_> =
                headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).collect();
            // The plain spelling is the one that is sure to arrive.
            lines.sort_by_key(|(name, _)| name.as_str() != "set-cookie");
            return lines.into_iter().map(|(_, line)| line.as_str().unwrap().to_owned()).collect();
        }
    };
    list.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

/// Every kind's first and second visit, the whole answer compared; all `Set-Cookie` lines leave, ours first (AR5).
#[tokio::test]
async fn every_kind_is_served_whole() {
    for kind in KINDS {
        let layer = memory_layer();
        let first = serve(&layer, &event(kind, &["theme=dark"])).await;
        let lines = set_cookies(kind, &first);
        let ours = lines[0].clone();
        let token = ours.split(';').next().unwrap().split_once('=').unwrap().1.to_owned();
        assert_eq!(ours, format!("{NAME}={token}; HttpOnly; SameSite=Lax; Secure; Path=/"), "{kind}");
        let (theme, lang) = ("theme=dark; Path=/", "lang=de");
        let multi = json!({"cache-control": ["no-store"], "set-cookie": [ours, theme, lang], "vary": ["Cookie"]});
        let expected = match kind {
            "http-api" | "function-url" => json!({
                "statusCode": 200, "headers": {"cache-control": "no-store", "vary": "Cookie"},
                "cookies": [ours, theme, lang], "body": "1", "isBase64Encoded": false,
            }),
            "rest" => json!({"statusCode": 200, "multiValueHeaders": multi, "body": "1", "isBase64Encoded": false}),
            "alb-multi" => json!({
                "statusCode": 200, "statusDescription": "200 OK", "multiValueHeaders": multi, "body": "1",
                "isBase64Encoded": false,
            }),
            _ => json!({
                "statusCode": 200, "statusDescription": "200 OK",
                "headers": {
                    "cache-control": "no-store", "vary": "Cookie", "set-cookie": ours, "Set-cookie": theme,
                    "sEt-cookie": lang,
                },
                "body": "1", "isBase64Encoded": false,
            }),
        };
        assert_eq!(first, expected, "{kind}");
        let second = serve(&layer, &event(kind, &["a=1", &cookie(&token), "b=2"])).await;
        assert_eq!(second["body"], "2", "{kind}");
    }
}

/// The request that an event stands for, and lambda_http's extensions.
#[test]
fn a_request_is_what_the_event_says() {
    for (kind, expected, raw_path) in [
        ("http-api", Kind::HttpApi, "/posts"),
        ("function-url", Kind::HttpApi, "/posts"),
        ("rest", Kind::Rest, "/posts"),
        ("alb", Kind::Alb, "/posts"),
        ("alb-multi", Kind::AlbMulti, "/posts"),
    ] {
        let event = event(kind, &["a=1", "b=2"]);
        assert_eq!(parse(&event).unwrap().kind(), expected, "{kind}");
        let request = request_of(&event);
        assert_eq!(
            (request.method().as_str(), request.uri().to_string().as_str()),
            ("GET", "https://shop.example.com/posts")
        );
        assert_eq!(request.headers().get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"], "{kind}");
        assert_eq!(request.raw_http_path(), raw_path, "{kind}");
        let context = request.request_context_ref().unwrap_or_else(|| panic!("{kind}: no request context"));
        let is_right = matches!(
            (kind, context),
            ("http-api" | "function-url", RequestContext::ApiGatewayV2(_))
                | ("rest", RequestContext::ApiGatewayV1(_))
                | ("alb" | "alb-multi", RequestContext::Alb(_))
        );
        assert!(is_right, "{kind}: {context:?}");
    }
}

/// The sample events, all of them: each is of the kind in its name and is served; a returning visitor's own cookie stays.
#[tokio::test]
async fn every_sample_event_is_served() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("events");
    let mut served = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let event: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let kind = KINDS.into_iter().filter(|kind| name.starts_with(kind)).max_by_key(|kind| kind.len()).unwrap();
        let expected = match kind {
            "http-api" | "function-url" => Kind::HttpApi,
            "rest" => Kind::Rest,
            "alb" => Kind::Alb,
            _ => Kind::AlbMulti,
        };
        assert_eq!(parse(&event).unwrap().kind(), expected, "{name}");
        let answer = serve(&memory_layer(), &event).await;
        assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(200), &json!("1")), "{name}");
        let request = request_of(&event);
        let cookies: Vec<_> = request.headers().get_all(header::COOKIE).iter().collect();
        assert!(cookies.len() <= 1, "{name}");
        assert!(request.uri().authority().is_some(), "{name}");
        served += 1;
    }
    assert!(served >= 10, "{served} sample events");
}

/// CA8, AR6: all `Cookie` lines of every kind arrive; of a REST event's two maps the one with all values is the truth.
#[tokio::test]
async fn all_cookie_lines_arrive() {
    for kind in KINDS {
        let layer = memory_layer();
        let first = serve(&layer, &event(kind, &["x=1"])).await;
        let ours = set_cookies(kind, &first)[0].split(';').next().unwrap().to_owned();
        for lines in [
            vec![ours.as_str(), "b=2"],
            vec!["a=1", ours.as_str()],
            vec!["a=1", ours.as_str(), "b=2; c=3"],
            vec!["ключ=значение", ours.as_str()],
        ] {
            let answer = serve(&layer, &event(kind, &lines)).await;
            assert!(answer["body"] != "1", "{kind}: {lines:?}");
        }
    }
}

/// AR6: what one map of a REST event has and the other has not arrives too.
#[test]
fn the_two_header_maps_of_a_rest_event_complete_each_other() {
    let mut event = event("rest", &["a=1", "b=2"]);
    event["headers"]["X-Single"] = json!("one");
    event["headers"]["x-both"] = json!("last");
    event["multiValueHeaders"]["X-Both"] = json!(["first", "last"]);
    let headers = request_of(&event).headers().clone();
    let values = |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(values("x-single"), ["one"]);
    assert_eq!(values("x-both"), ["first", "last"]);
    assert_eq!(values("cookie"), ["a=1; b=2"]);
}

/// CA10: a cookie that is no header value costs itself, in every kind: ours on the same line arrives.
#[test]
fn a_control_character_in_a_cookie_costs_that_cookie_only() {
    for kind in KINDS {
        for bad in ["\u{1}", "\r\n", "\0", "\u{7f}", "\u{1b}[0m"] {
            let line = format!("a=1; bad={bad}; {NAME}=AAAA; b=2");
            let request = request_of(&event(kind, &[&line]));
            let read: Vec<_> = request.headers()["cookie"].to_str().unwrap().split(';').map(str::trim).collect();
            assert_eq!(read, ["a=1", &format!("{NAME}=AAAA"), "b=2"], "{kind}: {bad:?}");
        }
    }
}

/// Headers that are none cost themselves.
#[test]
fn a_header_that_is_none_costs_itself() {
    for kind in KINDS {
        let mut event = event(kind, &["a=1"]);
        for map in ["headers", "multiValueHeaders"] {
            if let Some(headers) = event.get_mut(map).and_then(Value::as_object_mut) {
                let one = |value: &str| if map == "headers" { json!(value) } else { json!([value]) };
                headers.insert("bad name".into(), one("x"));
                headers.insert("".into(), one("x"));
                headers.insert("ü".into(), one("x"));
                headers.insert("x-bad".into(), one("a\r\nset-cookie: b=1"));
                headers.insert("x-good".into(), one("é"));
                headers.insert("x-null".into(), Value::Null);
            }
        }
        let headers = request_of(&event).headers().clone();
        let mut names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["cookie", "host", "x-good"], "{kind}");
        assert_eq!(headers["x-good"].as_bytes(), "é".as_bytes(), "{kind}");
    }
}

/// Finding 3: hosts that are none leave a URI without one, and never a panic.
#[test]
fn a_malformed_host_costs_the_host_only() {
    for kind in KINDS {
        for (host, authority) in [
            ("shop.example.com", Some("shop.example.com")),
            ("shop.example.com:8443", Some("shop.example.com:8443")),
            ("[::1]:3000", Some("[::1]:3000")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("shop example", None),
            ("shop/../example", None),
            ("shop?x", None),
            ("shop#x", None),
            ("user:secret@shop.example.com", None),
            ("[::1", None),
            ("<script>", None),
            ("shop\\example", None),
            ("", None),
        ] {
            let mut event = event(kind, &["a=1"]);
            for (map, value) in [("headers", json!(host)), ("multiValueHeaders", json!([host]))] {
                if let Some(headers) = event.get_mut(map).and_then(Value::as_object_mut) {
                    headers.retain(|name, _| !name.eq_ignore_ascii_case("host"));
                    headers.insert("host".into(), value);
                }
            }
            let uri = request_of(&event).uri().clone();
            assert_eq!(uri.authority().map(|authority| authority.as_str()), authority, "{kind}: {host:?}");
            assert_eq!(uri.path(), "/posts", "{kind}: {host:?}");
        }
    }
}

/// Finding 3: queries that a URI cannot have are encoded, and never a panic; what can pass passes as it was sent.
#[test]
fn a_raw_query_arrives_as_a_query() {
    for (raw, query) in [
        ("", None),
        ("a=1&b=2", Some("a=1&b=2")),
        ("a=%20%C3%A9+x", Some("a=%20%C3%A9+x")),
        ("q=a<b", Some("q=a%3Cb")),
        ("q=\"x\"", Some("q=%22x%22")),
        ("q=a b", Some("q=a%20b")),
        ("q=a>b`{}#", Some("q=a%3Eb%60%7B%7D%23")),
        ("q=é", Some("q=%C3%A9")),
        ("q=\r\n\0", Some("q=%0D%0A%00")),
        ("q=%zz&%", Some("q=%zz&%")),
        ("?", Some("?")),
        ("&&==", Some("&&==")),
    ] {
        let mut event = event("http-api", &[]);
        event["rawQueryString"] = json!(raw);
        let request = request_of(&event);
        assert_eq!((request.uri().query(), request.uri().path()), (query, "/posts"), "{raw:?}");
    }
}

/// Parameters that the gateway has decoded are encoded again, each value of each name, and found by lambda_http's way.
#[test]
fn decoded_parameters_arrive_as_a_query() {
    let mut event = event("rest", &[]);
    event["queryStringParameters"] = json!({"q": "last"});
    event["multiValueQueryStringParameters"] = json!({"q": ["a b&c=d", "é/?", "last"], "empty": [""]});
    let request = request_of(&event);
    let pieces: std::collections::BTreeSet<_> = request.uri().query().unwrap().split('&').collect();
    assert_eq!(pieces, ["q=a%20b%26c%3Dd", "q=%C3%A9%2F%3F", "q=last", "empty="].into());
    let parameters = request.query_string_parameters();
    assert_eq!(parameters.all("q"), Some(vec!["a b&c=d", "é/?", "last"]));
    assert_eq!(request.path_parameters().first("proxy"), Some("posts"));

    // An ALB decodes nothing.
    let mut event = self::event("alb-multi", &[]);
    event["multiValueQueryStringParameters"] = json!({"q": ["a%20b", "c+d", "<"]});
    let request = request_of(&event);
    assert_eq!(request.uri().query(), Some("q=a%20b&q=c+d&q=%3C"));
    assert_eq!(request.query_string_parameters().all("q"), Some(vec!["a b", "c d", "<"]));
}

/// Paths: without the stage, encoded where a URI asks for it, never a panic; routes are what the developer wrote.
#[test]
fn paths_are_those_that_routes_are_written_for() {
    for (kind, stage, raw, path) in [
        ("http-api", "$default", "/posts", "/posts"),
        ("http-api", "prod", "/prod/posts", "/posts"),
        ("http-api", "prod", "/prod", "/"),
        ("http-api", "prod", "/production", "/production"),
        ("http-api", "prod", "/posts", "/posts"),
        // On a domain of one's own there is no stage: what looks like it is the visitor's.
        ("http-api on its own domain", "prod", "/prod/posts", "/prod/posts"),
        ("http-api", "$default", "/$default/x", "/$default/x"),
        ("http-api", "$default", "/a b<c>\"", "/a%20b%3Cc%3E%22"),
        ("http-api", "$default", "/é?x#y", "/%C3%A9%3Fx%23y"),
        ("http-api", "$default", "", "/"),
        ("http-api", "$default", "no-slash", "/no-slash"),
        ("http-api", "$default", "//host/path", "//host/path"),
        ("http-api", "$default", "/\r\n\0", "/%0D%0A%00"),
        ("rest", "prod", "/posts/%2F", "/posts/%2F"),
        ("rest", "prod", "/prod/posts", "/prod/posts"),
        ("alb", "", "/posts", "/posts"),
    ] {
        let (kind, domain) = match kind {
            "http-api" => (kind, "abc.execute-api.eu-west-1.amazonaws.com"),
            "http-api on its own domain" => ("http-api", "shop.example.com"),
            kind => (kind, ""),
        };
        let mut event = event(kind, &[]);
        event["requestContext"]["domainName"] = json!(domain);
        event[if kind == "http-api" { "rawPath" } else { "path" }] = json!(raw);
        if !stage.is_empty() {
            event["requestContext"]["stage"] = json!(stage);
        }
        let request = request_of(&event);
        assert_eq!(request.uri().path(), path, "{kind}, stage {stage}: {raw:?}");
        assert_eq!(request.raw_http_path(), raw, "{kind}: {raw:?}");
    }
}

/// Bodies: text, base64, none; one that is not the base64 it claims to be is an error, not a panic.
#[test]
fn bodies_arrive_as_they_were_sent() {
    for kind in KINDS {
        let with = |body: Value, base64: Value| {
            let mut event = event(kind, &[]);
            event["body"] = body;
            event["isBase64Encoded"] = base64;
            parse(&event).unwrap().into_request(lambda_http::Context::default()).map(|request| request.body().to_vec())
        };
        assert_eq!(with(json!("{\"a\":\"é\"}"), json!(false)).unwrap(), "{\"a\":\"é\"}".as_bytes(), "{kind}");
        assert_eq!(with(json!("AAH/"), json!(false)).unwrap(), b"AAH/", "{kind}");
        assert_eq!(with(json!("AAH/"), json!(true)).unwrap(), [0, 1, 255], "{kind}");
        assert_eq!(with(Value::Null, json!(false)).unwrap(), b"", "{kind}");
        assert_eq!(with(Value::Null, json!(true)).unwrap(), b"", "{kind}");
        assert_eq!(with(json!(""), Value::Null).unwrap(), b"", "{kind}");
        let error = with(json!("no base64!"), json!(true)).unwrap_err();
        let message = "the event's body is no base64, though it says so: Invalid symbol 32, offset 2.";
        assert_eq!((error.kind(), format!("{error:?}").as_str()), (ErrorKind::Event, message), "{kind}");
    }
}

/// Answers: binary bodies leave as base64, a non-ASCII header as text, every value of a repeated one.
#[test]
fn answers_leave_whole() {
    let kinds = [Kind::HttpApi, Kind::Rest, Kind::Alb, Kind::AlbMulti];
    for kind in kinds {
        let response = Response::builder()
            .status(418)
            .header("link", "<a>")
            .header("link", "<b>")
            .header("x-utf8", HeaderValue::from_bytes("é".as_bytes()).unwrap())
            .header("set-cookie", HeaderValue::from_bytes("n=é".as_bytes()).unwrap())
            .header("set-cookie", HeaderValue::from_bytes(b"l=\xe9").unwrap())
            .body(Body::Binary(vec![0, 255]))
            .unwrap();
        let answer: Value = EventAnswer::new(kind, response).into();
        assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(418), &json!(STANDARD.encode([0, 255]))));
        assert_eq!(answer["isBase64Encoded"], json!(true), "{kind:?}");
        let (link, cookies) = match kind {
            Kind::HttpApi => (&answer["headers"]["link"], answer["cookies"].clone()),
            Kind::Alb => {
                (&answer["headers"]["link"], json!([answer["headers"]["set-cookie"], answer["headers"]["Set-cookie"]]))
            }
            _ => (&answer["multiValueHeaders"]["link"], answer["multiValueHeaders"]["set-cookie"].clone()),
        };
        let joined = matches!(kind, Kind::HttpApi | Kind::Alb);
        assert_eq!(link, &if joined { json!("<a>, <b>") } else { json!(["<a>", "<b>"]) }, "{kind:?}");
        assert_eq!(cookies, json!(["n=é", "l=é"]), "{kind:?}");
    }
}

/// A payload of no kind is a clear error that names the kinds understood, and nothing of the payload.
#[test]
fn a_payload_of_no_kind_is_a_clear_error() {
    let none = "the payload is no HTTP event: understood are HTTP API 2.0, REST API 1.0, ALB and function URL events";
    for (name, payload, place) in [
        ("no JSON", "hunter2", ": line 1 column 1"),
        ("nothing", "", ": line 1 column 0"),
        ("cut off", r#"{"version":"2.0","#, ": line 1 column 17"),
        ("null", "null", ": line 1 column 4"),
        ("a list", "[]", ""),
        ("a number", "1", ": line 1 column 1"),
        ("an empty object", "{}", ""),
        ("a test event of the console", r#"{"key1":"value1","key2":"value2"}"#, ""),
        ("SQS", r#"{"Records":[{"messageId":"1","body":"hunter2","eventSource":"aws:sqs"}]}"#, ""),
        ("EventBridge", r#"{"version":"0","detail-type":"x","source":"aws.s3","detail":{}}"#, ""),
        ("a web socket", r#"{"requestContext":{"routeKey":"$connect","eventType":"CONNECT","connectionId":"x"}}"#, ""),
        ("CloudFront", r#"{"Records":[{"cf":{"request":{"uri":"/","method":"GET","headers":{}}}}]}"#, ""),
        ("Lattice", r#"{"version":"2.0","path":"/","method":"GET","headers":{"a":["b"]},"requestContext":{}}"#, ""),
        ("an HTTP method alone", r#"{"httpMethod":"GET"}"#, ""),
        ("a context that is none", r#"{"httpMethod":"GET","requestContext":null}"#, ""),
        ("headers that are none", r#"{"httpMethod":"GET","requestContext":{},"headers":1}"#, ": line 1 column 54"),
    ] {
        let error = Event::parse(payload).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Event, "{name}");
        let shown = format!("{error:?}");
        assert!(shown.starts_with(none) && !shown.contains("hunter2"), "{name}: {shown}");
        if name != "a list" && name != "headers that are none" {
            assert_eq!(shown, format!("{none}{place}"), "{name}");
        }
    }
    let mut event = event("http-api", &[]);
    event["requestContext"]["http"]["method"] = json!("G ET");
    let error = parse(&event).unwrap().into_request(lambda_http::Context::default()).unwrap_err();
    assert_eq!(error.to_string(), "the event has no HTTP method");
}

/// An authorizer's event is a question for a policy, not a request: answering it as one would be a mistake.
#[test]
fn an_authorizer_s_event_is_no_request() {
    let mut rest = event("rest", &[]);
    rest["type"] = json!("REQUEST");
    rest["methodArn"] = json!("arn:aws:execute-api:eu-west-1:1:a/prod/GET/posts");
    let mut http = event("http-api", &[]);
    http["type"] = json!("REQUEST");
    http["routeArn"] = json!("arn:aws:execute-api:eu-west-1:1:a/$default/GET/posts");
    let token =
        json!({"type": "TOKEN", "authorizationToken": "x", "methodArn": "arn:aws:execute-api:eu-west-1:1:a/prod/GET/"});
    for event in [rest, http, token] {
        assert_eq!(parse(&event).map(|event| event.kind()).map_err(|error| error.kind()), Err(ErrorKind::Event));
    }
    // `cargo lambda watch` sends these fields with every event, as null.
    let mut watched = event("http-api", &[]);
    (watched["methodArn"], watched["routeArn"]) = (json!(null), json!(null));
    assert_eq!(parse(&watched).unwrap().kind(), Kind::HttpApi);
}

/// AR11: neither a request's nor an answer's `Debug` shows a token.
#[tokio::test]
async fn debug_shows_no_token() {
    for kind in KINDS {
        let layer = memory_layer();
        let first = event(kind, &["a=1"]);
        let answer = serve(&layer, &first).await;
        let ours = set_cookies(kind, &answer)[0].split(';').next().unwrap().to_owned();
        let token = ours.split_once('=').unwrap().1;
        let event = event(kind, &["a=1", &ours]);
        let request = request_of(&event);
        assert!(request.headers()["cookie"].is_sensitive(), "{kind}");
        let shown = format!("{request:?} {:?}", parse(&event).unwrap());
        assert!(!shown.contains(token), "{kind}: {shown}");
        let service = layer.layer(service_fn(|request: lambda_http::Request| async move {
            let mut session: Session = Session::of(&request).await?;
            session.insert("again", 1)?;
            Ok::<_, Error>(Response::new(Body::Empty))
        }));
        let response = service.oneshot(request).await.unwrap();
        assert!(response.headers()["set-cookie"].is_sensitive(), "{kind}");
        let shown = format!("{response:?} {:?}", EventAnswer::new(Kind::Rest, Response::new(Body::Empty)));
        assert!(!shown.contains(token), "{kind}: {shown}");
    }
}

/// AR8, F18: 64 tasks at once, ten thousand requests each: nobody ever sees another's session.
#[test]
fn sessions_are_never_mixed_up() {
    const TASKS: u64 = 64;
    // Two requests a round.
    let rounds: u64 = 5_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    for (store, rounds) in [("map", rounds), ("encrypted", rounds / 10), ("memory", rounds / 10)] {
        let layer: SessionLayer<Values> = match store {
            "map" => SessionLayer::new(Yielding::default()),
            "encrypted" => SessionLayer::new(CookieStore::encrypted(keyring(&[0]))),
            _ => SessionLayer::new(MemoryStore::with_keyring(keyring(&[0]))),
        };
        let app = scripted(layer);
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let mut browser = Browser::new(app.clone());
                runtime.spawn(async move {
                    for round in 0..rounds {
                        let answer = browser.visit(&format!("/read/set-owner={task}x{round}")).await;
                        assert_eq!(answer.body, format!(r#"{{"owner":"{task}x{round}"}}"#));
                        let kept = browser.visit("/read").await.body;
                        assert_eq!(kept, format!(r#"{{"owner":"{task}x{round}"}}"#), "{store}");
                    }
                })
            })
            .collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}

/// A store that gives way to other tasks at every question, and costs next to nothing else.
#[derive(Clone, Default)]
struct Yielding {
    records: Arc<Mutex<HashMap<String, Record>>>,
    next: Arc<AtomicU64>,
}

impl Store for Yielding {
    async fn load(&self, token: &Token, _: &Call) -> Result<Found, Error> {
        tokio::task::yield_now().await;
        Ok(match self.records.lock().unwrap().get(token.as_str()) {
            Some(record) => {
                Found::Live(Loaded { record: record.clone(), version: Version::default(), stale_key: false })
            }
            None => Found::Nothing,
        })
    }
    async fn create(&self, record: &Record, _: &Call) -> Result<Token, Error> {
        tokio::task::yield_now().await;
        let token = format!("id{}", self.next.fetch_add(1, Ordering::Relaxed));
        self.records.lock().unwrap().insert(token.clone(), record.clone());
        Ok(Token::parse(token.as_bytes()).unwrap())
    }
    async fn update(&self, token: &Token, _: Version, record: &Record, _: &Call) -> Result<Update, Error> {
        tokio::task::yield_now().await;
        self.records.lock().unwrap().insert(token.as_str().into(), record.clone());
        Ok(Update::Done(token.clone()))
    }
    async fn retire(&self, _: &Token, _: Version, _: &Token, _: &Call) -> Result<Retired, Error> {
        Ok(Retired::Gone)
    }
    async fn delete(&self, _: &Token, _: Option<Version>, _: &Call) -> Result<(), Error> {
        Ok(())
    }
}
