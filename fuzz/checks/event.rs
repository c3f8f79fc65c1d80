//! The event: what a payload becomes as a request, and an answer as JSON.

use std::collections::{BTreeMap, HashSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header};
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::{Body, RequestExt};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use lambda_session::lambda::{Answer, Event, Kind};
use lambda_session::store::CookieStore;
use lambda_session::{ErrorKind, SessionLayer, Token};

use super::{TODAY, answer, call, load};

/// AR1, AR5, AR6, CA8: a payload is an event or a clear error, an event is the request that it says it is, and every
/// answer leaves whole.
pub(crate) fn event(data: &[u8]) {
    let mut trace = lambda_http::Context::default();
    trace.xray_trace_id = Some(String::from_utf8_lossy(data).into());
    if let Some(event) = parse(data) {
        let kind = event.kind();
        if let Ok(request) = event.into_request(trace) {
            every_answer_leaves_whole(request.headers(), request.body(), data.len());
            a_request_is_served(kind, request);
        }
    }

    // What serde_json makes of it is the reference, for a payload without two fields of one name.
    let Ok(said) = serde_json::from_slice::<Value>(data) else { return };
    let payload = said.to_string();
    let kind = an_event_is_what_it_says(&said, &payload);
    if let (Some(version), Some(rest)) = (said["version"].as_str(), payload.strip_prefix('{')) {
        // The same with the version first, as AWS has it: its context is then read another way.
        let first = format!(r#"{{"version":{},{rest}"#, Value::from(version));
        assert_eq!(an_event_is_what_it_says(&said, &first), kind, "whatever the order of fields");
    }
}

fn an_event_is_what_it_says(said: &Value, payload: &str) -> Option<Kind> {
    let event = parse(payload.as_bytes())?;
    let kind = event.kind();
    assert_eq!(format!("{event:?}"), format!("Event({kind:?})"));
    match event.into_request(Default::default()) {
        Ok(request) => a_request_is_its_event(said, kind, &request),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Event),
    }
    Some(kind)
}

fn parse(payload: &[u8]) -> Option<Event> {
    let refused =
        "the payload is no HTTP event: understood are HTTP API 2.0, REST API 1.0, ALB and function URL events";
    match Event::parse(payload) {
        Ok(event) => Some(event),
        Err(error) => {
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Event, refused));
            let said = format!("{error:?}");
            let place = said.strip_prefix(refused).unwrap();
            let places = [": line ", ": invalid utf-8 ", ": incomplete utf-8 "];
            let is_place = place.is_empty() || places.iter().any(|start| place.starts_with(start));
            assert!(is_place && place.len() < 80, "an error quotes no payload: {said}");
            None
        }
    }
}

