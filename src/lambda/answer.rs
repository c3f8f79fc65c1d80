//! An HTTP response as the answer that each kind of event wants.

use std::{borrow::Cow, fmt, iter};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use lambda_http::Body;
use lambda_runtime::Diagnostic;
use serde::ser::{Serialize, SerializeMap, Serializer};
use tracing::warn;

use crate::lambda::adapter::{Asked, Reply};
use crate::lambda::event::Kind;
use crate::notice::Notice;

/// Lambda takes answers of 6 MB, an ALB of 1 MB; from here on a warning says that one comes near (security.md, AR3).
const LARGE_BODY_BYTES: usize = 5_000_000;
const LARGE_ALB_BODY_BYTES: usize = 800_000;

static LARGE_BODY: Notice = Notice::new();
static MANY_COOKIES: Notice = Notice::new();

/// Content types whose bodies are text, if they are UTF-8.
const TEXT_TYPES: [&str; 5] =
    ["text/", "application/json", "application/javascript", "application/xml", "application/yaml"];
/// Suffixes of such types, before parameters.
const TEXT_SUFFIXES: [&str; 3] = ["+json", "+xml", "+yaml"];

fn is_text(headers: &HeaderMap) -> bool {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return false;
    }
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return true };
    let kind = kind.to_str().unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    TEXT_TYPES.iter().any(|text| starts_with(essence, text))
        || TEXT_SUFFIXES.iter().any(|text| essence.to_ascii_lowercase().ends_with(text))
}

/// Without regard to case, as content types are compared.
fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
}

/// What goes back to Lambda for one response.
///
/// ```
/// use http::Response;
/// use lambda_session::lambda::{Answer, Kind};
///
/// let response = Response::builder().header("set-cookie", "a=1").header("set-cookie", "b=2").body("hi".into()).unwrap();
/// let json = serde_json::to_value(Answer::new(Kind::HttpApi, response)).unwrap();
/// assert_eq!(json["cookies"], serde_json::json!(["a=1", "b=2"]));
/// ```
#[derive(Debug)]
pub struct Answer {
    kind: Kind,
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

impl Answer {
    /// The answer to an event of this kind.
    pub fn new(kind: Kind, response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let size = match &body {
            // As base64.
            Body::Binary(bytes) => bytes.len().div_ceil(3).saturating_mul(4),
            body => body.len(),
        };
        let large = if matches!(kind, Kind::Alb | Kind::AlbMulti) { LARGE_ALB_BODY_BYTES } else { LARGE_BODY_BYTES };
        if size >= large && LARGE_BODY.is_due_now() {
            warn!("an answer of {size} bytes comes near the limit: Lambda takes 6 MB, behind an ALB 1 MB");
        }
        Self { kind, status: parts.status, headers: parts.headers, body }
    }
}

/// The response with its body whole, as text where it is text: base64 costs a third, and a REST API without
/// `binaryMediaTypes` does not decode it.
impl<B> Reply<B> for Answer
where
    B: HttpBody + Send,
    B::Data: Send,
    B::Error: fmt::Display,
{
    async fn of(asked: Asked, response: Response<B>) -> Result<Self, Diagnostic> {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.map_err(|error| Diagnostic {
            error_type: "LambdaSession.Body".into(),
            error_message: ended_early(error),
        })?;
        let bytes: Vec<u8> = bytes.to_bytes().into();
        let body = match is_text(&parts.headers) {
            true => String::from_utf8(bytes).map_or_else(|error| Body::Binary(error.into_bytes()), Body::Text),
            false => Body::Binary(bytes),
        };
        Ok(Self::new(asked.kind, Response::from_parts(parts, body)))
    }
}

/// What a service answers when it is run by lambda_runtime directly.
impl From<Answer> for serde_json::Value {
    fn from(answer: Answer) -> Self {
        serde_json::to_value(answer).unwrap_or_default()
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("statusCode", &self.status.as_u16())?;
        match self.kind {
            Kind::HttpApi => {
                map.serialize_entry("headers", &Joined { headers: &self.headers, cookies: Cookies::Apart })?;
                let cookies: Vec<_> = self.headers.get_all(header::SET_COOKIE).iter().map(text).collect();
                map.serialize_entry("cookies", &cookies)?;
            }
            Kind::Rest => map.serialize_entry("multiValueHeaders", &Listed(&self.headers))?,
            Kind::AlbMulti => {
                map.serialize_entry("statusDescription", &self.description())?;
                map.serialize_entry("multiValueHeaders", &Listed(&self.headers))?;
            }
            Kind::Alb => {
                map.serialize_entry("statusDescription", &self.description())?;
                map.serialize_entry("headers", &Joined { headers: &self.headers, cookies: Cookies::Spelled })?;
            }
        }
        match &self.body {
            Body::Text(text) => {
                map.serialize_entry("body", text)?;
                map.serialize_entry("isBase64Encoded", &false)?;
            }
            Body::Binary(bytes) => {
                use base64::{Engine, engine::general_purpose::STANDARD};
                map.serialize_entry("body", &STANDARD.encode(bytes))?;
                map.serialize_entry("isBase64Encoded", &true)?;
            }
            _ => {
                map.serialize_entry("body", "")?;
                map.serialize_entry("isBase64Encoded", &false)?;
            }
        }
        map.end()
    }
}

impl Answer {
    fn description(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.status.canonical_reason().unwrap_or_default())
    }
}

