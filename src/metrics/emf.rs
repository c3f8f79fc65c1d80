//! Lines of CloudWatch's embedded metric format: a JSON object whose `_aws` member says which of the others are metrics.
//!
//! ```text
//! {"_aws":{"Timestamp":1795369800000,"CloudWatchMetrics":[{"Namespace":"lambda-session",
//!   "Dimensions":[["FunctionName"]],"Metrics":[{"Name":"Restored","Unit":"Count"}]}]},
//!   "FunctionName":"shop","RequestId":"…","Session":"1a2b3c4d","Restored":1}
//! ```
//!
//! A metric has one value a line for each set of dimensions. So each reason for which cookies were refused has a line of its
//! own, the first one together with everything else.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use super::REASONS;
use super::tally::{Count, Counts};

/// The lines for one request; `function` is JSON.
pub(super) fn lines(function: &str, at: SystemTime, counts: &Counts) -> String {
    let mut refused = counts.refused.iter().zip(REASONS).filter(|(count, _)| **count > 0);
    let mut line = Line::new(function, at, counts);
    line.count_all(counts);
    if let Some((count, reason)) = refused.next() {
        line.refused(*count, reason);
    }
    if let Some(key) = counts.resealed {
        line.resealed(key);
    }
    let mut lines = line.end();
    for (count, reason) in refused {
        let mut line = Line::new(function, at, counts);
        line.refused(*count, reason);
        lines.push_str(&line.end());
    }
    lines
}

/// A string as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The two halves of a line that is being written.
struct Line {
    /// `_aws`, as far as the directives go.
    directives: String,
    /// The members that they speak of.
    members: String,
}

/// How a directive begins and goes on.
const PLAIN: &str = r#"{"Namespace":"lambda-session","Dimensions":[["FunctionName"]],"Metrics":["#;
const BY_REASON: &str =
    r#"{"Namespace":"lambda-session","Dimensions":[["FunctionName"],["FunctionName","Reason"]],"Metrics":["#;
const BY_KEY: &str =
    r#"{"Namespace":"lambda-session","Dimensions":[["FunctionName"],["FunctionName","KeyId"]],"Metrics":["#;

impl Line {
    fn new(function: &str, at: SystemTime, counts: &Counts) -> Self {
        let mut directives = String::with_capacity(768);
        let mut members = String::with_capacity(256);
        let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
        // Writing to a String cannot fail.
        let _ = write!(directives, r#"{{"_aws":{{"Timestamp":{at},"CloudWatchMetrics":["#);
        let _ = write!(members, r#"]}},"FunctionName":{function}"#);
        if !counts.request_id.is_empty() {
            let _ = write!(members, r#","RequestId":{}"#, quoted(&counts.request_id));
        }
        if let Some(session) = &counts.session {
            let _ = write!(members, r#","Session":"{session}""#);
        }
        Self { directives, members }
    }

    /// Everything that has no dimension but the function.
    fn count_all(&mut self, counts: &Counts) {
        let start = self.directives.len();
        for (count, value) in Count::ALL.into_iter().zip(counts.counts) {
            match count {
                Count::StoreCommands => self.metric(start, count.name(), "Count", counts.round_trips.into()),
                // Nothing restored is worth a word where somebody asked: their share is what the average says.
                Count::Restored if counts.asked && value == 0 => {
                    self.name(start, count.name(), "Count");
                    self.members.push_str(r#","Restored":0"#);
                }
                count => self.metric(start, count.name(), "Count", value.into()),
            }
        }
        self.metric(start, "CookieBytes", "Bytes", counts.cookie_bytes);
        if counts.round_trips > 0 {
            self.name(start, "StoreTime", "Milliseconds");
            let microseconds = counts.store_time.as_micros();
            let _ = write!(self.members, r#","StoreTime":{}.{:03}"#, microseconds / 1000, microseconds % 1000);
        }
        if self.directives.len() > start {
            self.directives.insert_str(start, PLAIN);
            self.directives.push_str("]}");
        }
    }

    fn refused(&mut self, count: u32, reason: &str) {
        self.separate();
        let _ = write!(self.directives, r#"{BY_REASON}{{"Name":"Refused","Unit":"Count"}}]}}"#);
        let _ = write!(self.members, r#","Reason":"{reason}","Refused":{count}"#);
    }

    fn resealed(&mut self, key: Option<[u8; 2]>) {
        self.separate();
        let _ = write!(self.directives, r#"{BY_KEY}{{"Name":"Resealed","Unit":"Count"}}]}}"#);
        let key = key.map_or_else(|| "unknown".to_owned(), |[high, low]| format!("{high:02x}{low:02x}"));
        let _ = write!(self.members, r#","KeyId":"{key}","Resealed":1"#);
    }

    /// A metric of the directive that begins at `start`, unless it is nought.
    fn metric(&mut self, start: usize, name: &str, unit: &str, value: u64) {
        if value > 0 {
            self.name(start, name, unit);
            let _ = write!(self.members, r#","{name}":{value}"#);
        }
    }

    fn name(&mut self, start: usize, name: &str, unit: &str) {
        let comma = if self.directives.len() > start { "," } else { "" };
        let _ = write!(self.directives, r#"{comma}{{"Name":"{name}","Unit":"{unit}"}}"#);
    }

    fn separate(&mut self) {
        if self.directives.ends_with('}') {
            self.directives.push(',');
        }
    }

    fn end(self) -> String {
        let Self { mut directives, members } = self;
        directives.push_str(&members);
        directives.push_str("}\n");
        directives
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_369_800_123)
    }

    #[test]
    fn a_restored_session_is_one_line() {
        let mut counts = Counts {
            request_id: "8f5d\"".into(),
            session: Some("1a2b3c4d".into()),
            asked: true,
            round_trips: 2,
            store_time: Duration::from_micros(1_042),
            ..Counts::default()
        };
        counts.counts[Count::Restored as usize] = 1;
        assert_eq!(
            lines(&quoted("shop"), at(), &counts),
            concat!(
                r#"{"_aws":{"Timestamp":1795369800123,"CloudWatchMetrics":[{"Namespace":"lambda-session","Dimensions":"#,
                r#"[["FunctionName"]],"Metrics":[{"Name":"Restored","Unit":"Count"},"#,
                r#"{"Name":"StoreRoundTrips","Unit":"Count"},{"Name":"StoreTime","Unit":"Milliseconds"}]}]},"#,
                r#""FunctionName":"shop","RequestId":"8f5d\"","Session":"1a2b3c4d","Restored":1,"StoreRoundTrips":2,"#,
                "\"StoreTime\":1.042}\n"
            )
        );
    }

    #[test]
    fn each_reason_has_a_line_of_its_own() {
        let mut counts = Counts { asked: true, resealed: Some(Some([0xa2, 0x07])), ..Counts::default() };
        (counts.refused[0], counts.refused[4]) = (2, 1);
        let lines = lines(&quoted("shop"), at(), &counts);
        let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<_> = lines
            .iter()
            .map(|line| ["Restored", "Reason", "Refused", "KeyId", "Resealed"].map(|name| &line[name]))
            .collect();
        let null = serde_json::Value::Null;
        let expected = [
            [&0.into(), &"malformed".into(), &2.into(), &"a207".into(), &1.into()],
            [&null, &"absolute".into(), &1.into(), &null, &null],
        ];
        assert_eq!(told, expected);
        assert_eq!(lines[1]["_aws"]["CloudWatchMetrics"].as_array().unwrap().len(), 1);
    }
}
