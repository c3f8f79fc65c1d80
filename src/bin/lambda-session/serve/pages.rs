//! The gateway's own pages, which no function sees.

use std::time::SystemTime;

use http::{Response, StatusCode};

use crate::duration;
use crate::jar::is_loopback;
use crate::output::one_line;
use crate::serve::ledger::{Entry, Ledger};
use crate::serve::reply::Reply;
use crate::serve::request::Request;

/// The page that `request` asks for, if it is one of the gateway's own. Only this machine may see it: a site whose name has been
/// made to lead here (DNS rebinding) still sends its own name as the host.
pub(super) fn page(request: &Request, ledger: &Ledger, now: SystemTime) -> Option<Reply> {
    if request.path != SESSION_PAGE {
        return None;
    }
    let is_local = request.peer.to_canonical().is_loopback() && is_loopback(&request.host().to_ascii_lowercase());
    let (status, text) = if !is_local {
        (StatusCode::FORBIDDEN, "this page is for localhost alone\n".to_owned())
    } else if request.method != "GET" {
        (StatusCode::METHOD_NOT_ALLOWED, "this page is only for reading\n".to_owned())
    } else {
        (StatusCode::OK, list(ledger, now))
    };
    let response = Response::builder()
        .status(status)
        .header("content-type", "text/plain; charset=utf-8")
        .header("cache-control", "no-store")
        .header("x-content-type-options", "nosniff")
        .header("cross-origin-resource-policy", "same-origin");
    response.body(text.into()).ok()
}

/// The last requests, a line each. No value is shown.
fn list(ledger: &Ledger, now: SystemTime) -> String {
    let name = ledger.sessions().map_or("not shown: no secret is at hand", |sessions| sessions.name());
    let mut text = format!("session cookie: {name}\n");
    for (entry, change) in ledger.told(now) {
        let word = change.as_ref().map_or("unknown", |change| change.word());
        let Entry { id, at, request, status, took, .. } = entry;
        let ago = duration::span(now.duration_since(at).unwrap_or_default());
        let (took, request) = (duration::spoken(took), one_line(&request));
        text.push_str(&format!("{ago} ago: {request}: {status} in {took}, session {word} (request {id})\n"));
    }
    text
}

const SESSION_PAGE: &str = "/_session";
