//! Kinds, origins and cookies of events, row by row.

use serde_json::json;

use super::*;
use crate::set_cookie::SetCookie;

const NOW: i64 = 1_795_370_400;

type Texts<'a> = &'a [&'a str];

fn event(value: &Value) -> Event {
    Event::parse("event.json", value.to_string()).unwrap()
}

fn http_api() -> Value {
    json!({"version": "2.0", "rawPath": "/posts", "headers": {"host": "shop.example"},
           "requestContext": {"domainName": "x.execute-api.eu-west-1.amazonaws.com", "http": {"method": "GET"}}})
}

fn function_url() -> Value {
    json!({"version": "2.0", "rawPath": "/posts", "headers": {},
           "requestContext": {"domainName": "x.lambda-url.eu-west-1.on.aws", "http": {"method": "GET"}}})
}

fn rest() -> Value {
    json!({"resource": "/{p+}", "httpMethod": "POST", "path": "/posts", "headers": {"Host": "shop.example"},
           "multiValueHeaders": {"Host": ["shop.example"]}, "requestContext": {"path": "/prod/posts"}})
}

fn alb() -> Value {
    json!({"httpMethod": "GET", "path": "/posts", "headers": {"host": "shop.example", "x-forwarded-proto": "https"},
           "requestContext": {"elb": {"targetGroupArn": "arn"}}})
}

fn alb_multi() -> Value {
    json!({"httpMethod": "GET", "path": "/posts",
           "multiValueHeaders": {"host": ["shop.example"], "x-forwarded-proto": ["http"]},
           "requestContext": {"elb": {"targetGroupArn": "arn"}}})
}

fn with(mut event: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    event.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.into(), value);
    event
}

fn jar(lines: &[&str], origin: &Origin) -> Jar {
    let mut jar = Jar::default();
    for line in lines {
        jar.take(SetCookie::parse(line, NOW).unwrap(), origin, NOW);
    }
    jar
}

#[test]
fn an_event_is_known_by_its_shape() {
    let rows = [
        ("HTTP API", http_api(), Kind::HttpApi, Some("GET /posts")),
        ("function URL", function_url(), Kind::FunctionUrl, Some("GET /posts")),
        ("REST", rest(), Kind::Rest, Some("POST /prod/posts")),
        ("HTTP API, 1.0", with(rest(), "/version", json!("1.0")), Kind::HttpApi1, Some("POST /prod/posts")),
        ("ALB", alb(), Kind::Alb, Some("GET /posts")),
        ("ALB, several values", alb_multi(), Kind::AlbMulti, Some("GET /posts")),
        ("a ping", json!({}), Kind::Other, None),
        ("not even an object", json!([1]), Kind::Other, None),
        ("SQS", json!({"Records": []}), Kind::Other, None),
    ];
    for (name, value, kind, request) in rows {
        let event = event(&value);
        assert_eq!((event.kind, event.request().as_deref()), (kind, request), "{name}");
    }
}

#[test]
fn an_event_says_where_it_went() {
    let rows = [
        ("Host before domainName", http_api(), "shop.example", "/posts", true),
        ("domainName", function_url(), "x.lambda-url.eu-west-1.on.aws", "/posts", true),
        ("the stage is in the path", rest(), "shop.example", "/prod/posts", true),
        ("ALB, https", alb(), "shop.example", "/posts", true),
        ("ALB, http", alb_multi(), "shop.example", "/posts", false),
        (
            "port and case",
            with(http_api(), "/headers/host", json!("Shop.Example:8443")),
            "shop.example",
            "/posts",
            true,
        ),
        ("this machine", with(alb_multi(), "/multiValueHeaders/host", json!(["[::1]:8080"])), "::1", "/posts", true),
        ("no host at all", json!({"requestContext": {"elb": {}}}), "localhost", "/", true),
    ];
    for (name, value, host, path, secure) in rows {
        let expected = Origin { host: host.into(), path: path.into(), secure };
        assert_eq!(event(&value).origin(), expected, "{name}");
    }
}

