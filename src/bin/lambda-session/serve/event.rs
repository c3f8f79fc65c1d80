//! A request as the event that a front door makes of it.

mod alb;
mod http_api;
mod rest;

use std::net::IpAddr;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use time::OffsetDateTime;

use crate::limits::EVENT_LIMIT_BYTES;
use crate::serve::front::Front;
use crate::serve::refusal::{Excess, Refusal};
use crate::serve::request::{Grouped, Request};
use crate::trace;

/// What a request is called: by Lambda, and by the front door.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    pub(super) invocation: String,
    pub(super) gateway: String,
}

/// The event that `front` makes of `request`, or its refusal.
pub(super) fn event(front: Front, request: &Request, ids: &Ids) -> Result<Bytes, Refusal> {
    let bytes = match front {
        Front::HttpApi => http_api::event(request, ids)?,
        Front::FunctionUrl => http_api::function_url_event(request, ids),
        Front::Rest => rest::event(request, ids),
        Front::Alb => alb::event(request, ids),
        Front::AlbMulti => alb::multi_event(request, ids),
    };
    if bytes.len() > EVENT_LIMIT_BYTES {
        let (what, bytes, limit) = ("the event", bytes.len(), EVENT_LIMIT_BYTES);
        return Err(Refusal::LargeBody(Excess { what, bytes, limit }));
    }
    Ok(bytes.into())
}

fn json(event: &impl Serialize) -> Vec<u8> {
    // Nothing of what an event is made of can fail to be written.
    serde_json::to_vec(event).unwrap_or_default()
}

/// A body in an event.
struct Carried {
    text: String,
    is_base64: bool,
}

/// The body as text where its type says that it is text (and it is UTF-8), else as base64.
fn carried(body: &[u8], is_text: bool) -> Carried {
    match std::str::from_utf8(body) {
        Ok(text) if is_text || text.is_empty() => Carried { text: text.to_owned(), is_base64: false },
        _ => Carried { text: STANDARD.encode(body), is_base64: true },
    }
}

/// What goes as it is: the types that AWS names (Lambda functions as targets, and the same rows seen behind an HTTP API), and no
/// others, `application/problem+json` neither.
fn is_textual(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&essence.as_str())
}

/// Puts the headers in that a front door adds: who asked, at which port, in which trace.
fn add_forwarded(headers: &mut Grouped<'_>, request: &Request, ids: &Ids, scheme: &'static str, port: u16) {
    let seen = headers.get("x-forwarded-for").map(|lines| format!("{}, ", lines.join(", ")));
    let chain = format!("{}{}", seen.unwrap_or_default(), address(request.peer));
    headers.insert("x-forwarded-for", vec![chain.into()]);
    headers.insert("x-forwarded-port", vec![port.to_string().into()]);
    headers.insert("x-forwarded-proto", vec![scheme.into()]);
    headers.entry("x-amzn-trace-id").or_insert_with(|| vec![trace::new_root(&ids.invocation, request.at).into()]);
}

/// An address as a gateway writes it.
fn address(peer: IpAddr) -> String {
    peer.to_canonical().to_string()
}

/// The pairs of a query as they were sent, still encoded.
fn raw_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|piece| !piece.is_empty()).map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

/// A name or value of a query, decoded as forms are.
fn form_decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// `22/Nov/2026:18:00:00 +0000`, as access logs write it.
fn log_time(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let (date, time) = (at.date(), at.time());
    let month = date.month().to_string();
    let month = month.get(..3).unwrap_or_default();
    let (hour, minute, second) = time.as_hms();
    format!("{:02}/{month}/{:04}:{hour:02}:{minute:02}:{second:02} +0000", date.day(), date.year())
}

fn milliseconds(at: SystemTime) -> u64 {
    let span = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The first label of a host.
fn first_label(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

const ACCOUNT: &str = "123456789012";
const API: &str = "local00000";

#[cfg(test)]
#[path = "event_properties.rs"]
mod properties;
#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
