//! The function's answer as the front door hands it to the browser.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;

use crate::answer::{Answer, Body};
use crate::serve::front::Front;
use crate::serve::request::{HEADER_LINE_BYTES, HOP_BY_HOP};

/// What goes back over HTTP.
pub(super) type Reply = Response<Full<Bytes>>;

/// Turns `answer` to a request of `method` into what `front` sends, and notes what the browser does not get; or why `front` takes
/// no such answer. `id` is the front door's own for the request.
pub(super) fn reply(
    front: Front,
    method: &str,
    answer: Answer,
    id: &str,
    notes: &mut Vec<String>,
) -> Result<Reply, String> {
    let status = StatusCode::from_u16(answer.status).ok().filter(|status| !status.is_informational());
    let status = status.ok_or_else(|| format!("{} is no status of an answer", answer.status))?;
    let is_bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    let is_head = method == Method::HEAD.as_str();
    let body = match answer.body {
        _ if is_bodiless || is_head => Bytes::new(),
        Body::Text(text) => text.into(),
        Body::Bytes(bytes) => bytes.into(),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in &answer.headers {
        // The length is counted here, but for HEAD, where only the function knows it.
        if HOP_BY_HOP.contains(&name.as_str()) || (name == "content-length" && (!is_head || is_bodiless)) {
            continue;
        }
        if name == "content-length" && (headers.contains_key(name) || value.parse::<u64>().is_err()) {
            notes.push("a second `content-length`, or one that is no number: dropped".to_owned());
            continue;
        }
        let name = if front == Front::Rest && REMAPPED.contains(&name.as_str()) {
            notes.push(format!("a REST API sends `{name}` as `x-amzn-remapped-{name}`"));
            format!("x-amzn-remapped-{name}")
        } else {
            name.clone()
        };
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes())) {
            (Ok(name), Ok(value)) => _ = headers.try_append(name, value),
            _ => notes.push(format!("the header `{name}` is no header that HTTP can carry: dropped")),
        }
    }
    for line in surviving(front, &answer.set_cookies, notes) {
        match HeaderValue::from_bytes(line.as_bytes()) {
            Ok(line) => _ = headers.try_append("set-cookie", line),
            Err(_) => notes.push("a Set-Cookie line with a control character: dropped".to_owned()),
        }
    }
    if !headers.contains_key("content-type") && !is_bodiless {
        headers.insert("content-type", HeaderValue::from_static(default_type(front)));
    }
    check_size(front, headers, notes)?;
    if let (Some(name), Ok(id)) = (id_header(front), HeaderValue::from_str(id)) {
        headers.insert(name, id);
    }
    Ok(response)
}

/// Whether `front` takes so many headers. What a load balancer does with more is not documented: it is taken for an answer that it
/// cannot read, and what API Gateway does is not known either.
fn check_size(front: Front, headers: &HeaderMap, notes: &mut Vec<String>) -> Result<(), String> {
    let sizes = headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len()));
    let size = sizes.fold(0_usize, |sum, size| sum.saturating_add(size).saturating_add(HEADER_LINE_BYTES));
    if let Some(limit) = front.answer_head_limit_bytes().filter(|limit| size > *limit) {
        return Err(format!("headers of {size} bytes are over a load balancer's limit of {limit} bytes"));
    }
    if let Some(limit) = front.head_limit_bytes().filter(|limit| size > *limit) {
        notes.push(format!(
            "headers of {size} bytes: API Gateway documents {limit} bytes for a request, and none for an answer"
        ));
    }
    Ok(())
}

/// A load balancer without multi-value headers is sure to pass on one `Set-Cookie` only: the one spelled plainly, which comes last.
fn surviving<'a>(front: Front, lines: &'a [String], notes: &mut Vec<String>) -> &'a [String] {
    let lost = lines.len().saturating_sub(1);
    if front != Front::Alb || lost == 0 {
        return lines;
    }
    notes.push(format!(
        "sets {} cookies, of which an ALB is sure to pass on one: turn on lambda.multi_value_headers.enabled",
        lines.len()
    ));
    lines.get(lost..).unwrap_or_default()
}

/// What an answer without a content type is said to be. Of a load balancer there is only a report (stackery/php-lambda-layer,
/// issue 41).
fn default_type(front: Front) -> &'static str {
    match front {
        Front::HttpApi => "text/plain; charset=utf-8",
        Front::Rest | Front::FunctionUrl => "application/json",
        Front::Alb | Front::AlbMulti => "application/octet-stream",
    }
}

/// The header in which the front door names the request.
pub(super) fn id_header(front: Front) -> Option<&'static str> {
    match front {
        Front::HttpApi => Some("apigw-requestid"),
        Front::Rest | Front::FunctionUrl => Some("x-amzn-requestid"),
        Front::Alb | Front::AlbMulti => None,
    }
}

