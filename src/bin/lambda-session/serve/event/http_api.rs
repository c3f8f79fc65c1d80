//! Events of payload format 2.0: an HTTP API's with the route `$default`, and a function URL's.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::serve::event::{
    ACCOUNT, API, Ids, add_forwarded, address, carried, first_label, form_decoded, is_textual, json, log_time,
    milliseconds, raw_pairs,
};
use crate::serve::refusal::Refusal;
use crate::serve::request::Request;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'static str,
    raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    request_context: Context<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    account_id: &'static str,
    api_id: &'a str,
    domain_name: &'a str,
    domain_prefix: &'a str,
    http: Http<'a>,
    request_id: &'a str,
    route_key: &'static str,
    stage: &'static str,
    time: String,
    time_epoch: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    protocol: &'static str,
    source_ip: String,
    user_agent: String,
}

/// An HTTP API's event. It decodes the path, and refuses one that it cannot decode.
pub(super) fn event(request: &Request, ids: &Ids) -> Result<Vec<u8>, Refusal> {
    let path = decoded_path(&request.path).ok_or(Refusal::BadRequest(NO_PATH))?;
    let host = request.host();
    let door = Door { account: ACCOUNT, api: API, domain: &host, takes_cookies_out: true };
    Ok(written(request, ids, &door, &path, &path))
}

/// Why it is refused.
pub(super) const NO_PATH: &str = "its path cannot be decoded";

/// A function URL's event: the path stays as it was sent, and cookies stand in their header as well.
pub(super) fn function_url_event(request: &Request, ids: &Ids) -> Vec<u8> {
    let decoded = percent_decode_str(&request.path).decode_utf8_lossy();
    let door = Door { account: "anonymous", api: URL_ID, domain: URL_DOMAIN, takes_cookies_out: false };
    written(request, ids, &door, &request.path, &decoded)
}

/// What the two differ in.
struct Door<'a> {
    account: &'static str,
    api: &'a str,
    domain: &'a str,
    takes_cookies_out: bool,
}

fn written(request: &Request, ids: &Ids, door: &Door<'_>, raw_path: &str, path: &str) -> Vec<u8> {
    let mut headers = request.grouped();
    add_forwarded(&mut headers, request, ids, "https", 443);
    if !door.takes_cookies_out {
        headers.insert("x-amzn-tls-cipher-suite", vec!["TLS_AES_128_GCM_SHA256".into()]);
        headers.insert("x-amzn-tls-version", vec!["TLSv1.3".into()]);
    }
    // A gateway knows the length even of what came in pieces; an HTTP API says so of nothing, too.
    if door.takes_cookies_out || !request.body.is_empty() {
        headers.insert("content-length", vec![request.body.len().to_string().into()]);
    }
    let cookies = headers.get("cookie").and_then(|lines| lines.first());
    let cookies = cookies.map(|line| {
        line.split(';').map(str::trim).filter(|cookie| !cookie.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    });
    if door.takes_cookies_out {
        headers.remove("cookie");
    }
    let mut parameters = BTreeMap::<String, String>::new();
    for (name, value) in raw_pairs(&request.query) {
        let value = form_decoded(value);
        parameters
            .entry(form_decoded(name))
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert(value);
    }
    let body = carried(&request.body, request.header("content-type").is_some_and(|kind| is_textual(&kind)));
    json(&Event {
        version: "2.0",
        route_key: ROUTE,
        raw_path,
        raw_query_string: &request.query,
        cookies: cookies.unwrap_or_default(),
        headers: headers.into_iter().map(|(name, values)| (name, values.join(","))).collect(),
        query_string_parameters: parameters,
        request_context: Context {
            account_id: door.account,
            api_id: door.api,
            domain_name: door.domain,
            domain_prefix: first_label(door.domain),
            http: Http {
                method: &request.method,
                path,
                protocol: request.protocol,
                source_ip: address(request.peer),
                user_agent: request.header("user-agent").unwrap_or_default().into_owned(),
            },
            request_id: if door.takes_cookies_out { &ids.gateway } else { &ids.invocation },
            route_key: ROUTE,
            stage: "$default",
            time: log_time(request.at),
            time_epoch: milliseconds(request.at),
        },
        body: (!request.body.is_empty()).then_some(body.text),
        is_base64_encoded: body.is_base64,
    })
}

/// The path as an HTTP API hands it on, by captures of live events: decoded, cut at a `?` that this brought up, decoded once
/// more, and refused where that second time finds a `%` that begins no escape.
pub(super) fn decoded_path(path: &str) -> Option<String> {
    let once = percent_decode_str(path).decode_utf8_lossy();
    let kept = once.split('?').next().unwrap_or_default();
    let is_escape = |rest: &str| rest.as_bytes().iter().take(2).filter(|byte| byte.is_ascii_hexdigit()).count() == 2;
    let mut after = kept.split('%');
    after.next();
    if !after.all(is_escape) {
        return None;
    }
    Some(percent_decode_str(kept).decode_utf8_lossy().into_owned())
}

const ROUTE: &str = "$default";
const URL_ID: &str = "local000000000000000000000000000";
const URL_DOMAIN: &str = "local000000000000000000000000000.lambda-url.us-east-1.on.aws";
