//! What became of one event, and its form for programs.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Body};
use crate::change::Change;
use crate::event::{Event, Pair};
use crate::jar::{self, Jar, Origin, Verdict};
use crate::set_cookie::SetCookie;

/// Everything a report tells.
#[derive(Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) number: usize,
    pub(crate) event: &'a Event,
    pub(crate) sent: Vec<Pair>,
    /// How long the function took to start, if it was started for this event.
    pub(crate) started: Option<Duration>,
    pub(crate) took: Option<Duration>,
    pub(crate) result: Result<Answered, Unanswered>,
    pub(crate) notes: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) cookies: Vec<CookieSet>,
    pub(crate) session: Option<Change>,
}

/// Why the event got no HTTP answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    pub(crate) kind: FaultKind,
    pub(crate) message: String,
    /// What the function wrote meanwhile.
    pub(crate) output: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    FunctionError,
    Crash,
    Timeout,
    Nonsense,
    TooLarge,
}

/// One `Set-Cookie` of an answer.
#[derive(Debug)]
pub(crate) struct CookieSet {
    pub(crate) name: String,
    pub(crate) value: String,
    /// All after the value, as written.
    pub(crate) attributes: String,
    pub(crate) verdict: Verdict,
    pub(crate) is_session: bool,
}

impl CookieSet {
    /// Puts the cookie that `line` sets into `jar`, as a browser would; where its name is known, only that of `session` is one.
    pub(crate) fn taken(jar: &mut Jar, line: &str, origin: &Origin, session: Option<&str>) -> Self {
        let now = jar::seconds_now();
        let attributes = line.find(';').and_then(|at| line.get(at..)).unwrap_or_default().to_owned();
        match SetCookie::parse(line, now) {
            Ok(cookie) => {
                let (name, value) = (cookie.name.clone(), cookie.value.clone());
                let is_session = session.is_none_or(|session| session == name);
                Self { verdict: jar.take(cookie, origin, now), name, value, attributes, is_session }
            }
            Err(reason) => {
                let pair = line.split(';').next().unwrap_or_default();
                let (name, value) = pair.split_once('=').unwrap_or(("", pair));
                let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
                Self { name, value, attributes, verdict: Verdict::Refused(reason), is_session: true }
            }
        }
    }

    /// Whether it asks the browser to forget the cookie.
    pub(crate) fn is_removal(&self) -> bool {
        self.value.is_empty() || self.verdict == Verdict::Removed
    }

    /// The value, so that nobody who sees it can use it: short ones that are not our session stay whole.
    pub(crate) fn shown_value(&self) -> String {
        let length = self.value.chars().count();
        if self.value.is_empty() || (!self.is_session && length <= WHOLE_CHARACTERS) {
            return self.value.clone();
        }
        let start: String = self.value.chars().take(START_CHARACTERS.min(length.div_euclid(3))).collect();
        format!("{start}… ({length} characters)")
    }
}

impl FaultKind {
    fn name(self) -> &'static str {
        match self {
            Self::FunctionError => "function error",
            Self::Crash => "crash",
            Self::Timeout => "timeout",
            Self::Nonsense => "nonsense",
            Self::TooLarge => "too large",
        }
    }
}

impl Outcome<'_> {
    /// The outcome as a JSON object.
    pub(crate) fn json(&self) -> Value {
        let names: Vec<_> = self.sent.iter().map(|pair| pair.name.as_str()).collect();
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| _ = object.insert(name.to_owned(), value);
        put("number", json!(self.number));
        put("event", json!(self.event.source));
        put("kind", json!(self.event.kind.name()));
        put("request", json!(self.event.request()));
        put("cookies_sent", json!(names));
        put("started_milliseconds", json!(self.started.map(milliseconds)));
        put("milliseconds", json!(self.took.map(milliseconds)));
        put("notes", json!(self.notes));
        match &self.result {
            Err(fault) => {
                let error = json!({"kind": fault.kind.name(), "message": fault.message, "output": fault.output});
                put("error", error);
            }
            Ok(answered) => {
                put("status", json!(answered.answer.status));
                put("headers", headers(&answered.answer));
                put("set_cookies", answered.cookies.iter().map(cookie).collect());
                match &answered.answer.body {
                    Body::Text(text) => put("body", serde_json::from_str(text).unwrap_or_else(|_| json!(text))),
                    Body::Bytes(bytes) => put("body_base64", json!(STANDARD.encode(bytes))),
                }
                if let Some(change) = &answered.session {
                    put("session", session(change));
                }
            }
        }
        Value::Object(object)
    }
}

fn milliseconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

fn headers(answer: &Answer) -> Value {
    let mut headers = Map::new();
    for (name, value) in &answer.headers {
        let values = headers.entry(name.as_str()).or_insert_with(|| json!([]));
        if let Some(values) = values.as_array_mut() {
            values.push(json!(value));
        }
    }
    Value::Object(headers)
}

fn cookie(cookie: &CookieSet) -> Value {
    let attributes: Vec<_> = cookie.attributes.split(';').map(str::trim).filter(|text| !text.is_empty()).collect();
    let (verdict, reason) = match cookie.verdict {
        Verdict::Kept => ("kept", None),
        Verdict::Removed => ("removed", None),
        Verdict::Refused(reason) => ("refused", Some(reason)),
    };
    json!({"name": cookie.name, "value": cookie.shown_value(), "attributes": attributes, "browser": verdict, "reason": reason})
}

fn session(change: &Change) -> Value {
    let difference = change.difference();
    let changed: Map<String, Value> =
        difference.changed.into_iter().map(|(key, from, to)| (key, json!({"from": from, "to": to}))).collect();
    json!({
        "what": change.word(),
        "before": change.before.data(),
        "after": change.after.as_ref().unwrap_or(&change.before).data(),
        "added": difference.added,
        "changed": changed,
        "removed": difference.removed,
        "refusal": change.refusal(),
    })
}

/// A value this short is no session token of anybody's.
const WHOLE_CHARACTERS: usize = 12;

/// Enough to tell two tokens apart: version, key id, and three bytes more.
const START_CHARACTERS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_shown_whole() {
        let rows = [
            ("theme", "dark", false, "dark"),
            ("other", "0123456789abcdef", false, "01234… (16 characters)"),
            ("ours", "AaJ3ABEiM0RVZneImaq7zN3u", true, "AaJ3ABEi… (24 characters)"),
            ("ours, short", "AaJ3", true, "A… (4 characters)"),
            ("ours, empty", "", true, ""),
        ];
        for (name, value, is_session, expected) in rows {
            let cookie = CookieSet {
                name: name.into(),
                value: value.into(),
                attributes: String::new(),
                verdict: Verdict::Kept,
                is_session,
            };
            assert_eq!(cookie.shown_value(), expected, "{name}");
        }
    }
}