fn a_request_is_its_event(said: &Value, kind: Kind, request: &lambda_http::Request) {
    let context = &said["requestContext"];
    let is_http_api = kind == Kind::HttpApi;
    let method = if is_http_api { &context["http"]["method"] } else { &said["httpMethod"] };
    assert_eq!(Some(request.method().as_str()), method.as_str());
    let expected = expected_headers(said);
    let host = expected.iter().find(|(name, _)| name == header::HOST).map(|(_, host)| host.clone());
    let mut headers = request.headers().clone();
    let cookies = headers.remove(header::COOKIE);
    assert!(request.headers().get_all(header::COOKIE).iter().count() <= 1);
    assert!(cookies.as_ref().is_none_or(HeaderValue::is_sensitive));
    let cookies = cookies.map(|line| crumbs(str::from_utf8(line.as_bytes()).unwrap())).unwrap_or_default();
    assert_eq!(cookies, expected_cookies(said));
    assert_eq!(sorted(headers.iter().map(|(name, value)| (name.clone(), value.clone()))), sorted(expected));

    let path = said[if is_http_api { "rawPath" } else { "path" }].as_str().unwrap_or_default();
    assert_eq!(request.raw_http_path(), path);
    let domain = context["domainName"].as_str().unwrap_or_default();
    let is_generated = domain.contains(".execute-api.")
        && (domain.ends_with(".amazonaws.com") || domain.ends_with(".amazonaws.com.cn"));
    let stage = context["stage"].as_str().unwrap_or_default();
    let routed = if is_http_api && is_generated { without_stage(path, stage) } else { path };
    let slash = if routed.starts_with('/') { "" } else { "/" };
    let uri = request.uri();
    assert_eq!(decoded(uri.path()), decoded(&format!("{slash}{routed}")));
    assert_eq!(uri.to_string().parse::<Uri>().ok().as_ref(), Some(uri), "a URI is its text");
    let is_plain = request.headers().get("x-forwarded-proto").is_some_and(|scheme| scheme == "http");
    assert_eq!(uri.scheme_str(), uri.authority().map(|_| if is_plain { "http" } else { "https" }));
    if let Some(authority) = uri.authority() {
        let host = host.as_ref().and_then(|host| host.to_str().ok()).or(context["domainName"].as_str());
        assert_eq!(Some(authority.as_str()), host);
    }

    let query = uri.query().unwrap_or_default();
    let several = &said["multiValueQueryStringParameters"];
    let has_several = several.as_object().is_some_and(|map| map.values().any(|value| !texts(value).is_empty()));
    let parameters = if has_several { several } else { &said["queryStringParameters"] };
    match kind {
        Kind::HttpApi => assert_eq!(decoded(query), decoded(said["rawQueryString"].as_str().unwrap_or_default())),
        Kind::Rest => {
            let pairs: Vec<_> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
            let expected: Vec<_> = pairs_of(parameters).map(|(name, value)| (name.into(), value.into())).collect();
            assert_eq!(pairs.iter().map(|(name, value)| (decoded(name), decoded(value))).collect::<Vec<_>>(), expected);
            same_parameters(&request.query_string_parameters(), parameters);
        }
        _ => {
            let _ = request.query_string_parameters();
        }
    }
    same_parameters(&request.path_parameters(), &said["pathParameters"]);
    same_parameters(&request.stage_variables(), &said["stageVariables"]);
    match (said["body"].as_str(), said["isBase64Encoded"].as_bool().unwrap_or(false), request.body()) {
        (None, _, Body::Empty) => {}
        (Some(body), false, Body::Text(text)) => assert_eq!(body, text),
        (Some(body), true, Body::Binary(bytes)) => assert_eq!(body, STANDARD.encode(bytes)),
        (body, is_binary, found) => panic!("{body:?} ({is_binary}) became {found:?}"),
    }
}

/// The one or several texts of a JSON member.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn pairs_of(value: &Value) -> impl Iterator<Item = (&str, &str)> {
    let members = value.as_object().into_iter().flatten();
    members.flat_map(|(name, value)| texts(value).into_iter().map(|value| (name.as_str(), value)))
}

fn header_lines(value: &Value) -> Vec<(HeaderName, HeaderValue)> {
    let line =
        |(name, value): (&str, &str)| Some((name.parse().ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?));
    pairs_of(value).filter_map(line).collect()
}

/// Every header of an event but its cookies.
fn expected_headers(said: &Value) -> Vec<(HeaderName, HeaderValue)> {
    let mut lines = header_lines(&said["multiValueHeaders"]);
    let several: HashSet<_> = lines.iter().map(|(name, _)| name.clone()).collect();
    lines.extend(header_lines(&said["headers"]).into_iter().filter(|(name, _)| !several.contains(name)));
    lines.retain(|(name, _)| name != header::COOKIE);
    lines
}

/// The cookies of an event: those of its own field, else of its headers. What is no header value is left out alone.
fn expected_cookies(said: &Value) -> Vec<String> {
    let is_legal = |text: &&str| HeaderValue::from_bytes(text.as_bytes()).is_ok();
    let own = texts(&said["cookies"]).into_iter().filter(is_legal).collect::<Vec<_>>().join(";");
    if !own.is_empty() {
        return crumbs(&own);
    }
    let lines = |field: &str| -> Vec<String> {
        let lines = pairs_of(&said[field]).filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        lines.map(|(_, line)| line.split(';').filter(is_legal).collect::<Vec<_>>().join(";")).collect()
    };
    let several = lines("multiValueHeaders");
    let lines = if several.is_empty() { lines("headers") } else { several };
    lines.iter().flat_map(|line| crumbs(line)).collect()
}

/// The cookies on a line.
fn crumbs(line: &str) -> Vec<String> {
    line.split(';').map(|crumb| crumb.trim_matches([' ', '\t']).to_owned()).filter(|crumb| !crumb.is_empty()).collect()
}

