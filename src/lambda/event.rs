//! A payload of Lambda's as an HTTP request.

use std::{borrow::Cow, collections::HashMap, fmt, fmt::Write as _};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, uri::Authority};
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Context, RequestExt};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::cookie::quoted;
use crate::{Error, ErrorKind};

const UNDERSTOOD: &str = "understood are HTTP API 2.0, REST API 1.0, ALB and function URL events";
/// What a query must not hold raw: the rest passes as the gateway sent it.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}');
/// The same for a path, where a decoded `?` must not begin a query.
const PATH: &AsciiSet = &QUERY.add(b'?').add(b'\\').add(b'^').add(b'|').add(b'[').add(b']');
/// A parameter that the gateway has decoded: all but RFC 3986's unreserved characters is encoded again.
const PARAMETER: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The kinds of event that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// HTTP API with payload format 2.0, and function URLs, which have the same shape.
    HttpApi,
    /// REST API, and HTTP API with payload format 1.0.
    Rest,
    /// Application load balancer without multi-value headers.
    Alb,
    /// Application load balancer with multi-value headers.
    AlbMulti,
}

/// An event of one of the understood kinds.
///
/// ```
/// use lambda_session::lambda::{Event, Kind};
///
/// let event = Event::parse(r#"{
///     "version": "2.0", "rawPath": "/posts", "rawQueryString": "", "cookies": ["a=1", "b=2"],
///     "headers": {"host": "example.com"}, "requestContext": {"http": {"method": "GET"}, "stage": "$default"}
/// }"#)?;
/// assert_eq!(event.kind(), Kind::HttpApi);
/// let request = event.into_request(Default::default())?;
/// assert_eq!(request.uri(), "https://example.com/posts");
/// assert_eq!(request.headers()["cookie"], "a=1; b=2");
/// # Ok::<(), lambda_session::Error>(())
/// ```
pub struct Event {
    kind: Kind,
    wire: Wire,
}

/// All fields of all kinds; what a kind does not have is absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    headers: Option<Headers>,
    #[serde(default)]
    multi_value_headers: Option<Headers>,
    #[serde(default)]
    cookies: Option<Vec<String>>,
    #[serde(default)]
    raw_path: Option<String>,
    #[serde(default)]
    raw_query_string: Option<String>,
    #[serde(default)]
    http_method: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    query_string_parameters: Option<Parameters>,
    #[serde(default)]
    multi_value_query_string_parameters: Option<Parameters>,
    #[serde(default)]
    path_parameters: Option<Parameters>,
    #[serde(default)]
    stage_variables: Option<Parameters>,
    request_context: Option<Box<RawValue>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: Option<bool>,
}

/// The few fields of a request context that tell kinds apart and complete a URI.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Hints {
    http: Option<HttpHints>,
    elb: Option<de::IgnoredAny>,
    stage: Option<String>,
    domain_name: Option<String>,
}

#[derive(Deserialize)]
struct HttpHints {
    method: String,
}

impl Event {
    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Event`], naming the kinds understood, for anything else.
    pub fn parse(payload: impl AsRef<[u8]>) -> Result<Self, Error> {
        let wire: Wire = serde_json::from_slice(payload.as_ref()).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            Error::new(ErrorKind::Event, format!("the payload is no HTTP event: {UNDERSTOOD}")).with_source(place)
        })?;
        let hints = wire.hints();
        let kind = match () {
            () if hints.http.is_some() => Kind::HttpApi,
            () if wire.http_method.is_none() || wire.request_context.is_none() => {
                return Err(Error::new(ErrorKind::Event, format!("the payload is no HTTP event: {UNDERSTOOD}")));
            }
            () if hints.elb.is_none() => Kind::Rest,
            () if wire.multi_value_headers.is_some() => Kind::AlbMulti,
            () => Kind::Alb,
        };
        Ok(Self { kind, wire })
    }

    /// Which kind this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The request that this event stands for, with lambda_http's extensions.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Event`] if its method is none, its body is no base64 though it says so, or its path and query
    /// exceed 65,534 bytes; no gateway sends such an event.
    pub fn into_request(self, context: Context) -> Result<lambda_http::Request, Error> {
        let Self { kind, mut wire } = self;
        let hints = wire.hints();
        let method = hints.http.as_ref().map(|http| http.method.as_str()).or(wire.http_method.as_deref());
        let method = method
            .and_then(|method| Method::from_bytes(method.as_bytes()).ok())
            .ok_or_else(|| Error::new(ErrorKind::Event, "the event has no HTTP method"))?;
        let mut headers = wire.take_headers();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).or(hints.domain_name.as_deref());

        let raw_path = if kind == Kind::HttpApi { wire.raw_path.take() } else { wire.path.take() }.unwrap_or_default();
        let path = match (&hints.stage, kind) {
            (Some(stage), Kind::HttpApi) => without_stage(&raw_path, stage),
            _ => &raw_path,
        };
        let parameters = wire.multi_value_query_string_parameters.take().filter(|parameters| !parameters.0.is_empty());
        let parameters = parameters.or_else(|| wire.query_string_parameters.take()).unwrap_or_default();
        let query = match kind {
            Kind::HttpApi => encode(wire.raw_query_string.as_deref().unwrap_or_default(), QUERY).into_owned(),
            Kind::Rest => parameters.query(PARAMETER),
            Kind::Alb | Kind::AlbMulti => parameters.query(QUERY),
        };
        let uri = uri(host, path, &query)?;
        let query_parameters = match kind {
            Kind::Rest => parameters.into_map(),
            _ => query.parse().unwrap_or_default(),
        };
        let body = match (wire.body.take(), wire.is_base64_encoded.unwrap_or(false)) {
            (None, _) => Body::Empty,
            (Some(text), false) => Body::Text(text),
            (Some(text), true) => Body::Binary(STANDARD.decode(text).map_err(|error| {
                Error::new(ErrorKind::Event, "the event's body is no base64, though it says so").with_source(error)
            })?),
        };
        let trace = context.xray_trace_id.as_deref().and_then(|trace| HeaderValue::from_str(trace).ok());
        if let Some(trace) = trace {
            headers.insert(HeaderName::from_static("x-amzn-trace-id"), trace);
        }

        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let mut request = request
            .with_raw_http_path(raw_path)
            .with_query_string_parameters(query_parameters)
            .with_path_parameters(wire.path_parameters.take().unwrap_or_default().into_map())
            .with_stage_variables(wire.stage_variables.take().unwrap_or_default().into_map())
            .with_lambda_context(context);
        if let Some(context) = wire.request_context(kind) {
            request = request.with_request_context(context);
        }
        Ok(request)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({:?})", self.kind)
    }
}

