//! Time that passes without anybody waiting for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use lambda_session::memcached::{Clock, Moment};

/// A clock that is set forward by hand.
#[derive(Clone, Default)]
pub struct Hands(Arc<AtomicU64>);

impl Hands {
    pub fn forward(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }

    pub fn clock(&self) -> Clock {
        let hands = self.0.clone();
        Clock::new(move || {
            let (now, passed) = (Moment::now(), Duration::from_millis(hands.load(Ordering::Relaxed)));
            Moment { monotonic: now.monotonic + passed, wall: now.wall + passed }
        })
    }
}
