//! Where a keyring comes from while the function lives: given once, or fetched and refreshed.
//!
//! A [`Secrets`] source is asked once at start and then rarely: on a request, when the ring is older than five minutes
//! (give or take a fifth, so that environments do not ask in step), by wall clock, since monotonic time may stand still in
//! a frozen environment. Where the source fails, the last good ring serves for up to a day. Nothing runs in the background.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tracing::warn;

use crate::keyring::Keyring;
use crate::notice::Notice;
use crate::random::{self, RandomSource};
use crate::seal::{Opened, Refusal};
use crate::store::Call;
use crate::{Error, ErrorKind};

/// How old a ring grows before it is fetched again (security.md, SS6).
const REFRESH_AFTER: Duration = Duration::from_secs(300);
/// How long nothing is fetched after a failure (security.md, SS6).
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// How long the last good ring serves while its source fails (security.md, SS6; ASP.NET refreshes as rarely).
const LAST_GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How long one request waits for a refresh (issue: 500 ms).
const WAIT_AT_MOST: Duration = Duration::from_millis(500);
/// How seldom an unknown key id asks for a refresh (security.md, SS8).
const UNKNOWN_KEY_EVERY: Duration = Duration::from_secs(60);

/// A place that secrets are kept: SSM Parameter Store, Secrets Manager, a file.
///
/// ```
/// use lambda_session::{Error, ErrorKind, keyring::Keyring, secrets::Secrets};
///
/// /// A ring in a file that something else keeps current.
/// struct RingFile(&'static str);
///
/// impl Secrets for RingFile {
///     async fn fetch(&self) -> Result<Keyring, Error> {
///         let text = std::fs::read_to_string(self.0)
///             .map_err(|error| Error::new(ErrorKind::Unavailable, "cannot read the ring").with_source(error))?;
///         Keyring::parse(&text)
///     }
/// }
/// ```
pub trait Secrets: Send + Sync + 'static {
    /// The ring as it stands now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] for what may pass; any other kind for what will not by itself, such as a parameter that
    /// is not there or that nobody may read.
    fn fetch(&self) -> impl Future<Output = Result<Keyring, Error>> + Send;
}

/// What a store seals and opens with: a ring that stays, or one that is refreshed. Made from a [`Keyring`], or by
/// [`Keys::refreshed`].
#[derive(Clone)]
pub struct Keys(Source);

#[derive(Clone)]
enum Source {
    Fixed(Keyring),
    Live(Arc<Live>),
}

/// What a token held, and whether a key other than today's sealed it.
pub(crate) struct Unsealed<T> {
    pub(crate) inner: T,
    pub(crate) is_stale: bool,
    pub(crate) ring: Keyring,
}

/// A ring, and when it was and may be fetched.
struct Live {
    secrets: Box<dyn AnySecrets>,
    random: RandomSource,
    state: Mutex<State>,
    /// One fetch at a time.
    fetching: tokio::sync::Mutex<()>,
    trouble: Notice,
}

struct State {
    ring: Option<Keyring>,
    /// When the ring was fetched.
    fetched: SystemTime,
    /// From when on it is fetched again.
    due: SystemTime,
    /// From when on an unknown key id may ask for a refresh.
    unknown_due: SystemTime,
}

impl From<Keyring> for Keys {
    fn from(keyring: Keyring) -> Self {
        Self(Source::Fixed(keyring))
    }
}

impl Keys {
    /// Fetches the ring and keeps it fresh. Where the source is unavailable at start this does not fail: requests that
    /// ask for a session are answered 503 until it is there, routes that never ask are served.
    ///
    /// # Errors
    ///
    /// What will not pass by itself: the function should not start.
    pub async fn refreshed(secrets: impl Secrets) -> Result<Self, Error> {
        Self::refreshed_at(secrets, SystemTime::now(), random::system).await
    }

    /// The same at a given time, with jitter from this source: for tests.
    ///
    /// # Errors
    ///
    /// As [`Keys::refreshed`].
    pub async fn refreshed_at(secrets: impl Secrets, now: SystemTime, random: RandomSource) -> Result<Self, Error> {
        let never = SystemTime::UNIX_EPOCH;
        let live = Live {
            secrets: Box::new(secrets),
            random,
            state: Mutex::new(State { ring: None, fetched: never, due: never, unknown_due: never }),
            fetching: tokio::sync::Mutex::default(),
            trouble: Notice::new(),
        };
        match live.secrets.fetch().await {
            Ok(ring) => live.keep(ring, now),
            Err(error) if error.kind() == ErrorKind::Unavailable => live.failed(&error, now),
            Err(error) => return Err(error),
        }
        Ok(Self(Source::Live(Arc::new(live))))
    }

    /// The ring to use at `now`; waits for a refresh that is due, until `deadline` and 500 ms at most.
    pub(crate) async fn at(&self, now: SystemTime, deadline: Instant) -> Result<Keyring, Error> {
        let live = match &self.0 {
            Source::Fixed(ring) => return Ok(ring.clone()),
            Source::Live(live) => live,
        };
        if let Some(ring) = live.fresh(now) {
            return Ok(ring);
        }
        live.refresh(now, deadline).await;
        live.last_good(now)
    }

