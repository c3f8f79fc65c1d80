//! A payload of Lambda's as an HTTP request.

use std::{borrow::Cow, fmt, fmt::Write as _};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::uri::{Authority, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use lambda_http::{Body, Context, RequestExt};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::cookie::quoted;
use crate::lambda::wire::{Contexts, Hints, Parameters, Wire};
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

    /// Whether who sent it can take an answer in pieces: a function URL or a REST API, if it is set up so, which no event
    /// says; an HTTP API and a load balancer never.
    pub(super) fn can_stream(&self) -> bool {
        match self.kind {
            Kind::HttpApi => self.hints.domain_name.as_deref().is_some_and(|domain| domain.contains(".lambda-url.")),
            // An HTTP API's events of payload format 1.0 have a version, a REST API's have none.
            Kind::Rest => !self.wire.is_version_1,
            Kind::Alb | Kind::AlbMulti => false,
        }
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
            Kind::Rest => self::query(&parameters, PARAMETER),
            Kind::Alb | Kind::AlbMulti => self::query(&parameters, QUERY),
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

/// Parameters as a query, in their order.
fn query(parameters: &Parameters, set: &'static AsciiSet) -> String {
    let mut query = String::new();
    for (name, value) in &parameters.0 {
        let and = if query.is_empty() { "" } else { "&" };
        // Writing to a String cannot fail.
        let _ = write!(query, "{and}{}={}", encode(name, set), encode(value, set));
    }
    query
}
