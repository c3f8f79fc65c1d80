//! A ring that is fetched at start and refreshed on requests: when, for how long, and what serves meanwhile.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use tracing::warn;

use crate::keyring::Keyring;
use crate::metrics::{self, Count};
use crate::notice::Notice;
use crate::random::RandomSource;
use crate::secrets::schedule::{self, Reserve};
use crate::secrets::state::{State, later};
use crate::secrets::{Answer, AnySecrets};
use crate::{Error, ErrorKind};

/// A ring, and when it was and may be fetched.
pub(super) struct Live {
    secrets: Arc<dyn AnySecrets>,
    random: RandomSource,
    state: Mutex<State>,
    /// One fetch at a time; one that took longer than a request waits stays here, and the next attempt hears its answer first.
    fetching: tokio::sync::Mutex<Option<Fetch>>,
    trouble: Notice,
}

/// Whether a request waits for what an earlier one has asked, while there is a ring to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Waits,
    Looks,
}

/// A question to the source, and when it was asked.
struct Fetch {
    asked: SystemTime,
    answer: Answer,
}

impl Live {
    pub(super) fn new(secrets: Arc<dyn AnySecrets>, random: RandomSource) -> Self {
        Self {
            secrets,
            random,
            state: Mutex::new(State::new()),
            fetching: tokio::sync::Mutex::default(),
            trouble: Notice::new(),
        }
    }

    /// Fetches the ring, again and again while that may help and the start has time for it.
    ///
    /// # Errors
    ///
    /// What will not pass by itself. What may pass is no error: requests will ask again.
    pub(super) async fn start(&self, now: SystemTime) -> Result<(), Error> {
        let begun = tokio::time::Instant::now();
        let mut failed: u32 = 0;
        loop {
            let left = schedule::BUDGET.saturating_sub(begun.elapsed());
            let wait = left.min(schedule::ATTEMPT);
            let error = match tokio::time::timeout(wait, self.secrets.clone().fetch()).await {
                Ok(Ok(ring)) => {
                    self.keep(ring, later(now, begun.elapsed()));
                    return Ok(());
                }
                Ok(Err(error)) if error.kind() != ErrorKind::Unavailable => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => self.secrets.late(wait),
            };
            failed = failed.saturating_add(1);
            let Some(pause) = schedule::pause(failed, begun.elapsed(), self.chance()) else {
                self.failed(&error, later(now, begun.elapsed()));
                return Ok(());
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// The ring, if there is no need to fetch it and no answer to look for.
    pub(super) fn fresh(&self, now: SystemTime) -> Option<Keyring> {
        let state = self.state();
        if state.is_due(now) || state.is_asking() { None } else { state.good(now) }
    }

    /// Whether the ring holds every key that anybody seals with: then an unknown key is nobody's.
    pub(super) fn is_certain(&self, now: SystemTime) -> bool {
        self.state().is_certain(now)
    }

    /// The ring that was fetched last, if that was within a day.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] without one.
    pub(super) fn last_good(&self, now: SystemTime) -> Result<Keyring, Error> {
        let state = self.state();
        state.good(now).ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                match state.ring() {
                    Some(_) => "the secrets are older than 24 h, and their source gives no newer ones",
                    None => "there are no secrets yet: their source gave no answer",
                },
            )
        })
    }

    /// A newer ring for an unknown key id, if it may ask for one now.
    pub(super) async fn rescue(&self, kid: [u8; 2], now: SystemTime, deadline: Instant) -> Option<Keyring> {
        let mut strangers = {
            let mut state = self.state();
            if !state.is_asking() && !state.is_asked_by(kid, now) {
                return None;
            }
            state.take_strangers()
        };
        self.refresh(now, deadline, Patience::Waits).await;
        let mut state = self.state();
        strangers.push_back(kid);
        state.keep_strangers(strangers);
        state.good(now)
    }

