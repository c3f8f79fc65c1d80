//! The JSON of an event, read once: the fields of all kinds, and headers without what is no header.

use std::{borrow::Cow, collections::HashMap, fmt};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use lambda_http::aws_lambda_events::{apigw::ApiGatewayV2httpRequestContext, query_map::QueryMap};
use lambda_http::request::RequestContext;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::lambda::event::Kind;

/// All fields of all kinds; what a kind does not have is absent.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) is_version_1: bool,
    pub(super) is_version_2: bool,
    pub(super) headers: Option<Headers>,
    pub(super) multi_value_headers: Option<Headers>,
    pub(super) cookies: Option<Cookies>,
    pub(super) raw_path: Option<String>,
    pub(super) raw_query_string: Option<String>,
    pub(super) http_method: Option<String>,
    pub(super) path: Option<String>,
    pub(super) query_string_parameters: Option<Parameters>,
    pub(super) multi_value_query_string_parameters: Option<Parameters>,
    pub(super) path_parameters: Option<Parameters>,
    pub(super) stage_variables: Option<Parameters>,
    pub(super) request_context: Option<WireContext>,
    pub(super) body: Option<String>,
    pub(super) is_base64_encoded: Option<bool>,
    /// An authorizer's event looks like a request, but asks for a policy: only it names what it is asked to authorize.
    pub(super) is_authorizer: bool,
}

/// A request context: read at once where the event has said what it is, else kept as it came until all of it is read.
pub(super) enum WireContext {
    HttpApi(Box<ApiGatewayV2httpRequestContext>),
    Raw(Box<RawValue>),
}

/// The few fields of a request context that tell kinds apart and complete a URI.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Hints {
    pub(super) http: Option<HttpHints>,
    pub(super) elb: Option<de::IgnoredAny>,
    pub(super) stage: Option<String>,
    pub(super) domain_name: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct HttpHints {
    pub(super) method: String,
}

impl Wire {
    pub(super) fn read(payload: &str, contexts: Contexts) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(payload);
        let wire = deserializer.deserialize_map(WireVisitor(contexts))?;
        deserializer.end().map(|()| wire)
    }

    pub(super) fn hints(&self) -> Hints {
        match &self.request_context {
            Some(WireContext::HttpApi(context)) => Hints {
                http: Some(HttpHints { method: context.http.method.to_string() }),
                elb: None,
                stage: context.stage.clone(),
                domain_name: context.domain_name.clone(),
            },
            Some(WireContext::Raw(context)) => serde_json::from_str(context.get()).unwrap_or_default(),
            None => Hints::default(),
        }
    }

    /// lambda_http's typed context; one that does not fit its type is absent rather than an error.
    pub(super) fn take_context(&mut self, kind: Kind) -> Option<RequestContext> {
        match (self.request_context.take()?, kind) {
            (WireContext::HttpApi(context), _) => Some(RequestContext::ApiGatewayV2(*context)),
            (WireContext::Raw(raw), Kind::HttpApi) => {
                serde_json::from_str(raw.get()).ok().map(RequestContext::ApiGatewayV2)
            }
            (WireContext::Raw(raw), Kind::Rest) => {
                serde_json::from_str(raw.get()).ok().map(RequestContext::ApiGatewayV1)
            }
            (WireContext::Raw(raw), Kind::Alb | Kind::AlbMulti) => {
                serde_json::from_str(raw.get()).ok().map(RequestContext::Alb)
            }
        }
    }

    /// Every header that is one. Where an event has two maps the multi-value one is the truth: the other has lost the
    /// lines but the last.
    pub(super) fn take_headers(&mut self) -> HeaderMap {
        let single = self.headers.take().unwrap_or_default().0;
        let mut headers = match self.multi_value_headers.take() {
            None => single,
            Some(Headers(mut headers)) => {
                for name in single.keys().filter(|name| !headers.contains_key(*name)).cloned().collect::<Vec<_>>() {
                    for value in single.get_all(&name) {
                        let _ = headers.try_append(name.clone(), value.clone());
                    }
                }
                headers
            }
        };
        // Several lines, and HTTP/2's crumbs, are one line for whoever is not HTTP/2 (RFC 9113, section 8.2.3).
        let joined = match self.cookies.take().filter(|cookies| !cookies.0.is_empty()) {
            Some(cookies) => HeaderValue::from_maybe_shared(Bytes::from(cookies.0)).ok(),
            None if headers.get_all(header::COOKIE).iter().nth(1).is_none() => headers.remove(header::COOKIE),
            None => {
                let lines: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
                HeaderValue::from_bytes(&lines.join(b"; ".as_slice())).ok()
            }
        };
        headers.remove(header::COOKIE);
        if let Some(mut joined) = joined.filter(|joined| !joined.is_empty()) {
            joined.set_sensitive(true);
            let _ = headers.try_insert(header::COOKIE, joined);
        }
        headers
    }
}

fn is_header_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// A cookie that is no header value costs itself, not its neighbours on the line.
fn readable_cookies(line: &str) -> Vec<u8> {
    line.split(';').map(str::as_bytes).filter(|cookie| is_header_value(cookie)).collect::<Vec<_>>().join(&b';')
}

