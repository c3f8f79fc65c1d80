//! What went wrong with an operation, told by what became of the value: [`Failure`].

use std::{borrow::Cow, error::Error as StdError, fmt};

use super::Step;

/// Why an operation gave no answer, with a [`kind`](Self::kind) that says what became of it.
///
/// A miss is no failure, and a failure is never a miss.
pub struct Failure(Box<Inner>);

struct Inner {
    kind: FailureKind,
    message: Cow<'static, str>,
    step: Option<Step>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What became of an operation that failed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// A setting is wrong: found at start.
    Settings,
    /// No answer was had, and nothing was written: it may be tried again.
    Unavailable,
    /// A write was sent and no answer came: it may have been applied, and may still be.
    Unknown,
    /// The server understood and refused, or is no server that we speak with; nothing was written.
    Refused,
    /// The value is larger than the limit: nothing was sent, what is stored is as it was.
    TooLarge,
    /// The server had no room for a new value; nothing was written.
    Full,
    /// The server had no room for the value, and dropped the one that it had under the key.
    Lost,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), step: None, source: None }))
    }

    pub(crate) fn at(mut self, step: Step) -> Self {
        self.0.step = Some(step);
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn settings(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FailureKind::Settings, message)
    }

    /// What became of the operation.
    pub fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// How far a connection came, where that is what could not be opened.
    pub fn step(&self) -> Option<Step> {
        self.0.step
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

/// The message and its causes on one line.
impl fmt::Debug for Failure {
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

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
