//! The open connections to one node: bounded, last in, first out.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, time::timeout_at};

use super::clock::Moment;
use super::connection::Connection;
use super::observer::Discard;

/// A connection whose last exchange began at most this long ago, which is what an exchange may take, is not looked at: it is
/// no more doubtful than one whose answer is awaited for as long.
const LOOK_AFTER: Duration = Duration::from_millis(100);

/// Idle connections, and places for as many as may be in use.
///
/// A place is held for as long as an operation lasts; the connection itself is owned by the operation, and closed with
/// it unless it is put back. Both are under one lock, which an operation takes twice: a semaphore beside it would be two
/// locks more, and two more atomic numbers.
pub(crate) struct Pool {
    state: Mutex<State>,
    /// The places that were given back while somebody waited: in turn.
    handed: Semaphore,
    size: usize,
    limit: Duration,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    closed: bool,
    /// How many places are taken, or handed to somebody who waits.
    taken: usize,
    /// How many wait, but for as many as places were handed over.
    waiting: usize,
}

/// The right to use one connection; given back when it is dropped.
pub(crate) struct Place<'a>(&'a Pool);

/// Somebody who waits for a place.
struct Waiter<'a>(&'a Pool);

impl Pool {
    /// A pool of so many connections, each closed when it was idle for longer than `limit`.
    pub(crate) fn new(size: usize, limit: Duration) -> Self {
        Self { state: Mutex::default(), handed: Semaphore::new(0), size, limit }
    }

    /// A place that is free and a connection whose last exchange began less than `suspect` ago, if there are both; else
    /// nothing is taken.
    pub(crate) fn enter_fresh(
        &self,
        now: Moment,
        suspect: Duration,
        discarded: impl Fn(Discard),
    ) -> Option<(Place<'_>, Connection)> {
        let mut state = self.lock();
        let used = state.idle.last()?.used();
        if state.taken >= self.size {
            return None;
        }
        if now.is_within(LOOK_AFTER, used) {
            let connection = state.idle.pop()?;
            state.taken = state.taken.saturating_add(1);
            return Some((Place(self), connection));
        }
        if now.since(used) >= suspect {
            return None;
        }
        let place = self.free_place(&mut state)?;
        let (connection, idle) = self.pop(state, now, discarded)?;
        if idle < suspect {
            return Some((place, connection));
        }
        place.put(connection);
        None
    }

    /// A place that is free, and what [`take`](Self::take) finds.
    pub(crate) fn enter(
        &self,
        now: Moment,
        discarded: impl Fn(Discard),
    ) -> Option<(Place<'_>, Option<(Connection, Duration)>)> {
        let mut state = self.lock();
        let place = self.free_place(&mut state)?;
        Some((place, self.pop(state, now, discarded)))
    }

    /// A place, if one is free.
    pub(crate) fn spare_place(&self) -> Option<Place<'_>> {
        self.free_place(&mut self.lock())
    }

    /// A place; `None` if none is free until `limit`. Who comes first is served first.
    pub(crate) async fn place(&self, limit: Instant) -> Option<Place<'_>> {
        let waiter = {
            let mut state = self.lock();
            if let Some(place) = self.free_place(&mut state) {
                return Some(place);
            }
            state.waiting = state.waiting.saturating_add(1);
            Waiter(self)
        };
        timeout_at(limit.into(), self.handed.acquire()).await.ok()?.ok()?.forget();
        mem::forget(waiter);
        Some(Place(self))
    }

    fn free_place(&self, state: &mut State) -> Option<Place<'_>> {
        if state.taken >= self.size {
            return None;
        }
        state.taken = state.taken.saturating_add(1);
        Some(Place(self))
    }

    /// The connection that was used last and is still good for all that can be seen from here, and how long ago its last
    /// exchange began: nothing, where that is too short to matter. `discarded` hears of each that was not kept.
    pub(crate) fn take(&self, now: Moment, discarded: impl Fn(Discard)) -> Option<(Connection, Duration)> {
        self.pop(self.lock(), now, discarded)
    }

    fn pop(
        &self,
        mut state: MutexGuard<'_, State>,
        now: Moment,
        discarded: impl Fn(Discard),
    ) -> Option<(Connection, Duration)> {
        let connection = state.idle.pop()?;
        // While one operation follows the other there is nothing to look at, here and in what was idle for longer.
        if now.is_within(LOOK_AFTER, connection.used()) {
            return Some((connection, Duration::ZERO));
        }
        drop(state);
        self.look(connection, now, discarded)
    }

    /// The connection, unless it is no good any more; then the next one.
    #[inline(never)]
    fn look(
        &self,
        mut connection: Connection,
        now: Moment,
        discarded: impl Fn(Discard),
    ) -> Option<(Connection, Duration)> {
        loop {
            let aged = self.lock().trim(now, self.limit);
            (0..aged).for_each(|_| discarded(Discard::Aged));
            let idle = now.since(connection.used());
            if idle > self.limit {
                discarded(Discard::Aged);
            } else if connection.is_quiet() {
                return Some((connection, idle));
            } else {
                discarded(Discard::Closed);
            }
            connection = self.lock().idle.pop()?;
        }
    }

    /// Puts a connection back.
    pub(crate) fn put(&self, connection: Connection) {
        self.lock().put(connection);
    }

    /// Hands a place to whoever waits, under the lock: a waiter who leaves counts what was handed over.
    fn give_back(&self, state: &mut State) {
        match state.waiting.checked_sub(1) {
            Some(waiting) => {
                state.waiting = waiting;
                self.handed.add_permits(1);
            }
            None => state.taken = state.taken.saturating_sub(1),
        }
    }

    /// Closes what is idle: what one of them met, the older ones met too.
    pub(crate) fn clear(&self) -> usize {
        mem::take(&mut self.lock().idle).len()
    }

    /// The same, but for those whose last exchange began at `moment` or later: they have just answered.
    pub(crate) fn clear_before(&self, moment: Moment) -> usize {
        let mut state = self.lock();
        let before = state.idle.len();
        state.idle.retain(|connection| moment.since(connection.used()).is_zero());
        before.saturating_sub(state.idle.len())
    }

    /// Closes what is idle, how many those were, and what is put back from now on: the node is no longer in the list.
    pub(crate) fn close(&self) -> usize {
        let mut state = self.lock();
        state.closed = true;
        mem::take(&mut state.idle).len()
    }

    /// How many connections are idle.
    pub(crate) fn idle(&self) -> usize {
        self.lock().idle.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, connection: Connection) {
        if !self.closed {
            self.idle.push(connection);
        }
    }

    /// Closes what was not used for longer than `limit`; how many those were. The oldest are at the bottom: if the first
    /// is fresh, all are.
    fn trim(&mut self, now: Moment, limit: Duration) -> usize {
        if self.idle.first().is_none_or(|oldest| now.is_within(limit, oldest.used())) {
            return 0;
        }
        let before = self.idle.len();
        self.idle.retain(|connection| now.is_within(limit, connection.used()));
        before.saturating_sub(self.idle.len())
    }
}

