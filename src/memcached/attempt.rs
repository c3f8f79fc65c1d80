//! One operation on one node: an open connection or a fresh one, a second attempt where it is safe, and what became of it.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep_until;

use super::breaker::Blow;
use super::client::{Limit, Shared};
use super::clock::{Moment, Start};
use super::cluster::Source;
use super::connection::{Broken, Connection};
use super::dial::{AskNodes, Dialled};
use super::exchange::{Answer, Exchanged};
use super::node::{Node, Pass};
use super::observer::{Discard, Event};
use super::pool::Place;
use super::protocol::{Command, Status};
use super::settle::{Settled, settle};
use super::trouble::{Attempted, Trouble, blame};
use super::{Failure, FailureKind};

/// An operation that is under way.
pub(crate) struct Attempt<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) node: &'a Arc<Node>,
    pub(crate) source: Source,
}

/// An exchange that was heard, whatever it brought.
pub(crate) struct UnderWay<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) start: Start,
    pub(crate) heard: Box<Result<Exchanged, Broken>>,
}

/// A place in the pool, and an open connection with how long ago it was used.
struct Entered<'a> {
    place: Place<'a>,
    open: Option<(Connection, Duration)>,
}

impl<'a> Attempt<'a> {
    /// Carries the command out until `limit`, wherever that leads.
    pub(crate) async fn carry_out(&self, command: &Command<'_>, limit: &Limit) -> Result<Answer, Trouble> {
        let start = self.shared.settings.clock.start();
        let cold = limit.end.min(later(start.instant, self.shared.settings.times.cold));
        let mut pass = self.node.admit(start.moment).map_err(Trouble::plain)?;
        let (entered, start) = match self.enter(start) {
            Some(entered) => (entered, start),
            None => {
                let (entered, start) = self.wait_to_enter(start, cold).await.map_err(Trouble::plain)?;
                // Meanwhile those who have a connection may have found out that the node is down.
                pass = pass.after_waiting(start.moment).map_err(Trouble::plain)?;
                (entered, start)
            }
        };
        let Entered { place: _place, open } = entered;
        let (done, until) = match open {
            Some((connection, idle)) => {
                let until = self.warm_limit(limit, start);
                let done = self.on_open(connection, idle, command, start, until).await;
                // Waiting for a place is bounded by the whole, not by what operations take: else the next one would have no time.
                limit.spend(&self.shared.settings.clock, start);
                (done, until)
            }
            // Waiting may have used up the time.
            None => match self.check_time(start.instant, cold) {
                Ok(()) => (self.on_fresh_twice(command, cold).await, cold),
                Err(failure) => (Err(Attempted::plain(failure)), cold),
            },
        };
        self.conclude(pass, done, until)
    }

    /// What is left of an operation whose exchange was heard.
    pub(crate) async fn go_on(
        &self,
        under_way: UnderWay<'_>,
        command: &Command<'_>,
        limit: &Limit,
    ) -> Result<Answer, Trouble> {
        let UnderWay { place: _place, start, heard } = under_way;
        let until = self.warm_limit(limit, start);
        let end = until.min(later(start.instant, self.shared.settings.times.exchange));
        let done = match self.end(*heard, command, start, end) {
            Ok((answer, connection)) => Ok(self.keep(answer, connection)),
            Err(failed) => self.after_open(command, until, failed).await,
        };
        limit.spend(&self.shared.settings.clock, start);
        self.conclude(self.node.pass(), done, until)
    }