/// Whether a request context is read into lambda_http's type on the way.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Contexts {
    Typed,
    Raw,
}

struct WireVisitor(Contexts);

impl<'de> Visitor<'de> for WireVisitor {
    type Value = Wire;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wire, A::Error> {
        let mut wire = Wire::default();
        while let Some(Text(field)) = map.next_key::<Text<'de>>()? {
            match &*field {
                "version" => {
                    let Text(version) = map.next_value()?;
                    (wire.is_version_1, wire.is_version_2) = (version == "1.0", version == "2.0");
                }
                "headers" => wire.headers = map.next_value()?,
                "multiValueHeaders" => wire.multi_value_headers = map.next_value()?,
                "cookies" => wire.cookies = map.next_value()?,
                "rawPath" => wire.raw_path = map.next_value()?,
                "rawQueryString" => wire.raw_query_string = map.next_value()?,
                "httpMethod" => wire.http_method = map.next_value()?,
                "path" => wire.path = map.next_value()?,
                "queryStringParameters" => wire.query_string_parameters = map.next_value()?,
                "multiValueQueryStringParameters" => wire.multi_value_query_string_parameters = map.next_value()?,
                "pathParameters" => wire.path_parameters = map.next_value()?,
                "stageVariables" => wire.stage_variables = map.next_value()?,
                // AWS puts the version first, so a context of 2.0 is nearly always read only once.
                "requestContext" if self.0 == Contexts::Typed && wire.is_version_2 => {
                    wire.request_context = map.next_value::<Option<_>>()?.map(WireContext::HttpApi);
                }
                "requestContext" => wire.request_context = map.next_value::<Option<_>>()?.map(WireContext::Raw),
                "body" => wire.body = map.next_value()?,
                "isBase64Encoded" => wire.is_base64_encoded = map.next_value()?,
                // cargo-lambda sends both as null with every event.
                "methodArn" | "routeArn" => {
                    wire.is_authorizer |= map.next_value::<Option<de::IgnoredAny>>()?.is_some();
                }
                _ => drop(map.next_value::<de::IgnoredAny>()?),
            }
        }
        Ok(wire)
    }
}

/// The cookies of an HTTP API, joined as one line. One that is no header value costs itself only.
pub(super) struct Cookies(Vec<u8>);

impl<'de> Deserialize<'de> for Cookies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(CookiesVisitor)
    }
}

struct CookiesVisitor;

impl<'de> Visitor<'de> for CookiesVisitor {
    type Value = Cookies;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cookies")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut cookies: A) -> Result<Cookies, A::Error> {
        let mut line = Vec::new();
        while let Some(Text(cookie)) = cookies.next_element::<Text<'de>>()? {
            if is_header_value(cookie.as_bytes()) {
                if !line.is_empty() {
                    line.extend_from_slice(b"; ");
                }
                line.extend_from_slice(cookie.as_bytes());
            }
        }
        Ok(Cookies(line))
    }
}

/// A JSON object of names with one or several values, as headers. What is no header is left out.
#[derive(Default)]
pub(super) struct Headers(pub(super) HeaderMap);

/// The same as parameters.
#[derive(Default)]
pub(super) struct Parameters(pub(super) Vec<(String, String)>);

impl Parameters {
    pub(super) fn into_map(self) -> QueryMap {
        let mut map = HashMap::<String, Vec<String>>::new();
        for (name, value) in self.0 {
            map.entry(name).or_default().push(value);
        }
        map.into()
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As many as browsers send: a map that grows on the way is built several times.
        let mut headers = HeaderMap::with_capacity(32);
        deserializer.deserialize_map(Pairs(|name: &str, value: &str| {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { return };
            let value = match HeaderValue::from_bytes(value.as_bytes()) {
                Err(_) if name == header::COOKIE => HeaderValue::from_bytes(&readable_cookies(value)),
                value => value,
            };
            if let Ok(value) = value {
                // A map is full at 24,576 names, and `append` panics there. What does not fit costs itself only.
                let _ = headers.try_append(name, value);
            }
        }))?;
        Ok(Self(headers))
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut parameters = Vec::new();
        deserializer.deserialize_map(Pairs(|name: &str, value: &str| parameters.push((name.into(), value.into()))))?;
        Ok(Self(parameters))
    }
}

/// Hands every name and value of a JSON object to a function.
struct Pairs<F>(F);

impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Pairs<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names with one or several texts")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            map.next_value_seed(OneOrMany { name: &name, hand: &mut self.0 })?;
        }
        Ok(())
    }
}

struct OneOrMany<'a, F> {
    name: &'a str,
    hand: &'a mut F,
}

impl<'de, F: FnMut(&str, &str)> de::DeserializeSeed<'de> for OneOrMany<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str, &str)> Visitor<'de> for OneOrMany<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one or several texts")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        (self.hand)(self.name, value);
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while let Some(value) = values.next_element::<Option<Text<'de>>>()? {
            if let Some(Text(value)) = value {
                (self.hand)(self.name, &value);
            }
        }
        Ok(())
    }
}

/// A string, borrowed from the payload where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
