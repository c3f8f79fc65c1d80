//! Reading and writing spans of time on the command line.

use std::time::Duration;

/// Reads `500ms`, `30s`, `1m`, `1h`, or a number of seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration reads 500ms, 30s, 1m or a number of seconds, and is not zero".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit = text.strip_prefix(digits).unwrap_or_default();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    let span = match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        _ => None,
    };
    span.filter(|span| !span.is_zero() && *span <= LONGEST).ok_or_else(wrong)
}

/// `span` as a person says it: `1.5 ms`, `30 s`.
pub(crate) fn spoken(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 1.0 { format!("{} ms", short(seconds * 1000.0)) } else { format!("{} s", short(seconds)) }
}

/// The two largest units of a span.
pub(crate) fn span(span: Duration) -> String {
    let mut seconds = span.as_secs();
    let mut parts = Vec::new();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)] {
        let count = seconds.checked_div(length).unwrap_or_default();
        seconds = seconds.checked_rem(length).unwrap_or_default();
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

fn short(number: f64) -> String {
    let text = if number < 10.0 { format!("{number:.2}") } else { format!("{number:.1}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Lambda itself allows 15 minutes; a debugger may want more, a clock not beyond this.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read() {
        let rows = [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("2", Some(2_000)),
            ("1m", Some(60_000)),
            ("1h", Some(3_600_000)),
            ("", None),
            ("s", None),
            ("0", None),
            ("0s", None),
            ("-1s", None),
            ("+1s", None),
            ("1.5s", None),
            ("1 s", None),
            ("1d", None),
            ("99999999999999999999", None),
            ("18446744073709551615m", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text).ok(), expected.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn a_duration_is_spoken() {
        let rows =
            [(1_830, "1.83 ms"), (250, "0.25 ms"), (47_123, "47.1 ms"), (30_000_000, "30 s"), (1_500_000, "1.5 s")];
        for (micros, expected) in rows {
            assert_eq!(spoken(Duration::from_micros(micros)), expected);
        }
    }

    #[test]
    fn a_span_has_two_units_at_most() {
        let rows =
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3_599, "59 min 59 s"), (3_601, "1 h"), (93_784, "1 d 2 h")];
        for (seconds, expected) in rows {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }
}
