//! What happens to one request's session, counted where it happens.
//!
//! A cache connection and a keyring do not know for which request they work. So a [`Tally`] is in a cell of the thread
//! for as long as one of its request's questions is being polled there, as a `tracing` span is; what happens meanwhile
//! [`count`]s. Without metrics there is no tally, and counting looks into an empty cell.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::{REASONS, Reason};
#[cfg(feature = "memcached")]
use crate::memcached::{BreakerState, Discard, Event, Observe};

/// What is counted by number alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Restored,
    Created,
    Renewed,
    Destroyed,
    Unavailable,
    Conflicts,
    StoreCommands,
    StoreTimeouts,
    StoreRetries,
    StoreHedges,
    StoreDiscarded,
    BreakerOpen,
    SecretsFetched,
    SecretsFailed,
}

/// The counts of one request. Whoever works for it may count at once, on any thread.
#[derive(Debug)]
pub(crate) struct Tally {
    request_id: Box<str>,
    asked: AtomicBool,
    counts: [AtomicU32; Count::ALL.len()],
    refused: [AtomicU32; REASONS.len()],
    /// Calls of the store that did not answer at once.
    waits: AtomicU32,
    store_nanoseconds: AtomicU64,
    cookie_bytes: AtomicU64,
    /// The key other than today's that opened something, behind a bit that says there is one.
    stale_key: AtomicU32,
    resealed: AtomicBool,
    session: OnceLock<String>,
}

/// What a tally came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) request_id: String,
    pub(super) session: Option<String>,
    pub(super) asked: bool,
    pub(super) counts: [u32; Count::ALL.len()],
    pub(super) refused: [u32; REASONS.len()],
    pub(super) round_trips: u32,
    pub(super) store_time: Duration,
    pub(super) cookie_bytes: u64,
    /// The old key's id, of a session that was sealed anew; `None` within where the store did not say.
    pub(super) resealed: Option<Option<[u8; 2]>>,
}

impl Count {
    pub(super) const ALL: [Self; 14] = [
        Self::Restored,
        Self::Created,
        Self::Renewed,
        Self::Destroyed,
        Self::Unavailable,
        Self::Conflicts,
        Self::StoreCommands,
        Self::StoreTimeouts,
        Self::StoreRetries,
        Self::StoreHedges,
        Self::StoreDiscarded,
        Self::BreakerOpen,
        Self::SecretsFetched,
        Self::SecretsFailed,
    ];

    /// The metric's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Restored => "Restored",
            Self::Created => "Created",
            Self::Renewed => "Renewed",
            Self::Destroyed => "Destroyed",
            Self::Unavailable => "Unavailable",
            Self::Conflicts => "Conflicts",
            Self::StoreCommands => "StoreRoundTrips",
            Self::StoreTimeouts => "StoreTimeouts",
            Self::StoreRetries => "StoreRetries",
            Self::StoreHedges => "StoreHedges",
            Self::StoreDiscarded => "StoreDiscarded",
            Self::BreakerOpen => "BreakerOpen",
            Self::SecretsFetched => "SecretsFetched",
            Self::SecretsFailed => "SecretsFailed",
        }
    }
}

impl Tally {
    pub(crate) fn new(request_id: &str) -> Self {
        Self {
            request_id: request_id.into(),
            asked: AtomicBool::new(false),
            counts: [const { AtomicU32::new(0) }; Count::ALL.len()],
            refused: [const { AtomicU32::new(0) }; REASONS.len()],
            waits: AtomicU32::new(0),
            store_nanoseconds: AtomicU64::new(0),
            cookie_bytes: AtomicU64::new(0),
            stale_key: AtomicU32::new(0),
            resealed: AtomicBool::new(false),
            session: OnceLock::new(),
        }
    }