impl Wire {
    fn hints(&self) -> Hints {
        self.request_context.as_ref().and_then(|context| serde_json::from_str(context.get()).ok()).unwrap_or_default()
    }

    /// lambda_http's typed context; one that does not fit its type is absent rather than an error.
    fn request_context(&self, kind: Kind) -> Option<RequestContext> {
        let context = self.request_context.as_ref()?.get();
        match kind {
            Kind::HttpApi => serde_json::from_str(context).ok().map(RequestContext::ApiGatewayV2),
            Kind::Rest => serde_json::from_str(context).ok().map(RequestContext::ApiGatewayV1),
            Kind::Alb | Kind::AlbMulti => serde_json::from_str(context).ok().map(RequestContext::Alb),
        }
    }

    /// Every header that is one. Where an event has two maps the multi-value one is the truth: the other has lost the
    /// lines but the last.
    fn take_headers(&mut self) -> HeaderMap {
        let single = self.headers.take().unwrap_or_default().0;
        let mut headers = match self.multi_value_headers.take() {
            None => single,
            Some(Headers(mut headers)) => {
                for name in single.keys().filter(|name| !headers.contains_key(*name)).cloned().collect::<Vec<_>>() {
                    for value in single.get_all(&name) {
                        headers.append(name.clone(), value.clone());
                    }
                }
                headers
            }
        };
        // A cookie that is no header value costs itself only. Several lines, and HTTP/2's crumbs, are one line for
        // whoever is not HTTP/2 (RFC 9113, section 8.2.3).
        let cookies = self.cookies.take().filter(|cookies| !cookies.is_empty());
        let lines: Vec<&[u8]> = match &cookies {
            Some(cookies) => cookies.iter().map(String::as_bytes).filter(|cookie| is_header_value(cookie)).collect(),
            None => headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect(),
        };
        if let Ok(mut joined) = HeaderValue::from_bytes(&lines.join(b"; ".as_slice())) {
            let is_empty = joined.is_empty();
            joined.set_sensitive(true);
            headers.remove(header::COOKIE);
            if !is_empty {
                headers.insert(header::COOKIE, joined);
            }
        }
        headers
    }
}

fn is_header_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// An HTTP API's `rawPath` begins with the stage unless that is `$default`; routes do not.
fn without_stage<'a>(path: &'a str, stage: &str) -> &'a str {
    match path.strip_prefix('/').and_then(|rest| rest.strip_prefix(stage)) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') && stage != "$default" && !stage.is_empty() => rest,
        _ => path,
    }
}

/// The URI, absolute if the host is one.
fn uri(host: Option<&str>, path: &str, query: &str) -> Result<Uri, Error> {
    let path = encode(path, PATH);
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mark = if query.is_empty() { "" } else { "?" };
    let path_and_query = format!("{slash}{path}{mark}{query}");
    let mut parts = http::uri::Parts::default();
    let size = path_and_query.len();
    parts.path_and_query = Some(path_and_query.try_into().map_err(|error| {
        Error::new(ErrorKind::Event, format!("the event's path and query of {size} bytes are no URI"))
            .with_source(error)
    })?);
    // User information before a host is nothing that a Host header has.
    let authority = host.filter(|host| !host.contains('@')).and_then(|host| host.parse::<Authority>().ok());
    if authority.is_some() {
        parts.scheme = Some(http::uri::Scheme::HTTPS);
        parts.authority = authority;
    }
    Uri::from_parts(parts).map_err(|error| {
        Error::new(ErrorKind::Event, format!("host {} and path are no URI", quoted(host.unwrap_or_default())))
            .with_source(error)
    })
}

fn encode<'a>(text: &'a str, set: &'static AsciiSet) -> Cow<'a, str> {
    utf8_percent_encode(text, set).into()
}

/// A JSON object of names with one or several values, as headers. What is no header is left out.
#[derive(Default)]
struct Headers(HeaderMap);

/// The same as parameters.
#[derive(Default)]
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn query(&self, set: &'static AsciiSet) -> String {
        let mut query = String::new();
        for (name, value) in &self.0 {
            let and = if query.is_empty() { "" } else { "&" };
            // Writing to a String cannot fail.
            let _ = write!(query, "{and}{}={}", encode(name, set), encode(value, set));
        }
        query
    }

    fn into_map(self) -> QueryMap {
        let mut map = HashMap::<String, Vec<String>>::new();
        for (name, value) in self.0 {
            map.entry(name).or_default().push(value);
        }
        map.into()
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut headers = HeaderMap::new();
        deserializer.deserialize_map(Pairs(|name: &str, value: &str| {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
                headers.append(name, value);
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