fn sorted(lines: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Vec<(String, Vec<u8>)> {
    let mut lines: Vec<_> =
        lines.into_iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    lines.sort();
    lines
}

fn without_stage<'a>(path: &'a str, stage: &str) -> &'a str {
    let is_in_path = !stage.is_empty() && stage != "$default";
    match path.strip_prefix(&format!("/{stage}")) {
        Some("") if is_in_path => "/",
        Some(rest) if is_in_path && rest.starts_with('/') => rest,
        _ => path,
    }
}

fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

fn same_parameters(found: &QueryMap, said: &Value) {
    let mut expected = BTreeMap::<&str, Vec<&str>>::new();
    pairs_of(said).for_each(|(name, value)| expected.entry(name).or_default().push(value));
    assert_eq!(found.iter().count(), expected.values().map(Vec::len).sum::<usize>());
    for (name, values) in expected {
        assert_eq!(found.all(name), Some(values), "{name}");
    }
}

/// Whatever headers, body and status an answer has, each kind of event gets all of them.
fn every_answer_leaves_whole(headers: &HeaderMap, body: &Body, seed: usize) {
    let status = StatusCode::from_u16(100 + (seed % 900) as u16).unwrap();
    let mut headers = headers.clone();
    // As cookies too, every other with a byte that is no UTF-8.
    let cookies = headers.values().enumerate().map(|(place, value)| {
        let tail: &[u8] = if place % 2 == 0 { b"" } else { b"\xe9" };
        HeaderValue::from_bytes(&[value.as_bytes(), tail].concat()).unwrap()
    });
    let cookies: Vec<HeaderValue> = cookies.collect();
    for cookie in &cookies {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    for kind in [Kind::HttpApi, Kind::Rest, Kind::Alb, Kind::AlbMulti] {
        let mut response = Response::new(body.clone());
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone();
        let text = serde_json::to_string(&Answer::new(kind, response)).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["statusCode"], status.as_u16());
        let said = answer["body"].as_str().unwrap();
        if answer["isBase64Encoded"] == Value::Bool(true) {
            assert_eq!(STANDARD.decode(said).unwrap(), body.as_ref());
        } else {
            assert_eq!(said.as_bytes(), body.as_ref());
        }
        for name in headers.keys() {
            let lines: Vec<String> = headers.get_all(name).iter().map(|line| legible(line.as_bytes())).collect();
            let found: Vec<&str> = match kind {
                Kind::Rest | Kind::AlbMulti => texts(&answer["multiValueHeaders"][name.as_str()]),
                Kind::HttpApi if name == header::SET_COOKIE => texts(&answer["cookies"]),
                Kind::Alb if name == header::SET_COOKIE => {
                    let mut found: Vec<_> = pairs_of(&answer["headers"]).collect();
                    found.retain(|(spelled, _)| spelled.eq_ignore_ascii_case("set-cookie"));
                    assert_eq!(found.len(), lines.len().min(512), "no spelling twice");
                    assert_eq!(answer["headers"]["set-cookie"], *lines[0], "the first under the plain name");
                    continue;
                }
                _ => {
                    assert_eq!(answer["headers"][name.as_str()], lines.join(", "));
                    continue;
                }
            };
            assert_eq!(found, lines, "{kind:?} {name}");
        }
    }
}

/// A header's bytes as JSON holds them: UTF-8, or else Latin-1.
fn legible(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| bytes.iter().map(|&byte| char::from(byte)).collect())
}

/// Through the whole layer: a handler that writes sets one cookie, and that cookie opens.
fn a_request_is_served(kind: Kind, request: lambda_http::Request) {
    let store = CookieStore::encrypted(TODAY.clone());
    let response = answer(SessionLayer::new(store.clone()), request);
    let lines: Vec<_> = response.headers().get_all(header::SET_COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let [line] = lines.as_slice() else { panic!("{} lines of Set-Cookie", lines.len()) };
    let line = str::from_utf8(line).unwrap();
    let token =
        line.strip_prefix("__Host-s=").and_then(|rest| rest.strip_suffix("; HttpOnly; SameSite=Lax; Secure; Path=/"));
    let token = Token::parse(token.expect(line).as_bytes()).unwrap();
    let record = load(&store, &token, &call()).expect("our own token opens").record;
    assert_eq!(serde_json::from_slice::<Value>(record.payload()).unwrap()["visited"], true);
    assert!(serde_json::to_string(&Answer::new(kind, response)).unwrap().contains(token.as_str()));
}
