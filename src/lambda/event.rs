//! A payload of Lambda's as an HTTP request.

use std::{borrow::Cow, collections::HashMap, fmt, fmt::Write as _};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use lambda_http::aws_lambda_events::{apigw::ApiGatewayV2httpRequestContext, query_map::QueryMap};
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
    hints: Hints,
}

/// All fields of all kinds; what a kind does not have is absent.
#[derive(Default)]
struct Wire {
    is_version_2: bool,
    headers: Option<Headers>,
    multi_value_headers: Option<Headers>,
    cookies: Option<Cookies>,
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    http_method: Option<String>,
    path: Option<String>,
    query_string_parameters: Option<Parameters>,
    multi_value_query_string_parameters: Option<Parameters>,
    path_parameters: Option<Parameters>,
    stage_variables: Option<Parameters>,
    request_context: Option<WireContext>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
    /// An authorizer's event looks like a request, but asks for a policy: only it names what it is asked to authorize.
    is_authorizer: bool,
}

/// A request context: read at once where the event has said what it is, else kept as it came until all of it is read.
enum WireContext {
    HttpApi(Box<ApiGatewayV2httpRequestContext>),
    Raw(Box<RawValue>),
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
        // Checked whole: faster than each string on its own.
        let payload = str::from_utf8(payload.as_ref()).map_err(|error| not_understood().with_source(error))?;
        // A context that does not fit lambda_http's type is no reason to refuse the event.
        let wire = Wire::read(payload, Contexts::Typed).or_else(|_| Wire::read(payload, Contexts::Raw));
        let wire = wire.map_err(|error| {
            not_understood().with_source(format!("line {} column {}", error.line(), error.column()))
        })?;
        let hints = wire.hints();
        let kind = match () {
            () if hints.http.is_some() && !wire.is_authorizer => Kind::HttpApi,
            () if wire.is_authorizer || wire.http_method.is_none() || wire.request_context.is_none() => {
                return Err(not_understood());
            }
            () if hints.elb.is_none() => Kind::Rest,
            () if wire.multi_value_headers.is_some() => Kind::AlbMulti,
            () => Kind::Alb,
        };
        Ok(Self { kind, wire, hints })
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
        let Self { kind, mut wire, hints } = self;
        let method = hints.http.as_ref().map(|http| http.method.as_str()).or(wire.http_method.as_deref());
        let method = method
            .and_then(|method| Method::from_bytes(method.as_bytes()).ok())
            .ok_or_else(|| Error::new(ErrorKind::Event, "the event has no HTTP method"))?;
        let mut headers = wire.take_headers();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).or(hints.domain_name.as_deref());

        let raw_path = if kind == Kind::HttpApi { wire.raw_path.take() } else { wire.path.take() }.unwrap_or_default();
        let path = match (&hints.stage, kind) {
            (Some(stage), Kind::HttpApi) if is_generated(hints.domain_name.as_deref()) => {
                without_stage(&raw_path, stage)
            }
            _ => &raw_path,
        };
        let parameters = wire.multi_value_query_string_parameters.take().filter(|parameters| !parameters.0.is_empty());
        let parameters = parameters.or_else(|| wire.query_string_parameters.take()).unwrap_or_default();
        let query = match kind {
            Kind::HttpApi => encode(wire.raw_query_string.as_deref().unwrap_or_default(), QUERY).into_owned(),
            Kind::Rest => parameters.query(PARAMETER),
            Kind::Alb | Kind::AlbMulti => parameters.query(QUERY),
        };
        // Behind a load balancer's plain listener; API Gateway and function URLs know only https.
        let is_plain = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "http");
        let scheme = if is_plain { Scheme::HTTP } else { Scheme::HTTPS };
        let uri = uri(scheme, host, path, &query)?;
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
            let _ = headers.try_insert(HeaderName::from_static("x-amzn-trace-id"), trace);
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
        if let Some(context) = wire.take_context(kind) {
            request = request.with_request_context(context);
        }
        Ok(request)
    }
}

fn not_understood() -> Error {
    Error::new(ErrorKind::Event, format!("the payload is no HTTP event: {UNDERSTOOD}"))
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({:?})", self.kind)
    }
}

impl Wire {
    fn read(payload: &str, contexts: Contexts) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(payload);
        let wire = deserializer.deserialize_map(WireVisitor(contexts))?;
        deserializer.end().map(|()| wire)
    }

    fn hints(&self) -> Hints {
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
    fn take_context(&mut self, kind: Kind) -> Option<RequestContext> {
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
    fn take_headers(&mut self) -> HeaderMap {
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

/// Whether this is the domain that API Gateway has made for an API. Only there the path begins with the stage: on a
/// domain of one's own, what looks like the stage is a part of the path, and without it another route would be met than
/// the one whose authorizer was asked.
fn is_generated(domain: Option<&str>) -> bool {
    domain.is_some_and(|domain| {
        let is_amazons = domain.ends_with(".amazonaws.com") || domain.ends_with(".amazonaws.com.cn");
        is_amazons && domain.contains(".execute-api.")
    })
}

/// An HTTP API's `rawPath` begins with the stage unless that is `$default`; routes do not.
fn without_stage<'a>(path: &'a str, stage: &str) -> &'a str {
    let is_in_path = stage != "$default" && !stage.is_empty();
    match path.strip_prefix('/').and_then(|rest| rest.strip_prefix(stage)) {
        Some("") if is_in_path => "/",
        Some(rest) if is_in_path && rest.starts_with('/') => rest,
        _ => path,
    }
}

/// The URI, absolute if the host is one.
fn uri(scheme: Scheme, host: Option<&str>, path: &str, query: &str) -> Result<Uri, Error> {
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
        parts.scheme = Some(scheme);
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

/// Whether a request context is read into lambda_http's type on the way.
#[derive(Clone, Copy, PartialEq)]
enum Contexts {
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
                "version" => wire.is_version_2 = map.next_value::<Text<'de>>()?.0 == "2.0",
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
                "methodArn" | "routeArn" => {
                    wire.is_authorizer = true;
                    map.next_value::<de::IgnoredAny>()?;
                }
                _ => drop(map.next_value::<de::IgnoredAny>()?),
            }
        }
        Ok(wire)
    }
}

/// The cookies of an HTTP API, joined as one line. One that is no header value costs itself only.
struct Cookies(Vec<u8>);

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
