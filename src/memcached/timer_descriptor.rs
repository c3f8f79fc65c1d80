//! Linux's `timerfd`, watched by the runtime like a socket.

use std::{
    io,
    os::fd::OwnedFd,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::{Interest, unix::AsyncFd};

/// A timer that is a descriptor; nothing is read from it, for setting it makes it unreadable again.
pub(super) struct TimerDescriptor(AsyncFd<OwnedFd>);

impl TimerDescriptor {
    pub(super) fn new(at: Instant) -> io::Result<Self> {
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // Deprecated because another type might close its descriptor early or name another one; an `OwnedFd` does neither,
        // and what took its place is `unsafe`.
        #[allow(deprecated)]
        let descriptor = Self(AsyncFd::with_interest(descriptor, Interest::READABLE)?);
        descriptor.set(at)?;
        Ok(descriptor)
    }

    pub(super) fn set(&self, at: Instant) -> io::Result<()> {
        // What it went off for is over. First this, so that how it goes off next is not forgotten with it.
        let _ = self.0.try_io(Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        // Nothing at all would turn it off.
        let left = at.saturating_duration_since(Instant::now()).max(SOONEST);
        let left = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        let once = Itimerspec { it_interval: Timespec::default(), it_value: left };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Whether the runtime has heard of it since it was set: without a lock, so that it may be asked in every exchange.
    pub(super) fn has_gone_off(&self) -> bool {
        self.0.try_io(Interest::READABLE, |_| Ok(())).is_ok()
    }

    /// Ready once `at` is over, to which it is set.
    pub(super) fn poll(&mut self, at: Instant, context: &mut Context<'_>) -> Poll<()> {
        // Without a runtime there is nothing to wait for any more.
        while let Ok(mut heard) = ready!(self.0.poll_read_ready(context)) {
            if at <= Instant::now() {
                heard.retain_ready();
                return Poll::Ready(());
            }
            // The runtime heard late of what it was set to before.
            drop(heard);
            if self.set(at).is_err() {
                return Poll::Ready(());
            }
        }
        Poll::Ready(())
    }
}

/// What is not over and not yet to come.
const SOONEST: Duration = Duration::from_nanos(1);