#[test]
fn cookies_travel_in_each_kinds_own_shape() {
    let rows = [
        ("HTTP API", http_api(), with(http_api(), "/cookies", json!(["a=1", "b=2"]))),
        (
            "function URL: list and header",
            function_url(),
            with(with(function_url(), "/cookies", json!(["a=1", "b=2"])), "/headers/cookie", json!("a=1; b=2")),
        ),
        (
            "REST: both maps",
            rest(),
            with(with(rest(), "/headers/Cookie", json!("a=1; b=2")), "/multiValueHeaders/Cookie", json!(["a=1; b=2"])),
        ),
        ("ALB", alb(), with(alb(), "/headers/cookie", json!("a=1; b=2"))),
        ("ALB, several values", alb_multi(), with(alb_multi(), "/multiValueHeaders/cookie", json!(["a=1; b=2"]))),
        (
            "REST without maps",
            with(with(rest(), "/headers", Value::Null), "/multiValueHeaders", Value::Null),
            with(
                with(rest(), "/headers", json!({"Cookie": "a=1; b=2"})),
                "/multiValueHeaders",
                json!({"Cookie": ["a=1; b=2"]}),
            ),
        ),
    ];
    for (name, value, expected) in rows {
        let event = event(&value);
        let dressed = event.with_cookies_of(&jar(&["a=1; Path=/", "b=2; Path=/"], &event.origin()), NOW);
        assert_eq!(serde_json::from_str::<Value>(&dressed.text).unwrap(), expected, "{name}");
    }
}

#[test]
fn the_events_own_cookies_stay_unless_the_jar_has_heard_of_them() {
    let own = |pairs: &[&str]| with(http_api(), "/cookies", json!(pairs));
    let rows: [(&str, Texts<'_>, Texts<'_>, Texts<'_>); 5] = [
        ("both", &["x=1"], &["a=1; Path=/"], &["x=1", "a=1"]),
        ("the jar's is newer", &["x=1", "y=1"], &["x=2; Path=/"], &["y=1", "x=2"]),
        ("what was removed is gone", &["x=1", "y=1"], &["x=; Path=/; Max-Age=0"], &["y=1"]),
        ("even the last one", &["x=1"], &["x=; Path=/; Max-Age=0"], &[]),
        ("another path is another matter", &["x=1"], &["x=2; Path=/elsewhere"], &["x=1"]),
    ];
    for (name, own_cookies, set, expected) in rows {
        let event = event(&own(own_cookies));
        let dressed = event.with_cookies_of(&jar(set, &event.origin()), NOW);
        let pairs: Vec<String> = dressed.cookies.iter().map(Pair::to_string).collect();
        assert_eq!(pairs, expected, "{name}");
        let sent: Value = serde_json::from_str(&dressed.text).unwrap();
        assert_eq!(sent.get("cookies"), (!expected.is_empty()).then(|| json!(expected)).as_ref(), "{name}");
    }
}

#[test]
fn every_own_cookie_is_found() {
    let rows = [
        ("a list", with(http_api(), "/cookies", json!(["a=1", "b=2"])), "a=1; b=2"),
        ("a header by hand", with(http_api(), "/headers/Cookie", json!("a=1;b=2")), "a=1; b=2"),
        ("several lines", with(rest(), "/multiValueHeaders/cookie", json!(["a=1", "b=2"])), "a=1; b=2"),
        ("one line", with(alb(), "/headers/cookie", json!("a=1; b=2=3;; c")), "a=1; b=2=3; c"),
        ("REST, plain map only", with(rest(), "/headers/COOKIE", json!("a=1")), "a=1"),
    ];
    for (name, value, expected) in rows {
        let pairs: Vec<String> = event(&value).own_cookies().iter().map(Pair::to_string).collect();
        assert_eq!(pairs.join("; "), expected, "{name}");
    }
}

#[test]
fn an_event_the_jar_adds_nothing_to_is_sent_byte_for_byte() {
    let text = format!(" {}\n", with(rest(), "/multiValueHeaders/cookie", json!(["a=1", "b=2"])));
    let event = Event::parse("event.json", text.clone()).unwrap();
    assert_eq!(event.with_cookies_of(&Jar::default(), NOW).text, text);
}

#[test]
fn a_stale_header_case_is_replaced_and_not_doubled() {
    let event = event(&with(rest(), "/headers/COOKIE", json!("a=0")));
    let dressed = event.with_cookies_of(&jar(&["a=1; Path=/"], &event.origin()), NOW);
    let sent: Value = serde_json::from_str(&dressed.text).unwrap();
    assert_eq!(sent["headers"], json!({"Host": "shop.example", "COOKIE": "a=1"}));
}
