//! A ring that is fetched at start and refreshed on requests: when, for how long, and what serves meanwhile.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tracing::warn;

use crate::keyring::Keyring;
use crate::notice::Notice;
use crate::random::RandomSource;
use crate::secrets::schedule::{self, Reserve};
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

/// A question to the source, and when it was asked.
struct Fetch {
    asked: SystemTime,
    answer: Answer,
}

struct State {
    ring: Option<Keyring>,
    /// When the ring was fetched.
    fetched: SystemTime,
    /// From when on it is fetched again.
    due: SystemTime,
    /// From when on an unknown key id may ask for a refresh.
    unknown_due: SystemTime,
    /// Whether the last attempt failed: then nothing brings the next one forward.
    is_failing: bool,
}

impl Live {
    pub(super) fn new(secrets: Arc<dyn AnySecrets>, random: RandomSource) -> Self {
        let never = SystemTime::UNIX_EPOCH;
        let state = State { ring: None, fetched: never, due: never, unknown_due: never, is_failing: false };
        Self {
            secrets,
            random,
            state: Mutex::new(state),
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
                Err(_) => late(wait),
            };
            failed = failed.saturating_add(1);
            let Some(pause) = schedule::pause(failed, begun.elapsed(), self.chance()) else {
                self.failed(&error, later(now, begun.elapsed()));
                return Ok(());
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// The ring, if there is no need to fetch it.
    pub(super) fn fresh(&self, now: SystemTime) -> Option<Keyring> {
        let state = self.state();
        if state.is_due(now) { None } else { state.good(now) }
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
                match state.ring {
                    Some(_) => "the secrets are older than 24 h, and their source gives no newer ones",
                    None => "there are no secrets yet: their source gave no answer",
                },
            )
        })
    }

    /// Whether an unknown key id may ask for a refresh now; if so, none may for the next minute.
    pub(super) fn is_asked_by_unknown_key(&self, now: SystemTime) -> bool {
        let mut state = self.state();
        // What was fetched for this very request is as new as it gets, and a source that fails has its own pace.
        let is_asked = !state.is_failing
            && state.fetched != now
            && (now >= state.unknown_due || is_far_ahead(state.unknown_due, now));
        if is_asked {
            state.unknown_due = later(now, schedule::UNKNOWN_KEY_EVERY);
            state.due = now;
        }
        is_asked
    }

    /// Fetches the ring if that is due, or waits for another request that does so if there is none to go on with.
    pub(super) async fn refresh(&self, now: SystemTime, deadline: Instant) {
        let reserve = self.state().reserve(now);
        let wait = schedule::wait_at_most(reserve).min(deadline.saturating_duration_since(Instant::now()));
        let begun = tokio::time::Instant::now();
        let mut under_way = match self.fetching.try_lock() {
            Ok(guard) => guard,
            Err(_) if reserve == Reserve::Ring => return,
            Err(_) => match tokio::time::timeout(wait, self.fetching.lock()).await {
                Ok(guard) => guard,
                Err(_) => return,
            },
        };
        if !self.is_due(now) {
            return;
        }
        // Counts as failed until it has not: a request that is cancelled in the middle must not call forth the next.
        self.state().due = later(now, schedule::retry_after(reserve, self.chance()));
        // A source that always takes longer than a request waits would never be heard otherwise, and no key revoked.
        if let Some(mut earlier) = under_way.take()
            && let Ok(Ok(ring)) = tokio::time::timeout(wait.mul_f64(0.5), &mut earlier.answer).await
        {
            self.keep(ring, earlier.asked);
            if !self.is_due(now) {
                return;
            }
        }
        let wait = wait.saturating_sub(begun.elapsed());
        let fetch = under_way.insert(Fetch { asked: now, answer: self.secrets.clone().fetch() });
        match tokio::time::timeout(wait, &mut fetch.answer).await {
            Ok(answer) => {
                *under_way = None;
                match answer {
                    Ok(ring) => self.keep(ring, now),
                    Err(error) => self.failed(&error, now),
                }
            }
            Err(_) => self.failed(&late(wait), now),
        }
    }

    fn is_due(&self, now: SystemTime) -> bool {
        self.state().is_due(now)
    }

    fn keep(&self, ring: Keyring, now: SystemTime) {
        let due = later(now, schedule::refresh_after(self.chance()));
        let mut state = self.state();
        (state.ring, state.fetched, state.due, state.is_failing) = (Some(ring), now, due, false);
    }

    fn failed(&self, error: &Error, now: SystemTime) {
        let chance = self.chance();
        let reserve = {
            let mut state = self.state();
            // A clock that was ahead when the ring came must not make it good for longer than a day from here.
            state.fetched = state.fetched.min(now);
            let reserve = state.reserve(now);
            (state.due, state.is_failing) = (later(now, schedule::retry_after(reserve, chance)), true);
            reserve
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

impl State {
    fn is_due(&self, now: SystemTime) -> bool {
        now >= self.due || is_far_ahead(self.due, now)
    }

    /// The ring, if it was fetched within a day.
    fn good(&self, now: SystemTime) -> Option<Keyring> {
        let age = now.duration_since(self.fetched).unwrap_or(Duration::ZERO);
        self.ring.clone().filter(|_| age < schedule::LAST_GOOD_FOR)
    }

    fn reserve(&self, now: SystemTime) -> Reserve {
        if self.good(now).is_some() { Reserve::Ring } else { Reserve::None }
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.state().ring)
    }
}

fn late(wait: Duration) -> Error {
    let wait = wait.as_millis();
    Error::new(ErrorKind::Unavailable, format!("the source of the secrets gave no answer in {wait} ms"))
}

/// A clock that went back by more than any interval of ours must not stop refreshing until it has caught up.
fn is_far_ahead(due: SystemTime, now: SystemTime) -> bool {
    due.duration_since(now).is_ok_and(|ahead| ahead > schedule::FAR_AHEAD)
}

fn later(now: SystemTime, by: Duration) -> SystemTime {
    now.checked_add(by).unwrap_or(now)
}