    /// Fetches the ring if that is due, or waits for another request that does so if there is none to go on with. What was asked
    /// by an earlier request is heard first.
    pub(super) async fn refresh(&self, now: SystemTime, deadline: Instant, patience: Patience) {
        let reserve = self.state().reserve(now);
        let wait = schedule::wait_at_most(reserve).min(deadline.saturating_duration_since(Instant::now()));
        if wait.is_zero() {
            return;
        }
        let mut under_way = match self.fetching.try_lock() {
            Ok(guard) => guard,
            Err(_) if reserve == Reserve::Ring => return,
            Err(_) => match tokio::time::timeout(wait, self.fetching.lock()).await {
                Ok(guard) => guard,
                Err(_) => return,
            },
        };
        if !self.is_due(now) {
            if self.state().is_asking() {
                let is_patient = patience == Patience::Waits || reserve == Reserve::None;
                self.hear(&mut under_way, if is_patient { wait } else { Duration::ZERO }, now).await;
            }
            return;
        }
        self.state().begin(now, self.chance());
        // A source that always takes longer than a request waits would never be heard otherwise, and no key revoked.
        let mut wait = wait;
        if let Some(mut earlier) = under_way.take() {
            wait = wait.mul_f64(0.5);
            if let Some(Ok(ring)) = answer(&mut earlier, wait).await {
                self.keep(ring, earlier.asked);
                if !self.is_due(now) {
                    return;
                }
                self.state().begin(now, self.chance());
            }
        }
        *under_way = Some(Fetch { asked: now, answer: self.secrets.clone().fetch() });
        self.hear(&mut under_way, wait, now).await;
    }

    /// Waits so long for the answer to what is under way. Without one it stays under way, and has failed once its time is over.
    async fn hear(&self, under_way: &mut Option<Fetch>, wait: Duration, now: SystemTime) {
        let Some(fetch) = under_way else { return };
        let asked = fetch.asked;
        let left = schedule::ATTEMPT.saturating_sub(now.duration_since(asked).unwrap_or(Duration::ZERO));
        match answer(fetch, wait.min(left)).await {
            Some(answer) => {
                *under_way = None;
                match answer {
                    Ok(ring) => self.keep(ring, asked),
                    Err(error) => self.failed(&error, now),
                }
            }
            None if wait >= left => self.failed(&self.secrets.late(schedule::ATTEMPT), now),
            None => {}
        }
    }

    fn is_due(&self, now: SystemTime) -> bool {
        self.state().is_due(now)
    }

    fn keep(&self, ring: Keyring, asked: SystemTime) {
        let chance = self.chance();
        self.state().keep(ring, asked, chance);
        metrics::count(Count::SecretsFetched);
    }

    fn failed(&self, error: &Error, now: SystemTime) {
        metrics::count(Count::SecretsFailed);
        let chance = self.chance();
        let reserve = {
            let mut state = self.state();
            state.fail(now, chance);
            state.reserve(now)
        };
        if !self.trouble.is_due(now) {
            return;
        }
        match reserve {
            Reserve::Ring => {
                warn!("the secrets could not be refreshed, the last good ones serve for up to 24 h: {error:?}");
            }
            Reserve::None => warn!(
                "there are no secrets, requests that ask for a session are answered 503 until there are: {error:?}"
            ),
        }
    }

    /// A random number from 0 to 1.
    fn chance(&self) -> f64 {
        let mut bytes = [0; 2];
        match (self.random)(&mut bytes) {
            Ok(()) => f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX),
            // Without random bytes there is no jitter, which is no reason to fail; nor to ask the more often.
            Err(_) => 1.0,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.state().ring())
    }
}

/// The answer, if it comes within so long; without any time, if it is there already.
async fn answer(fetch: &mut Fetch, wait: Duration) -> Option<Result<Keyring, Error>> {
    if wait.is_zero() {
        return poll_fn(|cx| match fetch.answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => Poll::Ready(None),
        })
        .await;
    }
    tokio::time::timeout(wait, &mut fetch.answer).await.ok()
}