/// What a REST API sends under another name (API Gateway, important notes for REST APIs).
const REMAPPED: [&str; 5] = ["content-md5", "date", "server", "user-agent", "www-authenticate"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OCTETS: &str = "content-type: application/octet-stream";

    fn answer(headers: &[(&str, &str)], set_cookies: &[&str], body: &str) -> Answer {
        Answer {
            status: 200,
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            set_cookies: set_cookies.iter().map(|line| (*line).to_owned()).collect(),
            body: Body::Text(body.to_owned()),
            notes: Vec::new(),
        }
    }

    /// The headers of the reply but for the front door's own id, and the notes.
    fn told(front: Front, method: &str, answer: Answer) -> (Vec<String>, Vec<String>) {
        let mut notes = Vec::new();
        let reply = reply(front, method, answer, "id", &mut notes).unwrap();
        let lines = reply.headers().iter().filter(|(_, value)| *value != "id");
        (lines.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect(), notes)
    }

    #[test]
    fn headers_go_back_by_the_front_doors_rules() {
        let challenge: &[_] = &[("www-authenticate", "Basic"), ("content-type", "text/html")];
        let joined: &[_] = &[("transfer-encoding", "chunked"), ("connection", "close"), ("content-length", "9")];
        let lengths: &[_] = &[("content-length", "many"), ("content-length", "9"), ("content-length", "10")];
        type Row<'a> = (&'a str, Front, &'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
        let rows: [Row<'_>; 8] = [
            ("a type is said", Front::HttpApi, "GET", &[], &["content-type: text/plain; charset=utf-8"]),
            ("another", Front::FunctionUrl, "GET", &[], &["content-type: application/json"]),
            ("a third", Front::Alb, "GET", &[], &[OCTETS]),
            ("HTTP API", Front::HttpApi, "GET", challenge, &["www-authenticate: Basic", "content-type: text/html"]),
            (
                "REST",
                Front::Rest,
                "GET",
                challenge,
                &["x-amzn-remapped-www-authenticate: Basic", "content-type: text/html"],
            ),
            ("the connection is ours", Front::Alb, "GET", joined, &[OCTETS]),
            ("one length", Front::Alb, "HEAD", lengths, &["content-length: 9", OCTETS]),
            ("only the function knows the length", Front::Alb, "HEAD", joined, &["content-length: 9", OCTETS]),
        ];
        for (name, front, method, headers, expected) in rows {
            assert_eq!(told(front, method, answer(headers, &[], "hi")).0, expected, "{name}");
        }
    }

    #[test]
    fn of_several_cookies_a_plain_load_balancer_passes_on_the_last() {
        let note = "sets 2 cookies, of which an ALB is sure to pass on one: turn on lambda.multi_value_headers.enabled";
        assert_eq!(
            told(Front::Alb, "GET", answer(&[], &["a=1", "b=2"], "")),
            (vec!["set-cookie: b=2".to_owned(), OCTETS.to_owned()], vec![note.to_owned()])
        );
        assert_eq!(
            told(Front::AlbMulti, "GET", answer(&[], &["a=1", "b=2"], "")).0,
            ["set-cookie: a=1", "set-cookie: b=2", OCTETS]
        );
    }

    #[test]
    fn what_http_cannot_carry_is_dropped_with_a_word() {
        let (lines, notes) =
            told(Front::Alb, "GET", answer(&[("x", "a\nb"), ("y z", "1"), ("w", "1")], &["a=\u{1}"], ""));
        assert_eq!((lines, notes.len()), (vec!["w: 1".to_owned(), OCTETS.to_owned()], 3));
    }

    #[test]
    fn a_load_balancer_takes_so_many_headers_and_api_gateway_gets_a_word() {
        let long = "x".repeat(16_000);
        let headers: &[_] = &[("a", &*long), ("b", &long), ("c", &long)];
        let mut notes = Vec::new();
        let refused = reply(Front::Alb, "GET", answer(headers, &[], ""), "id", &mut notes).map(drop);
        let size = 3 * (16_000 + 5) + OCTETS.len() + 2;
        assert_eq!(refused, Err(format!("headers of {size} bytes are over a load balancer's limit of 32768 bytes")));
        assert!(reply(Front::AlbMulti, "GET", answer(&headers[..2], &[], ""), "id", &mut notes).is_ok());
        assert_eq!(notes.len(), 0);
        assert_eq!(told(Front::HttpApi, "GET", answer(headers, &[], "")).1.len(), 1);
        assert_eq!(told(Front::FunctionUrl, "GET", answer(headers, &[], "")).1.len(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn whatever_a_function_answers_is_a_reply_or_none(
            status in 0_u16..1000,
            headers in prop::collection::vec((".{0,8}|[a-z-]{1,8}", ".{0,20}"), 0..6),
            set_cookies in prop::collection::vec(".{0,20}", 0..4),
            body in ".{0,40}", is_head in any::<bool>(),
        ) {
            for front in [Front::HttpApi, Front::Rest, Front::Alb, Front::AlbMulti, Front::FunctionUrl] {
                let body = Body::Text(body.clone());
                let (headers, set_cookies) = (headers.clone(), set_cookies.clone());
                let answer = Answer { status, headers, set_cookies, body, notes: Vec::new() };
                let reply = reply(front, if is_head { "HEAD" } else { "GET" }, answer, "id", &mut Vec::new());
                prop_assert_eq!(reply.ok().map(|reply| reply.status().as_u16()), (status >= 200).then_some(status));
            }
        }
    }
}
