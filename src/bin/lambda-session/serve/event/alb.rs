//! Events of an Application Load Balancer with a plain listener: queries stay encoded, and each map comes in one form only.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::serve::event::{Ids, add_forwarded, carried, is_textual, json, raw_pairs};
use crate::serve::request::{Grouped, Request};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a, M> {
    request_context: Context,
    http_method: &'a str,
    path: &'a str,
    #[serde(flatten)]
    maps: M,
    body: String,
    is_base64_encoded: bool,
}

#[derive(Default, Serialize)]
struct Context {
    elb: Elb,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Elb {
    target_group_arn: &'static str,
}

impl Default for Elb {
    fn default() -> Self {
        Self { target_group_arn: TARGET_GROUP }
    }
}

/// The last value of each name.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Single<'a> {
    query_string_parameters: BTreeMap<&'a str, &'a str>,
    headers: BTreeMap<&'a str, &'a str>,
}

/// All values of each name.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Multi<'a> {
    multi_value_query_string_parameters: BTreeMap<&'a str, Vec<&'a str>>,
    multi_value_headers: BTreeMap<&'a str, Vec<Cow<'a, str>>>,
}

pub(super) fn event(request: &Request, ids: &Ids) -> Vec<u8> {
    let headers = headers(request, ids);
    let maps = Single {
        query_string_parameters: raw_pairs(&request.query).collect(),
        headers: headers.iter().filter_map(|(name, values)| values.last().map(|value| (*name, &**value))).collect(),
    };
    written(request, maps)
}

pub(super) fn multi_event(request: &Request, ids: &Ids) -> Vec<u8> {
    let mut parameters = BTreeMap::<&str, Vec<&str>>::new();
    for (name, value) in raw_pairs(&request.query) {
        parameters.entry(name).or_default().push(value);
    }
    let maps = Multi { multi_value_query_string_parameters: parameters, multi_value_headers: headers(request, ids) };
    written(request, maps)
}

fn headers<'a>(request: &'a Request, ids: &Ids) -> Grouped<'a> {
    let mut headers = request.grouped();
    add_forwarded(&mut headers, request, ids, "http", request.port);
    headers
}

fn written(request: &Request, maps: impl Serialize) -> Vec<u8> {
    let is_text = request.header("content-type").is_some_and(|kind| is_textual(&kind));
    let body = carried(&request.body, is_text && request.header("content-encoding").is_none());
    json(&Event {
        request_context: Context::default(),
        http_method: &request.method,
        path: &request.path,
        maps,
        body: body.text,
        is_base64_encoded: body.is_base64,
    })
}

const TARGET_GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/function/0000000000000000";
