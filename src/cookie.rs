//! Our cookie on the wire: finding it among a request's, byte for byte, and writing `Set-Cookie`.
//!
//! Reading is our own code. Parsers made for convenience trim Unicode spaces, decode percent signs in names or drop
//! every cookie when one is malformed; each of these has let a cookie of one name pass for another, or logged people
//! out because of a neighbour's cookie. Here a name is ours if its bytes are ours.

mod options;

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::lifetime::LONGEST;
use crate::token::Token;
use crate::{Error, ErrorKind};

pub use self::options::{CookieOptions, CookieOptionsBuilder};
pub use cookie::SameSite;

/// What a browser is expected to keep of a cookie's name and value, in bytes (RFC 6265bis, section 5.6).
pub(crate) const PAIR_LIMIT_BYTES: usize = 4096;
/// How many cookies of our name are tried (security.md, CA9): a browser sends one, an attacker's page may add some.
const CANDIDATE_LIMIT: usize = 4;

/// The cookies of our name in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Up to four different values that could be tokens, in the order in which they came.
    pub tokens: Vec<Token>,
    /// Whether the request carried a cookie of our name at all, readable or not.
    pub carried: bool,
}

impl Candidates {
    /// The cookies named `name` on every `Cookie` line of a request. Linear in its size, no I/O.
    ///
    /// ```
    /// use http::{HeaderMap, HeaderValue, header::COOKIE};
    /// use lambda_session::cookie::Candidates;
    ///
    /// let mut headers = HeaderMap::new();
    /// headers.append(COOKIE, HeaderValue::from_static("a=1; __Host-s=AAEC; __%48ost-s=evil"));
    /// let found = Candidates::of(&headers, "__Host-s");
    /// assert_eq!(found.tokens.len(), 1);
    /// ```
    pub fn of(headers: &HeaderMap, name: &str) -> Self {
        let mut found = Self::default();
        for line in headers.get_all(header::COOKIE) {
            found.read(line.as_bytes(), name.as_bytes());
        }
        found
    }

    fn read(&mut self, line: &[u8], name: &[u8]) {
        for pair in line.split(|&byte| byte == b';') {
            let pair = trim(pair);
            let Some(value) = pair.strip_prefix(name).map(trim_start).and_then(|rest| rest.strip_prefix(b"=")) else {
                continue;
            };
            self.carried = true;
            if self.tokens.len() >= CANDIDATE_LIMIT {
                continue;
            }
            if let Some(token) = Token::parse(trim_start(value))
                && !self.tokens.contains(&token)
            {
                self.tokens.push(token);
            }
        }
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !is_blank(byte)).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

fn trim(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last.saturating_add(1));
    trim_start(bytes.get(..end).unwrap_or_default())
}

/// The parts of a `Set-Cookie` line that are the same for every token.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    /// The name and `=`.
    start: String,
    /// What follows the value: `; HttpOnly; SameSite=Lax; …`.
    attributes: String,
    expire_after: Option<Duration>,
    removal: HeaderValue,
}

impl Lines {
    /// The line that brings this token. `absolute_left` bounds Max-Age: a cookie that outlived its session would only be
    /// refused.
    pub(crate) fn set(&self, token: &Token, absolute_left: Duration) -> Result<HeaderValue, Error> {
        let mut line = String::with_capacity(token.as_str().len().saturating_add(128));
        line.extend([self.start.as_str(), token.as_str(), self.attributes.as_str()]);
        if let Some(expire_after) = self.expire_after {
            // Never negative and never above 400 days; writing to a String cannot fail.
            let _ = write!(line, "; Max-Age={}", expire_after.min(absolute_left).min(LONGEST).as_secs());
        }
        sensitive(line)
    }

    /// The line that makes the browser forget: the same name and attributes, long over.
    pub(crate) fn removal(&self) -> HeaderValue {
        self.removal.clone()
    }
}

/// A foreign string for a message: escaped, and cut to 64 characters (security.md, AR10).
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(64).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

fn sensitive(line: String) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_maybe_shared(Bytes::from(line))
        .map_err(|error| Error::new(ErrorKind::Data, "the token does not fit a header").with_source(error))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Puts our `Set-Cookie` first among a response's and takes out every other of our name. First, because an ALB
/// without multi-value headers may keep only one.
pub(crate) fn put(headers: &mut HeaderMap, name: &str, line: HeaderValue) {
    let others: Vec<HeaderValue> =
        headers.get_all(header::SET_COOKIE).iter().filter(|other| !is_named(other, name)).cloned().collect();
    headers.insert(header::SET_COOKIE, line);
    for other in others {
        headers.append(header::SET_COOKIE, other);
    }
}

/// Leaves the last line of our name that the handler set itself, so that never two go out.
pub(crate) fn keep_last(headers: &mut HeaderMap, name: &str) {
    let ours = headers.get_all(header::SET_COOKIE).iter().filter(|line| is_named(line, name)).count();
    if ours < 2 {
        return;
    }
    let last = headers.get_all(header::SET_COOKIE).iter().rfind(|line| is_named(line, name)).cloned();
    if let Some(last) = last {
        put(headers, name, last);
    }
}

/// How many bytes of name and value a `Set-Cookie` line has, which browsers limit; `None` for one without a value.
pub(crate) fn pair_bytes(line: &HeaderValue) -> Option<usize> {
    let pair = line.as_bytes().split(|&byte| byte == b';').next()?;
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    Some(pair.len().saturating_sub(1)).filter(|bytes| *bytes > equals)
}

fn is_named(line: &HeaderValue, name: &str) -> bool {
    let pair = line.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    let found = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
    trim(found) == name.as_bytes()
}
