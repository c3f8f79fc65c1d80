//! Something that wakes a task at a moment.
//!
//! On Linux it is a descriptor of the kernel's. tokio's own timer, while it is set, gives every `epoll_wait` a time-out,
//! for which the kernel sets a timer up and takes it down again: some 0.6 of an exchange's 20 µs on loopback (DESIGN.md).

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tokio::time::{Sleep, sleep_until};

#[cfg(target_os = "linux")]
use super::timer_descriptor::TimerDescriptor;

/// An alarm, set to a moment. Once gone off it stays so until it is set again.
///
/// It belongs to the runtime it is made in, as a connection does.
pub(super) struct Alarm {
    at: Instant,
    bell: Bell,
}

enum Bell {
    #[cfg(target_os = "linux")]
    Kernel(TimerDescriptor),
    Runtime(Pin<Box<Sleep>>),
}

impl Alarm {
    /// An alarm set to `at`: the kernel's, or the runtime's where that cannot be had (no descriptor left, another system).
    pub(super) fn new(at: Instant) -> Self {
        #[cfg(target_os = "linux")]
        if let Ok(descriptor) = TimerDescriptor::new(at) {
            return Self { at, bell: Bell::Kernel(descriptor) };
        }
        Self::of_runtime(at)
    }

    pub(super) fn of_runtime(at: Instant) -> Self {
        Self { at, bell: Bell::Runtime(Box::pin(sleep_until(at.into()))) }
    }

    /// To when it is set.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    pub(super) fn set(&mut self, at: Instant) {
        self.at = at;
        match &mut self.bell {
            #[cfg(target_os = "linux")]
            Bell::Kernel(descriptor) => {
                if descriptor.set(at).is_err() {
                    *self = Self::of_runtime(at);
                }
            }
            Bell::Runtime(sleep) => sleep.as_mut().reset(at.into()),
        }
    }

    /// Whether it may have gone off, so that whoever waits must ask [`poll`](Self::poll) again.
    pub(super) fn has_gone_off(&self) -> bool {
        match &self.bell {
            #[cfg(target_os = "linux")]
            Bell::Kernel(descriptor) => descriptor.has_gone_off(),
            Bell::Runtime(sleep) => sleep.is_elapsed(),
        }
    }

    /// Ready once it has gone off; until then whoever polled last is woken when it does.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.bell {
            #[cfg(target_os = "linux")]
            Bell::Kernel(descriptor) => descriptor.poll(self.at, context),
            Bell::Runtime(sleep) => sleep.as_mut().poll(context),
        }
    }
}
