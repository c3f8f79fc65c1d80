//! Answers: what the gateway of an event's kind makes of the JSON that the function returned.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::event::Kind;
use crate::place::Place;

/// An HTTP answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// All but `Set-Cookie`, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) set_cookies: Vec<String>,
    pub(crate) body: Body,
    /// What the gateway drops, and what else deserves a word.
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Text(String),
    Bytes(Vec<u8>),
}

impl Answer {
    /// Reads what the function returned to an event of `kind`, or says why that is no HTTP answer.
    pub(crate) fn parse(kind: Kind, bytes: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("the answer is not JSON: {error}"))?;
        match (kind, value) {
            (_, Value::Object(answer)) if answer.contains_key("statusCode") => {
                let other = answer.keys().find(|key| kind == Kind::Rest && !REST_KEYS.contains(&key.as_str()));
                match other {
                    Some(key) => {
                        Err(format!("a REST API refuses an answer with `{key}`: it knows {}", REST_KEYS.join(", ")))
                    }
                    None => Self::read(kind, &answer, |place| kind.reads(place)),
                }
            }
            // With payload format 2.0 a gateway takes anything else as the body of a 200.
            (Kind::HttpApi | Kind::FunctionUrl, value) => Ok(Self::inferred(value)),
            (_, Value::Object(_)) => Err("the answer has no statusCode".to_owned()),
            _ => Err("the answer is JSON, but not an object with a statusCode".to_owned()),
        }
    }

    /// Reads a streamed answer: its prelude of JSON, eight zero bytes, its body; only two front doors take one.
    pub(crate) fn parse_streamed(kind: Kind, bytes: &[u8]) -> Result<Self, String> {
        let need = match kind {
            Kind::FunctionUrl => Some("an answer in pieces: the function URL's invoke mode must be RESPONSE_STREAM"),
            Kind::Rest => Some("an answer in pieces: the method's response transfer mode must be STREAM"),
            Kind::Other => None,
            Kind::HttpApi | Kind::HttpApi1 | Kind::Alb | Kind::AlbMulti => {
                return Err(format!("{} takes no answer in pieces", kind.name()));
            }
        };
        let end = bytes.windows(STREAM_DELIMITER.len()).position(|window| window == STREAM_DELIMITER);
        let end = end.ok_or("the streamed answer has no end of its prelude (eight zero bytes)")?;
        let (prelude, rest) = bytes.split_at_checked(end).unwrap_or_default();
        let body = rest.strip_prefix(STREAM_DELIMITER).unwrap_or_default();
        let prelude: Map<String, Value> = serde_json::from_slice(prelude)
            .map_err(|error| format!("the prelude of the answer is no JSON object: {error}"))?;
        // A prelude has room for `cookies` also at a REST API (Lambda proxy integration with payload response streaming).
        let mut answer = Self::read(kind, &prelude, |place| kind == Kind::Rest || kind.reads(place))?;
        answer.notes.extend(need.map(str::to_owned));
        answer.body = match std::str::from_utf8(body) {
            Ok(text) => Body::Text(text.to_owned()),
            Err(_) => Body::Bytes(body.to_owned()),
        };
        Ok(answer)
    }

    fn inferred(value: Value) -> Self {
        let body = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Self {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            set_cookies: Vec::new(),
            body: Body::Text(body),
            notes: vec!["without a statusCode: the gateway makes it the body of a 200".to_owned()],
        }
    }

    /// Reads an answer of which `kind` reads the places that `reads` says.
    fn read(kind: Kind, answer: &Map<String, Value>, reads: impl Fn(Place) -> bool) -> Result<Self, String> {
        let mut read = Self {
            status: status(answer.get("statusCode"))?,
            headers: Vec::new(),
            set_cookies: Vec::new(),
            body: body(answer)?,
            notes: Vec::new(),
        };
        for place in [Place::Cookies, Place::Multi, Place::Headers] {
            let pairs = place.pairs(answer)?;
            let lost = pairs
                .iter()
                .filter(|(name, value)| !reads(place) && name == "set-cookie" && !place.has_twin(kind, answer, value));
            let lost = lost.count();
            if lost > 0 {
                let cookies = if lost == 1 { "a cookie" } else { "cookies" };
                read.notes.push(format!("sets {cookies} in `{}`, which {} does not read", place.name(), kind.name()));
            }
            if reads(place) {
                read.add(pairs);
            }
        }
        Ok(read)
    }

    fn add(&mut self, pairs: Vec<(String, String)>) {
        for (name, value) in pairs {
            if name == "set-cookie" {
                if !self.set_cookies.contains(&value) {
                    self.set_cookies.push(value);
                }
            } else if !self.headers.contains(&(name.clone(), value.clone())) {
                self.headers.push((name, value));
            }
        }
    }
}

