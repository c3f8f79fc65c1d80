//! The one error of this crate: opaque, with a [`kind`](Error::kind) for programs and a message for people.

use std::{borrow::Cow, error::Error as StdError, fmt};

use http::StatusCode;

/// What went wrong with a session, a store or a setting.
///
/// What a stranger sends is never an `Error`: a forged, broken or expired cookie is an empty session.
///
/// ```
/// use lambda_session::{ErrorKind, Lifetime};
/// use std::time::Duration;
///
/// let error = Lifetime::new(Duration::ZERO, Duration::from_secs(60)).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Config);
/// assert_eq!(error.to_string(), "an idle lifetime of 0 s is too short: give 1 s or more");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of [`Error`], each with the status that answers it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A setting is wrong: found at start, never while serving.
    Config,
    /// Another request changed the session first, and the layer's policy is [`Conflict::Fail`](crate::Conflict::Fail) (409).
    Conflict,
    /// The session's data does not encode to a JSON object, or nests too deeply (500).
    Data,
    /// A session outlived the handler it was given to (500), or was asked for after the handler had answered.
    Escaped,
    /// A payload is no event of a kind that is understood, or Lambda's runtime API cannot be reached.
    Event,
    /// The session is already held in this request (500).
    InUse,
    /// The request did not pass through a `SessionLayer` of this type (500).
    MissingLayer,
    /// The operating system gave no random bytes (500).
    Random,
    /// The session does not fit where it is kept (500).
    TooLarge,
    /// The store gave no answer: not the same as an empty session (503).
    Unavailable,
}

impl ErrorKind {
    /// How many kinds there are, for tables indexed by [`index`](Self::index).
    pub(crate) const COUNT: usize = 10;

    /// The place of this kind in a table of all kinds.
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl Error {
    /// Makes an error; a store of your own reports its trouble as [`ErrorKind::Unavailable`].
    ///
    /// ```
    /// use lambda_session::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Unavailable, "table sessions gave no answer in 250 ms");
    /// assert_eq!(error.status(), 503);
    /// ```
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    /// The same error with the cause beneath it.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What kind of trouble this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The status that answers a request which met this error: 503, 409 or 500.
    pub fn status(&self) -> StatusCode {
        match self.0.kind {
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Config, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

/// The message and its causes on one line: what `fn main() -> Result<(), Error>` prints.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_the_message_and_its_causes_on_one_line() {
        let error = Error::new(ErrorKind::Unavailable, "cannot load").with_source("connection refused");
        assert_eq!(format!("{error:?}"), "cannot load: connection refused");
        assert_eq!(error.to_string(), "cannot load");
    }

    #[test]
    fn every_kind_has_its_own_place_in_a_table() {
        assert_eq!(ErrorKind::Unavailable.index() + 1, ErrorKind::COUNT);
    }
}
