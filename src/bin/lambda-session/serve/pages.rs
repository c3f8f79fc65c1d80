//! The gateway's own page, which no function sees: `/_session`.

mod html;
mod text;
mod view;

use std::time::SystemTime;

use http::header::{ACCEPT, HOST};
use http::{HeaderName, Response, StatusCode};

use crate::serve::ledger::Ledger;
use crate::serve::reply::Reply;
use crate::serve::request::Request;

use self::view::View;

/// Whether `request` asks for a page of the gateway's own.
pub(super) fn is_asked(request: &Request) -> bool {
    request.path == SESSION_PAGE
}

/// The page that `request` asks for; `news` is said on top of it.
pub(super) async fn page(request: &Request, ledger: &Ledger, news: Option<&'static str>, now: SystemTime) -> Reply {
    if let Some((status, reason)) = refusal(request) {
        return reply(status, "text/plain; charset=utf-8", format!("{reason}\n"));
    }
    let view = View::of(&request.cookies(), ledger, news, now).await;
    // A terminal gets text: it has nothing to click on, so no value either.
    match request.header(ACCEPT.as_str()).is_some_and(|kinds| kinds.contains("text/html")) {
        true => reply(StatusCode::OK, "text/html; charset=utf-8", html::html(&view)),
        false => reply(StatusCode::OK, "text/plain; charset=utf-8", text::text(&view)),
    }
}

/// Why `request` may not see the page. Only this machine may, and only a person who goes there.
fn refusal(request: &Request) -> Option<(StatusCode, &'static str)> {
    let says = |name: &str, values: &[&str]| request.header(name).is_none_or(|value| values.contains(&&*value));
    // A site whose name has been made to lead here (DNS rebinding) still sends its own name.
    let is_local = request.peer.to_canonical().is_loopback() && is_this_machine(&request.header(HOST.as_str())?);
    match () {
        () if !is_local => Some((StatusCode::FORBIDDEN, "this page is for localhost alone")),
        () if FORWARDED.iter().any(|name| request.header(name).is_some()) => {
            Some((StatusCode::FORBIDDEN, "this page is for localhost alone, and for nobody behind a proxy"))
        }
        // What browsers say of a request (Fetch Metadata): typed, or linked from the application itself.
        () if !says("sec-fetch-site", &["none", "same-origin"]) => {
            Some((StatusCode::FORBIDDEN, "this page is for no other site: open it by typing its address"))
        }
        // Scripts and frames of the application have no business here either.
        () if !says("sec-fetch-dest", &["document"]) => {
            Some((StatusCode::FORBIDDEN, "this page is for people: open it in a tab of its own"))
        }
        () if request.method != "GET" => Some((StatusCode::METHOD_NOT_ALLOWED, "this page is only for reading")),
        () => None,
    }
}

/// Whether a `Host` is one of the three names of this machine, with any port or none.
fn is_this_machine(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| match host.strip_prefix(name) {
        Some("") => true,
        Some(rest) => rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit())),
        None => false,
    })
}

fn reply(status: StatusCode, kind: &str, body: String) -> Reply {
    let mut response = Response::builder().status(status).header("content-type", kind);
    for (name, value) in HEADERS {
        response = response.header(name, value);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response = response.header("allow", "GET");
    }
    let response = response.header("content-security-policy", html::policy());
    response.body(body.into()).unwrap_or_default()
}

const SESSION_PAGE: &str = "/_session";

/// Set by whatever passes requests on for others: a tunnel that rewrites `Host` still adds one of these.
const FORWARDED: [&str; 5] = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// Never kept, never framed, never guessed at, never told on.
const HEADERS: [(HeaderName, &str); 6] = [
    (http::header::CACHE_CONTROL, "no-store"),
    (http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (http::header::X_FRAME_OPTIONS, "DENY"),
    (http::header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (http::header::VARY, "Accept, Cookie"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_three_names() {
        let rows = [
            ("localhost", true),
            ("LocalHost:3000", true),
            ("127.0.0.1", true),
            ("127.0.0.1:80", true),
            ("[::1]", true),
            ("[::1]:3000", true),
            ("", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("evil.localhost", false),
            ("localhost.", false),
            ("localhost:3000:1", false),
            ("localhost:x", false),
            ("127.0.0.2", false),
            ("127.1", false),
            ("0.0.0.0", false),
            ("::1", false),
            ("[::1]x", false),
            ("[::ffff:127.0.0.1]", false),
        ];
        for (host, expected) in rows {
            assert_eq!(is_this_machine(host), expected, "{host:?}");
        }
    }
}