impl Place<'_> {
    /// Puts a connection back, as [`Pool::put`] does, and gives the place back with it.
    pub(crate) fn put(self, connection: Connection) {
        let pool = self.0;
        mem::forget(self);
        let mut state = pool.lock();
        state.put(connection);
        pool.give_back(&mut state);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.give_back(&mut self.0.lock());
    }
}

/// Who leaves without a place. If as many were handed over as there were waiters, the one that is left is free.
impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if let Some(waiting) = state.waiting.checked_sub(1) {
            state.waiting = waiting;
        } else if let Ok(handed) = self.0.handed.try_acquire() {
            handed.forget();
            state.taken = state.taken.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use tokio::{runtime::Builder, task::yield_now};

    use super::*;

    const SIZE: usize = 3;

    fn pool(size: usize) -> Arc<Pool> {
        Arc::new(Pool::new(size, Duration::from_secs(60)))
    }

    fn never() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    async fn yields(times: usize) {
        for _ in 0..times {
            yield_now().await;
        }
    }

    /// Waiters that are dropped at every stage, on several threads: while they wait, and with a place already handed to them.
    #[test]
    fn no_place_is_lost_or_given_twice_however_many_give_up() {
        let (pool, used, served) = (pool(SIZE), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let runtime = Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..32_usize)
                .map(|task| {
                    let (pool, used, served) = (pool.clone(), used.clone(), served.clone());
                    tokio::spawn(async move {
                        for round in 0..2000_usize {
                            let patience = (task * 7 + round * 13) % 11;
                            let place = tokio::select! {
                                biased;
                                place = pool.place(never()) => place.unwrap(),
                                () = yields(patience) => continue,
                            };
                            assert!(used.fetch_add(1, Ordering::SeqCst) < SIZE, "a place too many");
                            served.fetch_add(1, Ordering::SeqCst);
                            yields(round % 3).await;
                            used.fetch_sub(1, Ordering::SeqCst);
                            drop(place);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        let (served, offered) = (served.load(Ordering::SeqCst), 32 * 2000);
        assert!(served > 1000 && served < offered, "{served} of {offered} were served: nothing was tried");
        let places: Vec<_> = std::iter::from_fn(|| pool.spare_place()).take(SIZE + 1).collect();
        assert_eq!(places.len(), SIZE);
    }

    #[test]
    fn who_waits_is_served_in_turn_and_nobody_pushes_in() {
        Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
            let (pool, order) = (pool(1), Arc::new(Mutex::new(Vec::new())));
            let held = pool.spare_place().unwrap();
            let waiters: Vec<_> = (0..3)
                .map(|number| {
                    let (pool, order) = (pool.clone(), order.clone());
                    tokio::spawn(async move {
                        let place = pool.place(never()).await.unwrap();
                        order.lock().unwrap().push(number);
                        drop(place);
                    })
                })
                .collect();
            yields(5).await;
            assert!(pool.place(Instant::now()).await.is_none(), "no time");
            drop(held);
            assert!(pool.spare_place().is_none(), "it belongs to the first who waits");
            for waiter in waiters {
                waiter.await.unwrap();
            }
            assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
            assert!(pool.spare_place().is_some());
        });
    }
}
