//! One thing that was looked at, and how it stands.

use serde_json::{Value, json};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// The node that it is about.
    pub(crate) node: Option<String>,
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) finding: String,
    /// What to do, where the finding does not say so itself.
    pub(crate) way_out: Option<String>,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// Allowed, but unlikely to be meant.
    Warning,
    Bad,
}

impl Check {
    pub(crate) fn good(name: &'static str, finding: impl Into<String>) -> Self {
        Self { node: None, name, verdict: Verdict::Good, finding: finding.into(), way_out: None }
    }

    pub(crate) fn warning(name: &'static str, finding: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, ..Self::good(name, finding) }
    }

    pub(crate) fn bad(name: &'static str, finding: impl Into<String>, way_out: Option<String>) -> Self {
        Self { verdict: Verdict::Bad, way_out, ..Self::good(name, finding) }
    }

    #[cfg(feature = "memcached")]
    pub(crate) fn of(self, node: &str) -> Self {
        Self { node: Some(node.to_owned()), ..self }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "node": self.node,
            "check": self.name,
            "verdict": self.verdict.word(),
            "finding": self.finding,
            "way_out": self.way_out,
        })
    }
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}
