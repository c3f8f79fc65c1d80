//! The whole of most operations: an open connection that was used a moment ago answers.
//!
//! What is done on either side of the one exchange is synchronous, and what is seldom is kept apart: so the future that
//! every operation waits for is small, and little is moved about in it.

use std::time::Instant;

use super::attempt::{Attempt, later};
use super::client::Limit;
use super::connection::Connection;
use super::exchange::Exchange;
use super::observer::Event;
use super::pool::Place;
use super::protocol::Command;

impl<'a> Attempt<'a> {
    /// The exchange that most operations are, and until when it may take. `None` where something has failed on the node and
    /// nothing has succeeded since, where there is no place in the pool or no connection that surely lives, and where there
    /// is no time: nothing is done then.
    pub(crate) fn set_out<'c>(
        &self,
        command: &'c Command<'c>,
        limit: &Limit,
    ) -> Option<(Exchange<'c>, Instant, Place<'a>)> {
        let settings = &self.shared.settings;
        if !self.node.is_well() {
            return None;
        }
        let start = settings.clock.start();
        let discarded = |reason| self.node.discarded(reason);
        let (place, connection) = self.node.pool.enter_fresh(start.moment, settings.times.suspect, discarded)?;
        let until = self.warm_limit(limit, start);
        if !self.has_time(start.instant, until) {
            place.put(connection);
            return None;
        }
        self.shared.observe(&Event::Attempt { node: self.node.name() });
        let exchange = Exchange::new(connection, command, self.is_due(start.moment), start);
        Some((exchange, until.min(later(start.instant, settings.times.exchange)), place))
    }

    /// The answer came; the connection goes back to the pool.
    pub(crate) fn arrive(&self, place: Place<'_>, connection: Connection, limit: &Limit) {
        limit.spend(&self.shared.settings.clock, connection.0.start);
        place.put(connection);
        self.node.answered();
    }
}
