//! The open connections to one node: bounded, last in, first out.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout_at,
};

use super::clock::Moment;
use super::connection::Connection;

/// A connection whose last exchange began less than this ago is not looked at: nothing froze meanwhile.
const LOOK_AFTER: Duration = Duration::from_millis(1);

/// Idle connections, and permits for as many as may be in use.
///
/// A permit is held for as long as an operation lasts; the connection itself is owned by the operation, and closed with
/// it unless it is put back.
pub(crate) struct Pool {
    idle: Mutex<Idle>,
    permits: Semaphore,
    limit: Duration,
}

#[derive(Default)]
struct Idle {
    connections: Vec<Connection>,
    closed: bool,
}

impl Idle {
    /// Closes what was not used for longer than `limit`; how many those were. The oldest are at the bottom: if the first
    /// is fresh, all are.
    fn trim(&mut self, now: Moment, limit: Duration) -> usize {
        if self.connections.first().is_none_or(|oldest| now.since(oldest.used()) <= limit) {
            return 0;
        }
        let before = self.connections.len();
        self.connections.retain(|connection| now.since(connection.used()) <= limit);
        before.saturating_sub(self.connections.len())
    }
}

/// What the pool had.
pub(crate) struct Taken {
    pub(crate) connection: Option<Connection>,
    /// How long ago its last exchange began.
    pub(crate) idle: Duration,
    /// How many were thrown away: too old, and closed by the peer.
    pub(crate) aged: usize,
    pub(crate) closed: usize,
}

impl Pool {
    /// A pool of so many connections, each closed when it was idle for longer than `limit`.
    pub(crate) fn new(size: usize, limit: Duration) -> Self {
        Self { idle: Mutex::default(), permits: Semaphore::new(size.min(Semaphore::MAX_PERMITS)), limit }
    }

    /// The right to use one connection; `None` if none is free until `limit`.
    pub(crate) async fn permit(&self, limit: Instant) -> Option<SemaphorePermit<'_>> {
        match self.permits.try_acquire() {
            Ok(permit) => Some(permit),
            Err(_) => timeout_at(limit.into(), self.permits.acquire()).await.ok()?.ok(),
        }
    }

    /// The right to use one more connection, if it is free.
    pub(crate) fn spare_permit(&self) -> Option<SemaphorePermit<'_>> {
        self.permits.try_acquire().ok()
    }

    /// The connection that was used last and is still good for all that can be seen from here.
    pub(crate) fn take(&self, now: Moment) -> Taken {
        let mut taken = Taken { connection: None, idle: Duration::ZERO, aged: 0, closed: 0 };
        loop {
            let mut idle = self.lock();
            let Some(connection) = idle.connections.pop() else { return taken };
            taken.aged = taken.aged.saturating_add(idle.trim(now, self.limit));
            drop(idle);
            taken.idle = now.since(connection.used());
            if taken.idle > self.limit {
                taken.aged = taken.aged.saturating_add(1);
            } else if taken.idle < LOOK_AFTER || connection.is_quiet() {
                taken.connection = Some(connection);
                return taken;
            } else {
                taken.closed = taken.closed.saturating_add(1);
            }
        }
    }

    /// Puts a connection back whose last exchange began at `used`. When that ended would cost one more look at the clock,
    /// and is at most the limit of an exchange later: by so much too soon does the connection count as idle for long.
    pub(crate) fn put(&self, mut connection: Connection, used: Moment) {
        connection.use_at(used);
        let mut idle = self.lock();
        if !idle.closed {
            idle.connections.push(connection);
        }
    }

    /// Closes what is idle: what one of them met, the older ones met too.
    pub(crate) fn clear(&self) -> usize {
        std::mem::take(&mut self.lock().connections).len()
    }

    /// The same, but for those whose last exchange began at `moment` or later: they have just answered.
    pub(crate) fn clear_before(&self, moment: Moment) -> usize {
        let mut idle = self.lock();
        let before = idle.connections.len();
        idle.connections.retain(|connection| moment.since(connection.used()).is_zero());
        before.saturating_sub(idle.connections.len())
    }

    /// Closes what is idle, and what is put back from now on: the node is no longer in the list.
    pub(crate) fn close(&self) {
        let mut idle = self.lock();
        idle.closed = true;
        idle.connections.clear();
    }

    /// How many connections are idle.
    pub(crate) fn idle(&self) -> usize {
        self.lock().connections.len()
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