    /// Opens a token with the ring, and with a newer one if this one does not know its key id.
    pub(crate) async fn open<T>(
        &self,
        call: &Call,
        open: impl Fn(&Keyring) -> Result<Opened<T>, Refusal>,
    ) -> Result<Option<Unsealed<T>>, Error> {
        let mut ring = self.at(call.now(), call.deadline()).await?;
        let mut opened = open(&ring);
        if matches!(opened, Err(Refusal::UnknownKey))
            && let Some(newer) = self.after_unknown_key(call.now(), call.deadline()).await
        {
            opened = open(&newer);
            ring = newer;
        }
        Ok(opened.ok().map(|opened| {
            let (place, _) = ring.sealing(call.now());
            Unsealed { inner: opened.inner, is_stale: opened.key != place, ring }
        }))
    }

    /// A newer ring for a token whose key id this one does not know: asked at most once a minute.
    pub(crate) async fn after_unknown_key(&self, now: SystemTime, deadline: Instant) -> Option<Keyring> {
        let Source::Live(live) = &self.0 else { return None };
        {
            let mut state = live.state();
            if now < state.unknown_due && !is_far_ahead(state.unknown_due, now) {
                return None;
            }
            state.unknown_due = later(now, UNKNOWN_KEY_EVERY);
            state.due = now;
        }
        live.refresh(now, deadline).await;
        live.last_good(now).ok()
    }
}

impl State {
    /// Whether the ring was fetched within a day.
    fn is_good(&self, now: SystemTime) -> bool {
        now.duration_since(self.fetched).unwrap_or(Duration::ZERO) < LAST_GOOD_FOR
    }
}

impl Live {
    /// The ring, if there is no need to fetch it.
    fn fresh(&self, now: SystemTime) -> Option<Keyring> {
        let state = self.state();
        let is_due = now >= state.due || is_far_ahead(state.due, now);
        state.ring.clone().filter(|_| !is_due && state.is_good(now))
    }

    /// The ring that was fetched last, if that was within a day.
    fn last_good(&self, now: SystemTime) -> Result<Keyring, Error> {
        let state = self.state();
        let age = now.duration_since(state.fetched).unwrap_or(Duration::ZERO);
        state
            .ring
            .clone()
            .filter(|_| age < LAST_GOOD_FOR)
            .ok_or_else(|| Error::new(ErrorKind::Unavailable, "there are no secrets yet: their source gave no answer"))
    }

    async fn refresh(&self, now: SystemTime, deadline: Instant) {
        let Some(until) = Instant::now().checked_add(WAIT_AT_MOST) else { return };
        let until = until.min(deadline);
        // Whoever comes while another fetches waits for it only without any ring.
        let has_ring = self.state().ring.is_some();
        let guard = match self.fetching.try_lock() {
            Ok(guard) => guard,
            Err(_) if has_ring => return,
            Err(_) => match tokio::time::timeout_at(until.into(), self.fetching.lock()).await {
                Ok(guard) => guard,
                Err(_) => return,
            },
        };
        if self.fresh(now).is_some() || !self.is_due(now) {
            return;
        }
        match tokio::time::timeout_at(until.into(), self.secrets.fetch()).await {
            Ok(Ok(ring)) => self.keep(ring, now),
            Ok(Err(error)) => self.failed(&error, now),
            Err(_) => {
                self.failed(&Error::new(ErrorKind::Unavailable, "the source of secrets gave no answer in time"), now)
            }
        }
        drop(guard);
    }

    fn is_due(&self, now: SystemTime) -> bool {
        let due = self.state().due;
        now >= due || is_far_ahead(due, now)
    }

    fn keep(&self, ring: Keyring, now: SystemTime) {
        let due = later(now, self.jittered(REFRESH_AFTER));
        let mut state = self.state();
        (state.ring, state.fetched, state.due) = (Some(ring), now, due);
    }

    fn failed(&self, error: &Error, now: SystemTime) {
        self.state().due = later(now, RETRY_AFTER);
        if self.trouble.is_due(now) {
            warn!("the secrets could not be refreshed, the last good ones serve for up to 24 h: {error:?}");
        }
    }

    /// Give or take a fifth.
    fn jittered(&self, length: Duration) -> Duration {
        let mut bytes = [0; 2];
        // Without random bytes there is no jitter, which is no reason to fail.
        let _ = (self.random)(&mut bytes);
        let share = f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX);
        length.mul_f64(0.8 + 0.4 * share)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that went back by more than any interval of ours must not stop refreshing until it has caught up.
fn is_far_ahead(due: SystemTime, now: SystemTime) -> bool {
    due.duration_since(now).is_ok_and(|ahead| ahead > REFRESH_AFTER.saturating_mul(2))
}

fn later(now: SystemTime, by: Duration) -> SystemTime {
    now.checked_add(by).unwrap_or(now)
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Fixed(ring) => write!(f, "Keys({ring:?})"),
            Source::Live(live) => write!(f, "Keys(refreshed, {:?})", live.state().ring),
        }
    }
}

/// [`Secrets`] with its future boxed.
trait AnySecrets: Send + Sync + 'static {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Keyring, Error>> + Send + '_>>;
}

impl<S: Secrets> AnySecrets for S {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Keyring, Error>> + Send + '_>> {
        Box::pin(Secrets::fetch(self))
    }
}
