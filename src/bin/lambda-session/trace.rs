//! The trace that an event is in: the one that its front door names, or one of our own.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Map, Value};

/// A root as AWS makes them: the second in which the trace begins, then 96 bits (X-Ray, sending trace data), here those of
/// the request id.
pub(crate) fn new_root(id: &str, at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("Root=1-{seconds:08x}-{}", digits(id, 8))
}

/// What the function is told of the trace of `event`: who follows a request by the event's header finds it.
pub(crate) fn header(event: &[u8], id: &str, at: SystemTime) -> String {
    let root = root_of(event).unwrap_or_else(|| new_root(id, at));
    format!("{root};Parent={};Sampled=0", digits(id, 16))
}

/// The part of an event that may name its trace.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Traced {
    headers: Option<Map<String, Value>>,
    multi_value_headers: Option<Map<String, Value>>,
}

/// A client can send that header too: only what is a root counts.
fn root_of(event: &[u8]) -> Option<String> {
    let event: Traced = serde_json::from_slice(event).ok()?;
    let mut headers = [event.headers, event.multi_value_headers].into_iter().flatten().flatten();
    let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case("x-amzn-trace-id"))?;
    let line = value.as_str().or_else(|| value.as_array()?.last()?.as_str())?;
    line.split(';').map(str::trim).find(|part| is_root(part)).map(str::to_owned)
}

fn is_root(part: &str) -> bool {
    let is_hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = part.strip_prefix("Root=1-").and_then(|id| id.split_once('-'));
    id.is_some_and(|(seconds, rest)| is_hex(seconds, 8) && is_hex(rest, 24))
}

/// The hexadecimal digits of a request id, from the `from`th on.
fn digits(id: &str, from: usize) -> String {
    id.chars().filter(char::is_ascii_hexdigit).skip(from).take(32_usize.saturating_sub(from)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ID: &str = "8f507cfc-0a1b-4c3d-8e5f-60718293a4b5";
    const OWN: &str = "Root=1-6b032da0-0a1b4c3d8e5f60718293a4b5";
    const OTHER: &str = "Root=1-5e1b4151-5ac6c58dc39b2a4f7f7f8c2e";

    #[test]
    fn the_function_is_told_of_the_trace_that_its_event_names() {
        let rows = [
            ("none", "{}".to_owned(), OWN),
            ("no event of a front door", "[1]".to_owned(), OWN),
            ("no headers", r#"{"headers":null}"#.to_owned(), OWN),
            ("one value a name", format!(r#"{{"headers":{{"X-Amzn-Trace-Id":"{OTHER}"}}}}"#), OTHER),
            ("several", format!(r#"{{"multiValueHeaders":{{"x-amzn-trace-id":["a","{OTHER}"]}}}}"#), OTHER),
            (
                "what a proxy adds",
                format!(r#"{{"headers":{{"x-amzn-trace-id":"Self=1-2; {OTHER};Sampled=1"}}}}"#),
                OTHER,
            ),
            ("made up", r#"{"headers":{"x-amzn-trace-id":"Root=1-a-b"}}"#.to_owned(), OWN),
            ("no text", r#"{"headers":{"x-amzn-trace-id":7}}"#.to_owned(), OWN),
        ];
        let at = UNIX_EPOCH + Duration::from_secs(0x6b03_2da0);
        for (name, event, root) in rows {
            assert_eq!(header(event.as_bytes(), ID, at), format!("{root};Parent=8e5f60718293a4b5;Sampled=0"), "{name}");
        }
    }
}
