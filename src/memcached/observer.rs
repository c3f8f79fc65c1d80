//! What a metrics hook sees: events, with never a key or a value in them.

use std::time::Duration;

/// Watches the client. Called in the middle of an operation: count, and return.
pub trait Observe: Send + Sync + 'static {
    /// Something happened.
    fn on(&self, event: &Event<'_>);
}

/// What happened. Nodes are named `host:port`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A connection was opened; `resumed` where TLS resumed an earlier session.
    Dialled {
        /// To which node.
        node: &'a str,
        /// How long resolving, connecting and greeting took.
        took: Duration,
        /// Whether TLS is spoken, and with a full handshake or a resumed session.
        resumed: Option<bool>,
    },
    /// A command is being sent.
    Attempt {
        /// To which node.
        node: &'a str,
    },
    /// A command is being sent a second time, on a fresh connection.
    Retry {
        /// To which node.
        node: &'a str,
    },
    /// A read whose connection may be dead is also being sent on a fresh one.
    Hedge {
        /// To which node.
        node: &'a str,
    },
    /// A connection was closed rather than kept.
    Discarded {
        /// To which node.
        node: &'a str,
        /// Why.
        reason: Discard,
    },
    /// The breaker of a node changed.
    Breaker {
        /// Of which node.
        node: &'a str,
        /// What it is now.
        state: BreakerState,
    },
    /// The list of nodes was confirmed or changed.
    List {
        /// The configuration endpoint's version.
        version: u64,
        /// How many nodes there are.
        nodes: usize,
        /// Whether it differs from the one before.
        changed: bool,
    },
    /// A list of nodes could not be had or was no good; the one before stays.
    ListRefused {
        /// Why.
        reason: &'a str,
    },
    /// A write without an answer was looked up again.
    Settled {
        /// On which node.
        node: &'a str,
        /// Whether it turned out to be applied.
        applied: bool,
    },
}

/// Why a connection was not kept.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Discard {
    /// It was idle for longer than network equipment remembers it.
    Aged,
    /// The peer had closed it, or sent what nobody asked for, while it was idle.
    Closed,
    /// No answer came in time.
    TimedOut,
    /// It broke in the middle of an exchange.
    Broken,
    /// What came was no answer to what was asked.
    Desynchronised,
    /// The server answered with an error line.
    Refused,
}

/// What a node's breaker does.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Operations go through.
    Closed,
    /// Operations fail at once, but for one probe a second.
    Open,
}
