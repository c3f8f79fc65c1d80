//! Something that wakes a task at a moment: the runtime's own timer, where the kernel has none to give (no descriptor left,
//! another system).

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Instant,
};

use tokio::{
    task::unconstrained,
    time::{Sleep, sleep_until},
};

/// An alarm of one connection. It belongs to the runtime it is made in, as a connection does.
pub(super) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    pub(super) fn new(limit: Instant) -> Self {
        Self(Box::pin(sleep_until(limit.into())))
    }

    /// Ready from `limit` on; until then whoever polled last is woken when it comes.
    pub(super) fn poll(&mut self, limit: Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.0.deadline() != limit.into() {
            self.0.as_mut().reset(limit.into());
        }
        // Whatever else the task has done: bytes that come without end shall not keep the time from being looked at.
        pin!(unconstrained(poll_fn(|context| self.0.as_mut().poll(context)))).poll(context)
    }
}
