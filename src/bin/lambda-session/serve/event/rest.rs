//! Events of a REST API with a proxy resource, behind a domain of one's own: the stage is in the context, not in the path.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::serve::event::{
    ACCOUNT, API, Ids, add_forwarded, address, carried, first_label, form_decoded, json, log_time, milliseconds,
    raw_pairs,
};
use crate::serve::request::Request;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    resource: &'static str,
    path: &'a str,
    http_method: &'a str,
    headers: BTreeMap<&'a str, &'a str>,
    multi_value_headers: BTreeMap<&'a str, &'a [Cow<'a, str>]>,
    query_string_parameters: Option<BTreeMap<&'a str, &'a str>>,
    multi_value_query_string_parameters: Option<&'a BTreeMap<String, Vec<String>>>,
    path_parameters: Option<BTreeMap<&'static str, &'a str>>,
    stage_variables: Value,
    request_context: Context<'a>,
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    account_id: &'static str,
    api_id: &'static str,
    deployment_id: &'static str,
    domain_name: &'a str,
    domain_prefix: &'a str,
    extended_request_id: &'a str,
    http_method: &'a str,
    identity: Identity<'a>,
    path: &'a str,
    protocol: &'static str,
    request_id: &'a str,
    request_time: String,
    request_time_epoch: u64,
    resource_id: &'static str,
    resource_path: &'static str,
    stage: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    access_key: Value,
    account_id: Value,
    caller: Value,
    cognito_authentication_provider: Value,
    cognito_authentication_type: Value,
    cognito_identity_id: Value,
    cognito_identity_pool_id: Value,
    principal_org_id: Value,
    source_ip: String,
    user: Value,
    user_agent: Option<&'a str>,
    user_arn: Value,
}

/// With `binaryMediaTypes` of `*/*`, so every body is base64.
pub(super) fn event(request: &Request, ids: &Ids) -> Vec<u8> {
    let mut headers = request.grouped();
    add_forwarded(&mut headers, request, ids, "https", 443);
    headers.remove("content-length");
    let headers: BTreeMap<&str, Vec<Cow<'_, str>>> =
        headers.into_iter().map(|(name, values)| (spelled(name), values)).collect();
    let mut parameters = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in raw_pairs(&request.query) {
        parameters.entry(form_decoded(name)).or_default().push(form_decoded(value));
    }
    let last: BTreeMap<&str, &str> = parameters
        .iter()
        .filter_map(|(name, values)| values.last().map(|value| (name.as_str(), value.as_str())))
        .collect();
    let proxy = request.path.strip_prefix('/').filter(|rest| !rest.is_empty());
    let resource = if proxy.is_some() { "/{proxy+}" } else { "/" };
    let body = carried(&request.body, false);
    let host = request.host();
    let user_agent = request.header("user-agent");
    json(&Event {
        resource,
        path: &request.path,
        http_method: &request.method,
        headers: headers.iter().filter_map(|(name, values)| values.last().map(|value| (*name, &**value))).collect(),
        multi_value_headers: headers.iter().map(|(name, values)| (*name, values.as_slice())).collect(),
        query_string_parameters: (!last.is_empty()).then_some(last),
        multi_value_query_string_parameters: (!parameters.is_empty()).then_some(&parameters),
        path_parameters: proxy.map(|rest| BTreeMap::from([("proxy", rest)])),
        stage_variables: Value::Null,
        request_context: Context {
            account_id: ACCOUNT,
            api_id: API,
            deployment_id: "local0",
            domain_name: &host,
            domain_prefix: first_label(&host),
            extended_request_id: &ids.gateway,
            http_method: &request.method,
            identity: Identity {
                access_key: Value::Null,
                account_id: Value::Null,
                caller: Value::Null,
                cognito_authentication_provider: Value::Null,
                cognito_authentication_type: Value::Null,
                cognito_identity_id: Value::Null,
                cognito_identity_pool_id: Value::Null,
                principal_org_id: Value::Null,
                source_ip: address(request.peer),
                user: Value::Null,
                user_agent: user_agent.as_deref(),
                user_arn: Value::Null,
            },
            path: &request.path,
            protocol: request.protocol,
            request_id: &ids.invocation,
            request_time: log_time(request.at),
            request_time_epoch: milliseconds(request.at),
            resource_id: "local0",
            resource_path: resource,
            stage: "prod",
        },
        body: (!request.body.is_empty()).then_some(body.text),
        is_base64_encoded: body.is_base64,
    })
}

/// A name as a REST API spells it: a few with capitals, all others as the client sent them, which with HTTP/2 is in lower case.
fn spelled(name: &str) -> &str {
    match name {
        "host" => "Host",
        "user-agent" => "User-Agent",
        "x-amzn-trace-id" => "X-Amzn-Trace-Id",
        "x-forwarded-for" => "X-Forwarded-For",
        "x-forwarded-port" => "X-Forwarded-Port",
        "x-forwarded-proto" => "X-Forwarded-Proto",
        other => other,
    }
}
