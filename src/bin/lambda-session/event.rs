//! Events: which kind one is, where it goes, and how cookies travel in it.

use serde_json::{Map, Value};

use crate::jar::{self, Jar, Origin};

/// One event, as the command reads and sends it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Where it was read from.
    pub(crate) source: String,
    pub(crate) kind: Kind,
    text: String,
    value: Value,
}

/// Who sends such an event, which decides its shape and the shape of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    HttpApi,
    FunctionUrl,
    Rest,
    /// Payload format 1.0, which has the shape of a REST API's.
    HttpApi1,
    Alb,
    AlbMulti,
    /// None that is known here: sent as it is, without cookies.
    Other,
}

/// A cookie as a request carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// An event with the cookies a browser would add.
#[derive(Debug)]
pub(crate) struct Dressed {
    pub(crate) text: String,
    pub(crate) cookies: Vec<Pair>,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HttpApi => "HTTP API 2.0",
            Self::FunctionUrl => "function URL",
            Self::Rest => "REST 1.0",
            Self::HttpApi1 => "HTTP API 1.0",
            Self::Alb => "ALB",
            Self::AlbMulti => "ALB with multi-value headers",
            Self::Other => "unknown event",
        }
    }

    fn of(event: &Value) -> Self {
        let Some(context) = event.get("requestContext").and_then(Value::as_object) else { return Self::Other };
        if context.contains_key("elb") {
            return if is_object(event, "multiValueHeaders") { Self::AlbMulti } else { Self::Alb };
        }
        let version = event.get("version").and_then(Value::as_str);
        if version == Some("2.0") {
            let domain = context.get("domainName").and_then(Value::as_str).unwrap_or_default();
            return if domain.contains(".lambda-url.") { Self::FunctionUrl } else { Self::HttpApi };
        }
        match event.get("httpMethod").is_some_and(Value::is_string) {
            true if version == Some("1.0") => Self::HttpApi1,
            true => Self::Rest,
            false => Self::Other,
        }
    }

    /// Which map of headers counts in such an event: the several-valued one, or that of plain values.
    fn reads_multi(self) -> bool {
        matches!(self, Self::Rest | Self::HttpApi1 | Self::AlbMulti)
    }
}

impl Event {
    pub(crate) fn parse(source: &str, text: String) -> Result<Self, String> {
        let value: Value = serde_json::from_str(&text).map_err(|error| format!("{source} is not JSON: {error}"))?;
        Ok(Self { source: source.to_owned(), kind: Kind::of(&value), text, value })
    }

    /// Method and path, as far as the event says.
    pub(crate) fn request(&self) -> Option<String> {
        let method = match self.kind {
            Kind::HttpApi | Kind::FunctionUrl => self.string("/requestContext/http/method"),
            _ => self.string("/httpMethod"),
        };
        Some(format!("{} {}", method?, self.path()))
    }

    /// Size of the request's body in bytes, as it came in over HTTP.
    pub(crate) fn body_bytes(&self) -> usize {
        let length = self.string("/body").map_or(0, str::len);
        let is_base64 = self.value.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or(false);
        if is_base64 { length.div_ceil(4).saturating_mul(3) } else { length }
    }

