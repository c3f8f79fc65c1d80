//! Whatever a stranger sends becomes an event that our own adapter reads, or is refused.

use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderName, HeaderValue, Method, Uri};
use lambda_session::lambda::{Event, Kind};
use proptest::prelude::*;

use super::*;
use crate::serve::event::http_api::NO_PATH;

const FRONTS: [(Front, Kind); 5] = [
    (Front::HttpApi, Kind::HttpApi),
    (Front::FunctionUrl, Kind::HttpApi),
    (Front::Rest, Kind::Rest),
    (Front::Alb, Kind::Alb),
    (Front::AlbMulti, Kind::AlbMulti),
];

/// What HTTP lets through as a target: hyper has refused all else before.
fn target() -> impl Strategy<Value = Uri> {
    let piece = prop_oneof![
        4 => "[a-z0-9._~!$&'()*+,;=:@/-]{0,12}",
        2 => "%[0-9a-fA-F]{2}",
        1 => Just("%".to_owned()),
        1 => Just("%25".to_owned()),
        1 => Just("//".to_owned()),
        1 => Just("/../".to_owned()),
    ];
    let text = prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
    let query = prop::option::of("[a-z0-9%&=+;?/{}|^]{0,40}");
    (text, query).prop_filter_map("no target", |(path, query)| {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("/{path}{query}").parse().ok()
    })
}

fn headers() -> impl Strategy<Value = Vec<(HeaderName, HeaderValue)>> {
    let name = prop_oneof![
        "[a-z0-9_-]{1,12}",
        Just("cookie".to_owned()),
        Just("x-forwarded-for".to_owned()),
        Just("content-type".to_owned())
    ];
    let value = prop::collection::vec(any::<u8>(), 0..40);
    let line = (name, value).prop_filter_map("no header", |(name, value)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(&value).ok()?))
    });
    prop::collection::vec(line, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_request_is_an_event_that_is_understood_or_a_refusal(
        method in "[A-Z]{1,8}", target in target(), lines in headers(), body in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        for (front, kind) in FRONTS {
            let mut request = http::Request::builder().method(&*method).uri(target.clone()).body(()).unwrap();
            let headers = request.headers_mut();
            headers.insert("host", HeaderValue::from_static("localhost:3000"));
            for (name, value) in lines.iter().filter(|(name, _)| name != "host") {
                headers.append(name.clone(), value.clone());
            }
            let (parts, ()) = request.into_parts();
            let ids = Ids { invocation: "6b032da0-0a1b-4c3d-8e5f-60718293a4b5".into(), gateway: "id".into() };
            let asked = Request::read(parts, front, IpAddr::V6(Ipv6Addr::LOCALHOST), 3000, SystemTime::UNIX_EPOCH);
            let bytes = asked.and_then(|mut asked| {
                asked.body = Bytes::from(body.clone());
                event(front, &asked, &ids)
            });
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(refusal) => {
                    let is_proxy = method == "CONNECT" || method == "TRACE";
                    let expected = if is_proxy { Refusal::Method } else { Refusal::BadRequest(NO_PATH) };
                    prop_assert_eq!(refusal, expected);
                    // All paths are good but those that an HTTP API cannot decode.
                    prop_assert!(is_proxy || front == Front::HttpApi);
                    continue;
                }
            };
            let read = Event::parse(&bytes).unwrap();
            prop_assert_eq!(read.kind(), kind);
            let seen = read.into_request(Default::default()).unwrap();
            prop_assert_eq!(seen.method(), &Method::from_bytes(method.as_bytes()).unwrap());
            let body_seen: &[u8] = seen.body().as_ref();
            prop_assert_eq!(body_seen, body.as_slice());
        }
    }
}
