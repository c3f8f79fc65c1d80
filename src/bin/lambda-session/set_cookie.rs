//! Reading a `Set-Cookie` line the way a browser reads it (RFC 6265bis, section 5.6).

use time::{Date, Month};

/// One `Set-Cookie` line, parsed; whether a browser keeps it is the jar's question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetCookie {
    pub(crate) name: String,
    pub(crate) value: String,
    /// When it ends, in seconds since 1970: `Max-Age` before `Expires`; none: with the browser.
    pub(crate) expires: Option<i64>,
    /// Lower case, without its leading dot.
    pub(crate) domain: Option<String>,
    /// Absent where the line gives none that begins with `/`.
    pub(crate) path: Option<String>,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site_none: bool,
    pub(crate) partitioned: bool,
}

impl SetCookie {
    /// Parses `line` at the time `now`, or says why a browser drops it unread.
    pub(crate) fn parse(line: &str, now: i64) -> Result<Self, &'static str> {
        if line.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err("it contains a control character");
        }
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let (name, value) = (trimmed(name), trimmed(value));
        if name.is_empty() && value.is_empty() {
            return Err("it has neither name nor value");
        }
        if name.len().saturating_add(value.len()) > PAIR_LIMIT_BYTES {
            return Err("its name and value are longer than 4096 bytes");
        }
        let mut cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            expires: None,
            domain: None,
            path: None,
            secure: false,
            http_only: false,
            same_site_none: false,
            partitioned: false,
        };
        cookie.read_attributes(attributes, now);
        Ok(cookie)
    }

    fn read_attributes(&mut self, attributes: &str, now: i64) {
        let latest = now.saturating_add(LONGEST_SECONDS);
        let (mut expires, mut max_age) = (None, None);
        for attribute in attributes.split(';') {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let (name, value) = (trimmed(name), trimmed(value));
            if value.len() > ATTRIBUTE_LIMIT_BYTES {
                continue;
            }
            match name.to_ascii_lowercase().as_str() {
                "expires" => expires = cookie_date(value).or(expires),
                "max-age" => max_age = delta_seconds(value).or(max_age),
                "domain" => self.domain = Some(value.strip_prefix('.').unwrap_or(value).to_ascii_lowercase()),
                "path" => self.path = value.starts_with('/').then(|| value.to_owned()),
                "secure" => self.secure = true,
                "httponly" => self.http_only = true,
                "samesite" => self.same_site_none = value.eq_ignore_ascii_case("none"),
                "partitioned" => self.partitioned = true,
                _ => {}
            }
        }
        self.domain = self.domain.take().filter(|domain| !domain.is_empty());
        let end = match max_age {
            Some(seconds) if seconds <= 0 => Some(0),
            Some(seconds) => Some(now.saturating_add(seconds)),
            None => expires,
        };
        self.expires = end.map(|end| end.min(latest));
    }
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// `Max-Age`: digits, or `-` and digits; anything else is no attribute at all.
fn delta_seconds(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.len() < text.len() {
        return Some(-1);
    }
    Some(digits.parse().unwrap_or(i64::MAX))
}

/// The forgiving date of RFC 6265bis, section 5.1.1, in seconds since 1970.
fn cookie_date(text: &str) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(is_date_delimiter).filter(|token| !token.is_empty()) {
        if time.is_none() && hours_minutes_seconds(token).is_some() {
            time = hours_minutes_seconds(token);
        } else if day.is_none() && leading_number(token, 1, 2).is_some() {
            day = leading_number(token, 1, 2);
        } else if month.is_none() && month_of(token).is_some() {
            month = month_of(token);
        } else if year.is_none() {
            year = leading_number(token, 2, 4);
        }
    }
    let year = match year? {
        year @ 70..=99 => year.saturating_add(1900),
        year @ 0..=69 => year.saturating_add(2000),
        year => year,
    };
    if year < 1601 {
        return None;
    }
    let (hour, minute, second) = time?;
    let date = Date::from_calendar_date(i32::from(year), month?, u8::try_from(day?).ok()?).ok()?;
    Some(date.with_hms(hour, minute, second).ok()?.assume_utc().unix_timestamp())
}

fn is_date_delimiter(c: char) -> bool {
    matches!(c, '\t' | ' '..='/' | ';'..='@' | '['..='`' | '{'..='~')
}

fn hours_minutes_seconds(token: &str) -> Option<(u8, u8, u8)> {
    let mut fields = token.splitn(3, ':');
    let (hour, minute, second) = (fields.next()?, fields.next()?, fields.next()?);
    let whole =
        |field: &str| if field.bytes().all(|byte| byte.is_ascii_digit()) { leading_number(field, 1, 2) } else { None };
    let byte = |number: u16| u8::try_from(number).ok();
    Some((byte(whole(hour)?)?, byte(whole(minute)?)?, byte(leading_number(second, 1, 2)?)?))
}

