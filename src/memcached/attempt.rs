//! One operation on one node: an open connection or a fresh one, a second attempt where it is safe, and what became of it.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::SemaphorePermit, time::sleep_until};

use super::breaker::Blow;
use super::client::{Limit, Shared};
use super::cluster::Source;
use super::connection::{Answer, Broken, Connection, Exchanged};
use super::dial::{Dialled, Undialled};
use super::node::{Node, Pass};
use super::observer::{Discard, Event};
use super::protocol::{Command, Status};
use super::settle::{Settled, settle};
use super::{Failure, FailureKind};

/// An operation that is under way.
pub(crate) struct Attempt<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) node: &'a Arc<Node>,
    pub(crate) source: Source,
}

/// An operation that brought no answer.
pub(crate) struct Trouble {
    pub(crate) failure: Failure,
    /// Whether the node gave no connection: then the list of nodes may be old.
    pub(crate) undialled: bool,
}

/// An attempt that brought no answer.
struct Attempted {
    /// Whether the command may have been carried out, or may still be.
    sent: bool,
    /// Whether trying again at once makes sense.
    again: bool,
    timed_out: bool,
    undialled: bool,
    blow: Option<Blow>,
    failure: Failure,
}

impl<'a> Attempt<'a> {
    /// Carries the command out until `limit`.
    pub(crate) async fn carry_out(&self, command: &Command<'_>, limit: &Limit) -> Result<Answer, Trouble> {
        let times = &self.shared.settings.times;
        let (now, began) = (self.shared.settings.clock.now(), Instant::now());
        let pass = self.node.admit(now).map_err(Trouble::plain)?;
        let cold = limit.end.min(later(began, times.cold));
        self.check_time(began, cold).map_err(Trouble::plain)?;
        let (permit, ready) = match self.node.pool.spare_permit() {
            Some(permit) => (permit, began),
            None => (self.wait_for_permit(cold).await.map_err(Trouble::plain)?, Instant::now()),
        };
        // Waiting may have used up the time.
        self.check_time(ready, cold).map_err(Trouble::plain)?;
        let taken = self.node.pool.take(now);
        (0..taken.aged).for_each(|_| self.node.discarded(Discard::Aged));
        (0..taken.closed).for_each(|_| self.node.discarded(Discard::Closed));
        let done = match taken.connection {
            Some(connection) => {
                let until = limit.end.min(later(ready, times.warm.saturating_sub(limit.spent())));
                let done = self.on_open(connection, taken.idle, command, until).await;
                limit.spend(began);
                done
            }
            None => self.on_fresh_twice(command, cold).await,
        };
        drop(permit);
        self.conclude(pass, done)
    }

