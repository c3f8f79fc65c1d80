//! A request as it came in over HTTP, before it is an event of any kind.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version, header};

use crate::event::Pair;
use crate::serve::front::Front;
use crate::serve::refusal::{Excess, Refusal};

/// A request, whole.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// As it was sent, still encoded.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) protocol: &'static str,
    headers: HeaderMap,
    pub(super) peer: IpAddr,
    /// The port that it came in at.
    pub(super) port: u16,
    pub(super) at: SystemTime,
    pub(super) body: Bytes,
}

/// The values of each header, in the order in which they came.
pub(super) type Grouped<'a> = BTreeMap<&'a str, Vec<Cow<'a, str>>>;

impl Request {
    /// Takes a request's head, unless `front` would refuse it.
    pub(super) fn read(parts: Parts, front: Front, peer: IpAddr, port: u16, at: SystemTime) -> Result<Self, Refusal> {
        let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
        let hosts = parts.headers.get_all(header::HOST).iter().count();
        if !path.starts_with('/') || hosts != 1 {
            return Err(Refusal::BadRequest(NO_TARGET));
        }
        if front.is_load_balancer() && parts.headers.contains_key(header::UPGRADE) {
            return Err(Refusal::BadRequest(UPGRADE));
        }
        let method = parts.method.as_str().to_owned();
        // A load balancer says so of TRACE alone; no front door is a proxy.
        if method == "CONNECT" || method == "TRACE" {
            return Err(Refusal::Method);
        }
        let line =
            method.len().saturating_add(path.len()).saturating_add(query.len()).saturating_add(REQUEST_LINE_BYTES);
        let (mut whole, mut longest) = (line, 0);
        for (name, value) in &parts.headers {
            let bytes = name.as_str().len().saturating_add(value.len()).saturating_add(HEADER_LINE_BYTES);
            whole = bytes.saturating_add(whole);
            longest = bytes.max(longest);
        }
        let limits = [
            ("request line and headers", whole, front.head_limit_bytes()),
            ("a request line", line, front.line_limit_bytes()),
            ("a header", longest, front.line_limit_bytes()),
        ];
        for (what, bytes, limit) in limits {
            if let Some(limit) = limit.filter(|limit| bytes > *limit) {
                return Err(Refusal::LargeHead(Excess { what, bytes, limit }));
            }
        }
        let protocol = if parts.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
        let headers = parts.headers;
        Ok(Self { method, path, query, protocol, headers, peer, port, at, body: Bytes::new() })
    }

    /// One header's first value.
    pub(super) fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.headers.get(name).map(text)
    }

    /// The name of the host that the request was sent to, without its port.
    pub(super) fn host(&self) -> String {
        let host = self.header("host").unwrap_or_default();
        match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address.to_owned(),
            None => host.rsplit_once(':').map_or(&*host, |(name, _)| name).to_owned(),
        }
    }

    /// The headers that travel on: without those of this connection alone, and with the lines of `Cookie` as one.
    pub(super) fn grouped(&self) -> Grouped<'_> {
        let mut grouped = Grouped::new();
        for (name, value) in self.headers.iter().filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str())) {
            grouped.entry(name.as_str()).or_default().push(text(value));
        }
        if let Some(lines) = grouped.get_mut("cookie").filter(|lines| lines.len() > 1) {
            *lines = vec![lines.join("; ").into()];
        }
        grouped
    }

    pub(super) fn cookies(&self) -> Vec<Pair> {
        let lines: Vec<_> = self.headers.get_all(header::COOKIE).iter().map(text).collect();
        lines.iter().flat_map(|line| line.split(';')).filter_map(Pair::parse).collect()
    }
}

/// A header's value as JSON can hold it: UTF-8, or byte for byte as Latin-1.
fn text(value: &HeaderValue) -> Cow<'_, str> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.into(),
        Err(_) => value.as_bytes().iter().map(|&byte| char::from(byte)).collect::<String>().into(),
    }
}

/// Why a request that names no function's path, or leaves the host open, is none.
pub(super) const NO_TARGET: &str = "it has no path, or not one Host";

/// AWS answers so ("Lambda functions as targets": WebSockets are not supported).
pub(super) const UPGRADE: &str = "a load balancer upgrades no connection to a function";

/// Between method, target and version, with that and the line's end: `?`, two blanks, `HTTP/1.1`, CR LF.
const REQUEST_LINE_BYTES: usize = 13;

/// `: ` and CR LF.
pub(super) const HEADER_LINE_BYTES: usize = 4;

/// Headers of one connection alone (RFC 9110, section 7.6.1), and what is answered before a body is read.
pub(super) const HOP_BY_HOP: [&str; 8] =
    ["connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];
