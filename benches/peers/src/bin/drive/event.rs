//! The events: HTTP API 2.0, as a browser's requests arrive on Lambda.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// The sample event, taken apart once, so that making the next one is cheap.
pub struct Template {
    sample: Value,
}

impl Template {
    pub fn new() -> Self {
        Self { sample: sample() }
    }

    /// The request id of the `number`th event.
    pub fn id(number: u64) -> String {
        format!("8476a536-e9f4-11e8-9739-{number:012x}")
    }

    /// Writes the whole answer to `next`: the Runtime API's head and the event.
    pub fn write(
        &mut self,
        number: u64,
        path: &str,
        body: Option<&str>,
        cookie: Option<&str>,
        foreign: Option<&Foreign>,
        out: &mut Vec<u8>,
    ) {
        let method = if body.is_some() { "POST" } else { "GET" };
        let event = &mut self.sample;
        event["routeKey"] = "$default".into();
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["method"] = method.into();
        event["requestContext"]["http"]["path"] = path.into();
        match body {
            Some(body) => {
                event["body"] = body.into();
                event["headers"]["content-length"] = body.len().to_string().into();
                event["headers"]["content-type"] = "application/json".into();
            }
            None => {
                for (of, name) in [("", "body"), ("headers", "content-length"), ("headers", "content-type")] {
                    let map = if of.is_empty() { &mut *event } else { &mut event[of] };
                    map.as_object_mut().and_then(|map| map.remove(name));
                }
            }
        }
        let (before, after) = foreign.map_or((&[][..], &[][..]), Foreign::halves);
        let cookies: Vec<&str> =
            before.iter().map(String::as_str).chain(cookie).chain(after.iter().map(String::as_str)).collect();
        event["cookies"] = cookies.into();
        let event = event.to_string();
        out.clear();
        out.extend_from_slice(
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlambda-runtime-aws-request-id: {}\r\n\
                 lambda-runtime-deadline-ms: {DEADLINE_MS}\r\n\
                 lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-west-1:123456789012:function:posts\r\n\
                 lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1\r\n\
                 content-length: {}\r\n\r\n",
                Self::id(number),
                event.len()
            )
            .as_bytes(),
        );
        out.extend_from_slice(event.as_bytes());
    }
}

/// Cookies of other people, 10 KB as a `Cookie` header.
pub struct Foreign(Vec<String>);

impl Foreign {
    /// Of the size that analytics and consent banners set: 64 of 160 bytes.
    pub fn few() -> Self {
        Self(fill(|number| {
            let mut cookie = format!("_ga_{number:08X}=GS1.1.");
            while cookie.len() < 158 {
                let _ = write!(cookie, "{}.", number * 7919 + cookie.len());
            }
            cookie.truncate(158);
            cookie
        }))
    }

    /// As many as fit.
    pub fn many() -> Self {
        Self(fill(|number| format!("{number:x}=")))
    }

    /// Ours stands in the middle.
    fn halves(&self) -> (&[String], &[String]) {
        self.0.split_at(self.0.len() / 2)
    }
}

fn fill(cookie: impl Fn(usize) -> String) -> Vec<String> {
    let mut left = FOREIGN_BYTES;
    let mut cookies = Vec::new();
    for number in 0.. {
        let cookie = cookie(number);
        let Some(rest) = left.checked_sub(cookie.len() + "; ".len()) else { break };
        left = rest;
        cookies.push(cookie);
    }
    cookies
}

fn sample() -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/posts",
        "rawQueryString": "",
        "cookies": [],
        "headers": {
            "accept": "application/json, text/plain, */*",
            "accept-encoding": "gzip, deflate, br, zstd",
            "accept-language": "en-GB,en;q=0.9,de;q=0.7",
            "cache-control": "no-cache",
            "content-length": "0",
            "content-type": "application/json",
            "host": "h8m4ka9q1c.execute-api.eu-west-1.amazonaws.com",
            "origin": "https://h8m4ka9q1c.execute-api.eu-west-1.amazonaws.com",
            "referer": "https://h8m4ka9q1c.execute-api.eu-west-1.amazonaws.com/",
            "sec-ch-ua": "\"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"",
            "sec-ch-ua-mobile": "?0",
            "sec-ch-ua-platform": "\"Linux\"",
            "sec-fetch-dest": "empty",
            "sec-fetch-mode": "cors",
            "sec-fetch-site": "same-origin",
            "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
            "x-amzn-trace-id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
            "x-forwarded-for": "203.0.113.7",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https"
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "h8m4ka9q1c",
            "domainName": "h8m4ka9q1c.execute-api.eu-west-1.amazonaws.com",
            "domainPrefix": "h8m4ka9q1c",
            "http": {
                "method": "POST",
                "path": "/posts",
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2026:19:03:58 +0000",
            "timeEpoch": 1_773_342_238_000_u64
        },
        "isBase64Encoded": false
    })
}

/// 10 KB, as API Gateway counts them: its limit for all headers together is 10,240 bytes.
const FOREIGN_BYTES: usize = 10_240;

/// The end of the year 2099: no event of a bench runs into its deadline.
const DEADLINE_MS: u64 = 4_102_444_799_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_cookies_fill_10_kb() {
        let sizes = |Foreign(cookies)| (cookies.len(), cookies.join("; ").len());
        let (few, few_bytes) = sizes(Foreign::few());
        let (many, many_bytes) = sizes(Foreign::many());
        assert_eq!((few, few_bytes), (64, 10_238));
        assert!(many > 1_500 && (10_230..=10_240).contains(&many_bytes), "{many} of {many_bytes} bytes");
    }
}