/// The number `token` begins with, if it has `least` to `most` digits.
fn leading_number(token: &str, least: usize, most: usize) -> Option<u16> {
    let count = token.bytes().take_while(u8::is_ascii_digit).count();
    if count < least || count > most {
        return None;
    }
    token.get(..count)?.parse().ok()
}

fn month_of(token: &str) -> Option<Month> {
    let start = token.get(..3)?.to_ascii_lowercase();
    let position = MONTHS.iter().position(|month| *month == start)?;
    Month::try_from(u8::try_from(position).ok()?.checked_add(1)?).ok()
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Name and value together (RFC 6265bis, section 5.6, step 6).
const PAIR_LIMIT_BYTES: usize = 4096;

/// The value of one attribute (RFC 6265bis, section 5.6, step 6 of the attributes).
const ATTRIBUTE_LIMIT_BYTES: usize = 1024;

/// No cookie lives longer than 400 days (RFC 6265bis, section 5.5).
const LONGEST_SECONDS: i64 = 400 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_370_400;

    fn bare(name: &str, value: &str) -> SetCookie {
        SetCookie {
            name: name.into(),
            value: value.into(),
            expires: None,
            domain: None,
            path: None,
            secure: false,
            http_only: false,
            same_site_none: false,
            partitioned: false,
        }
    }

    #[test]
    fn a_line_is_read_as_a_browser_reads_it() {
        let rows: Vec<(&str, &str, Result<SetCookie, &str>)> = vec![
            ("a pair", "a=1", Ok(bare("a", "1"))),
            ("blanks go", " a\t= 1 ; ", Ok(bare("a", "1"))),
            ("quotes stay", "a=\"1\"", Ok(bare("a", "\"1\""))),
            ("no equals sign: a nameless cookie", "a", Ok(bare("", "a"))),
            ("only the first equals sign counts", "a=b=c", Ok(bare("a", "b=c"))),
            ("nothing", "=", Err("it has neither name nor value")),
            ("a control character", "a=1\u{1}", Err("it contains a control character")),
            (
                "everything",
                "a=1; Domain=.Shop.Example; PATH=/x; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=60",
                Ok(SetCookie {
                    expires: Some(NOW + 60),
                    domain: Some("shop.example".into()),
                    path: Some("/x".into()),
                    secure: true,
                    http_only: true,
                    same_site_none: true,
                    partitioned: true,
                    ..bare("a", "1")
                }),
            ),
            (
                "the last path wins",
                "a=1; Path=/x; Path=/y",
                Ok(SetCookie { path: Some("/y".into()), ..bare("a", "1") }),
            ),
            ("a relative path is none", "a=1; Path=/x; Path=y", Ok(bare("a", "1"))),
            ("an empty domain is none", "a=1; Domain=", Ok(bare("a", "1"))),
            ("a flag with a value is a flag", "a=1; Secure=false", Ok(SetCookie { secure: true, ..bare("a", "1") })),
        ];
        for (name, line, expected) in rows {
            assert_eq!(SetCookie::parse(line, NOW), expected, "{name}");
        }
    }

    #[test]
    fn a_pair_over_4096_bytes_is_dropped_and_one_of_4096_is_not() {
        let line = |length: usize| format!("a={}; Path=/", "v".repeat(length));
        assert!(SetCookie::parse(&line(4095), NOW).is_ok());
        assert_eq!(SetCookie::parse(&line(4096), NOW), Err("its name and value are longer than 4096 bytes"));
    }

    #[test]
    fn the_end_of_a_cookie() {
        let rows = [
            ("max-age", "Max-Age=60", Some(NOW + 60)),
            ("max-age wins over expires", "Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", Some(NOW + 60)),
            ("zero removes", "Max-Age=0", Some(0)),
            ("less than zero removes", "Max-Age=-5", Some(0)),
            ("nonsense is no attribute", "Max-Age=soon", None),
            ("nothing is no attribute", "Max-Age=", None),
            ("at most 400 days", "Max-Age=99999999999999999999", Some(NOW + 400 * 86_400)),
            ("expires", "Expires=Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("the old way to write it", "expires=Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("asctime", "expires=Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("a broken date is no attribute", "expires=tomorrow", None),
            ("no such day", "expires=31 Feb 2026 00:00:00", None),
            ("no such hour", "expires=1 Feb 2026 24:00:00", None),
            ("before 1601", "expires=1 Feb 1600 00:00:00", None),
            ("expires too is at most 400 days", "expires=1 Jan 9999 00:00:00", Some(NOW + 400 * 86_400)),
        ];
        for (name, attributes, expected) in rows {
            let cookie = SetCookie::parse(&format!("a=1; {attributes}"), NOW).unwrap();
            assert_eq!(cookie.expires, expected, "{name}");
        }
    }
}