    async fn wait_for_permit(&self, limit: Instant) -> Result<SemaphorePermit<'_>, Failure> {
        self.node.pool.permit(limit).await.ok_or_else(|| {
            let (size, name) = (self.shared.settings.pool_size, self.node.name());
            let message = format!("all {size} connections to cache node {name} are in use");
            Failure::new(FailureKind::Unavailable, message)
        })
    }

    fn conclude(&self, pass: Pass<'_>, done: Result<Answer, Attempted>) -> Result<Answer, Trouble> {
        match done {
            Ok(answer) => {
                pass.succeeded();
                Ok(answer)
            }
            Err(attempted) => {
                if let Some(blow) = attempted.blow {
                    pass.failed(blow, &attempted.reason());
                }
                Err(Trouble { undialled: attempted.undialled && !attempted.sent, failure: attempted.failure })
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
        until: Instant,
    ) -> Result<Answer, Attempted> {
        let times = &self.shared.settings.times;
        let suspect = idle >= times.suspect;
        let reads = matches!(command, Command::Get { .. });
        let most = if suspect && !reads { times.suspect_exchange } else { times.exchange };
        let ask_nodes = self.shared.cluster.is_due(&self.shared.settings.clock);
        let first = self.exchange(connection, command, ask_nodes, most, until);
        let failed = if suspect && reads {
            let mut first = pin!(first);
            tokio::select! {
                biased;
                done = &mut first => match done {
                    Ok((answer, connection)) => return Ok(self.keep(answer, connection)),
                    Err(failed) => failed,
                },
                () = sleep_until(later(Instant::now(), times.hedge).into()) => {
                    let Some(spare) = self.node.pool.spare_permit() else {
                        return match first.await {
                            Ok((answer, connection)) => Ok(self.keep(answer, connection)),
                            Err(failed) => self.again(command, until, failed).await,
                        };
                    };
                    self.shared.observe(&Event::Hedge { node: self.node.name() });
                    let mut second = pin!(self.on_fresh(command, until, None));
                    let done = tokio::select! {
                        biased;
                        done = &mut first => match done {
                            Ok((answer, connection)) => Ok(self.keep(answer, connection)),
                            Err(failed) => second.await.map_err(|second| second.after(failed, self, command)),
                        },
                        done = &mut second => match done {
                            Ok(answer) => {
                                // It lost the race, or is dead; what was idle for longer is no better.
                                self.node.discarded(Discard::TimedOut);
                                self.clear();
                                Ok(answer)
                            }
                            Err(second) => match first.await {
                                Ok((answer, connection)) => Ok(self.keep(answer, connection)),
                                Err(failed) => Err(second.after(failed, self, command)),
                            },
                        },
                    };
                    drop(spare);
                    return done;
                }
            }
        } else {
            match first.await {
                Ok((answer, connection)) => return Ok(self.keep(answer, connection)),
                Err(failed) => failed,
            }
        };
        // What happened to this one happened to those that were idle for longer.
        self.clear();
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
        let connection = match (command, before) {
            (&Command::Set { key, value, mode, .. }, Some(Attempted { sent: true, .. })) => {
                let look = Command::Get { key, touch: None };
                let (found, connection) = self.exchange(connection, &look, false, most, until).await?;
                let Some(settled) = settle(mode, value, &found) else {
                    return Err(Attempted::unsettled(self, command));
                };
                let applied = settled == Settled::Applied;
                self.shared.observe(&Event::Settled { node: self.node.name(), applied });
                match (settled, connection) {
                    (Settled::NotApplied, Some(connection)) => connection,
                    (Settled::NotApplied, None) => return Err(Attempted::unsettled(self, command)),
                    (Settled::Applied, connection) => return Ok(self.keep(answer(Status::Done), connection)),
                    (Settled::Overtaken(status), connection) => return Ok(self.keep(answer(status), connection)),
                }
            }
            _ => connection,
        };
        let (answer, connection) = self.exchange(connection, command, false, most, until).await?;
        Ok(self.keep(answer, connection))
    }

    async fn dial(&self, until: Instant) -> Result<Connection, Attempted> {
        let most = self.shared.settings.times.dial;
        let began = Instant::now();
        let limit = until.min(later(began, most));
        let ask_nodes = self.shared.cluster.is_due(&self.shared.settings.clock);
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

    /// One exchange; a connection that is no good for another is closed.
    async fn exchange(
        &self,
        connection: Connection,
        command: &Command<'_>,
        ask_nodes: bool,
        most: Duration,
        until: Instant,
    ) -> Result<(Answer, Option<Connection>), Attempted> {
        let began = Instant::now();
        if let Err(failure) = self.check_time(began, until) {
            self.node.pool.put(connection, self.shared.settings.clock.now());
            return Err(Attempted::plain(failure));
        }
        self.shared.observe(&Event::Attempt { node: self.node.name() });
        let limit = until.min(later(began, most));
        let opaque = self.shared.opaque();
        match connection.exchange(command, opaque, ask_nodes, began, limit).await {
            Ok(Exchanged { answer, offer, connection }) => {
                if let Some(offer) = offer {
                    let _ = self.shared.cluster.learn(offer, self.source, self.shared.settings.clock.now());
                }
                let connection = connection.map_err(|reason| self.node.discarded(reason)).ok();
                Ok((answer, connection))
            }
            Err(broken) => {
                self.node.discarded(broken.discard);
                Err(Attempted::broken(self, command, broken, began, limit))
            }
        }
    }

    fn keep(&self, answer: Answer, connection: Option<Connection>) -> Answer {
        if let Some(connection) = connection {
            self.node.pool.put(connection, self.shared.settings.clock.now());
        }
        answer
    }

    fn clear(&self) {
        (0..self.node.pool.clear()).for_each(|_| self.node.discarded(Discard::Closed));
    }

    /// A node is blamed for a time-out only if it had time enough: half of what an exchange may take.
    fn blame(&self, blow: Blow, began: Instant, limit: Instant) -> Option<Blow> {
        let had = limit.saturating_duration_since(began);
        (blow == Blow::Refused || had.saturating_mul(2) >= self.shared.settings.times.exchange).then_some(blow)
    }

    /// Nothing is begun that cannot be finished.
    fn check_time(&self, now: Instant, until: Instant) -> Result<(), Failure> {
        let left = until.saturating_duration_since(now);
        if left >= self.shared.settings.times.floor {
            return Ok(());
        }
        let message = format!("{} ms are too little time to ask cache node {}", left.as_millis(), self.node.name());
        Err(Failure::new(FailureKind::Unavailable, message))
    }
}

impl Attempted {
    fn undialled(attempt: &Attempt<'_>, undialled: Undialled, began: Instant, limit: Instant) -> Self {
        let timed_out = undialled.blow == Blow::TimedOut;
        let blow = attempt.blame(undialled.blow, began, limit);
        let failure = undialled.failure(format!("cannot connect to cache node {}", attempt.node.name()));
        Self { sent: false, again: false, timed_out, undialled: true, blow, failure }
    }

    fn broken(attempt: &Attempt<'_>, command: &Command<'_>, broken: Broken, began: Instant, limit: Instant) -> Self {
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
        Self { sent, again: true, timed_out, undialled: false, blow, failure }
    }

    fn plain(failure: Failure) -> Self {
        Self { sent: false, again: false, timed_out: false, undialled: false, blow: None, failure }
    }

    fn unsettled(attempt: &Attempt<'_>, command: &Command<'_>) -> Self {
        let message = format!("cache node {} does not say what became of {}", attempt.node.name(), command.name());
        Self { sent: true, ..Self::plain(Failure::new(FailureKind::Unknown, message)) }
    }

    /// This attempt, after one that failed too.
    fn after(self, first: Self, attempt: &Attempt<'_>, command: &Command<'_>) -> Self {
        let blow = self.blow.or(first.blow);
        if self.sent || !first.sent {
            return Self { blow, ..self };
        }
        let message = format!("cache node {} gave no answer to {}", attempt.node.name(), command.name());
        let failure = Failure::new(FailureKind::Unknown, message).with_source(self.failure);
        Self { sent: true, blow, failure, ..self }
    }

    /// Why the node is down, for those who are refused meanwhile.
    fn reason(&self) -> String {
        format!("{:?}", self.failure).chars().take(200).collect()
    }
}

impl Trouble {
    fn plain(failure: Failure) -> Self {
        Self { failure, undialled: false }
    }
}

fn answer(status: Status) -> Answer {
    Answer { status, cas: 0, value: Vec::new() }
}

fn later(from: Instant, by: Duration) -> Instant {
    from.checked_add(by).unwrap_or(from)
}