    pub(crate) fn asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, count: Count) {
        if let Some(counter) = self.counts.get(count as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn refuse(&self, reason: Reason) {
        if let Some(counter) = self.refused.get(reason as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many cookies were refused so far.
    pub(crate) fn refusals(&self) -> u32 {
        self.refused.iter().fold(0, |sum, counter| sum.saturating_add(counter.load(Ordering::Relaxed)))
    }

    /// A call of the store did not answer at once.
    pub(crate) fn waited(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    /// A call of the store took so long.
    pub(crate) fn store_took(&self, time: Duration) {
        self.store_nanoseconds.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn set_cookie(&self, bytes: usize) {
        self.cookie_bytes.store(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A session that an old key had sealed was sealed anew.
    pub(crate) fn resealed(&self) {
        self.resealed.store(true, Ordering::Relaxed);
    }

    /// By which hash the session is told apart.
    pub(crate) fn session(&self, hash: &str) {
        self.session.get_or_init(|| hash.to_owned());
    }

    pub(super) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        let mut counts = [0; Count::ALL.len()];
        counts.iter_mut().zip(&self.counts).for_each(|(to, from)| *to = read(from));
        let mut refused = [0; REASONS.len()];
        refused.iter_mut().zip(&self.refused).for_each(|(to, from)| *to = read(from));
        let commands = counts.get(Count::StoreCommands as usize).copied().unwrap_or_default();
        let stale_key = read(&self.stale_key);
        let [_, is_known, high, low] = stale_key.to_be_bytes();
        Counts {
            request_id: self.request_id.clone().into(),
            session: self.session.get().cloned(),
            asked: self.asked.load(Ordering::Relaxed),
            counts,
            refused,
            round_trips: if commands > 0 { commands } else { read(&self.waits) },
            store_time: Duration::from_nanos(self.store_nanoseconds.load(Ordering::Relaxed)),
            cookie_bytes: self.cookie_bytes.load(Ordering::Relaxed),
            resealed: self.resealed.load(Ordering::Relaxed).then_some((is_known > 0).then_some([high, low])),
        }
    }
}

impl Counts {
    /// Whether there is anything to tell.
    pub(super) fn is_any(&self) -> bool {
        self.asked || self.counts.iter().chain(&self.refused).any(|count| *count > 0)
    }
}

thread_local! {
    /// The tally of the request that is being worked for on this thread.
    static CURRENT: RefCell<Option<Arc<Tally>>> = const { RefCell::new(None) };
}

/// Counts for the request that is being worked for, if anybody wants to know.
pub(crate) fn count(count: Count) {
    with(|tally| tally.count(count));
}

/// A cookie of the request that is being worked for stood for nothing.
pub(crate) fn refuse(reason: Reason) {
    with(|tally| tally.refuse(reason));
}

/// A key other than today's opened something for the request that is being worked for.
pub(crate) fn opened_by_old_key([high, low]: [u8; 2]) {
    with(|tally| tally.stale_key.store(u32::from_be_bytes([0, 1, high, low]), Ordering::Relaxed));
}

fn with(count: impl FnOnce(&Tally)) {
    CURRENT.with_borrow(|current| {
        if let Some(tally) = current {
            count(tally);
        }
    });
}

pin_project! {
    /// A future whose tally is the current one while it is polled.
    pub(crate) struct Tallied<F> {
        tally: Option<Arc<Tally>>,
        #[pin]
        inner: F,
    }
}

impl<F> Tallied<F> {
    pub(crate) fn new(tally: Option<Arc<Tally>>, inner: F) -> Self {
        Self { tally, inner }
    }
}

impl<F: Future> Future for Tallied<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(tally) = this.tally else { return this.inner.poll(cx) };
        let _current = Current { before: CURRENT.replace(Some(tally.clone())) };
        this.inner.poll(cx)
    }
}

/// Puts the tally back that was the current one, also where polling panics.
struct Current {
    before: Option<Arc<Tally>>,
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

/// Shows a layer's [`Metrics`](super::Metrics) what its memcached client does: for
/// [`Settings::observer`](crate::memcached::Settings::observer). `SESSION_METRICS` sets it by itself.
///
/// ```
/// use lambda_session::{memcached::Settings, metrics::StoreEvents};
/// use std::sync::Arc;
///
/// let settings = Settings::new("localhost:11211")?.observer(Arc::new(StoreEvents));
/// # Ok::<(), lambda_session::memcached::Failure>(())
/// ```
#[cfg(feature = "memcached")]
#[derive(Clone, Copy, Debug)]
pub struct StoreEvents;

#[cfg(feature = "memcached")]
impl Observe for StoreEvents {
    fn on(&self, event: &Event<'_>) {
        match event {
            Event::Attempt { .. } => count(Count::StoreCommands),
            Event::Retry { .. } => count(Count::StoreRetries),
            Event::Hedge { .. } => count(Count::StoreHedges),
            Event::Discarded { reason, .. } => {
                count(Count::StoreDiscarded);
                if *reason == Discard::TimedOut {
                    count(Count::StoreTimeouts);
                }
            }
            Event::Breaker { state: BreakerState::Open, .. } => count(Count::BreakerOpen),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Waker};

    use super::*;

    fn poll<F: Future>(future: F) -> F::Output {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the future waits"),
        }
    }

    /// Counting finds the request that is being worked for, also one within another; outside of one it finds nobody.
    #[test]
    fn what_happens_counts_for_the_request_that_is_being_worked_for() {
        let tallies = ["outer", "inner"].map(|id| Arc::new(Tally::new(id)));
        let inner = Tallied::new(Some(tallies[1].clone()), async { count(Count::Conflicts) });
        count(Count::Conflicts);
        poll(Tallied::new(Some(tallies[0].clone()), async {
            count(Count::Created);
            inner.await;
            count(Count::Created);
        }));
        count(Count::Created);
        let counted = tallies.each_ref().map(|tally| {
            let counts = tally.counts().counts;
            (counts[Count::Created as usize], counts[Count::Conflicts as usize])
        });
        assert_eq!(counted, [(2, 0), (0, 1)]);
    }

    #[test]
    fn a_panic_leaves_no_tally_behind() {
        let tally = Arc::new(Tally::new(""));
        let panics = Tallied::new(Some(tally.clone()), async { panic!("as asked") });
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(panics))).is_err());
        count(Count::Created);
        assert!(!tally.counts().is_any());
    }
}