fn status(value: Option<&Value>) -> Result<u16, String> {
    let number = match value {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let status = number.and_then(|number| u16::try_from(number).ok()).filter(|status| (100..=599).contains(status));
    status.ok_or_else(|| "statusCode in the answer is not a number from 100 to 599".to_owned())
}

fn body(answer: &Map<String, Value>) -> Result<Body, String> {
    let is_base64 = match answer.get("isBase64Encoded") {
        None | Some(Value::Null) => false,
        Some(value) => value.as_bool().ok_or("`isBase64Encoded` in the answer is not true or false")?,
    };
    match answer.get("body") {
        None | Some(Value::Null) => Ok(Body::Text(String::new())),
        Some(Value::String(text)) if is_base64 => {
            let bytes =
                STANDARD.decode(text).map_err(|error| format!("`body` in the answer is not base64: {error}"))?;
            Ok(Body::Bytes(bytes))
        }
        Some(Value::String(text)) => Ok(Body::Text(text.clone())),
        Some(_) => Err("`body` in the answer is not a string".to_owned()),
    }
}

/// All that a REST API takes; with anything else an answer is malformed to it. An HTTP API passes over what it does not know
/// (both as in AWS's own SAM CLI, `local start-api`).
const REST_KEYS: [&str; 5] = ["statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"];

/// Between prelude and body of a streamed answer.
const STREAM_DELIMITER: &[u8] = &[0; 8];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Texts<'a> = &'a [&'a str];
    /// Cookies and notes, or why it is no answer.
    type Read<'a> = Result<(Texts<'a>, Texts<'a>), &'a str>;

    fn parse(kind: Kind, answer: &Value) -> Result<Answer, String> {
        Answer::parse(kind, answer.to_string().as_bytes())
    }

    #[test]
    fn each_kind_reads_cookies_where_its_gateway_does() {
        let cookies = json!({"statusCode": 200, "cookies": ["a=1", "b=2"]});
        let multi = json!({"statusCode": 200, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}});
        let single = json!({"statusCode": 200, "headers": {"SET-COOKIE": "a=1"}});
        let both = json!({"statusCode": 200, "headers": {"set-cookie": "a=1"}, "multiValueHeaders": {"set-cookie": ["a=1", "b=2"]}});
        let rows: Vec<(&str, Kind, &Value, Texts<'_>, Texts<'_>)> = vec![
            ("2.0", Kind::HttpApi, &cookies, &["a=1", "b=2"], &[]),
            ("2.0, header", Kind::HttpApi, &single, &["a=1"], &[]),
            (
                "2.0, multi",
                Kind::HttpApi,
                &multi,
                &[],
                &["sets cookies in `multiValueHeaders`, which HTTP API 2.0 does not read"],
            ),
            ("URL", Kind::FunctionUrl, &cookies, &["a=1", "b=2"], &[]),
            ("REST", Kind::Rest, &multi, &["a=1", "b=2"], &[]),
            ("REST, header", Kind::Rest, &single, &["a=1"], &[]),
            ("REST, both", Kind::Rest, &both, &["a=1", "b=2"], &[]),
            (
                "1.0, cookies",
                Kind::HttpApi1,
                &cookies,
                &[],
                &["sets cookies in `cookies`, which HTTP API 1.0 does not read"],
            ),
            ("ALB", Kind::Alb, &single, &["a=1"], &[]),
            (
                "ALB, both",
                Kind::Alb,
                &both,
                &["a=1"],
                &["sets a cookie in `multiValueHeaders`, which ALB does not read"],
            ),
            ("ALB multi", Kind::AlbMulti, &multi, &["a=1", "b=2"], &[]),
            ("ALB multi, both", Kind::AlbMulti, &both, &["a=1", "b=2"], &[]),
            (
                "ALB multi, header",
                Kind::AlbMulti,
                &single,
                &[],
                &["sets a cookie in `headers`, which ALB with multi-value headers does not read"],
            ),
        ];
        for (name, kind, answer, expected, notes) in rows {
            let answer = parse(kind, answer).unwrap();
            assert_eq!((answer.set_cookies, answer.notes), (strings(expected), strings(notes)), "{name}");
        }
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        let rows = [
            ("text", Kind::Rest, "hello", "the answer is not JSON: expected value at line 1 column 1"),
            ("nothing", Kind::HttpApi, "", "the answer is not JSON: EOF while parsing a value at line 1 column 0"),
            ("no status", Kind::Rest, "{}", "the answer has no statusCode"),
            ("a list", Kind::Alb, "[]", "the answer is JSON, but not an object with a statusCode"),
            (
                "a low status",
                Kind::HttpApi,
                r#"{"statusCode":99}"#,
                "statusCode in the answer is not a number from 100 to 599",
            ),
            (
                "a word as status",
                Kind::Rest,
                r#"{"statusCode":"ok"}"#,
                "statusCode in the answer is not a number from 100 to 599",
            ),
            (
                "headers",
                Kind::Rest,
                r#"{"statusCode":200,"headers":[]}"#,
                "`headers` in the answer has the wrong shape",
            ),
            (
                "a header",
                Kind::Rest,
                r#"{"statusCode":200,"headers":{"a":[]}}"#,
                "`headers` in the answer has the wrong shape",
            ),
            (
                "cookies",
                Kind::Rest,
                r#"{"statusCode":200,"cookies":["a=1"]}"#,
                "a REST API refuses an answer with `cookies`: it knows statusCode, headers, multiValueHeaders, body, isBase64Encoded",
            ),
            ("body", Kind::Rest, r#"{"statusCode":200,"body":{}}"#, "`body` in the answer is not a string"),
            (
                "base64",
                Kind::Rest,
                r#"{"statusCode":200,"body":"!","isBase64Encoded":true}"#,
                "`body` in the answer is not base64: Invalid symbol 33, offset 0.",
            ),
        ];
        for (name, kind, answer, expected) in rows {
            assert_eq!(Answer::parse(kind, answer.as_bytes()).unwrap_err(), expected, "{name}");
        }
    }

    #[test]
    fn bodies_and_status_are_read() {
        let rows = [
            ("text", json!({"statusCode": 201, "body": "hi"}), 201, Body::Text("hi".into())),
            ("none", json!({"statusCode": "204", "body": null}), 204, Body::Text(String::new())),
            (
                "bytes",
                json!({"statusCode": 200, "body": "AP8=", "isBase64Encoded": true}),
                200,
                Body::Bytes(vec![0, 255]),
            ),
            ("an inferred object", json!({"a": 1}), 200, Body::Text(r#"{"a":1}"#.into())),
            ("an inferred text", json!("hi"), 200, Body::Text("hi".into())),
        ];
        for (name, answer, status, body) in rows {
            let answer = parse(Kind::HttpApi, &answer).unwrap();
            assert_eq!((answer.status, answer.body), (status, body), "{name}");
        }
    }

    #[test]
    fn a_streamed_answer_is_read_where_aws_takes_one() {
        let url = "an answer in pieces: the function URL's invoke mode must be RESPONSE_STREAM";
        let rest = "an answer in pieces: the method's response transfer mode must be STREAM";
        let rows: [(Kind, Read<'_>); 7] = [
            (
                Kind::FunctionUrl,
                Ok((&["a=1"], &["sets a cookie in `multiValueHeaders`, which function URL does not read", url])),
            ),
            (Kind::Rest, Ok((&["a=1", "b=2"], &[rest]))),
            (Kind::Other, Ok((&["a=1", "b=2"], &[]))),
            (Kind::HttpApi, Err("HTTP API 2.0 takes no answer in pieces")),
            (Kind::HttpApi1, Err("HTTP API 1.0 takes no answer in pieces")),
            (Kind::Alb, Err("ALB takes no answer in pieces")),
            (Kind::AlbMulti, Err("ALB with multi-value headers takes no answer in pieces")),
        ];
        let mut bytes = br#"{"statusCode":200,"cookies":["a=1"],"multiValueHeaders":{"Set-Cookie":["b=2"]}}"#.to_vec();
        bytes.extend([0; 8]);
        bytes.extend(b"hello");
        for (kind, expected) in rows {
            let read = Answer::parse_streamed(kind, &bytes);
            let read = read.map(|answer| (answer.set_cookies, answer.body, answer.notes));
            let expected =
                expected.map(|(cookies, notes)| (strings(cookies), Body::Text("hello".into()), strings(notes)));
            assert_eq!(read, expected.map_err(str::to_owned), "{kind:?}");
        }
        for cut in ["{}", "[]\0\0\0\0\0\0\0\0", "{}\0\0\0\0\0\0\0\0"] {
            assert!(Answer::parse_streamed(Kind::FunctionUrl, cut.as_bytes()).is_err(), "{cut:?}");
        }
    }
}