    /// Where the request went. A host nobody names is this machine.
    pub(crate) fn origin(&self) -> Origin {
        let host = self.header("host").or_else(|| self.string("/requestContext/domainName").map(str::to_owned));
        let host = without_port(host.as_deref().unwrap_or("localhost").trim()).to_ascii_lowercase();
        let secure = match self.kind {
            // These have no plain http.
            Kind::HttpApi | Kind::FunctionUrl | Kind::Rest | Kind::HttpApi1 => true,
            Kind::Alb | Kind::AlbMulti | Kind::Other => {
                self.header("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
                    || jar::is_loopback(&host)
            }
        };
        Origin { host, path: self.path().to_owned(), secure }
    }

    /// The event as a browser with this `jar` would have caused it. The event's own cookies stay, but for those
    /// that the jar has heard of. Where that changes nothing, the text stays byte for byte.
    pub(crate) fn with_cookies_of(&self, jar: &Jar, now: i64) -> Dressed {
        let own = self.own_cookies();
        if self.kind == Kind::Other {
            return Dressed { text: self.text.clone(), cookies: own };
        }
        let origin = self.origin();
        let mut cookies: Vec<Pair> = own.iter().filter(|pair| !jar.knows(&pair.name, &origin)).cloned().collect();
        let kept = jar.cookies_for(&origin, now);
        cookies.extend(kept.iter().map(|cookie| Pair { name: cookie.name.clone(), value: cookie.value.clone() }));
        let text = if cookies == own { self.text.clone() } else { self.dressed_in(&cookies) };
        Dressed { text, cookies }
    }

    fn path(&self) -> &str {
        let path = match self.kind {
            Kind::HttpApi | Kind::FunctionUrl => self.string("/rawPath"),
            // The browser's path has the stage in it, `path` has not.
            Kind::Rest | Kind::HttpApi1 => self.string("/requestContext/path").or_else(|| self.string("/path")),
            _ => self.string("/path"),
        };
        path.filter(|path| path.starts_with('/')).unwrap_or("/")
    }

    fn own_cookies(&self) -> Vec<Pair> {
        let listed = self.value.get("cookies").and_then(Value::as_array).filter(|list| !list.is_empty());
        let lines: Vec<&str> = match (self.kind, listed) {
            (Kind::HttpApi | Kind::FunctionUrl, Some(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => self.header_lines("cookie"),
        };
        lines.iter().flat_map(|line| line.split(';')).filter_map(Pair::parse).collect()
    }

    fn header(&self, name: &str) -> Option<String> {
        self.header_lines(name).first().map(|value| (*value).to_owned())
    }

    fn header_lines(&self, name: &str) -> Vec<&str> {
        let multi = field(&self.value, "multiValueHeaders", name).and_then(Value::as_array);
        let single = field(&self.value, "headers", name);
        match (multi, single) {
            (Some(values), _) if self.kind.reads_multi() => values.iter().filter_map(Value::as_str).collect(),
            (_, Some(value)) => value.as_str().into_iter().collect(),
            (Some(values), None) => values.iter().filter_map(Value::as_str).collect(),
            (None, None) => Vec::new(),
        }
    }

    fn string(&self, pointer: &str) -> Option<&str> {
        self.value.pointer(pointer).and_then(Value::as_str)
    }

    fn dressed_in(&self, cookies: &[Pair]) -> String {
        let pairs: Vec<String> = cookies.iter().map(Pair::to_string).collect();
        let line = pairs.join("; ");
        let one = (!pairs.is_empty()).then(|| Value::from(line.clone()));
        let many = (!pairs.is_empty()).then(|| Value::from(vec![line]));
        let mut event = self.value.clone();
        match self.kind {
            Kind::HttpApi | Kind::FunctionUrl => {
                put(&mut event, "cookies", (!pairs.is_empty()).then(|| Value::from(pairs)));
                // A function URL gives the header besides; an HTTP API does not, but an event by hand may.
                if self.kind == Kind::FunctionUrl || field(&self.value, "headers", "cookie").is_some() {
                    put_header(&mut event, "headers", "cookie", one);
                }
            }
            Kind::Rest | Kind::HttpApi1 => {
                put_header(&mut event, "headers", "Cookie", one);
                put_header(&mut event, "multiValueHeaders", "Cookie", many);
            }
            Kind::Alb => put_header(&mut event, "headers", "cookie", one),
            Kind::AlbMulti => put_header(&mut event, "multiValueHeaders", "cookie", many),
            Kind::Other => {}
        }
        event.to_string()
    }
}

impl Pair {
    /// Reads one piece of a `Cookie` line; nothing between two semicolons is no cookie.
    pub(crate) fn parse(piece: &str) -> Option<Self> {
        let piece = piece.trim_matches([' ', '\t']);
        let (name, value) = piece.split_once('=').unwrap_or(("", piece));
        (!piece.is_empty()).then(|| Self { name: name.to_owned(), value: value.to_owned() })
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name.as_str() {
            "" => f.write_str(&self.value),
            name => write!(f, "{name}={}", self.value),
        }
    }
}

fn is_object(event: &Value, name: &str) -> bool {
    event.get(name).is_some_and(Value::is_object)
}

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// The header `name` in the event's map `map`, whatever its case.
fn field<'a>(event: &'a Value, map: &str, name: &str) -> Option<&'a Value> {
    event.get(map)?.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn put(event: &mut Value, name: &str, value: Option<Value>) {
    let Some(object) = event.as_object_mut() else { return };
    match value {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.remove(name),
    };
}

fn put_header(event: &mut Value, map: &str, name: &str, value: Option<Value>) {
    let Some(object) = event.as_object_mut() else { return };
    let headers = object.entry(map).or_insert(Value::Null);
    if !headers.is_object() {
        *headers = Value::Object(Map::new());
    }
    let Some(headers) = headers.as_object_mut() else { return };
    let key = headers.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
    headers.retain(|key, _| !key.eq_ignore_ascii_case(name));
    if let Some(value) = value {
        headers.insert(key.unwrap_or_else(|| name.to_owned()), value);
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