/// One value a name, the lines joined as HTTP allows it for all but `Set-Cookie`.
struct Joined<'a> {
    headers: &'a HeaderMap,
    cookies: Cookies,
}

/// Where the lines of `Set-Cookie` go.
#[derive(PartialEq)]
enum Cookies {
    /// Into a field of their own.
    Apart,
    /// Under names that differ in their spelling: an ALB without multi-value headers knows one value a name.
    Spelled,
}

impl Serialize for Joined<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for name in self.headers.keys().filter(|name| *name != header::SET_COOKIE) {
            map.serialize_entry(name.as_str(), &joined(self.headers, name))?;
        }
        if self.cookies == Cookies::Spelled {
            let lines = self.headers.get_all(header::SET_COOKIE);
            if lines.iter().nth(1).is_some() && MANY_COOKIES.is_due_now() {
                warn!(
                    "an answer to an ALB sets several cookies: turn on lambda.multi_value_headers.enabled at the target \
                     group, without it only the session's is sure to arrive"
                );
            }
            for (name, line) in spellings().zip(&lines) {
                map.serialize_entry(&name, &text(line))?;
            }
        }
        map.end()
    }
}

/// All values of each name.
struct Listed<'a>(&'a HeaderMap);

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for name in self.0.keys() {
            let values: Vec<_> = self.0.get_all(name).iter().map(text).collect();
            map.serialize_entry(name.as_str(), &values)?;
        }
        map.end()
    }
}

pub(super) fn joined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Cow<'a, str> {
    let mut values = headers.get_all(name).iter().map(text);
    let first = values.next().unwrap_or_default();
    values.fold(first, |joined, value| format!("{joined}, {value}").into())
}

/// What is said of a body that broke off.
pub(super) fn ended_early(error: impl fmt::Display) -> String {
    format!("the body of the answer ended early: {error}")
}

/// A header's value as JSON can hold it: UTF-8, or byte for byte as Latin-1.
pub(super) fn text(value: &HeaderValue) -> Cow<'_, str> {
    match str::from_utf8(value.as_bytes()) {
        Ok(text) => text.into(),
        Err(_) => value.as_bytes().iter().map(|&byte| char::from(byte)).collect::<String>().into(),
    }
}

/// `set-cookie` in up to 512 spellings, the plain one first.
fn spellings() -> impl Iterator<Item = String> {
    let rest = (1_u32..512).map(|mask| {
        let mut letter = 0_u32;
        "set-cookie"
            .chars()
            .map(|c| {
                let upper = c.is_ascii_alphabetic() && mask.checked_shr(letter).is_some_and(|bits| bits & 1 == 1);
                letter = letter.saturating_add(u32::from(c.is_ascii_alphabetic()));
                if upper { c.to_ascii_uppercase() } else { c }
            })
            .collect()
    });
    iter::once("set-cookie".to_owned()).chain(rest)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn response() -> Response<Body> {
        Response::builder()
            .status(201)
            .header("set-cookie", "s=1; Path=/")
            .header("set-cookie", "t=2")
            .header("vary", "Accept")
            .header("vary", "Cookie")
            .header("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap())
            .body("made".into())
            .unwrap()
    }

    /// Every kind's whole answer: all `Set-Cookie` lines leave, repeated headers are not cut to the first.
    #[test]
    fn every_kind_gets_all_headers_in_its_own_shape() {
        for (kind, expected) in [
            (
                Kind::HttpApi,
                r#"{"statusCode":201,"headers":{"vary":"Accept, Cookie","x-latin":"café"},"cookies":["s=1; Path=/","t=2"],"body":"made","isBase64Encoded":false}"#,
            ),
            (
                Kind::Rest,
                r#"{"statusCode":201,"multiValueHeaders":{"set-cookie":["s=1; Path=/","t=2"],"vary":["Accept","Cookie"],"x-latin":["café"]},"body":"made","isBase64Encoded":false}"#,
            ),
            (
                Kind::AlbMulti,
                r#"{"statusCode":201,"statusDescription":"201 Created","multiValueHeaders":{"set-cookie":["s=1; Path=/","t=2"],"vary":["Accept","Cookie"],"x-latin":["café"]},"body":"made","isBase64Encoded":false}"#,
            ),
            (
                Kind::Alb,
                r#"{"statusCode":201,"statusDescription":"201 Created","headers":{"vary":"Accept, Cookie","x-latin":"café","set-cookie":"s=1; Path=/","Set-cookie":"t=2"},"body":"made","isBase64Encoded":false}"#,
            ),
        ] {
            let answer: serde_json::Value = Answer::new(kind, response()).into();
            let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
            assert_eq!(answer, expected, "{kind:?}");
        }
    }

    #[test]
    fn spellings_differ() {
        let all: Vec<String> = spellings().collect();
        assert_eq!((all.len(), all[0].as_str(), all[1].as_str()), (512, "set-cookie", "Set-cookie"));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 512);
        assert!(all.iter().all(|name| name.eq_ignore_ascii_case("set-cookie")));
    }
}
