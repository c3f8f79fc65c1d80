//! An operation that brought no answer, and an attempt at one: what became of it, and whose fault it was.

use std::time::Instant;

use super::attempt::Attempt;
use super::breaker::Blow;
use super::connection::Broken;
use super::dial::Undialled;
use super::observer::Discard;
use super::protocol::Command;
use super::settings::Times;
use super::{Failure, FailureKind};

/// An operation that brought no answer.
pub(crate) struct Trouble {
    pub(crate) failure: Failure,
    /// Until when the operation may take, if the node gave no connection: then the list of nodes may be old.
    pub(crate) undialled: Option<Instant>,
}

/// An attempt that brought no answer.
pub(crate) struct Attempted {
    /// Whether the command may have been carried out, or may still be.
    pub(crate) sent: bool,
    /// Whether trying again at once makes sense.
    pub(crate) again: bool,
    pub(crate) timed_out: bool,
    pub(crate) undialled: bool,
    /// Whether the node was heard all the same, so that it is not down.
    pub(crate) heard: bool,
    pub(crate) blow: Option<Blow>,
    pub(crate) failure: Failure,
}

impl Attempted {
    pub(crate) fn undialled(attempt: &Attempt<'_>, undialled: Undialled, began: Instant, limit: Instant) -> Self {
        let timed_out = undialled.blow == Blow::TimedOut;
        let blow = attempt.blame(undialled.blow, began, limit);
        let failure = undialled.failure(format!("cannot connect to cache node {}", attempt.node.name()));
        Self { sent: false, again: false, timed_out, undialled: true, heard: false, blow, failure }
    }

    pub(crate) fn broken(
        attempt: &Attempt<'_>,
        command: &Command<'_>,
        broken: Broken,
        began: Instant,
        limit: Instant,
    ) -> Self {
        let sent = broken.sent && !matches!(command, Command::Get { .. });
        let message =
            format!("cache node {} gave no answer to {}: {}", attempt.node.name(), command.name(), broken.reason);
        let kind = if sent { FailureKind::Unknown } else { FailureKind::Unavailable };
        let failure = Failure::new(kind, message);
        let failure = match broken.source {
            Some(source) => failure.with_source(source),
            None => failure,
        };
        let timed_out = broken.discard == Discard::TimedOut;
        let blow = attempt.blame(if timed_out { Blow::TimedOut } else { Blow::Refused }, began, limit);
        Self { sent, again: true, timed_out, undialled: false, heard: false, blow, failure }
    }

    pub(crate) fn plain(failure: Failure) -> Self {
        Self { sent: false, again: false, timed_out: false, undialled: false, heard: false, blow: None, failure }
    }

    pub(crate) fn unsettled(attempt: &Attempt<'_>, command: &Command<'_>) -> Self {
        let message = format!("cache node {} does not say what became of {}", attempt.node.name(), command.name());
        Self { sent: true, heard: true, ..Self::plain(Failure::new(FailureKind::Unknown, message)) }
    }

    /// This attempt, after one that failed too.
    pub(crate) fn after(self, first: Self, attempt: &Attempt<'_>, command: &Command<'_>) -> Self {
        let blow = self.blow.or(first.blow).filter(|_| !self.heard);
        if self.sent || !first.sent {
            return Self { blow, ..self };
        }
        let message = format!("cache node {} gave no answer to {}", attempt.node.name(), command.name());
        let failure = Failure::new(FailureKind::Unknown, message).with_source(self.failure);
        Self { sent: true, blow, failure, ..self }
    }

    /// Why the node is down, for those who are refused meanwhile.
    pub(crate) fn reason(&self) -> String {
        format!("{:?}", self.failure).chars().take(200).collect()
    }
}

impl Trouble {
    pub(crate) fn plain(failure: Failure) -> Self {
        Self { failure, undialled: None }
    }
}

/// A node is blamed for a time-out only if it had time enough: half of what an exchange may take.
pub(super) fn blame(blow: Blow, began: Instant, limit: Instant, times: &Times) -> Option<Blow> {
    let had = limit.saturating_duration_since(began);
    (blow == Blow::Refused || had.saturating_mul(2) >= times.exchange).then_some(blow)
}
