//! Where a keyring comes from while the function lives: given once, or fetched and refreshed.
//!
//! A [`Secrets`] source is asked once at start and then rarely: on a request, when the ring is older than five minutes
//! (give or take a fifth, so that environments do not ask in step), by wall clock, since monotonic time may stand still in
//! a frozen environment. Where the source fails, the last good ring serves for up to a day. Nothing runs in the background.

mod live;
pub(crate) mod parameter;
#[cfg(feature = "ssm")]
mod quiet;
mod schedule;
#[cfg(feature = "ssm")]
pub mod ssm;
mod state;

use std::{
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use crate::keyring::Keyring;
use crate::random::{self, RandomSource};
use crate::seal::{Opened, Refusal};
use crate::secrets::live::{Live, Patience};
use crate::store::Call;
use crate::{Error, ErrorKind, metrics};

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
    /// [`ErrorKind::Unavailable`] for what may pass; any other kind for what will not by
    /// itself, such as a parameter that is not there or that nobody may read. A panic counts as `Unavailable`.
    fn fetch(&self) -> impl Future<Output = Result<Keyring, Error>> + Send;

    /// The error for a fetch that has taken so long: name the source, and the way out if there is one. Costs no I/O.
    fn late(&self, after: Duration) -> Error {
        let after = after.as_millis();
        Error::new(ErrorKind::Unavailable, format!("the source of the secrets gave no answer in {after} ms"))
    }
}

/// What a store seals and opens with: a ring that stays, or one that is refreshed. Made from a [`Keyring`], by
/// [`Keys::refreshed`] or by [`Keys::on_demand`].
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

impl From<Keyring> for Keys {
    fn from(keyring: Keyring) -> Self {
        Self(Source::Fixed(keyring))
    }
}

impl Keys {
    /// Fetches the ring and keeps it fresh.
    ///
    /// Trouble that may pass is met with further attempts, spread by full jitter, for up to 8 s. After that this does not fail:
    /// requests that ask for a session are answered 503 and ask the source again, every 1 to 5 s, until the ring is there;
    /// routes that never ask are served.
    ///
    /// # Errors
    ///
    /// What will not pass by itself, at once: the function should not start.
    pub async fn refreshed(secrets: impl Secrets) -> Result<Self, Error> {
        Self::refreshed_at(secrets, SystemTime::now(), random::system).await
    }

    /// Fetches the ring on the first request that needs it, and keeps it fresh: for a source that cannot be asked at start,
    /// as the AWS Parameters and Secrets extension. Costs no I/O. That request waits for 2 s at most, and what goes wrong is
    /// answered 503, also what will not pass by itself.
    pub fn on_demand(secrets: impl Secrets) -> Self {
        Self(Source::Live(Arc::new(Live::new(Arc::new(secrets), random::system))))
    }

    /// The same as [`Keys::refreshed`] at a given time, with jitter from this source: for tests. Pauses are by tokio's clock, which a test can
    /// pause too.
    ///
    /// # Errors
    ///
    /// As [`Keys::refreshed`].
    pub async fn refreshed_at(secrets: impl Secrets, now: SystemTime, random: RandomSource) -> Result<Self, Error> {
        let live = Live::new(Arc::new(secrets), random);
        live.start(now).await?;
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
        live.refresh(now, deadline, Patience::Looks).await;
        live.last_good(now)
    }

    /// Opens a token: with the ring, and with a newer one if this one does not know its key id. `None` for what none of our keys
    /// sealed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] without a ring, and for an unknown key id where the ring may lack a key: "I cannot look" is never
    /// "nothing". A ring that stays lacks none, for what a stranger sends is nothing.
    pub(crate) async fn open<T>(
        &self,
        call: &Call,
        open: impl Fn(&Keyring) -> Result<Opened<T>, Refusal>,
    ) -> Result<Option<Unsealed<T>>, Error> {
        self.open_by(call, true, open).await
    }

    /// Opens what a server keeps for a token that has opened: the same, but a ring that stays may lack its key, which another
    /// environment has already.
    #[cfg(feature = "memcached")]
    pub(crate) async fn open_stored<T>(
        &self,
        call: &Call,
        open: impl Fn(&Keyring) -> Result<Opened<T>, Refusal>,
    ) -> Result<Option<Unsealed<T>>, Error> {
        self.open_by(call, false, open).await
    }

    async fn open_by<T>(
        &self,
        call: &Call,
        is_fixed_certain: bool,
        open: impl Fn(&Keyring) -> Result<Opened<T>, Refusal>,
    ) -> Result<Option<Unsealed<T>>, Error> {
        let mut ring = self.at(call.now(), call.deadline()).await?;
        let mut opened = open(&ring);
        let unknown = match opened {
            Err(Refusal::UnknownKey(kid)) => Some(kid),
            _ => None,
        };
        if let (Some(kid), Source::Live(live)) = (unknown, &self.0)
            && let Some(newer) = live.rescue(kid, call.now(), call.deadline()).await
        {
            opened = open(&newer);
            ring = newer;
        }
        let (is_certain, why) = match &self.0 {
            Source::Fixed(_) => (
                is_fixed_certain,
                "the session is sealed by a secret that this environment does not have: give it to all before it seals",
            ),
            Source::Live(live) => (
                live.is_certain(call.now()),
                "the session's secret is not known, and there are no newer secrets to be had: their source gives no answer",
            ),
        };
        match opened {
            Ok(opened) => {
                let (place, _) = ring.sealing(call.now());
                let is_stale = opened.key != place;
                if let Some(kid) = ring.kid(opened.key).filter(|_| is_stale) {
                    metrics::opened_by_old_key(kid);
                }
                Ok(Some(Unsealed { inner: opened.inner, is_stale, ring }))
            }
            Err(Refusal::UnknownKey(_)) if !is_certain => Err(Error::new(ErrorKind::Unavailable, why)),
            Err(refusal) => {
                metrics::refuse(refusal.into());
                Ok(None)
            }
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Fixed(ring) => write!(f, "Keys({ring:?})"),
            Source::Live(live) => write!(f, "Keys(refreshed, {live:?})"),
        }
    }
}

/// [`Secrets`] with its future boxed, and free to be kept.
trait AnySecrets: Send + Sync + 'static {
    fn fetch(self: Arc<Self>) -> Answer;
    fn late(&self, after: Duration) -> Error;
}

type Answer = Pin<Box<dyn Future<Output = Result<Keyring, Error>> + Send>>;

/// A source is the user's code, and a panic in it is trouble with the source: requests that can go on without it do.
impl<S: Secrets> AnySecrets for S {
    fn fetch(self: Arc<Self>) -> Answer {
        let mut fetch = Box::pin(async move { Secrets::fetch(&*self).await });
        // What panicked has an answer then, and is not polled again.
        Box::pin(poll_fn(move |cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| fetch.as_mut().poll(cx)));
            polled.unwrap_or_else(|_| Poll::Ready(Err(panicked())))
        }))
    }

    fn late(&self, after: Duration) -> Error {
        catch_unwind(AssertUnwindSafe(|| Secrets::late(self, after))).unwrap_or_else(|_| panicked())
    }
}

/// What a panic says may be a secret, so it is not repeated.
fn panicked() -> Error {
    Error::new(ErrorKind::Unavailable, "the source of the secrets panicked")
}
