//! The beginning of every operation, and the whole of most: an open connection that was used a moment ago answers.
//!
//! What is done on either side of the one exchange is synchronous, and what is seldom is kept apart: so the future that
//! every operation waits for is small, and little is moved about in it.

use std::time::{Duration, Instant};

use super::Failure;
use super::attempt::{Attempt, later};
use super::client::Limit;
use super::clock::Start;
use super::connection::{Broken, Connection};
use super::exchange::{Exchange, Exchanged};
use super::observer::Event;
use super::pool::Place;
use super::protocol::Command;

/// What is kept while an exchange is under way.
pub(crate) struct UnderWay<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) start: Start,
}

/// An operation that needs more than an exchange on an open connection.
pub(crate) enum Hindered<'a> {
    /// Something has failed on the node, and nothing has succeeded since.
    Unwell,
    /// There is no place in the pool, no open connection, or one that may be dead.
    Unready { entered: Option<Entered<'a>>, start: Start },
    /// There is no time.
    Late(Failure),
    /// The exchange brought no answer, or more than one, or a connection that is good for nothing more.
    Heard { under_way: UnderWay<'a>, heard: Box<Result<Exchanged, Broken>> },
}

/// A place in the pool, and an open connection with how long ago it was used.
pub(crate) struct Entered<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) open: Option<(Connection, Duration)>,
}

impl<'a> Attempt<'a> {
    /// The exchange that most operations are, and until when it may take.
    pub(crate) fn set_out<'c>(
        &self,
        command: &'c Command<'c>,
        limit: &Limit,
    ) -> Result<(Exchange<'c>, Instant, UnderWay<'a>), Hindered<'a>> {
        let settings = &self.shared.settings;
        if !self.node.is_well() {
            return Err(Hindered::Unwell);
        }
        let start = settings.clock.start();
        let (place, connection) = match self.enter(start) {
            Some(Entered { place, open: Some((connection, idle)) }) if idle < settings.times.suspect => {
                (place, connection)
            }
            entered => return Err(Hindered::Unready { entered, start }),
        };
        let until = self.warm_limit(limit, start);
        if let Err(failure) = self.check_time(start.instant, until) {
            let used = connection.used();
            place.put(connection, used);
            return Err(Hindered::Late(failure));
        }
        self.shared.observe(&Event::Attempt { node: self.node.name() });
        let exchange = Exchange::new(connection, command, self.shared.opaque(), self.is_due(start.moment));
        let end = until.min(later(start.instant, settings.times.exchange));
        Ok((exchange, end, UnderWay { place, start }))
    }

    /// The answer came; the connection goes back to the pool.
    pub(crate) fn arrive(&self, under_way: UnderWay<'_>, connection: Connection, limit: &Limit) {
        let UnderWay { place, start } = under_way;
        place.put(connection, start.moment);
        limit.spend(start.instant);
        self.node.answered();
    }
}