    /// A place in the pool, if one is free, and an open connection, if there is one.
    fn enter(&self, start: Start) -> Option<Entered<'a>> {
        let (place, open) = self.node.pool.enter(start.moment, |reason| self.node.discarded(reason))?;
        Some(Entered { place, open })
    }

    /// The same, once a place is free, and when that was.
    async fn wait_to_enter(&self, start: Start, limit: Instant) -> Result<(Entered<'a>, Start), Failure> {
        self.check_time(start.instant, limit)?;
        let place = self.wait_for_place(limit).await?;
        let start = self.shared.settings.clock.start();
        let open = self.node.pool.take(start.moment, |reason| self.node.discarded(reason));
        Ok((Entered { place, open }, start))
    }

    async fn wait_for_place(&self, limit: Instant) -> Result<Place<'a>, Failure> {
        self.node.pool.place(limit).await.ok_or_else(|| {
            let (size, name) = (self.shared.settings.pool_size, self.node.name());
            let message = format!(
                "all {size} connections to cache node {name} are in use: allow more, or fewer requests at once"
            );
            Failure::new(FailureKind::Unavailable, message)
        })
    }

    fn conclude(&self, pass: Pass<'_>, done: Result<Answer, Attempted>, until: Instant) -> Result<Answer, Trouble> {
        match done {
            Ok(answer) => {
                pass.succeeded();
                Ok(answer)
            }
            Err(attempted) => {
                match attempted.blow {
                    Some(blow) => pass.failed(blow, &attempted.reason()),
                    None if attempted.heard => pass.succeeded(),
                    None => {}
                }
                let doubtful = attempted.undialled && !attempted.sent;
                Err(Trouble { undialled: doubtful.then_some(until), failure: attempted.failure })
            }
        }
    }

    /// On a connection that was open. If it may be dead, a read is also sent on a fresh one after a while, and a write
    /// waits for less long.
    async fn on_open(
        &self,
        connection: Connection,
        idle: Duration,
        command: &Command<'_>,
        start: Start,
        until: Instant,
    ) -> Result<Answer, Attempted> {
        let times = &self.shared.settings.times;
        let suspect = idle >= times.suspect;
        let reads = matches!(command, Command::Get { .. });
        let most = if suspect && !reads { times.suspect_exchange } else { times.exchange };
        let first = self.exchange(connection, command, self.is_due(start.moment), start, most, until);
        if suspect && reads {
            return self.hedge(first, command, start, until).await;
        }
        match first.await {
            Ok(answer) => Ok(answer),
            Err(failed) => self.after_open(command, until, failed).await,
        }
    }

    /// A read on a connection that may be dead; after a while it is also sent on a fresh one.
    async fn hedge(
        &self,
        first: impl Future<Output = Result<Answer, Attempted>>,
        command: &Command<'_>,
        start: Start,
        until: Instant,
    ) -> Result<Answer, Attempted> {
        let mut first = pin!(first);
        tokio::select! {
            biased;
            done = &mut first => return match done {
                Ok(answer) => Ok(answer),
                Err(failed) => self.after_open(command, until, failed).await,
            },
            () = sleep_until(later(Instant::now(), self.shared.settings.times.hedge).into()) => {}
        }
        let Some(spare) = self.node.pool.spare_place() else {
            return match first.await {
                Ok(answer) => Ok(answer),
                Err(failed) => self.again(command, until, failed).await,
            };
        };
        self.shared.observe(&Event::Hedge { node: self.node.name() });
        let mut second = pin!(self.on_fresh(command, until, None));
        let done = tokio::select! {
            biased;
            done = &mut first => match done {
                Ok(answer) => Ok(answer),
                Err(failed) => second.await.map_err(|second| second.after(failed, self, command)),
            },
            done = &mut second => match done {
                Ok(answer) => {
                    // It lost the race, or is dead; what was idle for longer is no better.
                    self.node.discarded(Discard::TimedOut);
                    self.node.discarded_all(self.node.pool.clear_before(start.moment));
                    Ok(answer)
                }
                Err(second) => first.await.map_err(|failed| second.after(failed, self, command)),
            },
        };
        drop(spare);
        done
    }

    /// After an open connection has failed: what happened to this one happened to those that were idle for longer.
    async fn after_open(&self, command: &Command<'_>, until: Instant, failed: Attempted) -> Result<Answer, Attempted> {
        if failed.again {
            self.node.discarded_all(self.node.pool.clear());
        }
        self.again(command, until, failed).await
    }

    /// On a fresh connection; once more on another if that one breaks.
    async fn on_fresh_twice(&self, command: &Command<'_>, until: Instant) -> Result<Answer, Attempted> {
        match self.on_fresh(command, until, None).await {
            Ok(answer) => Ok(answer),
            // A fresh connection that is silent is a node that is silent.
            Err(failed) if !failed.timed_out => self.again(command, until, failed).await,
            Err(failed) => Err(failed),
        }
    }

    /// A second attempt after one that failed, on a fresh connection, where it is safe and there is time.
    async fn again(&self, command: &Command<'_>, until: Instant, failed: Attempted) -> Result<Answer, Attempted> {
        if !failed.again || self.check_time(Instant::now(), until).is_err() {
            return Err(failed);
        }
        self.shared.observe(&Event::Retry { node: self.node.name() });
        let sent = failed.sent;
        let second = self.on_fresh(command, until, Some(&failed)).await;
        let done = match second {
            // Gone: by this attempt or the one before.
            Ok(Answer { status: Status::NotFound, .. }) if sent && matches!(command, Command::Delete { .. }) => {
                Ok(Answer { status: Status::Done, cas: 0, value: Vec::new() })
            }
            done => done,
        };
        done.map_err(|second| second.after(failed, self, command))
    }

    /// On a fresh connection. After a write that was sent, first looks whether it was applied.
    async fn on_fresh(
        &self,
        command: &Command<'_>,
        until: Instant,
        before: Option<&Attempted>,
    ) -> Result<Answer, Attempted> {
        let most = self.shared.settings.times.exchange;
        let connection = self.dial(until).await?;
        let start = self.shared.settings.clock.start();
        let (&Command::Set { key, value, mode, .. }, Some(Attempted { sent: true, .. })) = (command, before) else {
            return self.exchange(connection, command, false, start, most, until).await;
        };
        let look = Command::Get { key, touch: None };
        let (connection, limit) = self.begin(connection, start, most, until)?;
        let heard = connection.exchange(&look, false, start, limit).await;
        let (found, connection) = self.end(heard, &look, start, limit)?;
        let Some(settled) = settle(mode, value, &found) else {
            self.keep(found, connection);
            return Err(Attempted::unsettled(self, command));
        };
        let applied = settled == Settled::Applied;
        self.shared.observe(&Event::Settled { node: self.node.name(), applied });
        match (settled, connection) {
            (Settled::NotApplied, Some(connection)) => {
                let start = self.shared.settings.clock.start();
                self.exchange(connection, command, false, start, most, until).await
            }
            (Settled::NotApplied, None) => Err(Attempted::unsettled(self, command)),
            (Settled::Applied, connection) => Ok(self.keep(answer(Status::Done), connection)),
            (Settled::Overtaken(status), connection) => Ok(self.keep(answer(status), connection)),
        }
    }

    async fn dial(&self, until: Instant) -> Result<Connection, Attempted> {
        let most = self.shared.settings.times.dial;
        let began = Instant::now();
        let limit = until.min(later(began, most));
        let ask_nodes = if self.is_due(self.shared.settings.clock.now()) { AskNodes::OnTheWay } else { AskNodes::No };
        let dialled = self.shared.dialler.dial(&self.node.address, self.node.listed(), ask_nodes, limit).await;
        let Dialled { connection, engine, offer } =
            dialled.map_err(|undialled| Attempted::undialled(self, undialled, began, limit))?;
        let event = Event::Dialled { node: self.node.name(), took: began.elapsed(), resumed: connection.resumed() };
        self.shared.observe(&event);
        self.node.met_engine(engine);
        if let Some(offer) = offer {
            // It is reported; the command is what matters here.
            let _ = self.shared.cluster.learn(offer, self.source, self.shared.settings.clock.now());
        }
        Ok(connection)
    }

    /// One exchange; the connection is kept if it is good for another.
    async fn exchange(
        &self,
        connection: Connection,
        command: &Command<'_>,
        ask_nodes: bool,
        start: Start,
        most: Duration,
        until: Instant,
    ) -> Result<Answer, Attempted> {
        let (connection, limit) = self.begin(connection, start, most, until)?;
        let heard = connection.exchange(command, ask_nodes, start, limit).await;
        let (answer, connection) = self.end(heard, command, start, limit)?;
        Ok(self.keep(answer, connection))
    }

    /// Until when an exchange may take, if there is time for one at all.
    fn begin(
        &self,
        connection: Connection,
        start: Start,
        most: Duration,
        until: Instant,
    ) -> Result<(Connection, Instant), Attempted> {
        if let Err(failure) = self.check_time(start.instant, until) {
            self.node.pool.put(connection);
            return Err(Attempted::plain(failure));
        }
        self.shared.observe(&Event::Attempt { node: self.node.name() });
        Ok((connection, until.min(later(start.instant, most))))
    }

    /// What an exchange brought; a connection that is no good for another is closed.
    fn end(
        &self,
        heard: Result<Exchanged, Broken>,
        command: &Command<'_>,
        start: Start,
        limit: Instant,
    ) -> Result<(Answer, Option<Connection>), Attempted> {
        match heard {
            Ok(Exchanged { answer, offer, connection }) => {
                if let Some(offer) = offer {
                    let _ = self.shared.cluster.learn(*offer, self.source, self.shared.settings.clock.now());
                }
                Ok((answer, connection.map_err(|reason| self.node.discarded(reason)).ok()))
            }
            Err(broken) => {
                self.node.discarded(broken.discard);
                Err(Attempted::broken(self, command, broken, start.instant, limit))
            }
        }
    }

    fn keep(&self, answer: Answer, connection: Option<Connection>) -> Answer {
        if let Some(connection) = connection {
            self.node.pool.put(connection);
        }
        answer
    }

    /// Whether the next command is to ask for the list of nodes too.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.shared.cluster.is_due(now)
    }

    /// Until when an operation may take that finds an open connection.
    pub(super) fn warm_limit(&self, limit: &Limit, start: Start) -> Instant {
        limit.end.min(later(start.instant, self.shared.settings.times.warm.saturating_sub(limit.spent())))
    }

    pub(crate) fn blame(&self, blow: Blow, began: Instant, limit: Instant) -> Option<Blow> {
        blame(blow, began, limit, &self.shared.settings.times)
    }

    pub(super) fn has_time(&self, now: Instant, until: Instant) -> bool {
        later(now, self.shared.settings.times.floor) <= until
    }

    /// Nothing is begun that cannot be finished.
    fn check_time(&self, now: Instant, until: Instant) -> Result<(), Failure> {
        if self.has_time(now, until) {
            return Ok(());
        }
        let left = until.saturating_duration_since(now);
        let message = format!("{} ms are too little time to ask cache node {}", left.as_millis(), self.node.name());
        Err(Failure::new(FailureKind::Unavailable, message))
    }
}

fn answer(status: Status) -> Answer {
    Answer { status, cas: 0, value: Vec::new() }
}

pub(super) fn later(from: Instant, by: Duration) -> Instant {
    from.checked_add(by).unwrap_or(from)
}
