//! One alarm for all who wait in a runtime: Linux's `timerfd`, watched by the runtime like a socket.
//!
//! tokio's own timer, while it is set, gives every `epoll_wait` a time-out, for which the kernel sets a timer up and takes it
//! down again: some 0.6 of an exchange's 20 µs on loopback (DESIGN.md). A descriptor for each connection would be set, and go
//! off in vain after the last exchange, for each of them.

use std::{
    future::{Future, poll_fn},
    io,
    os::fd::OwnedFd,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime::{Handle, Id},
    task::unconstrained,
};

/// All that there are, each for as long as somebody has a [`Post`] in it.
static WATCHES: Mutex<Vec<Weak<Watch>>> = Mutex::new(Vec::new());

/// The alarm of one runtime.
struct Watch {
    runtime: Id,
    /// Nothing is read from it, for setting it makes it unreadable again.
    descriptor: AsyncFd<OwnedFd>,
    /// How often it was set or went off: who finds it as it was need not ask for more.
    round: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// To when it is set: no later than anybody's limit.
    at: Option<Instant>,
    /// Whom it wakes.
    wakers: Vec<Option<Waker>>,
}

/// A place from which one connection's exchanges watch the time, one after the other.
pub(super) struct Post {
    watch: Arc<Watch>,
    place: usize,
    /// Whom it wakes, to when the alarm was set when it was last looked at, and in which round that was.
    waker: Waker,
    at: Instant,
    round: u64,
}

/// What the runtime wakes when the alarm goes off.
struct Rouse(Weak<Watch>);

impl Post {
    /// A place in the watch of this runtime.
    pub(super) fn new() -> io::Result<Self> {
        let watch = Watch::of_this_runtime()?;
        let mut state = watch.state();
        let place = state.wakers.iter().position(Option::is_none).unwrap_or(state.wakers.len());
        let waker = Waker::noop().clone();
        match state.wakers.get_mut(place) {
            Some(free) => *free = Some(waker.clone()),
            None => state.wakers.push(Some(waker.clone())),
        }
        drop(state);
        // Of no round that there ever was.
        Ok(Self { watch, place, waker, at: Instant::now(), round: u64::MAX })
    }

    /// Ready from `limit` on; until then whoever polled last is woken when it comes, and sometimes before. `now` is known when
    /// an exchange first waits.
    pub(super) fn poll(
        &mut self,
        now: Option<Instant>,
        limit: Instant,
        context: &mut Context<'_>,
    ) -> io::Result<Poll<()>> {
        // The runtime may not have heard yet that it went off, and the limit be over: so by the time too, where that costs nothing.
        let is_to_come = self.watch.round.load(Ordering::Acquire) == self.round && now.is_none_or(|now| now < self.at);
        if is_to_come && self.at <= limit && self.waker.will_wake(context.waker()) {
            return Ok(Poll::Pending);
        }
        self.look(limit, context)
    }

    #[inline(never)]
    fn look(&mut self, limit: Instant, context: &mut Context<'_>) -> io::Result<Poll<()>> {
        self.waker.clone_from(context.waker());
        // Dropped after the lock is given back: it is somebody else's code.
        let _before;
        let mut state = self.watch.state();
        _before = state.wakers.get_mut(self.place).and_then(|waker| waker.replace(self.waker.clone()));
        loop {
            let now = Instant::now();
            let Some(left) = limit.checked_duration_since(now).filter(|left| !left.is_zero()) else {
                return Ok(Poll::Ready(()));
            };
            // Where that is over the runtime has yet to hear of it. To set it anew would take that back, and who waits for it
            // would hear no more.
            if let Some(at) = state.at.filter(|&at| at <= limit) {
                (self.at, self.round) = (at, self.watch.round.load(Ordering::Acquire));
                return Ok(Poll::Pending);
            }
            self.watch.set(&mut state, limit, left)?;
            match self.watch.poll() {
                Poll::Pending => {}
                // It has gone off already, perhaps for what it was set to before.
                Poll::Ready(true) => self.watch.turn(&mut state, None),
                // Without a runtime there is nothing to wait for any more.
                Poll::Ready(false) => {
                    self.watch.turn(&mut state, None);
                    return Ok(Poll::Ready(()));
                }
            }
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let waker = self.watch.state().wakers.get_mut(self.place).and_then(Option::take);
        drop(waker);
    }
}

impl Watch {
    fn of_this_runtime() -> io::Result<Arc<Self>> {
        let runtime = Handle::try_current().map_err(io::Error::other)?.id();
        let mut watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|watch| watch.strong_count() > 0);
        if let Some(watch) = watches.iter().filter_map(Weak::upgrade).find(|watch| watch.runtime == runtime) {
            return Ok(watch);
        }
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // Deprecated because another type might close its descriptor early or name another one; an `OwnedFd` does neither,
        // and what took its place is `unsafe`.
        #[allow(deprecated)]
        let descriptor = AsyncFd::with_interest(descriptor, Interest::READABLE)?;
        let watch = Arc::new(Self { runtime, descriptor, round: AtomicU64::new(0), state: Mutex::default() });
        watches.push(Arc::downgrade(&watch));
        Ok(watch)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A round is over: it is set to another moment, or to none.
    fn turn(&self, state: &mut State, at: Option<Instant>) {
        state.at = at;
        self.round.fetch_add(1, Ordering::Release);
    }

    fn set(&self, state: &mut State, at: Instant, left: Duration) -> io::Result<()> {
        // What it went off for is over. First this, so that how it goes off next is not forgotten with it.
        let _ = self.descriptor.try_io(Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        let left = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        let once = Itimerspec { it_interval: Timespec::default(), it_value: left };
        timerfd_settime(self.descriptor.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        self.turn(state, Some(at));
        Ok(())
    }

    /// Ready once it has gone off, or with `false` if nobody will ever hear of it; until then all are woken when it does.
    fn poll(self: &Arc<Self>) -> Poll<bool> {
        let rouse = Waker::from(Arc::new(Rouse(Arc::downgrade(self))));
        // Whatever else the task has done: bytes that come without end shall not keep the time from being looked at.
        pin!(unconstrained(poll_fn(|context| self.descriptor.poll_read_ready(context).map(|heard| heard.is_ok()))))
            .poll(&mut Context::from_waker(&rouse))
    }
}

impl Wake for Rouse {
    fn wake(self: Arc<Self>) {
        let Some(watch) = self.0.upgrade() else { return };
        let mut state = watch.state();
        watch.turn(&mut state, None);
        let wakers: Vec<_> = state.wakers.iter().flatten().cloned().collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}
